//! What a run of the doctor came to, read from its JSON. Lenient: of a finding, only the code has
//! to be there.

use anyhow::{Context as _, Result, bail};
use netlab::doctor::finding::Code;
use serde::Serialize;
use serde_json::Value;

use crate::command::Ran;

/// The doctor's exit codes.
const HEALTHY: i32 = 0;
const FINDINGS: i32 = 1;

/// What the doctor said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The cause first.
    pub findings: Vec<Named>,
    /// Wall time, from before the process started until after it ended.
    pub seconds: f64,
    /// All that it printed.
    #[serde(skip)]
    pub text: String,
}

/// A finding, as far as it is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its code, also one that is not known.
    pub code: String,
    /// The row of the catalogue that the code is of; 0 for none.
    pub row: u8,
    /// Where it is; None where it is in the objects.
    pub host: Option<String>,
    /// As it is told: `broken`, `impaired`, `risk`; empty of one without.
    pub severity: String,
    /// As it is told: `certain`, `likely`, `possible`; empty of one without.
    pub confidence: String,
    /// What follows from it.
    pub consequences: Vec<Named>,
}

impl Answer {
    /// Of a run with `-o json`.
    ///
    /// # Errors
    ///
    /// The doctor failed, printed no diagnosis, or its exit code is not that of what it printed.
    pub fn of(ran: Ran) -> Result<Self> {
        if ![HEALTHY, FINDINGS].contains(&ran.code) {
            bail!("{}: exit code {}: {}", ran.line, ran.code, ran.stderr.trim());
        }
        let printed: Value = serde_json::from_str(&ran.stdout)
            .with_context(|| format!("{} printed no JSON", ran.line))?;
        let findings = printed["findings"].as_array();
        let findings = named(findings.with_context(|| format!("{}: no findings", ran.line))?)?;
        if findings.is_empty() != (ran.code == HEALTHY) {
            bail!("{}: exit code {} with {} findings", ran.line, ran.code, findings.len());
        }
        Ok(Self { findings, seconds: ran.took.as_secs_f64(), text: ran.stdout })
    }

    /// The codes and hosts of what it found, the cause first: `link-down at web-1, port-held`.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<_> = self.findings.iter().map(Named::words).collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }
}

impl Named {
    fn of(finding: &Value) -> Result<Self> {
        let code = finding["code"].as_str().context("a finding without a code")?;
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let consequences = finding["consequences"].as_array().map(|all| named(all)).transpose()?;
        Ok(Self {
            code: code.to_owned(),
            row: code.parse().map_or(0, Code::row),
            host: finding["host"].as_str().map(str::to_owned),
            severity: text("severity"),
            confidence: text("confidence"),
            consequences: consequences.unwrap_or_default(),
        })
    }

    /// Whether it says that something fails, or only that it may: a risk, or merely possible.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.severity == "risk" || self.confidence == "possible"
    }

    fn words(&self) -> String {
        let host = self.host.as_ref().map(|host| format!(" at {host}"));
        format!("{}{}", self.code, host.unwrap_or_default())
    }

    /// Whether it, or what follows from it, is so.
    #[must_use]
    pub fn any(&self, is_so: &impl Fn(&Self) -> bool) -> bool {
        is_so(self) || self.consequences.iter().any(|named| named.any(is_so))
    }
}

fn named(all: &[Value]) -> Result<Vec<Named>> {
    all.iter().map(Named::of).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(code: i32, stdout: &str) -> Result<Answer> {
        let (line, stderr) = ("netlab doctor".to_owned(), "why".to_owned());
        let took = Duration::from_millis(1_500);
        Answer::of(Ran { line, code, stdout: stdout.to_owned(), stderr, took })
    }

    #[test]
    fn findings_have_the_row_of_their_code_and_may_have_more_than_is_known() {
        let printed = r#"{"version": 7, "findings": [
            {"code": "link-down", "row": 99, "host": "web-1", "consequences": [
                {"code": "route-missing", "host": null}]},
            {"code": "from-the-future"},
            {"code": "mtu-unequal", "severity": "risk", "confidence": "certain"},
            {"code": "rp-filter", "severity": "broken", "confidence": "possible"},
            {"code": "link-down", "severity": "impaired", "confidence": "likely"}]}"#;
        let answer = answer(1, printed).unwrap();
        let rows: Vec<_> = answer.findings.iter().map(|named| named.row).collect();
        assert_eq!((&rows[..2], answer.seconds), (&[31, 0][..], 1.5));
        let reserved: Vec<_> = answer.findings.iter().map(Named::is_reserved).collect();
        assert_eq!(reserved, [false, false, true, true, false]);
        assert_eq!(answer.findings[0].consequences[0].row, 18);
        assert!(answer.words().starts_with("link-down at web-1, from-the-future, "));
    }

    #[test]
    fn an_exit_code_that_contradicts_what_was_printed_is_an_error() {
        assert_eq!(answer(0, r#"{"findings": []}"#).unwrap().words(), "nothing");
        assert!(answer(1, r#"{"findings": []}"#).is_err());
        assert!(answer(0, r#"{"findings": [{"code": "link-down"}]}"#).is_err());
        assert!(answer(2, "").unwrap_err().to_string().contains("why"));
        assert!(answer(0, "{}").is_err() && answer(0, "all is well").is_err());
    }
}
