//! Which hosts are looked into.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::{Gap, Lab, Manifest, Role, Source, objects, running},
    GatherError,
    gaps::chain,
    kubernetes,
    tool::Programs,
};
use crate::{
    lab::{LabDir, LabName, Role as LabRole},
    netlink::Netns,
    spec::{Spec, SpecError, parse::is_manifest},
};

/// Most namespaces of a host that are looked into.
const MOST_NAMESPACES: usize = 256;

/// Where facts are gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All hosts of a lab.
    Lab(LabName),
    /// This host, and the namespaces in it.
    Here(Here),
}

/// This host: a Kubernetes node, or a plain one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// Files and directories of Kubernetes objects.
    pub manifests: Vec<PathBuf>,
    /// Ask the API server of the host's cluster for its objects: the only packets that are sent
    /// elsewhere than to what is asked about.
    pub kubernetes: bool,
    /// Where netlab's agent has pinned its maps.
    pub pins: Option<PathBuf>,
    /// Where netlab's agent keeps its status.
    pub agent: Option<PathBuf>,
}

/// What should be, as far as a scope knows.
#[derive(Debug)]
pub struct Cluster {
    /// The Kubernetes objects as they are written.
    pub manifests: Vec<Manifest>,
    /// What they say, or why they are refused.
    pub spec: Result<Spec, SpecError>,
    /// What could not be asked about them.
    pub gaps: Vec<Gap>,
}

impl Cluster {
    fn of_lab(manifests: Vec<Manifest>) -> Self {
        let spec = objects(&manifests).and_then(|objects| objects.resolve());
        Self { spec, manifests, gaps: Vec::new() }
    }

    fn running(manifests: Vec<Manifest>) -> Self {
        let mut gaps = Vec::new();
        let spec = running(&manifests).map(|running| {
            gaps.extend(left_out(&running.left_out));
            running.spec
        });
        Self { spec, manifests, gaps }
    }
}

/// Most refusals that a gap tells in words.
const MOST_TOLD: usize = 3;

/// Says what could not be taken of a running cluster's objects.
fn left_out(refusals: &[SpecError]) -> Option<Gap> {
    let told: Vec<_> = refusals.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    let more = match refusals.len() - told.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!told.is_empty()).then(|| Gap {
        host: None,
        source: Source::Objects,
        reason: format!("left out of the objects: {}{more}", told.join("; ")),
        hides: "What should be is known without them.".to_owned(),
    })
}

/// A namespace to look into, and what belongs to it.
pub(super) struct Target {
    pub name: String,
    pub role: Role,
    /// None for the one that this process runs in.
    pub netns: Option<Netns>,
    pub netns_name: Option<String>,
    pub pins: Option<PathBuf>,
    pub agent: Option<PathBuf>,
}

impl Scope {
    /// The lab as it was asked for.
    pub(super) fn lab(&self) -> Result<Option<Lab>, GatherError> {
        let Self::Lab(name) = self else { return Ok(None) };
        let Some(record) = LabDir::new(name).record()? else {
            return Err(GatherError::NoLab { name: name.clone(), others: LabDir::list()? });
        };
        let options = record.options;
        Ok(Some(Lab {
            name: options.name,
            mode: options.mode,
            underlay: options.underlay,
            proxy: options.proxy,
            hook: options.hook,
            mtu: options.mtu,
        }))
    }

    /// The Kubernetes objects as they are written.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read.
    pub fn manifests(&self) -> Result<Vec<Manifest>, GatherError> {
        let roots = match self {
            Self::Lab(name) => vec![LabDir::new(name).manifests()],
            Self::Here(here) => here.manifests.clone(),
        };
        let mut manifests = Vec::new();
        for path in files(&roots)? {
            let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
            manifests.push(Manifest { origin: path.display().to_string(), text });
        }
        Ok(manifests)
    }

    /// The Kubernetes objects, and what they say.
    ///
    /// # Errors
    ///
    /// Where there is no such lab, or a file cannot be read.
    pub fn cluster(&self) -> Result<Cluster, GatherError> {
        self.lab()?;
        let mut manifests = self.manifests()?;
        let Self::Here(here) = self else { return Ok(Cluster::of_lab(manifests)) };
        let mut unasked = None;
        if here.kubernetes {
            match kubernetes::objects(&Programs::installed()) {
                Ok(manifest) => manifests.push(manifest),
                Err(gap) => unasked = Some(gap),
            }
        }
        let mut cluster = Cluster::running(manifests);
        cluster.gaps.extend(unasked);
        Ok(cluster)
    }

