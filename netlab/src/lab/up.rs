//! `lab up`: makes a lab be what is asked for, from nothing or from what is left of it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    address::{self, AddressError},
    build::{self, BuildError, Step},
    down::{self, DownError},
    lock::Lock,
    options::{LabName, Mode, Options, OptionsError, Proxy, Underlay},
    processes::{self, EchoPorts, Part, Process},
    state::{LabDir, Record, StateError, failed},
    status,
    topology::{Topology, TopologyError},
};
use crate::{
    datapath::attach::Hook,
    netlink::{self, Netns},
    proxy,
    spec::{self, Objects, Spec, SpecError},
};

/// Nodes where nothing says how many.
pub const DEFAULT_NODES: usize = 2;

/// How long agents and echo servers may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// Between looks: first often, then rarely, since looking is not free.
const FIRST_POLL: Duration = Duration::from_millis(10);
const LONGEST_POLL: Duration = Duration::from_millis(500);
/// How long a process may take to end before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What is asked for. None: as the running lab has it, or the default.
#[derive(Clone, Debug)]
pub struct Request {
    /// The lab.
    pub name: LabName,
    /// Manifests; none: the running lab's, or the built-in ones.
    pub files: Vec<PathBuf>,
    /// How many nodes, where no file has Node objects.
    pub nodes: Option<usize>,
    /// Pod network.
    pub mode: Option<Mode>,
    /// What joins the hosts.
    pub underlay: Option<Underlay>,
    /// Who answers node ports.
    pub proxy: Option<Proxy>,
    /// Where agents attach.
    pub hook: Option<Hook>,
    /// MTU of the underlay.
    pub mtu: Option<u32>,
    /// Build host-gw behind a router all the same.
    pub force: bool,
}

/// What is going on, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A step is about to be taken.
    Step(&'a Step),
    /// A namespace that is not wanted any more went.
    Removed(&'a str),
    /// The supervisor was started, or told to look again.
    Supervisor,
    /// Still waiting for these to be ready.
    Waiting(&'a [String]),
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The lab as it is.
    pub options: Options,
    /// There was no such lab before.
    pub created: bool,
    /// What was changed in the kernel, in order.
    pub steps: Vec<Step>,
    /// Namespaces that went.
    pub removed: Vec<String>,
    /// Processes that were started, restarted or ended.
    pub processes: Vec<String>,
}

/// Why there is no lab, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The process may not do it.
    #[error(
        "a lab is made of network namespaces, which needs {}; run it as root: sudo netlab ...",
        .0.join(" and ")
    )]
    Privileges(Vec<&'static str>),
    /// The options contradict each other.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The underlay of a lab does not change.
    #[error(
        "lab {name} has a {is} underlay, and its nodes' addresses are made for that; \
         to change it: netlab lab down --name {name}"
    )]
    Underlay {
        /// The lab.
        name: LabName,
        /// What it has.
        is: Underlay,
    },
    /// Both files and a number say how many nodes there are.
    #[error("the manifests have {have} Node objects, --nodes says {asked}; leave --nodes out")]
    Nodes {
        /// In the files.
        have: usize,
        /// Asked for.
        asked: usize,
    },
    /// The objects are refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There are no addresses left.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The objects cannot stand in one lab.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// This machine cannot load kube-proxy's rules.
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
    /// Another's namespace has the name.
    #[error(
        "there is a namespace {0} already, and it is not this lab's; \
         delete it (ip netns delete {0}) or give the lab another --name"
    )]
    Taken(String),
    /// A file of the state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Namespaces or privileges could not be looked at.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The kernel refused.
    #[error("the lab could not be built{}", if *.removed { "; what was made is removed again" } else { "" })]
    Build {
        /// What was refused.
        source: BuildError,
        /// Whether the lab is gone again.
        removed: bool,
    },
    /// Building failed, and so did removing what was made.
    #[error("the lab could not be built ({build}), nor what was made be removed")]
    Undo {
        /// Why it could not be built.
        build: Box<BuildError>,
        /// Why it could not be removed.
        source: Box<DownError>,
    },
    /// The supervisor could not be started or signalled.
    #[error("cannot start the lab's supervisor")]
    Supervisor(#[source] io::Error),
    /// Something does not become ready.
    #[error(
        "the lab is built, but not ready after {} s: {}; logs are in {}, and netlab lab down --name {name} removes it",
        READY_PATIENCE.as_secs(), .waiting.join("; "), .logs.display()
    )]
    NotReady {
        /// The lab.
        name: LabName,
        /// What is waited for.
        waiting: Vec<String>,
        /// Where the logs are.
        logs: PathBuf,
    },
}

