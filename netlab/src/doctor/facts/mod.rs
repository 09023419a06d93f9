//! Facts: what hosts show of themselves, observed once.
//!
//! Law: a fact is what was read, without a judgement. What could not be read is a [`Gap`], so
//! "there is none" and "nobody could look" are never taken for each other: ask
//! [`Facts::is_blind`] before concluding anything from an absence. Tables that grow with the
//! cluster are cut down to what touches the [`Subject`], and say how much they left out.
//!
//! As a file, facts are JSON with the field names of these types and a `version`. Fields may be
//! added under the same version; a changed meaning changes it, and another one is refused.
//!
//! # Errors
//!
//! [`FactsError`], for files that are not facts or of another version.

pub mod conntrack;
pub mod counters;
pub mod datapath;
#[cfg(test)]
pub mod fixture;
mod gather;
pub mod host;
pub mod iptables;
pub mod link;
pub mod nft;
pub mod program;
pub mod route;
pub mod socket;
mod subject;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use self::link::Link;
pub use self::{
    gather::{
        Cluster, GatherError, Here, Programs, Scope, chain, gather, gather_of, gather_with,
        kubectl_flags,
    },
    host::{Agent, HostFacts, Role},
    subject::Subject,
};
use crate::{
    datapath::attach::Hook,
    lab::{LabName, Mode, Proxy, Underlay},
    spec::{self, Objects, Running, Spec, SpecError},
};

/// The version that [`Facts::write`] writes and [`Facts::read`] takes.
pub const VERSION: u32 = 1;

/// All that was observed, of all hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// [`VERSION`].
    pub version: u32,
    /// When gathering began: RFC 3339, in UTC.
    pub taken: String,
    /// Milliseconds that gathering took.
    pub took_ms: u64,
    /// Version of the netlab that gathered.
    pub netlab: String,
    /// Release of the kernel, as `uname -r`.
    pub kernel: String,
    /// What the facts were gathered for, and large tables cut down to.
    pub subject: Subject,
    /// The lab, where it is one.
    #[serde(default)]
    pub lab: Option<Lab>,
    /// The Kubernetes objects as they were written.
    #[serde(default)]
    pub manifests: Vec<Manifest>,
    /// Of a lab: fabric, client, nodes, pods, in this order. Elsewhere: this host, then the
    /// namespaces in it.
    pub hosts: Vec<HostFacts>,
    /// What every CPU of the machine did with packets before any namespace counted them.
    #[serde(default)]
    pub softnet: counters::Softnet,
    /// What could not be looked at.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

/// A lab, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lab {
    /// Its name.
    pub name: LabName,
    /// Pod network.
    pub mode: Mode,
    /// What joins the hosts.
    pub underlay: Underlay,
    /// Who answers node ports.
    pub proxy: Proxy,
    /// Where the agents were asked to attach.
    pub hook: Hook,
    /// Largest L3 packet of the underlay, in octets.
    pub mtu: u32,
}

/// A file of Kubernetes objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Where it was read, for messages.
    pub origin: String,
    /// YAML documents.
    pub text: String,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// The host; None where it concerns all.
    pub host: Option<String>,
    /// What would have been read.
    pub source: Source,
    /// Why it was not, in words that stand behind a colon.
    pub reason: String,
    /// What that hides, in one sentence.
    pub hides: String,
}

/// A place that facts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The namespace itself; whatever is in it is hidden.
    Namespace,
    /// Other namespaces of a host, which pods live in.
    Namespaces,
    /// The Kubernetes objects.
    Objects,
    /// Links, and what they are.
    Links,
    /// Offload switches of links.
    Offloads,
    /// Addresses of links.
    Addresses,
    /// Policy routing.
    Rules,
    /// Routes of all tables.
    Routes,
    /// Neighbor tables.
    Neighbors,
    /// Forwarding databases of bridges and VXLAN devices.
    Fdb,
    /// Switches below /proc/sys/net.
    Sysctls,
    /// Sockets.
    Sockets,
    /// Which processes hold sockets.
    Processes,
    /// The kernel's conntrack table.
    Conntrack,
    /// nftables' rules.
    Nft,
    /// iptables' rules in the kernel's old store.
    IptablesLegacy,
    /// iptables' rules as nftables keeps them.
    IptablesNft,
    /// Services of IPVS.
    Ipvs,
    /// eBPF programs at interfaces.
    Programs,
    /// Other filters of tc.
    TcFilters,
    /// Counters of protocols and links.
    Counters,
    /// netlab's own maps.
    Datapath,
    /// What netlab's agent says about itself.
    Agent,
    /// What became of packets on their way through the kernels.
    Observed,
    /// What dialling shows.
    Probe,
}