    /// The hosts, and those that are not there.
    pub(super) fn targets(&self, gaps: &mut Vec<Gap>) -> Result<Vec<Target>, GatherError> {
        match self {
            Self::Lab(name) => of_lab(name, gaps),
            Self::Here(here) => Ok(on_this_host(here, gaps)),
        }
    }
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> GatherError + use<> {
    let path = path.to_owned();
    move |source| GatherError::Read { path, source }
}

/// Files as they are, and the manifests in directories.
fn files(roots: &[PathBuf]) -> Result<Vec<PathBuf>, GatherError> {
    let mut files = Vec::new();
    for root in roots {
        if !root.is_dir() {
            files.push(root.clone());
            continue;
        }
        let entries: std::io::Result<Vec<_>> = fs::read_dir(root).and_then(Iterator::collect);
        let entries = entries.map_err(unreadable(root))?;
        let mut found: Vec<_> =
            entries.iter().map(fs::DirEntry::path).filter(|path| is_manifest(path)).collect();
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn of_lab(name: &LabName, gaps: &mut Vec<Gap>) -> Result<Vec<Target>, GatherError> {
    let lab = LabDir::new(name);
    let topology = lab.topology()?.ok_or_else(|| GatherError::Unfinished(name.clone()))?;
    let mut targets = Vec::new();
    for host in topology.hosts {
        let is_node = host.role == LabRole::Node;
        let role = match host.role {
            LabRole::Fabric => Role::Fabric,
            LabRole::Client => Role::Client,
            LabRole::Node => Role::Node { node: host.name.clone() },
            LabRole::Pod { node, object } => Role::Pod { pod: object, node },
        };
        match Netns::open(&host.netns) {
            Ok(netns) => targets.push(Target {
                role,
                netns: Some(netns),
                netns_name: Some(host.netns),
                pins: is_node.then(|| lab.pins().join(&host.name)),
                agent: is_node.then(|| lab.agent(&host.name)),
                name: host.name,
            }),
            Err(error) => gaps.push(Gap {
                hides: format!("Nothing of {} is seen.", host.name),
                host: Some(host.name),
                source: Source::Namespace,
                reason: chain(&error),
            }),
        }
    }
    Ok(targets)
}

fn on_this_host(here: &Here, gaps: &mut Vec<Gap>) -> Vec<Target> {
    let name = nix::sys::utsname::uname();
    let name = name.map(|name| name.nodename().to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|_| "this-host".to_owned());
    let namespaces = Namespaces::other_than_own();
    gaps.extend(namespaces.hidden().into_iter().map(|reason| Gap {
        host: Some(name.clone()),
        source: Source::Namespaces,
        reason,
        hides: "Pods whose namespaces are among them are not seen.".to_owned(),
    }));
    let own = Target {
        name,
        role: Role::Plain,
        netns: None,
        netns_name: None,
        pins: here.pins.clone(),
        agent: here.agent.clone(),
    };
    let others = namespaces.found.into_values().take(MOST_NAMESPACES);
    std::iter::once(own).chain(others).collect()
}

/// Network namespaces of this machine, but the one that this process runs in.
struct Namespaces {
    own: u64,
    /// By inode.
    found: BTreeMap<u64, Target>,
    /// Why names cannot be opened.
    unopened: Vec<String>,
    /// How many processes do not show theirs.
    closed: usize,
}

impl Namespaces {
    fn other_than_own() -> Self {
        let own = Netns::current().and_then(|netns| netns.inode()).unwrap_or(0);
        let mut all = Self { own, found: BTreeMap::new(), unopened: Vec::new(), closed: 0 };
        for name in Netns::list().unwrap_or_default() {
            match Netns::open(&name) {
                Ok(netns) => all.add(netns, format!("netns:{name}"), Some(name)),
                // It has gone meanwhile.
                Err(error) if error.is_absent() => {}
                Err(error) => all.unopened.push(chain(&error)),
            }
        }
        for pid in pids() {
            match Netns::of_process(pid) {
                Ok(netns) => all.add(netns, format!("pid:{pid}"), None),
                Err(error) => all.closed += usize::from(!error.is_absent()),
            }
        }
        all
    }

    fn add(&mut self, netns: Netns, name: String, netns_name: Option<String>) {
        let Ok(inode) = netns.inode() else { return };
        if inode != self.own {
            let target = Target {
                name,
                role: Role::Plain,
                netns: Some(netns),
                netns_name,
                pins: None,
                agent: None,
            };
            self.found.entry(inode).or_insert(target);
        }
    }

    /// Why some are not looked into.
    fn hidden(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(first) = self.unopened.first() {
            let count = self.unopened.len();
            reasons.push(format!("{count} names of namespaces cannot be opened ({first})"));
        }
        if self.closed > 0 {
            let count = self.closed;
            reasons.push(format!("processes whose namespaces may not be looked at: {count}"));
        }
        if self.found.len() > MOST_NAMESPACES {
            let count = self.found.len();
            reasons.push(format!("of {count} namespaces, {MOST_NAMESPACES} are looked into"));
        }
        reasons
    }
}

fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}
