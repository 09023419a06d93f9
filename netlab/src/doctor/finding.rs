//! Findings: a cause, where it is, what shows it, and what mends it.
//!
//! Law: a finding names what was read, never what was guessed; what is only likely says so in its
//! confidence. Codes are stable: they are in scripts and in docs/findings.md.

mod code;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::code::Code;
use super::facts::Source;

/// Why something fails, or will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which cause.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// How sure that is.
    pub confidence: Confidence,
    /// The cause in one sentence, with the names of this cluster.
    pub cause: String,
    /// Where it is; None where it is in the objects.
    pub host: Option<String>,
    /// What shows it, the plainest first.
    pub evidence: Vec<Evidence>,
    /// What mends it, in order; empty where nobody but the user can know.
    pub fixes: Vec<Fix>,
    /// What follows from it, and is not to be mended by itself.
    #[serde(default)]
    pub consequences: Vec<Finding>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It cannot be reached, by somebody at least.
    Broken,
    /// It can be reached, but not always, or not by everything.
    Impaired,
    /// It can be reached, but something else will break it.
    Risk,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// It was seen at work, or what was read allows nothing else.
    Certain,
    /// What was read says so, and nobody saw it at work.
    Likely,
    /// Something that could not be looked at may say otherwise.
    Possible,
}

/// Something that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// On which host; None of the objects.
    pub host: Option<String>,
    /// From where.
    pub source: Source,
    /// As the tool of that place prints it: the rule with its handle, the sysctl with its value,
    /// the route, the counter.
    pub text: String,
}

/// A command that mends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// Where it is to be run; None where it does not matter.
    pub host: Option<String>,
    /// The command and its arguments, as execve takes them; empty where the mend is no command,
    /// and the words alone say it.
    pub command: Vec<String>,
    /// What it does, in an imperative sentence.
    pub words: String,
}

impl Finding {
    /// One that breaks, for sure, without evidence or mends yet.
    #[must_use]
    pub fn broken(code: Code, host: Option<&str>, cause: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Broken,
            confidence: Confidence::Certain,
            cause: cause.into(),
            host: host.map(str::to_owned),
            evidence: Vec::new(),
            fixes: Vec::new(),
            consequences: Vec::new(),
        }
    }

    /// The same with this severity.
    #[must_use]
    pub fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The same, as sure as that.
    #[must_use]
    pub fn confidence(self, confidence: Confidence) -> Self {
        Self { confidence, ..self }
    }

    /// The same with one more thing that shows it, read on the finding's own host.
    #[must_use]
    pub fn shown(mut self, source: Source, text: impl Into<String>) -> Self {
        let evidence = Evidence { host: self.host.clone(), source, text: text.into() };
        self.evidence.push(evidence);
        self
    }

    /// The same with one more mend, a command to run on the finding's own host.
    #[must_use]
    pub fn mended<A: Into<String>>(
        mut self,
        command: impl IntoIterator<Item = A>,
        words: impl Into<String>,
    ) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        self.fixes.push(Fix { host: self.host.clone(), command, words: words.into() });
        self
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "broken",
            Self::Impaired => "impaired",
            Self::Risk => "risk",
        })
    }
}
