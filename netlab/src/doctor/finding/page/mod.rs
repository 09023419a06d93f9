//! What there is to know about each finding: the page that `netlab doctor --explain` prints, and
//! docs/findings.md.
//!
//! Texts have `commands and names` between backquotes.

mod host;
mod overlay;
mod routes;
mod service;
mod translation;

use super::Code;
use crate::lab::fault;

/// What there is to know about a finding.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Which; what it means is [`Code::about`].
    pub code: Code,
    /// What somebody sees who watches the packets.
    pub wire: &'static str,
    /// From which facts the doctor concludes it.
    pub known: &'static str,
    /// What to do about it, and what brings it back.
    pub mended: &'static str,
    /// What looks like it, causes it or follows from it.
    pub related: &'static [Code],
}

const FAMILIES: [&[Page]; 5] =
    [host::PAGES, service::PAGES, translation::PAGES, overlay::PAGES, routes::PAGES];

impl Page {
    /// The page of a finding; there is one of each.
    #[must_use]
    pub fn of(code: Code) -> Option<&'static Self> {
        FAMILIES.into_iter().flatten().find(|page| page.code == code)
    }

    /// What it says, under headings, in the order in which it is read.
    #[must_use]
    pub fn sections(&self) -> [(&'static str, &'static str); 3] {
        [
            ("On the wire", self.wire),
            ("How the doctor knows", self.known),
            ("How to mend it", self.mended),
        ]
    }

    /// Faults of the lab that show it: `netlab lab fault inject NAME`, with what they imitate.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static fault::Fault> {
        let all = fault::all().into_iter();
        all.filter(|fault| shows(fault, self.code)).collect()
    }
}

/// Whether a fault shows this finding: it is of its row, unless it bears the name of another one of
/// that row.
fn shows(fault: &fault::Fault, code: Code) -> bool {
    let is_another = |of: &Code| *of != code && of.row() == code.row() && of.name() == fault.name;
    fault.rows.contains(&code.row()) && !Code::ALL.iter().any(is_another)
}

/// All codes, by row of the catalogue; what is in no row comes last.
#[must_use]
pub fn by_row() -> Vec<Code> {
    let mut codes = Code::ALL.to_vec();
    codes.sort_by_key(|code| (code.row() == 0, code.row()));
    codes
}

#[cfg(test)]
mod tests {
    use std::{env, fmt::Write as _, fs};

    use super::*;

    /// `NETLAB_BLESS=1` writes the page instead.
    #[test]
    fn the_page_of_findings_is_what_the_codes_say() {
        const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md");
        let page = fs::read_to_string(PATH).unwrap();
        let from = page.find("## ").expect("the page has a finding");
        if env::var_os("NETLAB_BLESS").is_some_and(|value| value == "1") {
            fs::write(PATH, format!("{}{}", &page[..from], markdown())).unwrap();
            return;
        }
        assert!(page[from..] == markdown(), "NETLAB_BLESS=1 cargo test -p netlab writes {PATH}");
    }

    #[test]
    fn every_finding_has_a_page_and_leads_to_others() {
        for code in Code::ALL {
            let pages = FAMILIES.into_iter().flatten().filter(|page| page.code == *code);
            assert_eq!(pages.count(), 1, "{code}");
            let page = Page::of(*code).unwrap();
            for (heading, words) in page.sections() {
                assert!(words.ends_with('.'), "{code}: {heading}");
                assert_eq!(words.matches('`').count() % 2, 0, "{code}: {heading}");
                assert!(!words.contains("  "), "{code}: {heading}");
            }
            assert!(!page.related.is_empty() && !page.related.contains(code), "{code}");
        }
    }

    #[test]
    fn of_two_findings_of_a_row_each_has_the_faults_that_show_it() {
        for code in [Code::DuplicateNodeAddress, Code::NodeAddressWrong] {
            let faults = Page::of(code).unwrap().faults();
            let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
            assert_eq!(names, [code.name()]);
        }
    }

    #[test]
    fn every_row_can_be_tried_in_the_lab() {
        for row in Code::ALL.iter().map(|code| code.row()).filter(|row| *row != 0) {
            let mut codes = Code::ALL.iter().filter(|code| code.row() == row);
            let is_shown = |code: &Code| !Page::of(*code).unwrap().faults().is_empty();
            assert!(codes.any(is_shown), "row {row}");
        }
    }

    /// docs/findings.md, from its first finding on.
    fn markdown() -> String {
        let mut text = String::new();
        for code in by_row() {
            let Some(page) = Page::of(code) else { continue };
            let row = match code.row() {
                0 => "In no row.".to_owned(),
                row => format!("Row {row}."),
            };
            let _ = writeln!(text, "## `{code}`\n\n{row} {}\n", code.about());
            for (heading, words) in page.sections() {
                let _ = writeln!(text, "**{heading}.** {words}\n");
            }
            let faults: Vec<_> =
                page.faults().iter().map(|fault| format!("`{}`", fault.name)).collect();
            if !faults.is_empty() {
                let _ = writeln!(text, "**In the lab.** {}.\n", faults.join(", "));
            }
            let related: Vec<_> =
                page.related.iter().map(|code| format!("[`{code}`](#{code})")).collect();
            let _ = writeln!(text, "See also {}.\n", related.join(", "));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}