/// Makes the lab be what the request says. Bad input is refused before anything is built;
/// where a new lab cannot be built, what was made is taken down again.
///
/// # Errors
///
/// See [`UpError`].
pub async fn up(request: &Request, mut watch: impl FnMut(Event<'_>)) -> Result<Outcome, UpError> {
    let missing = netlink::missing_privileges()?;
    if !missing.is_empty() {
        return Err(UpError::Privileges(missing));
    }
    let dir = LabDir::new(&request.name);
    let _lock = Lock::take(&request.name).await?;
    let record = dir.record()?;
    let options = merge(request, record.as_ref())?;
    options.check()?;
    let previous = dir.topology()?;
    let design = Design::new(request, &options, previous.is_some(), &dir)?;
    if let Some(kind) = options.proxy.kube_proxy() {
        proxy::probe(kind).await?;
    }

    let mut namespaces: BTreeSet<String> =
        record.iter().flat_map(|record| record.namespaces.clone()).collect();
    let wanted = design.topology.namespaces();
    if let Some(taken) = wanted.iter().find(|n| !namespaces.contains(*n) && Netns::exists(n)) {
        return Err(UpError::Taken(taken.clone()));
    }
    namespaces.extend(wanted.iter().cloned());
    let all = Record { options: options.clone(), namespaces: namespaces.iter().cloned().collect() };
    dir.write_record(&all)?;

    let steps = match build::build(&design.topology, previous.as_ref(), |step| {
        watch(Event::Step(step));
    })
    .await
    {
        Ok(steps) => steps,
        Err(source) if record.is_some() => return Err(UpError::Build { source, removed: false }),
        Err(build) => {
            return Err(match down::remove(&request.name).await {
                Ok(_) => UpError::Build { source: build, removed: true },
                Err(source) => UpError::Undo { build: Box::new(build), source: Box::new(source) },
            });
        }
    };
    let removed = remove_stale(&namespaces, &wanted, &mut watch)?;
    if design.rewrite {
        dir.write_manifests(&design.objects.to_yaml_by_kind())?;
    }
    // From here on the manifests count as the lab's own.
    dir.write_topology(&design.topology)?;
    dir.write_record(&Record { options: options.clone(), namespaces: wanted })?;

    let processes = start_processes(&design, &options, &dir, &mut watch).await?;
    wait_until_ready(&design, &options, &dir, &mut watch).await?;
    Ok(Outcome { created: record.is_none(), options, steps, removed, processes })
}

fn merge(request: &Request, record: Option<&Record>) -> Result<Options, UpError> {
    let mut options = match record {
        Some(record) => record.options.clone(),
        None => Options::new(request.name.clone()),
    };
    if let (Some(record), Some(asked)) = (record, request.underlay)
        && record.options.underlay != asked
    {
        let (name, is) = (request.name.clone(), record.options.underlay);
        return Err(UpError::Underlay { name, is });
    }
    options.mode = request.mode.unwrap_or(options.mode);
    options.underlay = request.underlay.unwrap_or(options.underlay);
    options.proxy = request.proxy.unwrap_or(options.proxy);
    options.hook = request.hook.unwrap_or(options.hook);
    options.mtu = request.mtu.unwrap_or(options.mtu);
    options.force |= request.force;
    Ok(options)
}

/// Everything that follows from the objects, before anything is touched.
struct Design {
    objects: Objects,
    spec: Spec,
    topology: Topology,
    ports: EchoPorts,
    /// The manifests on disk are not these objects.
    rewrite: bool,
}

impl Design {
    fn new(
        request: &Request,
        options: &Options,
        built_before: bool,
        dir: &LabDir,
    ) -> Result<Self, UpError> {
        let running = built_before && request.files.is_empty();
        let mut objects = if running {
            spec::read_files(&[dir.manifests()])?
        } else if request.files.is_empty() {
            spec::builtin(request.nodes.unwrap_or(DEFAULT_NODES))
        } else {
            spec::read_files(&request.files)?
        };
        let have = objects.nodes.len();
        if let Some(asked) = request.nodes.filter(|asked| have != 0 && have != *asked) {
            return Err(UpError::Nodes { have, asked });
        }
        address::add_nodes(&mut objects, request.nodes.unwrap_or(DEFAULT_NODES));
        let written = objects.clone();
        address::complete(&mut objects, options.underlay)?;
        let spec = objects.resolve()?;
        let topology = Topology::new(&spec, options)?;
        let ports = processes::echo_ports(&objects, &spec);
        let rewrite = !running || written != objects;
        Ok(Self { objects, spec, topology, ports, rewrite })
    }
}

fn remove_stale(
    had: &BTreeSet<String>,
    wanted: &[String],
    watch: &mut impl FnMut(Event<'_>),
) -> Result<Vec<String>, UpError> {
    let mut removed = Vec::new();
    for name in had.iter().filter(|name| !wanted.contains(name)) {
        match Netns::delete(name) {
            Ok(()) => {
                watch(Event::Removed(name));
                removed.push(name.clone());
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(removed)
}

/// Tells the supervisor what to run, starting it where there is none. Returns what it has to
/// start or end.
async fn start_processes(
    design: &Design,
    options: &Options,
    dir: &LabDir,
    watch: &mut impl FnMut(Event<'_>),
) -> Result<Vec<String>, UpError> {
    let wanted = processes::wanted(&design.topology, &design.ports, options, dir);
    let before = dir.processes()?;
    for process in wanted.iter().filter(|process| process.name.starts_with("agent ")) {
        let state = dir.agent(&process.host);
        fs::create_dir_all(&state).map_err(failed("create", &state))?;
    }
    dir.write_processes(&wanted)?;
    let running = processes::running(&options.name).map_err(UpError::Supervisor)?;
    let mut alive = false;
    for process in running.iter().filter(|process| process.part == Part::Supervisor) {
        if process.is_same_program() {
            process.signal(libc::SIGHUP).map_err(UpError::Supervisor)?;
            alive = true;
        } else {
            // An older netlab's. Its children may be old too, so they go with it.
            process.end(END_PATIENCE).await.map_err(UpError::Supervisor)?;
        }
    }
    watch(Event::Supervisor);
    if alive {
        let changed = |process: &&Process| !before.contains(process);
        return Ok(wanted.iter().filter(changed).map(|process| process.name.clone()).collect());
    }
    // Children of a killed supervisor hold their ports until they have gone.
    for process in processes::running(&options.name).map_err(UpError::Supervisor)? {
        process.end(END_PATIENCE).await.map_err(UpError::Supervisor)?;
    }
    start_supervisor(&options.name, dir).map_err(UpError::Supervisor)?;
    Ok(wanted.into_iter().map(|process| process.name).collect())
}

fn start_supervisor(name: &LabName, dir: &LabDir) -> io::Result<()> {
    let log = fs::OpenOptions::new().append(true).create(true).open(dir.log("supervisor"))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("netlab").args(["lab", "supervise", "--name", name.as_str()]);
    command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: between fork and exec one system call is made, and nothing is allocated.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(Into::into));
    }
    command.spawn().map(|_| ())
}

async fn wait_until_ready(
    design: &Design,
    options: &Options,
    dir: &LabDir,
    watch: &mut impl FnMut(Event<'_>),
) -> Result<(), UpError> {
    let digest = design.spec.digest();
    let deadline = Instant::now() + READY_PATIENCE;
    let mut said = Vec::new();
    let mut pause = FIRST_POLL;
    loop {
        let waiting = status::not_ready(&design.topology, options, &digest, dir);
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let logs = dir.root().join("log");
            return Err(UpError::NotReady { name: options.name.clone(), waiting, logs });
        }
        if waiting != said {
            watch(Event::Waiting(&waiting));
            said = waiting;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_POLL);
    }
}
