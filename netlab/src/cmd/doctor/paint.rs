//! Colours, where they are wanted.

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What works.
    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What does not.
    pub(super) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What the eye is to find: headings, commands.
    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What stands back.
    pub(super) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Words with `commands` between backquotes, which are made strong, or stay without quotes.
    pub(super) fn prose(self, text: &str) -> String {
        let parts = text.split('`').enumerate();
        parts
            .map(|(at, part)| if at % 2 == 1 { self.strong(part) } else { part.to_owned() })
            .collect()
    }
}
