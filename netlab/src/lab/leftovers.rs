//! What stays in the nodes when another proxy takes over: kube-proxy's rules, pinned maps.
//!
//! An agent leaves them when it ends, so that connections live on until the next one is there.
//! Where the next one is of another kind, nobody else would take them away, and two would
//! answer.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use super::{
    options::{LabName, Proxy},
    processes,
    state::{LabDir, failed},
    topology::{Role, Topology},
    up::UpError,
};
use crate::{netlink::Netns, proxy};

/// How long agents that were told to end may take.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Process ids of a lab's agents, by what they say about themselves.
pub(super) fn agents(topology: Option<&Topology>, dir: &LabDir) -> Vec<u32> {
    let hosts = topology.into_iter().flat_map(|topology| &topology.hosts);
    let status = |name: &str| dir.agent_status(name).ok().flatten();
    hosts.filter_map(|host| status(&host.name)).map(|status| status.pid).collect()
}

/// Takes away what these proxies left, once their agents have ended.
pub(super) async fn remove(
    proxies: &[Proxy],
    agents: &[u32],
    topology: &Topology,
    dir: &LabDir,
) -> Result<(), UpError> {
    if proxies.is_empty() {
        return Ok(());
    }
    wait_for_the_end(agents, &topology.lab).await.map_err(UpError::Supervisor)?;
    for proxy in proxies {
        if let Some(kind) = proxy.kube_proxy() {
            for node in topology.hosts.iter().filter(|host| host.role == Role::Node) {
                proxy::remove(kind, &Netns::open(&node.netns)?).await?;
            }
        }
        if *proxy == Proxy::Ebpf {
            match fs::remove_dir_all(dir.pins()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome.map_err(failed("remove", dir.pins()))?,
            }
        }
    }
    Ok(())
}

/// The supervisor ends them, by force if need be.
async fn wait_for_the_end(agents: &[u32], lab: &LabName) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let running = processes::running(lab)?;
        let is_old = |pid: i32| u32::try_from(pid).is_ok_and(|pid| agents.contains(&pid));
        if !running.iter().any(|process| is_old(process.pid)) {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
