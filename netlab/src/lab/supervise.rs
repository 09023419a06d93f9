//! Keeps a lab's processes running, each in its namespace.
//!
//! SIGHUP: read the list again; start what is new, end what is gone or changed, restart what
//! sits in a namespace that has been made anew. SIGTERM or SIGINT: end all, then itself.
//! Children die with it (PR_SET_PDEATHSIG), so a killed supervisor leaves none behind.
//!
//! Law: to be run on a single-threaded runtime, since the kernel ties PR_SET_PDEATHSIG to the
//! thread that forked.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io,
    os::unix::process::CommandExt,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::{prctl, signal::Signal},
};
use serde::{Deserialize, Serialize};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use super::{
    options::LabName,
    processes::Process,
    state::{LabDir, StateError, failed},
};
use crate::netlink::{self, Netns};

/// Name of the file in which the supervisor says how its processes are.
const REPORT: &str = "supervisor.json";

/// Between a process's end and its restart: the first time, doubled each time up to the most,
/// and the first again once it has run for long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONG_RUN: Duration = Duration::from_secs(10);

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the supervisor says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The supervisor's process.
    pub pid: u32,
    /// By name of the process.
    pub processes: BTreeMap<String, ProcessReport>,
}

/// How one process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// Its id; None while it does not run.
    pub pid: Option<u32>,
    /// Unix time in seconds of its last start.
    pub started: Option<u64>,
    /// How often it has been started again.
    pub restarts: u32,
    /// How it ended the last time, or why it could not start.
    pub last_end: Option<String>,
}

/// Why the supervisor ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// There is one already.
    #[error("the lab has a supervisor already")]
    Second,
    /// A file of the state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Signals could not be received.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

impl Report {
    /// What the supervisor of a lab said last.
    ///
    /// # Errors
    ///
    /// Where the file exists and is no report.
    pub fn read(dir: &LabDir) -> Result<Option<Self>, StateError> {
        dir.read(REPORT)
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// Where there is another, or the state directory is unusable.
pub async fn supervise(lab: &LabName) -> Result<(), SuperviseError> {
    let dir = LabDir::new(lab);
    let _lock = lock(&dir)?;
    let listen = |kind| signal(kind).map_err(SuperviseError::Signals);
    let (mut hangup, mut terminate, mut interrupt) = (
        listen(SignalKind::hangup())?,
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    let shared = Arc::new(Shared { dir: dir.clone(), report: Mutex::default() });
    shared.update(|report| report.pid = std::process::id());
    let mut kept = BTreeMap::new();
    loop {
        match dir.processes() {
            Ok(wanted) => reconcile(&mut kept, wanted, &shared).await,
            Err(error) => log::error!("{error}: {}", error.source),
        }
        tokio::select! {
            _ = hangup.recv() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    end(kept.into_values().collect()).await;
    Ok(())
}

fn lock(dir: &LabDir) -> Result<Flock<std::fs::File>, SuperviseError> {
    let path = dir.root().join("supervisor.lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(failed("open", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| SuperviseError::Second)
}

/// A process that is kept running by a task of its own.
struct Kept {
    process: Process,
    /// Of the namespace that it was started in; 0 before.
    netns: Arc<Mutex<u64>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

struct Shared {
    dir: LabDir,
    report: Mutex<Report>,
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Report)) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut report);
        if let Err(error) = self.dir.write(REPORT, &*report) {
            log::warn!("{error}: {}", error.source);
        }
    }

    fn update_process(&self, name: &str, change: impl FnOnce(&mut ProcessReport)) {
        self.update(|report| change(report.processes.entry(name.to_owned()).or_default()));
    }
}

async fn reconcile(kept: &mut BTreeMap<String, Kept>, wanted: Vec<Process>, shared: &Arc<Shared>) {
    let stays = |name: &String, kept: &mut Kept| {
        wanted.iter().any(|process| process.name == *name && *process == kept.process)
            && is_at_home(kept)
    };
    let gone: BTreeMap<_, _> = kept.extract_if(.., |name, kept| !stays(name, kept)).collect();
    for name in gone.keys() {
        shared.update(|report| {
            report.processes.remove(name);
        });
    }
    end(gone.into_values().collect()).await;
    for process in wanted {
        if !kept.contains_key(&process.name) {
            kept.insert(process.name.clone(), keep(process, Arc::clone(shared)));
        }
    }
}

/// Whether the process's namespace is still the one of that name.
fn is_at_home(kept: &Kept) -> bool {
    let started_in = *kept.netns.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Netns::open(&kept.process.netns).and_then(|netns| netns.inode());
    started_in == 0 || now.is_ok_and(|now| now == started_in)
}

async fn end(kept: Vec<Kept>) {
    for one in &kept {
        // Fails only where the task has ended, which is what this is for.
        let _ = one.stop.send(true);
    }
    for one in kept {
        let _ = one.task.await;
    }
}

fn keep(process: Process, shared: Arc<Shared>) -> Kept {
    let (stop, stopped) = watch::channel(false);
    let netns = Arc::new(Mutex::new(0));
    let task = tokio::spawn(run(process.clone(), Arc::clone(&netns), stopped, shared));
    Kept { process, netns, stop, task }
}

async fn run(
    process: Process,
    netns: Arc<Mutex<u64>>,
    mut stopped: watch::Receiver<bool>,
    shared: Arc<Shared>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let end = match start(&process, &netns) {
            Ok(child) => {
                let Some(end) = live(child, &process, &mut stopped, &shared).await else { return };
                end
            }
            Err(error) => error.to_string(),
        };
        log::warn!("{}: {end}", process.name);
        shared.update_process(&process.name, |report| {
            report.pid = None;
            report.last_end = Some(end);
        });
        if begun.elapsed() > LONG_RUN {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        shared.update_process(&process.name, |report| report.restarts += 1);
    }
}

/// Waits for the child's end and says how it was; None where it was asked to end.
async fn live(
    mut child: Child,
    process: &Process,
    stopped: &mut watch::Receiver<bool>,
    shared: &Shared,
) -> Option<String> {
    let pid = child.id();
    log::info!("{}: started, pid {}", process.name, pid.unwrap_or_default());
    shared.update_process(&process.name, |report| {
        report.pid = pid;
        report.started = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|d| d.as_secs());
    });
    tokio::select! {
        status = child.wait() => Some(status.map_or_else(|e| e.to_string(), describe)),
        _ = stopped.changed() => {
            let pid = pid.and_then(|pid| i32::try_from(pid).ok());
            if let Some(pid) = pid.map(nix::unistd::Pid::from_raw) {
                // The child is not waited for yet, so the id is still its own.
                let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
            }
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
            log::info!("{}: ended", process.name);
            None
        }
    }
}

fn describe(status: ExitStatus) -> String {
    status.to_string()
}

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}: {cause}", cause = .0.source)]
    Namespace(#[from] netlink::Error),
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

fn start(process: &Process, inode: &Mutex<u64>) -> Result<Child, StartError> {
    let netns = Netns::open(&process.netns)?;
    *inode.lock().unwrap_or_else(PoisonError::into_inner) = netns.inode()?;
    let log = OpenOptions::new().append(true).create(true).open(&process.log)?;
    // Through /proc, so that the same program runs even where its file has been replaced.
    let mut command = netns.command("/proc/self/exe");
    command.arg0("netlab").args(&process.args).current_dir("/");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let supervisor = nix::unistd::Pid::this();
    // SAFETY: between fork and exec two system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGTERM)?;
            // The supervisor may have died before that took effect.
            if nix::unistd::getppid() == supervisor {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            }
        });
    }
    Ok(Command::from(command).spawn()?)
}
