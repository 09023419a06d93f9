//! `lab up`: makes a lab be what is asked for, from nothing or from what is left of it.

mod error;
mod ready;

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    address,
    build::{self, Step},
    down, fault, leftovers,
    lock::Lock,
    options::{LabName, Mode, Options, Proxy, Underlay},
    processes::{self, EchoPorts, Part, Process},
    state::{LabDir, Record, failed},
    status::Unready,
    topology::Topology,
};
use crate::{
    datapath::attach::Hook,
    netlink::{self, Netns},
    proxy,
    spec::{self, Objects, Spec},
};

pub use self::{error::UpError, ready::GaveUp};

/// Nodes where nothing says how many.
pub const DEFAULT_NODES: usize = 2;

/// How long a process may take to end before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What is asked for. None: as the running lab has it, or the default.
#[derive(Clone, Debug)]
pub struct Request {
    /// The lab.
    pub name: LabName,
    /// Manifests; none: the running lab's, or the built-in ones.
    pub files: Vec<PathBuf>,
    /// Objects at hand, which count instead of any files.
    pub objects: Option<Objects>,
    /// No pod runs an echo server: whoever asks serves the pods' ports himself.
    pub silent: bool,
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
    Waiting(&'a [Unready]),
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
    /// Files of manifests that are not what they were.
    pub manifests: Vec<String>,
    /// Processes that were started or restarted.
    pub processes: Vec<String>,
    /// Processes that were ended, since nobody wants them any more.
    pub ended: Vec<String>,
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
    if let Some(record) = &record {
        refuse_with_faults(&record.options, &options)?;
    }
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
    let (agents, predecessors) =
        (leftovers::agents(previous.as_ref(), &dir), predecessors(record.as_ref(), &options));
    let mut all = Record {
        options: options.clone(),
        namespaces: namespaces.iter().cloned().collect(),
        predecessors: predecessors.clone(),
    };
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
    let manifests = match design.rewrite {
        true => dir.write_manifests(&design.objects.to_yaml_by_kind())?,
        false => Vec::new(),
    };
    // From here on the manifests count as the lab's own.
    dir.write_topology(&design.topology)?;
    all.namespaces = wanted;
    dir.write_record(&all)?;

    let before = dir.processes()?;
    let processes = start_processes(&design, &options, &dir, &mut watch).await?;
    ready::wait(&design, &options, &dir, &mut watch).await?;
    if !predecessors.is_empty() {
        leftovers::remove(&predecessors, &agents, &design.topology, &dir).await?;
        dir.write_record(&Record { predecessors: Vec::new(), ..all })?;
    }
    let wanted = dir.processes()?;
    let is_wanted = |name: &String| wanted.iter().any(|process| process.name == *name);
    let before = before.into_iter().map(|process| process.name);
    let ended = before.filter(|name| !is_wanted(name)).collect();
    Ok(Outcome { created: record.is_none(), options, steps, removed, manifests, processes, ended })
}

/// Faults are made for the lab as it is, and are undone to that: it stays so while they last.
fn refuse_with_faults(is: &Options, asked: &Options) -> Result<(), UpError> {
    let of = |options: &Options| (options.mode, options.proxy, options.hook, options.mtu);
    if of(is) == of(asked) {
        return Ok(());
    }
    let faults = fault::injected(&asked.name).map_err(|error| UpError::Journal(Box::new(error)))?;
    if faults.is_empty() {
        return Ok(());
    }
    let faults = faults.iter().map(ToString::to_string).collect();
    Err(UpError::Faults { name: asked.name.clone(), faults })
}

/// Proxies other than the one that is asked for, from the last `up` or from some before it that
/// did not get this far.
fn predecessors(record: Option<&Record>, options: &Options) -> Vec<Proxy> {
    let Some(record) = record else { return Vec::new() };
    let all = record.predecessors.iter().copied().chain([record.options.proxy]);
    let mut others: Vec<Proxy> = all.filter(|proxy| *proxy != options.proxy).collect();
    others.dedup();
    others
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
    if let (Some(_), Some(_)) = (request.hook, options.proxy.kube_proxy()) {
        return Err(UpError::Hook(options.proxy));
    }
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

impl Request {
    /// A lab of this name, the rest as it is or as by default.
    #[must_use]
    pub fn new(name: LabName) -> Self {
        Self {
            name,
            files: Vec::new(),
            objects: None,
            silent: false,
            nodes: None,
            mode: None,
            underlay: None,
            proxy: None,
            hook: None,
            mtu: None,
            force: false,
        }
    }
}

impl Design {
    fn new(
        request: &Request,
        options: &Options,
        built_before: bool,
        dir: &LabDir,
    ) -> Result<Self, UpError> {
        let given = request.objects.is_some() || !request.files.is_empty();
        let running = built_before && !given;
        let mut objects = if let Some(objects) = &request.objects {
            objects.clone()
        } else if running {
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
        let ports =
            if request.silent { EchoPorts::new() } else { processes::echo_ports(&objects, &spec) };
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
