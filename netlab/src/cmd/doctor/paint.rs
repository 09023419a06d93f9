//! Colours, where they are wanted, and how wide it may be.

use netlab::doctor::plain::is_hidden;

use crate::cmd::{Outcome, output};

/// Colours and weights that text is painted with (ECMA-48, SGR), and what ends them.
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const STRONG: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const END: &str = "\x1b[0m";

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
        if self.color { format!("{code}{text}{END}") } else { text.to_owned() }
    }

    /// Prints what was painted, [`plain`](Self::plain).
    ///
    /// # Errors
    ///
    /// Where stdout is gone.
    pub(super) fn print(self, text: &str) -> anyhow::Result<Outcome> {
        output::print(&self.plain(text))
    }

    /// Text without anything that a terminal obeys, but for newlines and what this has painted:
    /// characters that are not seen stand there as `\u{1b}`.
    pub(super) fn plain(self, text: &str) -> String {
        let codes = if self.color { [RED, GREEN, STRONG, FAINT, END].as_slice() } else { &[] };
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let code = codes.iter().find(|code| rest.starts_with(**code));
            let length = code.map_or(letter.len_utf8(), |code| code.len());
            let (seen, after) = rest.split_at(length);
            if code.is_none() && letter != '\n' && is_hidden(letter) {
                plain.extend(letter.escape_unicode());
            } else {
                plain.push_str(seen);
            }
            rest = after;
        }
        plain
    }

    /// What works.
    pub(super) fn good(self, text: &str) -> String {
        self.with(GREEN, text)
    }

    /// What does not.
    pub(super) fn bad(self, text: &str) -> String {
        self.with(RED, text)
    }

    /// What the eye is to find: headings, commands.
    pub(super) fn strong(self, text: &str) -> String {
        self.with(STRONG, text)
    }

    /// What stands back.
    pub(super) fn faint(self, text: &str) -> String {
        self.with(FAINT, text)
    }

    /// Words with `commands` between backquotes, which are made strong, or stay without quotes.
    pub(super) fn prose(self, text: &str) -> String {
        let parts = text.split('`').enumerate();
        parts
            .map(|(at, part)| if at % 2 == 1 { self.strong(part) } else { part.to_owned() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paint(color: bool) -> Paint {
        Paint { color, width: 80 }
    }

    #[test]
    fn what_was_read_cannot_steer_the_terminal() {
        let read = "a\x1b[2J\x07b\u{9b}31m\r\u{202e}c";
        let plain = r"a\u{1b}[2J\u{7}b\u{9b}31m\u{d}\u{202e}c";
        for color in [false, true] {
            let strong = paint(color).strong("x");
            let text = paint(color).plain(&format!("{strong} {read}\n"));
            assert_eq!(text, format!("{strong} {plain}\n"));
        }
        assert_eq!(paint(false).plain("\x1b[31m"), r"\u{1b}[31m", "nobody has painted it");
        assert_eq!(paint(true).plain("ä → 1\n\n"), "ä → 1\n\n");
    }
}
