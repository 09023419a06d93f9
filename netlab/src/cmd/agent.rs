//! `netlab agent`.

use anyhow::{Context as _, bail};
use netlab::{agent, proxy};

use super::Outcome;
use crate::cli::{AgentArgs, AgentProxy};

/// Runs the agent until SIGTERM.
///
/// # Errors
///
/// Where the datapath cannot be set up or kept in agreement with the spec.
pub fn run(args: AgentArgs) -> anyhow::Result<Outcome> {
    let datapath = match args.proxy {
        AgentProxy::Ebpf => {
            let Some(pins) = args.pin else {
                bail!("--pin is missing: the directory on a BPF file system to pin maps in");
            };
            agent::Choice::Ebpf(agent::ebpf::Options {
                uplinks: args.uplinks,
                hook: args.hook.into(),
                pins,
                conntrack_max: args.conntrack_max,
                snat_ports: [args.snat_ports.low, args.snat_ports.high],
            })
        }
        AgentProxy::Nftables => agent::Choice::KubeProxy(proxy::Kind::Nftables),
        AgentProxy::Iptables => agent::Choice::KubeProxy(proxy::Kind::Iptables),
    };
    let options =
        agent::Options { source: args.source, node: args.node, state: args.state, datapath };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(agent::run(options))?;
    Ok(Outcome::Fine)
}
