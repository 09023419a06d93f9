//! What an agent drives: netlab's own programs, or kube-proxy's rules.

use std::path::Path;

use log::{debug, info};

use super::{
    Choice, Result,
    ebpf::Ebpf,
    status::{self, AgentStatus, ConntrackUse},
};
use crate::{
    datapath::compile,
    netlink::Connection,
    proxy::{self, KubeProxy},
    spec::{Spec, model::Node},
};

/// One of them.
pub(super) enum Datapath {
    Ebpf(Box<Ebpf>),
    KubeProxy(Box<KubeProxy>),
}

impl Datapath {
    /// Gets it ready, and says in the status what it is.
    pub(super) async fn open(
        choice: Choice,
        node: &str,
        connection: &Connection,
        status: &mut AgentStatus,
    ) -> Result<Self> {
        status.proxy = choice.to_string();
        Ok(match choice {
            Choice::Ebpf(options) => {
                status.conntrack.capacity = options.conntrack_max as usize;
                Self::Ebpf(Box::new(Ebpf::open(options, node.to_owned())?))
            }
            Choice::KubeProxy(kind) => {
                let proxy = KubeProxy::open(kind, connection.netns().clone()).await?;
                proxy.tool().clone_into(&mut status.tool);
                info!("kube-proxy's {kind} rules, loaded by {}", status.tool);
                Self::KubeProxy(Box::new(proxy))
            }
        })
    }

    /// Makes the kernel agree with the spec and the node's network. What takes long tells in the
    /// `state` directory how far it is, since many rules take longer than anybody waits in the
    /// dark.
    pub(super) async fn agree(
        &mut self,
        spec: &Spec,
        node: &Node,
        connection: &Connection,
        status: &mut AgentStatus,
        state: &Path,
    ) -> Result<()> {
        match self {
            Self::Ebpf(ebpf) => ebpf.agree(spec, connection, status).await,
            Self::KubeProxy(proxy) => {
                let start = std::time::Instant::now();
                let mut now = status.clone();
                let tell = |step: proxy::Step| {
                    now.activity = step.to_string();
                    if let Err(error) = status::write(state, &now) {
                        debug!("cannot write the status: {error}");
                    }
                };
                let loaded = proxy.agree(spec, node, tell).await?;
                if loaded.changed {
                    let (took, forgotten) = (start.elapsed(), loaded.forgotten);
                    info!("rules loaded in {took:.1?}, {forgotten} UDP flows forgotten");
                }
                (status.frontends, status.backends) = (loaded.frontends, loaded.backends);
                Ok(())
            }
        }
    }

    /// Whether what it does depends on links and routes, and not on the spec alone.
    pub(super) fn follows_the_network(&self) -> bool {
        matches!(self, Self::Ebpf(_))
    }

    /// After a failure: finds out again what is in the kernel.
    pub(super) fn recover(&mut self) -> Result<()> {
        match self {
            Self::Ebpf(ebpf) => ebpf.observe(),
            // It knows nothing any more by itself.
            Self::KubeProxy(_) => Ok(()),
        }
    }

    /// What the spec asks for and it does not give, a sentence each.
    pub(super) fn not_honoured(&self, spec: &Spec) -> Vec<String> {
        match self {
            Self::Ebpf(_) => compile::not_honoured(spec),
            Self::KubeProxy(_) => proxy::not_honoured(spec),
        }
    }

    /// Makes room for captures.
    pub(super) fn evict(&mut self) {
        if let Self::Ebpf(ebpf) = self {
            ebpf.evict();
        }
    }

    /// What looks after connections, for a thread of its own.
    pub(super) fn collection(
        &self,
        connection: &Connection,
    ) -> Box<dyn FnOnce() -> Result<ConntrackUse> + Send> {
        match self {
            Self::Ebpf(ebpf) => Box::new(ebpf.collection()),
            // The kernel collects its own.
            Self::KubeProxy(_) => {
                let netns = connection.netns().clone();
                Box::new(move || {
                    let (entries, capacity) = proxy::conntrack_use(&netns)?;
                    Ok(ConntrackUse { entries, capacity })
                })
            }
        }
    }
}
