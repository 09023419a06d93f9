//! `netlab doctor --explain`.

use std::fmt::Write as _;

use netlab::doctor::finding::{
    Code,
    page::{Page, by_row},
};

use super::paint::Paint;
use crate::cmd::output;

/// Columns before the words of a fault.
const FAULT: usize = 2;

/// All codes, by row.
pub(super) fn list() -> String {
    let mut table = output::table(&["ROW", "CODE", "MEANS"]);
    let room = output::width().saturating_sub(34);
    for code in by_row() {
        let row = if code.row() == 0 { "-".to_owned() } else { code.row().to_string() };
        let about = code.about();
        let first = about.split_inclusive(". ").next().unwrap_or_default().trim();
        let first = output::wrapped(first, room, "");
        table.add_row([row, code.to_string(), first]);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n\nnetlab doctor --explain CODE tells more of one.\n"
}

/// A page of one.
pub(super) fn page(code: Code, paint: Paint) -> String {
    let row = match code.row() {
        0 => String::new(),
        row => format!(" (row {row} of docs/findings.md)"),
    };
    let mut text = format!("{}{row}\n\n", paint.strong(code.name()));
    let _ = writeln!(text, "{}", filled(&code.about(), 0, paint));
    let Some(page) = Page::of(code) else { return text };
    for (heading, words) in page.sections() {
        let _ = writeln!(text, "\n{}\n{}", paint.strong(heading), filled(words, 2, paint));
    }
    let faults = page.faults();
    if !faults.is_empty() {
        let _ = writeln!(text, "\n{}", paint.strong("Try it in the lab"));
    }
    for fault in faults {
        let words = format!("{}.", fault.imitates);
        let _ = writeln!(text, "  # netlab lab fault inject {}", paint.strong(fault.name));
        let applies = fault.applies();
        let where_ = if applies == "all / all" { String::new() } else { format!(" ({applies})") };
        let _ = writeln!(text, "{}", filled(&format!("{words}{where_}"), 4 + FAULT, paint));
    }
    let related: Vec<_> = page.related.iter().map(|code| code.name()).collect();
    let _ = writeln!(text, "\n{}\n  {}", paint.strong("See also"), related.join(", "));
    text
}

/// Paragraphs within the width; what is quoted counts without its quotes.
fn filled(words: &str, indent: usize, paint: Paint) -> String {
    let blank = " ".repeat(indent);
    let lines = output::wrapped(words, paint.width - indent, &blank);
    paint.prose(&format!("{blank}{lines}"))
}
