//! Colours, where they are wanted, and how wide it may be.

use crate::cmd::output;

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    /// Colours are wanted.
    pub color: bool,
    /// Columns for running text.
    pub width: usize,
}

impl Paint {
    /// For what goes to stdout.
    pub(super) fn new(color: bool) -> Self {
        Self { color, width: output::width() }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
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
