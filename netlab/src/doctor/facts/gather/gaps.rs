//! What could not be looked at on one host.

use super::super::{Gap, Source};

/// Gaps of a host.
#[derive(Debug)]
pub(super) struct Gaps {
    host: String,
    pub list: Vec<Gap>,
}

impl Gaps {
    pub(super) fn of(host: &str) -> Self {
        Self { host: host.to_owned(), list: Vec::new() }
    }

    pub(super) fn note(
        &mut self,
        source: Source,
        reason: impl Into<String>,
        hides: impl Into<String>,
    ) {
        let host = Some(self.host.clone());
        self.list.push(Gap { host, source, reason: reason.into(), hides: hides.into() });
    }

    /// The value, or a gap and nothing.
    pub(super) fn take<T>(
        &mut self,
        outcome: Result<T, impl std::error::Error>,
        source: Source,
        hides: &str,
    ) -> Option<T> {
        outcome.map_err(|error| self.note(source, chain(&error), hides)).ok()
    }
}

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = causes.map(ToString::to_string).collect();
    // Transparent errors tell their cause themselves.
    told.dedup();
    told.join(": ")
}
