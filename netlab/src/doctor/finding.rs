//! Findings: a cause, where it is, what shows it, and what mends it.
//!
//! Law: a finding names what was read, never what was guessed; what is only likely says so in its
//! confidence. Codes are stable: they are in scripts and in docs/findings.md.

mod code;
pub mod page;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::code::Code;
use super::facts::Source;

/// Why something fails, or will.
///
/// In JSON it stands by itself: whoever has the one finding needs nothing else of the diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which cause.
    pub code: Code,
    /// The code's row of the catalogue; 0 for what is in no row.
    #[serde(default)]
    pub row: u8,
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
    /// What mends it, the best first, each by itself; empty where nobody but the user can know.
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

/// What is to be done about a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// Where it is to be run; None where it does not matter.
    pub host: Option<String>,
    /// The command and its arguments, as execve takes them; empty where there is none, and the
    /// words alone say it.
    pub command: Vec<String>,
    /// The command as it is typed into a shell of the machine that was looked at; empty until
    /// [`mend::type_out`](super::mend::type_out) has said it.
    #[serde(default)]
    pub typed: String,
    /// The command mends; false where it only looks, or where there is none.
    #[serde(default)]
    pub mends: bool,
    /// What it does, in an imperative sentence.
    pub words: String,
    /// The commands that follow the first, in order, where it alone leaves things worse than they
    /// were: all of them are the mend, or none.
    #[serde(default)]
    pub then: Vec<Step>,
}

/// One more command of a mend that takes several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Where it is to be run; None where the fix is.
    #[serde(default)]
    pub host: Option<String>,
    /// As [`Fix::command`]; never empty.
    pub command: Vec<String>,
    /// As [`Fix::typed`].
    #[serde(default)]
    pub typed: String,
    /// What it does, in an imperative sentence.
    pub words: String,
}

impl Fix {
    /// All its commands in order, none where it has none.
    pub fn commands(&self) -> impl Iterator<Item = &[String]> {
        let first = Some(self.command.as_slice()).filter(|command| !command.is_empty());
        first.into_iter().chain(self.then.iter().map(|step| step.command.as_slice()))
    }

    /// The same as they are typed.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let first = Some(self.typed.as_str()).filter(|typed| !typed.is_empty());
        first.into_iter().chain(self.then.iter().map(|step| step.typed.as_str()))
    }
}

impl Finding {
    /// One that breaks, for sure, without evidence or mends yet.
    #[must_use]
    pub fn broken(code: Code, host: Option<&str>, cause: impl Into<String>) -> Self {
        Self {
            code,
            row: code.row(),
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
    pub fn shown(self, source: Source, text: impl Into<String>) -> Self {
        let host = self.host.clone();
        self.with_evidence(host, source, text.into())
    }

    /// The same with one more thing that shows it, read on another host.
    #[must_use]
    pub fn shown_at(self, host: &str, source: Source, text: impl Into<String>) -> Self {
        self.with_evidence(Some(host.to_owned()), source, text.into())
    }

    /// The same with one more mend, a command to run on the finding's own host.
    #[must_use]
    pub fn mended<A: Into<String>>(
        self,
        command: impl IntoIterator<Item = A>,
        words: impl Into<String>,
    ) -> Self {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        let mends = !command.is_empty();
        self.with_fix(command, mends, words.into())
    }

    /// The same, where the last mend is whole only with one more command after its own.
    #[must_use]
    pub fn then<A: Into<String>>(
        self,
        command: impl IntoIterator<Item = A>,
        words: impl Into<String>,
    ) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        self.with_step(None, command, words.into())
    }

    /// The same with a command that has to be run on another host.
    #[must_use]
    pub fn then_at<A: Into<String>>(
        self,
        host: &str,
        command: impl IntoIterator<Item = A>,
        words: impl Into<String>,
    ) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        self.with_step(Some(host.to_owned()), command, words.into())
    }

    fn with_step(mut self, host: Option<String>, command: Vec<String>, words: String) -> Self {
        if let Some(fix) = self.fixes.last_mut() {
            fix.then.push(Step { host, command, typed: String::new(), words });
        }
        self
    }

    /// The same with a command that mends nothing, and shows where to look on.
    #[must_use]
    pub fn looked_into<A: Into<String>>(
        self,
        command: impl IntoIterator<Item = A>,
        words: impl Into<String>,
    ) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        self.with_fix(command, false, words.into())
    }

    /// The same with one more mend that is no command, because nobody but a person can know it.
    #[must_use]
    pub fn advised(self, words: impl Into<String>) -> Self {
        self.with_fix(Vec::new(), false, words.into())
    }

    fn with_evidence(mut self, host: Option<String>, source: Source, text: String) -> Self {
        self.evidence.push(Evidence { host, source, text });
        self
    }

    fn with_fix(mut self, command: Vec<String>, mends: bool, words: String) -> Self {
        // An API server is nowhere in particular.
        let is_of_api = command.first().is_some_and(|program| program == "kubectl");
        let host = self.host.clone().filter(|_| !is_of_api);
        let then = Vec::new();
        self.fixes.push(Fix { host, command, typed: String::new(), mends, words, then });
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
