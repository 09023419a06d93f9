//! Printing that minds a broken pipe, which `println!` does not.

use std::io::{self, Write as _};

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::Outcome;

/// Prints text as it is.
///
/// # Errors
///
/// Where stdout is gone.
pub fn print(text: &str) -> anyhow::Result<Outcome> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot print")?;
    Ok(Outcome::Fine)
}

/// Prints a value as JSON, for programs.
///
/// # Errors
///
/// Where stdout is gone.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<Outcome> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Prints a value as YAML, for programs and people.
///
/// # Errors
///
/// Where stdout is gone.
pub fn print_yaml(value: &impl Serialize) -> anyhow::Result<Outcome> {
    print(&serde_saphyr::to_string(value)?)
}

/// A table as kubectl draws them: columns apart by spaces, no lines.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A table's lines without the padding of their last columns, each with its newline.
pub fn drawn(table: &Table) -> String {
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Columns for running text: 100, or as many as a narrower terminal has.
pub fn width() -> usize {
    const WIDEST: usize = 100;
    const NARROWEST: usize = 40;
    // SAFETY: all zeros are a value of this plain struct.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes one winsize, into memory that lives as long as the call.
    let outcome = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    match usize::from(size.ws_col) {
        columns if outcome == 0 && columns > 0 => columns.clamp(NARROWEST, WIDEST),
        _ => WIDEST,
    }
}

/// Text in lines of at most `width` characters where its words allow that; all lines but the
/// first begin with `indent`.
pub fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = String::new();
    let mut room = width;
    for (at, word) in text.split_whitespace().enumerate() {
        let long = word.chars().count();
        if at > 0 && room <= long {
            lines.push('\n');
            lines.push_str(indent);
            room = width.saturating_sub(indent.len());
        } else if at > 0 {
            lines.push(' ');
            room -= 1;
        }
        lines.push_str(word);
        room = room.saturating_sub(long);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("a bc def", 4, "  "), "a bc\n  def");
        assert_eq!(wrapped("abcdef gh", 3, "  "), "abcdef\n  gh");
        assert_eq!(wrapped("", 3, "  "), "");
    }
}
