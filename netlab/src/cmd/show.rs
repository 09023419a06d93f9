//! `netlab show`.

use super::Outcome;
use crate::cli::ShowArgs;

/// Prints one table of one node, or of all.
///
/// # Errors
///
/// Always, so far.
pub fn run(_args: ShowArgs) -> anyhow::Result<Outcome> {
    anyhow::bail!("show is not built yet")
}