/// Facts that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The text is something else.
    #[error("these are no facts of netlab: {0}; netlab doctor --save-facts FILE writes some")]
    NotFacts(serde_path_to_error::Error<serde_json::Error>),
    /// Another version's.
    #[error(
        "these facts are of version {found}, gathered by netlab {netlab}, and this netlab reads \
         version {VERSION}: gather them anew with this netlab, or judge them with that one"
    )]
    Version {
        /// The version that they are of.
        found: u32,
        /// Who gathered them.
        netlab: String,
    },
}

impl Facts {
    /// Reads a file of facts. Fields that this version does not know are passed over.
    ///
    /// # Errors
    ///
    /// [`FactsError`].
    pub fn read(text: &str) -> Result<Self, FactsError> {
        #[derive(Deserialize)]
        struct Header {
            version: u32,
            #[serde(default)]
            netlab: String,
        }
        let Header { version, netlab } = parse(text)?;
        if version != VERSION {
            return Err(FactsError::Version { found: version, netlab });
        }
        parse(text)
    }

    /// The file of these facts: JSON on many lines, with a newline at the end.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("facts have string keys only");
        text.push('\n');
        text
    }

    /// The Kubernetes objects, each with the place it was read from.
    ///
    /// # Errors
    ///
    /// Where a manifest is refused, as by everybody who reads it.
    pub fn objects(&self) -> Result<Objects, SpecError> {
        objects(&self.manifests)
    }

    /// What should be.
    ///
    /// # Errors
    ///
    /// Of a lab, as [`Facts::objects`], and where the objects contradict each other; elsewhere, as
    /// [`spec::read_running`].
    pub fn spec(&self) -> Result<Spec, SpecError> {
        match self.lab {
            Some(_) => self.objects()?.resolve(),
            None => running(&self.manifests).map(|running| running.spec),
        }
    }

    /// The host of this name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&HostFacts> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The host that was looked at from within; None of a lab, which is seen from outside.
    #[must_use]
    pub fn here(&self) -> Option<&HostFacts> {
        self.hosts.first().filter(|_| self.lab.is_none())
    }

    /// The host that plays this node; without a lab, the host itself counts for its node.
    #[must_use]
    pub fn node(&self, node: &str) -> Option<&HostFacts> {
        self.nodes().find(|(_, name)| *name == node).map(|(host, _)| host)
    }

    /// The hosts that are nodes, with the names of their Node objects.
    pub fn nodes(&self) -> impl Iterator<Item = (&HostFacts, &str)> {
        self.hosts.iter().filter_map(|host| match &host.role {
            Role::Node { node } => Some((host, node.as_str())),
            _ => None,
        })
    }

    /// Hosts that have an address, and the links that have it.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = (&HostFacts, &Link)> {
        self.hosts.iter().filter_map(move |host| Some((host, host.link_with(address)?)))
    }

    /// The other end of a veth pair.
    #[must_use]
    pub fn peer(&self, link: &Link) -> Option<(&HostFacts, &Link)> {
        let peer = link.peer.as_ref()?;
        let host = self.host(peer.host.as_deref()?)?;
        Some((host, host.link_at(peer.index)?))
    }

    /// A pod's link, its node and the node's end of the link.
    #[must_use]
    pub fn pod_port(&self, pod: &HostFacts) -> Option<(&Link, &HostFacts, &Link)> {
        let own = self.host(&pod.name)?;
        own.links.iter().find_map(|link| {
            let (node, port) = self.peer(link)?;
            Some((link, node, port))
        })
    }

    /// The host that plays this pod, `namespace/name`.
    #[must_use]
    pub fn pod(&self, pod: &str) -> Option<&HostFacts> {
        self.hosts.iter().find(|host| matches!(&host.role, Role::Pod { pod: p, .. } if p == pod))
    }

    /// Whether nobody could look at this source of a host, so that an absence there says
    /// nothing.
    #[must_use]
    pub fn is_blind(&self, host: &str, source: Source) -> bool {
        self.gaps.iter().any(|gap| {
            gap.host.as_deref().is_none_or(|of| of == host)
                && (gap.source == source || gap.source == Source::Namespace)
        })
    }
}

/// The Kubernetes objects in these manifests, each with the place it was read from.
///
/// # Errors
///
/// Where a manifest is refused, as by everybody who reads it.
pub fn objects(manifests: &[Manifest]) -> Result<Objects, SpecError> {
    let mut objects = Objects::default();
    for manifest in manifests {
        objects.append(spec::read_str(&manifest.origin, &manifest.text)?);
    }
    Ok(objects)
}

/// What a cluster without a lab should do: see [`spec::read_running`].
fn running(manifests: &[Manifest]) -> Result<Running, SpecError> {
    spec::read_running(manifests.iter().map(|of| (of.origin.as_str(), of.text.as_str())))
}

fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, FactsError> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(FactsError::NotFacts)
}
