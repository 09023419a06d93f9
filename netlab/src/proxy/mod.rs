//! kube-proxy's own ways of answering Services, with netfilter's rules: what netlab's datapath
//! is compared with, and what most clusters run.
//!
//! Down: a spec and a node give a [`view`], the view gives the rules of [`nftables`] or of
//! [`iptables`] (pure, both), and [`KubeProxy`] has the machine's own programs load the
//! difference. The names of chains are made in [`names`]. Rules stay when whoever loaded them
//! ends, as kube-proxy's do; [`remove`] takes them away.
//!
//! Law: everything here happens in the network namespace that is handed in.

pub mod iptables;
pub mod names;
pub mod nftables;
mod stale;
#[cfg(test)]
mod tests;
mod tool;
pub mod view;

use std::{fmt, io};

use serde::{Deserialize, Serialize};

pub(crate) use self::tool::{Program, program_directories};
pub use self::tool::{probe, remove};
use self::{
    tool::{Ruleset, Tool},
    view::{Family, View},
};
use crate::{
    netlink::{self, Netns, conntrack, sysctl},
    spec::{
        Spec,
        model::{Node, TrafficPolicy},
    },
};

/// The bit of a packet's mark that asks for masquerading, in both modes.
const MASQUERADE_MARK: &str = "0x4000";

/// Which of kube-proxy's modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `--proxy-mode nftables`.
    Nftables,
    /// `--proxy-mode iptables`.
    Iptables,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        })
    }
}

/// Why rules are not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there.
    #[error(
        "{program} is not installed, and kube-proxy's {kind} rules are loaded with it; install \
         it (Debian: apt-get install {kind}) or take --proxy ebpf"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// What it is needed for.
        kind: Kind,
    },
    /// The kernel or the program lacks something that the rules need.
    #[error(
        "kube-proxy's {kind} rules do not work on this machine: {source}; the kernel lacks what \
         the rule names, or the program is too old: take another --proxy"
    )]
    Lacking {
        /// What does not work.
        kind: Kind,
        /// Which program said so, and what.
        source: Box<Error>,
    },
    /// The program could not be started or talked to.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The program does not accept its input.
    #[error("{program} refuses: {complaint}")]
    Refused {
        /// The program.
        program: String,
        /// What it said, and to which rule.
        complaint: String,
    },
    /// Namespaces, sysctls or the kernel's conntrack table.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

/// The outcome of everything in this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kube-proxy sets where it runs: 24 hours and 1 hour, against the kernel's 5 days and
/// 1 minute (kubernetes `pkg/proxy/apis/config/v1alpha1/defaults.go`).
const SYSCTLS: [(&str, &str); 2] = [
    ("netfilter/nf_conntrack_tcp_timeout_established", "86400"),
    ("netfilter/nf_conntrack_tcp_timeout_close_wait", "3600"),
];

/// What node ports on 127.0.0.1 need; kube-proxy sets it in iptables mode only.
const ROUTE_LOCALNET: &str = "ipv4/conf/all/route_localnet";

/// kube-proxy on one node.
#[derive(Debug)]
pub struct KubeProxy {
    netns: Netns,
    tool: Tool,
    /// What is in the kernel, a family each; None where that is not known.
    present: [Option<Ruleset>; 2],
}

/// What there is after rules have been loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Something was changed.
    pub changed: bool,
    /// What a client can dial, by both families.
    pub frontends: usize,
    /// Endpoints, each once for every Service port that has it.
    pub backends: usize,
    /// UDP flows that were forgotten since their endpoint is gone.
    pub forgotten: usize,
}

/// A transaction that is about to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose rules.
    pub family: Family,
    /// Which one, from 1.
    pub at: usize,
    /// How many there are.
    pub of: usize,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, at, of } = self;
        let family = if *family == Family::V4 { "IPv4" } else { "IPv6" };
        write!(f, "loading {family} rules, transaction {at} of {of}")
    }
}

impl KubeProxy {
    /// Finds the program that loads rules into `netns`, and sets the node's sysctls.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] and [`Error::Lacking`] where this machine cannot do it.
    pub async fn open(kind: Kind, netns: Netns) -> Result<Self> {
        let tool = Tool::find(kind).await?;
        for (key, value) in SYSCTLS {
            sysctl::write(&netns, key, value)?;
        }
        if kind == Kind::Iptables {
            sysctl::write(&netns, ROUTE_LOCALNET, "1")?;
        }
        Ok(Self { netns, tool, present: [None, None] })
    }

    /// The program that loads the rules, with its version: `iptables v1.8.9 (nf_tables)`.
    #[must_use]
    pub fn tool(&self) -> &str {
        self.tool.version()
    }

    /// Makes the rules agree with the spec, and forgets UDP flows to endpoints that are gone.
    /// `tell` hears of each transaction before it is loaded.
    ///
    /// # Errors
    ///
    /// Where a program refuses. What it was given is then not in the kernel, and the next call
    /// starts from nothing known.
    pub async fn agree(
        &mut self,
        spec: &Spec,
        node: &Node,
        mut tell: impl FnMut(Step) + Send,
    ) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        for (family, present) in Family::ALL.into_iter().zip(&mut self.present) {
            let view = View::new(spec, node, family);
            let before = present.take();
            let after = self.tool.load(&self.netns, &view, before.as_ref(), &mut tell).await?;
            loaded.frontends += after.frontends();
            loaded.backends += after.backends();
            if before.as_ref() != Some(&after) {
                loaded.changed = true;
                loaded.forgotten += self.netns.run(|| stale::forget(&view))??;
            }
            *present = Some(after);
        }
        Ok(loaded)
    }
}

/// Entries of the kernel's conntrack table in a namespace, and how many there is room for.
///
/// # Errors
///
/// Where the kernel has no conntrack.
pub fn conntrack_use(netns: &Netns) -> Result<(usize, usize)> {
    let read = |key| Ok::<_, Error>(sysctl::read(netns, key)?.trim().parse().unwrap_or_default());
    Ok((read("netfilter/nf_conntrack_count")?, read("netfilter/nf_conntrack_max")?))
}

/// What Services ask for and these rules do not give, a sentence each.
#[must_use]
pub fn not_honoured(spec: &Spec) -> Vec<String> {
    let mut sentences = Vec::new();
    for service in &spec.services {
        let name = &service.name;
        let has_node_port = service.ports.iter().any(|port| port.node_port.is_some());
        if service.cluster_addresses.is_empty() && has_node_port {
            sentences.push(format!(
                "Service {name}: without a ClusterIP it is headless, and kube-proxy leaves its \
                 node ports out"
            ));
        }
        if !service.source_ranges.is_empty() {
            sentences.push(format!(
                "Service {name}: loadBalancerSourceRanges guard load-balancer addresses, which \
                 there are none of here; kube-proxy lets everybody in at node ports"
            ));
        }
        if service.external_policy == TrafficPolicy::Local && has_node_port {
            sentences.push(format!(
                "Service {name}: externalTrafficPolicy Local is honoured, but nobody answers at \
                 healthCheckNodePort"
            ));
        }
    }
    sentences
}
