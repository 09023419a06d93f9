//! The labs that a comparison makes, and takes away again.
//!
//! Law: a lab is written down here before it is brought up, and whatever is written down is
//! taken down when [`Labs`] is dropped: after a failure, a panic, or a wish to stop too.

use std::fmt;

use futures_util::future::join_all;
use tokio::runtime::Runtime;

use super::{CompareError, stop::Stop};
use crate::lab::{LabName, Mode, down::down};

/// The labs, until this is dropped. Not in asynchronous code: it waits then.
#[derive(Debug)]
pub(super) struct Labs<'r> {
    runtime: &'r Runtime,
    names: Vec<LabName>,
}

impl<'r> Labs<'r> {
    /// None yet.
    pub const fn new(runtime: &'r Runtime) -> Self {
        Self { runtime, names: Vec::new() }
    }

    /// From here on this lab is taken down, however far it came.
    pub fn write_down(&mut self, name: &LabName) {
        self.names.push(name.clone());
    }

    /// Does something until someone asks to stop.
    pub fn until_stopped<T>(
        &self,
        stop: &Stop,
        work: impl Future<Output = Result<T, CompareError>>,
    ) -> Result<T, CompareError> {
        self.runtime.block_on(async {
            tokio::select! {
                outcome = work => outcome,
                () = stop.asked() => Err(CompareError::Interrupted),
            }
        })
    }
}

impl Drop for Labs<'_> {
    fn drop(&mut self) {
        let outcomes = self.runtime.block_on(join_all(self.names.iter().map(down)));
        for (name, outcome) in self.names.iter().zip(outcomes) {
            if let Err(error) = outcome {
                log::warn!("{error}; what is left of it: netlab lab down --name {name}");
            }
        }
    }
}

/// Names which a person recognises, and which two comparisons at the same time do not share:
/// `nlcmp-PID-MODE-WHAT`. `what` is a word of at most ten letters and hyphens.
pub(super) fn name(mode: Mode, what: impl fmt::Display) -> Option<LabName> {
    format!("nlcmp-{}-{mode}-{what}", std::process::id()).parse().ok()
}
