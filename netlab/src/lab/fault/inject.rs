//! Injecting a fault.

use std::time::{Duration, Instant};

use super::{
    FaultError, catalogue,
    clear::take_back,
    journal::{self, Injected},
    site::Site,
    step::Step,
    tables::program,
};
use crate::{
    lab::{LabDir, LabName, Options, Topology, lock::Lock, processes, status::not_ready},
    netlink, spec,
};

/// How long agents and the supervisor may take to follow.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The lab.
    pub lab: LabName,
    /// The fault.
    pub fault: String,
    /// The node; None: the first, or the pod's.
    pub node: Option<String>,
    /// The pod's host name; None: the Service's first on the node.
    pub pod: Option<String>,
    /// The Service; None: the first with a node port, TCP before UDP.
    pub service: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
}

impl Request {
    /// A fault where it is by default.
    #[must_use]
    pub fn new(lab: LabName, fault: &str) -> Self {
        let fault = fault.to_owned();
        Self { lab, fault, node: None, pod: None, service: None, dry_run: false }
    }
}

/// Injects a fault, and waits until the lab's processes have followed.
///
/// # Errors
///
/// Where the fault or what it is done to is unknown or unfit, before anything changes; where a
/// step fails, after those before it have been undone.
pub async fn inject(request: &Request) -> Result<Injected, FaultError> {
    let fault = named(&request.fault)?;
    let missing = netlink::missing_privileges()?;
    if !missing.is_empty() {
        return Err(FaultError::Privileges(missing));
    }
    let dir = LabDir::new(&request.lab);
    if dir.record()?.is_none() {
        return Err(FaultError::NoLab(request.lab.clone()));
    }
    let _lock = Lock::take(&request.lab).await?;
    inject_locked(request, fault, &dir).await
}

pub(super) fn named(name: &str) -> Result<&'static catalogue::Fault, FaultError> {
    let unknown = || FaultError::Unknown { name: name.to_owned(), near: nearest(name) };
    catalogue::find(name).ok_or_else(unknown)
}

/// The same by whoever holds the lab's lock.
pub(super) async fn inject_locked(
    request: &Request,
    fault: &'static catalogue::Fault,
    dir: &LabDir,
) -> Result<Injected, FaultError> {
    let site = Site::new(fault, request)?;
    for needed in fault.programs {
        let missing = |_| FaultError::Missing { fault: fault.name, program: needed };
        program(needed).map_err(missing)?;
    }
    let injected = record(fault, &site);
    let mut all = journal::read(dir)?;
    if all.iter().any(|other| other.is_twin(&injected)) {
        return Err(FaultError::Twice { name: fault.name, place: injected.place().to_owned() });
    }
    let steps = (fault.plan)(&site)?;
    let done = steps.iter().map(Step::told).collect();
    let mut injected = Injected { done, ..injected };
    if request.dry_run {
        return Ok(injected);
    }
    match carry_out(&steps, &site, &mut all, &mut injected).await {
        Ok(()) => Ok(injected),
        Err(failed) => {
            let left = take_back(dir, &mut all, &injected).await?;
            Err(if left.is_empty() { failed } else { FaultError::Left(left) })
        }
    }
}

async fn carry_out(
    steps: &[Step],
    site: &Site,
    all: &mut Vec<Injected>,
    injected: &mut Injected,
) -> Result<(), FaultError> {
    for step in steps {
        let outcome = take(step, &site.dir, all, injected).await;
        outcome
            .map_err(|source| FaultError::Step { step: step.told(), source: Box::new(source) })?;
    }
    let settled = settle(&site.dir, &site.topology, &site.options).await;
    settled.map_err(|source| FaultError::Step {
        step: "the lab's processes do not follow".to_owned(),
        source: Box::new(source),
    })
}

fn record(fault: &catalogue::Fault, site: &Site) -> Injected {
    let of_node = matches!(fault.at, catalogue::At::Node | catalogue::At::Pod);
    let of_pod = fault.at == catalogue::At::Pod;
    Injected {
        name: fault.name.to_owned(),
        node: of_node.then(|| site.node.name.clone()),
        pod: site.pod().ok().filter(|_| of_pod).map(|pod| pod.name.clone()),
        service: site.service.name.to_string(),
        done: Vec::new(),
        undo: Vec::new(),
    }
}

/// Writes down what undoes the step, then takes it.
async fn take(
    step: &Step,
    dir: &LabDir,
    all: &mut Vec<Injected>,
    injected: &mut Injected,
) -> Result<(), FaultError> {
    injected.undo.extend(step.undo(dir).await?);
    all.retain(|other| !other.is_twin(injected));
    all.push(injected.clone());
    journal::write(dir, all)?;
    step.take(dir).await
}

/// Waits until agents and echo servers have followed, as far as they run and can.
pub(super) async fn settle(
    dir: &LabDir,
    topology: &Topology,
    options: &Options,
) -> Result<(), FaultError> {
    let spec = spec::read_files(&[dir.manifests()]).and_then(|objects| objects.resolve())?;
    let digest = spec.digest();
    wait_for("the lab's processes to follow", || {
        let kept = dir.processes().unwrap_or_default();
        let waiting = not_ready(topology, options, &digest, dir);
        waiting.iter().all(|unready| {
            let is_kept = kept.iter().any(|process| process.name == unready.process);
            let node = unready.process.strip_prefix("agent ").unwrap_or_default();
            !is_kept || unready.is_error || is_frozen(dir, node)
        })
    })
    .await
}

/// Whether the agent of a node is stopped: state T in /proc/PID/stat (proc_pid_stat(5)).
fn is_frozen(dir: &LabDir, node: &str) -> bool {
    let Ok(Some(status)) = dir.agent_status(node) else { return false };
    processes::state(status.pid) == Some('T')
}

pub(super) async fn wait_for(
    what: &str,
    mut is_so: impl FnMut() -> bool,
) -> Result<(), FaultError> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(FaultError::Waiting { seconds: PATIENCE.as_secs(), what: what.to_owned() });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// A fault with a word in common, or a name that begins alike.
fn nearest(name: &str) -> Option<&'static str> {
    let common = |other: &str| {
        let words = name.split('-').filter(|word| other.split('-').any(|o| o == *word)).count();
        let prefix = name.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
        words * 4 + prefix
    };
    // Of several, the plainest.
    let rank = |other: &str| (common(other), std::cmp::Reverse(other.len()));
    let best = catalogue::all().into_iter().max_by_key(|fault| rank(fault.name))?;
    (common(best.name) >= 4).then_some(best.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_fault_that_was_meant() {
        assert_eq!(nearest("forward-dorp"), Some("forward-drop"));
        assert_eq!(nearest("fdb-wrong"), Some("fdb-wrong-vtep"));
        assert_eq!(nearest("zzz"), None);
    }
}
