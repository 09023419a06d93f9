//! Colours, where they are wanted, and how wide it may be.

use netlab::doctor::plain::is_hidden;

use crate::cmd::{Outcome, output};

/// Colours and weights that text is painted with (ECMA-48, SGR), and what ends them.
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const STRONG: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const END: &str = "\x1b[0m";

/// What traces are painted with besides: doubt and translations, tunnels, drops.
const TRACES: [&str; 3] = ["\x1b[33m", "\x1b[36m", "\x1b[1;31m"];

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
        let own = [RED, GREEN, STRONG, FAINT, END].into_iter().chain(TRACES);
        let codes: Vec<&str> = own.filter(|_| self.color).collect();
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

    /// Lines that are too long, broken between words; what is broken off stands `indent` columns
    /// to the right. A line that fits stays as it is, with the spaces in it.
    pub(super) fn fitted(self, text: &str, indent: usize) -> String {
        let mut fitted = String::with_capacity(text.len());
        for line in text.lines() {
            let mut used = 0;
            for word in line.split_inclusive(' ') {
                let long = self.seen(word.trim_end());
                if long > 0 && used > indent && used + long > self.width {
                    fitted.truncate(fitted.trim_end_matches(' ').len());
                    fitted.push('\n');
                    fitted.push_str(&" ".repeat(indent));
                    used = indent;
                }
                fitted.push_str(word);
                used += self.seen(word);
            }
            fitted.push('\n');
        }
        fitted
    }

    /// Columns of a text, in which what paints it takes none.
    fn seen(self, text: &str) -> usize {
        let mut columns = 0;
        let mut painting = false;
        for letter in text.chars() {
            match letter {
                '\x1b' if self.color => painting = true,
                'm' if painting => painting = false,
                _ if painting => {}
                _ => columns += 1,
            }
        }
        columns
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
        for code in TRACES {
            assert_eq!(paint(true).plain(code), code);
        }
        assert_eq!(paint(false).plain("\x1b[31m"), r"\u{1b}[31m", "nobody has painted it");
        assert_eq!(paint(true).plain("ä → 1\n\n"), "ä → 1\n\n");
    }

    #[test]
    fn lines_that_are_too_long_are_broken_between_words_and_paint_takes_no_room() {
        let narrow = |color| Paint { color, width: 12 };
        assert_eq!(
            narrow(false).fitted("  a  b\n  one  two three\n", 4),
            "  a  b\n  one  two\n    three\n"
        );
        let red = narrow(true).bad("one two");
        let text = narrow(true).fitted(&format!("  {red} xyz\n"), 4);
        assert_eq!(text, format!("  {RED}one two{END}\n    xyz\n"));
        assert_eq!(narrow(false).fitted("  abcdefghijklmno p\n", 4), "  abcdefghijklmno\n    p\n");
    }
}
