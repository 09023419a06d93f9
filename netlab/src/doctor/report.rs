//! A diagnosis as it is told: with its facts in short, the pattern of what fails, and the one path
//! that stands for the verdict. As JSON it is described, field by field, in docs/doctor.md.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{
    diagnosis::{Diagnosis, Fate, place},
    facts::{Facts, Lab},
    path::Path,
    probe::Way,
    reach::{Pattern, Reach},
};
use crate::spec::Spec;

/// Of the description in docs/doctor.md. Fields may come under the same version; one that goes or
/// changes its meaning changes it.
pub const VERSION: u32 = 1;

/// What is told.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What was judged.
    pub facts: &'a Facts,
    /// What should be.
    pub spec: &'a Spec,
    /// What follows.
    pub diagnosis: &'a Diagnosis,
    /// How long gathering, probing and judging took.
    pub took: Duration,
    /// Every path from end to end, not the one for the verdict alone.
    pub all_paths: bool,
}

/// A way of the diagnosis.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'d> {
    /// All of it.
    pub path: &'d Path,
    /// The hop where the first finding stands, counted over both ways.
    pub until: Option<usize>,
}

/// The way that stands for the verdict: the first that the first finding is on, one that fails
/// if there is one; of a healthy cluster the first that answers. None where no way says it.
#[must_use]
pub fn representative(diagnosis: &Diagnosis) -> Option<Shown<'_>> {
    let Some(finding) = diagnosis.findings.first() else {
        let answers = |path: &&Path| fate(diagnosis, path) == Some(Fate::Answered);
        let path = diagnosis.paths.iter().find(answers).or_else(|| diagnosis.paths.first())?;
        return Some(Shown { path, until: None });
    };
    let on = diagnosis.paths.iter().filter_map(|path| {
        let until = place(path, finding)?;
        Some(Shown { path, until: Some(until) })
    });
    let on: Vec<_> = on.collect();
    let fails = |shown: &&Shown<'_>| fate(diagnosis, shown.path) == Some(Fate::Failing);
    on.iter().find(fails).or_else(|| on.first()).copied()
}

fn fate(diagnosis: &Diagnosis, path: &Path) -> Option<Fate> {
    let told = diagnosis.ways.iter().find(|told| told.way == Way::of(&path.case))?;
    let backend = path.case.backend.as_ref()?;
    told.backends.get(&backend.name()).copied()
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { facts, spec, diagnosis, took, all_paths } = *self;
        let pattern = Reach::of(diagnosis, spec).pattern();
        let json = Json {
            version: VERSION,
            netlab: &facts.netlab,
            kernel: &facts.kernel,
            taken: &facts.taken,
            lab: facts.lab.as_ref(),
            hosts: facts.hosts.iter().map(|host| host.name.as_str()).collect(),
            facts_ms: facts.took_ms,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            healthy: diagnosis.is_healthy(),
            pattern: pattern.map(|pattern| Words { words: pattern.to_string(), pattern }),
            diagnosis,
            path: representative(diagnosis)
                .map(|shown| At { path: shown.path, finding_at: shown.until }),
            paths: all_paths.then_some(&diagnosis.paths),
        };
        json.serialize(to)
    }
}

/// The JSON, in its order.
#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    netlab: &'a str,
    kernel: &'a str,
    taken: &'a str,
    lab: Option<&'a Lab>,
    hosts: Vec<&'a str>,
    facts_ms: u64,
    took_ms: u64,
    healthy: bool,
    pattern: Option<Words>,
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
    path: Option<At<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<&'a [Path]>,
}

/// A pattern as a sentence and as its parts.
#[derive(Serialize)]
struct Words {
    words: String,
    #[serde(flatten)]
    pattern: Pattern,
}

/// The path that stands for the verdict.
#[derive(Serialize)]
struct At<'a> {
    #[serde(flatten)]
    path: &'a Path,
    /// Position of the hop of the first finding, in `hops` and on in `reply`.
    finding_at: Option<usize>,
}
