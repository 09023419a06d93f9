//! `netlab agent`.

use super::Outcome;
use crate::cli::AgentArgs;

/// Runs the agent until SIGTERM.
///
/// # Errors
///
/// Always, so far.
pub fn run(_args: AgentArgs) -> anyhow::Result<Outcome> {
    anyhow::bail!("the agent is not built yet")
}
