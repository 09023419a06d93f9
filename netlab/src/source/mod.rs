//! Streams of specs: where what should be comes from, and how its changes arrive.

pub mod directory;

use crate::spec::{Spec, SpecError};

/// What a source has to say.
#[derive(Debug)]
pub enum Update {
    /// This is what should be from now on.
    Spec(Spec),
    /// The newest state of the source is no spec. The last good one stays in force; a
    /// [`Update::Spec`] follows once the source is mended, even if it equals that one.
    Broken(SpecError),
}
