//! `netlab agent`.

use anyhow::Context as _;
use netlab::agent;

use super::Outcome;
use crate::cli::AgentArgs;

/// Runs the agent until SIGTERM.
///
/// # Errors
///
/// Where the datapath cannot be set up or kept in agreement with the spec.
pub fn run(args: AgentArgs) -> anyhow::Result<Outcome> {
    let options = agent::Options {
        source: args.source,
        node: args.node,
        uplinks: args.uplinks,
        hook: args.hook.into(),
        state: args.state,
        pins: args.pin,
        conntrack_max: args.conntrack_max,
        snat_ports: [args.snat_ports.low, args.snat_ports.high],
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(agent::run(options))?;
    Ok(Outcome::Fine)
}
