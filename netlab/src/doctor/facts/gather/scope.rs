//! Which hosts are looked into.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::{Gap, Lab, Manifest, Role, Source},
    GatherError,
    gaps::chain,
    kubernetes,
    tool::Programs,
};
use crate::{
    lab::{LabDir, LabName, Role as LabRole},
    netlink::Netns,
    spec::{self, Objects, Spec, SpecError, parse::is_manifest},
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
    fn of(manifests: Vec<Manifest>) -> Self {
        let read = || {
            let mut objects = Objects::default();
            for manifest in &manifests {
                objects.append(spec::read_str(&manifest.origin, &manifest.text)?);
            }
            objects.resolve()
        };
        Self { spec: read(), manifests, gaps: Vec::new() }
    }
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
        let mut gaps = Vec::new();
        if let Self::Here(Here { kubernetes: true, .. }) = self {
            match kubernetes::objects(&Programs::installed()) {
                Ok(manifest) => manifests.push(manifest),
                Err(gap) => gaps.push(gap),
            }
        }
        Ok(Cluster { gaps, ..Cluster::of(manifests) })
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
    let own = Netns::current().and_then(|netns| netns.inode()).unwrap_or(0);
    let mut targets = vec![Target {
        name: name.clone(),
        role: Role::Plain,
        netns: None,
        netns_name: None,
        pins: here.pins.clone(),
        agent: here.agent.clone(),
    }];
    let mut found: BTreeMap<u64, Target> = BTreeMap::new();
    let mut add = |netns: Netns, name: String, netns_name: Option<String>| {
        let Ok(inode) = netns.inode() else { return };
        if inode != own {
            let target = Target {
                name,
                role: Role::Plain,
                netns: Some(netns),
                netns_name,
                pins: None,
                agent: None,
            };
            found.entry(inode).or_insert(target);
        }
    };
    let mut unopened = Vec::new();
    for name in Netns::list().unwrap_or_default() {
        match Netns::open(&name) {
            Ok(netns) => add(netns, format!("netns:{name}"), Some(name)),
            // It has gone meanwhile.
            Err(error) if error.is_absent() => {}
            Err(error) => unopened.push(chain(&error)),
        }
    }
    let mut closed = 0;
    for pid in pids() {
        match Netns::of_process(pid) {
            Ok(netns) => add(netns, format!("pid:{pid}"), None),
            Err(error) => closed += usize::from(!error.is_absent()),
        }
    }
    let mut gap = |reason: String| {
        gaps.push(Gap {
            host: Some(name.clone()),
            source: Source::Namespaces,
            reason,
            hides: "Pods whose namespaces are among them are not seen.".to_owned(),
        });
    };
    if let Some(first) = unopened.first() {
        gap(format!("{} names of namespaces cannot be opened ({first})", unopened.len()));
    }
    if closed > 0 {
        gap(format!("processes whose namespaces may not be looked at: {closed}"));
    }
    if found.len() > MOST_NAMESPACES {
        gap(format!("of {} namespaces, {MOST_NAMESPACES} are looked into", found.len()));
    }
    targets.extend(found.into_values().take(MOST_NAMESPACES));
    targets
}

fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}
