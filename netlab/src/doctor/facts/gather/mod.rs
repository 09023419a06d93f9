//! Gathering facts.
//!
//! Law: nothing is changed and nothing is sent. A source that cannot be read is a [`Gap`]; only
//! where there is nothing to look into at all does gathering fail.
//!
//! Each namespace is looked into by a thread that has entered it. Programs (nft, iptables-save)
//! are started only where the kernel says that there are rules, and have a time to finish in.
//!
//! # Errors
//!
//! [`GatherError`]: there is no such lab, or its state cannot be read.

mod connections;
mod counters;
mod datapath;
mod gaps;
mod host;
mod iptables;
mod ipvs;
mod kubernetes;
mod links;
mod near;
mod network;
mod nft;
mod owners;
mod programs;
mod roles;
mod scope;
mod sysctls;
mod tool;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

pub use self::{
    gaps::chain,
    kubernetes::flags as kubectl_flags,
    scope::{Cluster, Here, Scope},
    tool::Programs,
};
use self::{host::Means, scope::Target};
use super::{Facts, Gap, HostFacts, Source, Subject, VERSION, socket::Owner};
use crate::{
    lab::{LabName, state::StateError},
    spec::Spec,
};

/// Threads that look into namespaces. They wait for the kernel and for programs most of the time.
const THREADS: usize = 8;

/// Why there are no facts.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// There is no such lab.
    #[error(
        "there is no lab {name}; {}; netlab doctor --here looks at this host",
        match .others.as_slice() {
            [] => "netlab lab up makes one".to_owned(),
            others => format!(
                "there is {}",
                others.iter().map(LabName::as_str).collect::<Vec<_>>().join(", ")
            ),
        }
    )]
    NoLab {
        /// The name asked for.
        name: LabName,
        /// Those that there are.
        others: Vec<LabName>,
    },
    /// The lab has no hosts yet.
    #[error("lab {0} was never finished; netlab lab up --name {0} goes on")]
    Unfinished(LabName),
    /// The lab's state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file of objects cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Looks at all hosts once.
///
/// # Errors
///
/// [`GatherError`].
pub fn gather(scope: &Scope, subject: &Subject) -> Result<Facts, GatherError> {
    gather_with(scope, subject, &Programs::installed())
}

/// As [`gather`], with the programs that are in these directories.
///
/// # Errors
///
/// [`GatherError`].
pub fn gather_with(
    scope: &Scope,
    subject: &Subject,
    programs: &Programs,
) -> Result<Facts, GatherError> {
    gather_of(scope, &scope.cluster()?, subject, programs)
}

/// As [`gather_with`], where the objects have been read already.
///
/// # Errors
///
/// [`GatherError`].
pub fn gather_of(
    scope: &Scope,
    cluster: &Cluster,
    subject: &Subject,
    programs: &Programs,
) -> Result<Facts, GatherError> {
    let begun = Instant::now();
    let taken = jiff::Timestamp::now().to_string();
    let lab = scope.lab()?;
    let mut gaps = cluster.gaps.clone();
    let spec = known(cluster, &mut gaps);
    sampled(subject, &mut gaps);
    let digest = spec.map(Spec::digest);
    let mut targets = scope.targets(&mut gaps)?;
    if let Scope::Here(_) = scope {
        targets = near::of_this_host(targets);
    }
    let nodes = spec.iter().flat_map(|spec| &spec.nodes).flat_map(|node| &node.addresses);
    let nodes = nodes.copied().collect();
    let means = Means { subject, programs, nodes, digest: digest.as_deref() };
    let looked = on_each(&targets, |target| host::gather(target, &means));
    let mut gathered = Vec::new();
    for (target, outcome) in targets.iter().zip(looked) {
        match outcome {
            Ok(host) => gathered.push(host),
            Err(error) => gaps.push(Gap {
                host: Some(target.name.clone()),
                source: Source::Namespace,
                reason: chain(&error),
                hides: format!("Nothing of {} is seen.", target.name),
            }),
        }
    }
    roles::find_peers(&mut gathered);
    let mut hosts = Vec::new();
    for host in gathered {
        gaps.extend(host.gaps);
        hosts.push(host.facts);
    }
    roles::play(&mut hosts, spec.unwrap_or(&Spec::default()));
    own(&mut hosts, &mut gaps);
    Ok(Facts {
        version: VERSION,
        taken,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        netlab: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel(),
        subject: subject.clone(),
        lab,
        manifests: cluster.manifests.clone(),
        hosts,
        softnet: counters::softnet().unwrap_or_default(),
        gaps,
    })
}

/// Runs `look` in each target's namespace, on threads that do nothing else afterwards.
fn on_each<T: Send>(
    targets: &[Target],
    look: impl Fn(&Target) -> T + Sync,
) -> Vec<crate::netlink::Result<T>> {
    let next = AtomicUsize::new(0);
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        targets.iter().enumerate().partition(|(_, target)| target.netns.is_none());
    let work = || {
        let mut done = Vec::new();
        while let Some((at, target)) = elsewhere.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(netns) = &target.netns else { continue };
            done.push((*at, netns.enter().map(|()| look(target))));
        }
        done
    };
    let mut outcomes: BTreeMap<usize, crate::netlink::Result<T>> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..THREADS.min(elsewhere.len())).map(|_| scope.spawn(work)).collect();
        // A thread of its own here too: the caller may be on a runtime, which holds no other.
        let own = scope
            .spawn(|| here.iter().map(|(at, target)| (*at, Ok(look(target)))).collect::<Vec<_>>());
        let joined = workers.into_iter().chain([own]).flat_map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    (0..targets.len()).filter_map(|at| outcomes.remove(&at)).collect()
}

/// What the objects say, or a gap.
fn known<'c>(cluster: &'c Cluster, gaps: &mut Vec<Gap>) -> Option<&'c Spec> {
    cluster
        .spec
        .as_ref()
        .map_err(|error| {
            gaps.push(Gap {
                host: None,
                source: Source::Objects,
                reason: chain(error),
                hides: "What should be is not known, so nothing can be missed.".to_owned(),
            });
        })
        .ok()
}

/// Says that only a sample is looked at.
fn sampled(subject: &Subject, gaps: &mut Vec<Gap>) {
    if subject.left_out > 0 {
        gaps.push(Gap {
            host: None,
            source: Source::Objects,
            reason: format!(
                "nothing was asked about, so {} node ports are left out of a sample",
                subject.left_out
            ),
            hides: "What breaks those alone is not seen; ask about a Service, or ADDRESS:PORT."
                .to_owned(),
        });
    }
}

/// Finds the processes that hold the sockets.
fn own(hosts: &mut [HostFacts], gaps: &mut Vec<Gap>) {
    let wanted: BTreeSet<u64> = hosts
        .iter()
        .flat_map(|host| {
            let tcp = host.listeners.iter().map(|socket| socket.inode);
            tcp.chain(host.udp.iter().map(|socket| socket.inode))
        })
        .filter(|inode| *inode != 0)
        .collect();
    let mut gap = |reason: String| {
        gaps.push(Gap {
            host: None,
            source: Source::Processes,
            reason,
            hides: "Which process holds a port is not seen for all of them.".to_owned(),
        });
    };
    let found: BTreeMap<u64, Owner> = match owners::of(&wanted) {
        Ok((found, 0)) => found,
        Ok((found, closed)) => {
            if found.len() < wanted.len() {
                gap(format!("processes that may not be looked into: {closed}"));
            }
            found
        }
        Err(error) => {
            gap(format!("/proc cannot be read: {error}"));
            return;
        }
    };
    for host in hosts {
        for socket in &mut host.listeners {
            socket.owner = found.get(&socket.inode).cloned();
        }
        for socket in &mut host.udp {
            socket.owner = found.get(&socket.inode).cloned();
        }
    }
}

fn kernel() -> String {
    let name = nix::sys::utsname::uname();
    name.map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}
