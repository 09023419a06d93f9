//! A lab for one test, gone when the test is over.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use netlab::{
    lab::{
        Hook, LabDir, LabName, Mode,
        dial::{self, Answer, DialError},
    },
    netlink::Netns,
    proxy::Kind,
    spec::{self, model::Protocol},
};
use serde_json::Value;

use crate::{
    binary::{Ran, netlab},
    poll::until,
};

/// Set to 1, it keeps labs that tests have made.
const KEEP: &str = "NETLAB_KEEP";

/// How long a dial may take on a busy machine.
pub const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// Node port of the built-in TCP service.
pub const WEB: u16 = 30080;
/// Node port of the built-in UDP service.
pub const DNS: u16 = 30053;

/// Pods of the built-in TCP service.
pub const WEB_PODS: [&str; 4] = ["web-1", "web-2", "web-3", "web-4"];
/// Pods of the built-in UDP service.
pub const DNS_PODS: [&str; 2] = ["dns-1", "dns-2"];

/// The built-in nodes with their addresses.
pub const NODES: [(&str, Ipv4Addr); 2] =
    [("node-1", Ipv4Addr::new(172, 18, 0, 2)), ("node-2", Ipv4Addr::new(172, 18, 0, 3))];

/// Every pod network in every hook.
pub const CELLS: [(Mode, Hook); 4] = [
    (Mode::HostGw, Hook::Xdp),
    (Mode::HostGw, Hook::Tc),
    (Mode::Vxlan, Hook::Xdp),
    (Mode::Vxlan, Hook::Tc),
];

/// kube-proxy's two modes, each in one pod network.
pub const PEERS: [(Mode, By); 2] =
    [(Mode::HostGw, By::KubeProxy(Kind::Nftables)), (Mode::Vxlan, By::KubeProxy(Kind::Iptables))];

/// Who answers node ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// netlab's programs, in a hook.
    Ebpf(Hook),
    /// kube-proxy's rules.
    KubeProxy(Kind),
}

impl By {
    /// As `--proxy` takes it.
    #[must_use]
    pub fn proxy(self) -> String {
        match self {
            Self::Ebpf(_) => "ebpf".to_owned(),
            Self::KubeProxy(kind) => kind.to_string(),
        }
    }
}

impl From<Hook> for By {
    fn from(hook: Hook) -> Self {
        Self::Ebpf(hook)
    }
}

/// [`CELLS`], then [`PEERS`].
pub fn cells_and_peers() -> impl Iterator<Item = (Mode, By)> {
    CELLS.into_iter().map(|(mode, hook)| (mode, hook.into())).chain(PEERS)
}

/// A running lab. Dropping it takes it down, unless `NETLAB_KEEP=1`.
#[derive(Debug)]
pub struct Lab {
    name: LabName,
    /// The kernel's netfilter answers, and counts nothing for netlab.
    without_counters: bool,
}

impl Lab {
    /// The built-in cluster in one mode, answered for in one way.
    ///
    /// # Panics
    ///
    /// If it cannot be built.
    #[must_use]
    pub fn up(mode: Mode, by: impl Into<By>) -> Self {
        let (mode, by) = (mode.to_string(), by.into());
        let mut args = vec!["--mode".to_owned(), mode, "--proxy".to_owned(), by.proxy()];
        if let By::Ebpf(hook) = by {
            args.extend(["--hook".to_owned(), hook.to_string()]);
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let mut lab = Self::up_with(&args);
        lab.without_counters = matches!(by, By::KubeProxy(_));
        lab
    }

    /// A lab by further arguments of `lab up`.
    ///
    /// # Panics
    ///
    /// If it cannot be built.
    #[must_use]
    pub fn up_with(args: &[&str]) -> Self {
        Self::named(unused_name(), args)
    }

    /// A lab of this name.
    ///
    /// # Panics
    ///
    /// If it cannot be built.
    #[must_use]
    pub fn named(name: LabName, args: &[&str]) -> Self {
        // First, so that what is half-built goes too.
        let lab = Self { name, without_counters: false };
        let _ = lab.again(args).expect(0);
        lab
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &LabName {
        &self.name
    }

    /// Its files.
    #[must_use]
    pub fn dir(&self) -> LabDir {
        LabDir::new(&self.name)
    }

    /// `lab up` with these arguments.
    pub fn again(&self, args: &[&str]) -> Ran {
        let named = ["lab", "up", "--name", self.name.as_str()];
        netlab(&[&named, args].concat())
    }

    /// `lab down`.
    pub fn down(&self) -> Ran {
        netlab(&["lab", "down", "--name", self.name.as_str()])
    }

    /// `lab status -o json`.
    pub fn status(&self) -> Ran {
        netlab(&["lab", "status", "--name", self.name.as_str(), "-o", "json"])
    }

    /// `lab exec HOST -- CMD...`
    pub fn exec(&self, host: &str, command: &[&str]) -> Ran {
        let named = ["lab", "exec", "--name", self.name.as_str(), host, "--"];
        netlab(&[&named, command].concat())
    }

    /// The rows of `show TABLE -o json`.
    ///
    /// # Panics
    ///
    /// If there is no such list.
    #[must_use]
    pub fn show(&self, table: &str) -> Vec<Value> {
        let ran = netlab(&["show", table, "--name", self.name.as_str(), "-o", "json"]).expect(0);
        let Value::Array(rows) = ran.json() else { panic!("no list: {}", ran.stdout) };
        rows
    }

    /// A counter, summed over all nodes.
    ///
    /// # Panics
    ///
    /// If there is none of this name.
    #[must_use]
    pub fn counter(&self, hook: &str, name: &str) -> u64 {
        let rows = self.show("counters");
        let named = rows.iter().filter(|row| row["hook"] == hook && row["name"] == name);
        let counts: Vec<_> = named.filter_map(|row| row["packets"].as_u64()).collect();
        assert!(!counts.is_empty(), "no counter {hook} {name}");
        counts.iter().sum()
    }

    /// Everything that was dropped, by node, hook and reason; of kube-proxy's rules nobody knows.
    #[must_use]
    pub fn drops(&self) -> Vec<String> {
        if self.without_counters {
            return Vec::new();
        }
        let rows = self.show("counters");
        let drops = rows.iter().filter(|row| row["group"] == "dropped" && row["packets"] != 0);
        drops.map(ToString::to_string).collect()
    }

    /// Namespace of a host.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    #[must_use]
    pub fn netns(&self, host: &str) -> Netns {
        Netns::open(&self.name.netns(host)).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Runs a closure in a host's namespace.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn inside<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> T {
        self.netns(host).run(work).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Dials from the client, once.
    ///
    /// # Errors
    ///
    /// If there is no answer, or a wrong one.
    pub fn dial(
        &self,
        protocol: Protocol,
        to: impl Into<SocketAddr>,
        bytes: usize,
    ) -> Result<Answer, DialError> {
        let to = to.into();
        self.inside("client", || once(protocol, to, bytes))
    }

    /// Dials from the client, so many times; all have to be answered.
    ///
    /// # Panics
    ///
    /// If one is not.
    #[must_use]
    pub fn dials(
        &self,
        protocol: Protocol,
        to: impl Into<SocketAddr>,
        bytes: usize,
        count: usize,
    ) -> Vec<Answer> {
        let to = to.into();
        let answer = |at| {
            once(protocol, to, bytes).unwrap_or_else(|error| {
                panic!("lab {}: {protocol} {to}, dial {at} of {count}: {error}", self.name)
            })
        };
        self.inside("client", || (1..=count).map(answer).collect())
    }

    /// A file of the manifests.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    #[must_use]
    pub fn manifest(&self, file: &str) -> String {
        fs::read_to_string(self.manifest_path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    /// Replaces a file of the manifests, by renaming.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write_manifest(&self, file: &str, text: &str) {
        let path = self.manifest_path(file);
        let new = path.with_file_name(format!(".{file}.new"));
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).expect("/run is writable");
    }

    /// `pods.yaml` with these pods not ready.
    ///
    /// # Panics
    ///
    /// If there is no such pod.
    #[must_use]
    pub fn with_unready(&self, pods: &[&str]) -> String {
        let mut found = 0;
        let mut unready = |document: &str| {
            if !pods.iter().any(|pod| document.contains(&format!("\n  name: {pod}\n"))) {
                return document.to_owned();
            }
            found += 1;
            let conditions = "status:\n  conditions:\n  - type: Ready\n    status: \"False\"\n";
            document.replacen("status:\n", conditions, 1)
        };
        let manifest = self.manifest("pods.yaml");
        let documents: Vec<_> = manifest.split("---\n").map(&mut unready).collect();
        assert_eq!(found, pods.len(), "{pods:?}");
        documents.join("---\n")
    }

    /// Waits until every agent has taken the manifests over as they are on disk.
    ///
    /// # Panics
    ///
    /// If they are refused, or an agent takes too long.
    pub fn wait_for_agents(&self) {
        let dir = self.dir();
        let objects = spec::read_files(&[dir.manifests()]).and_then(|objects| objects.resolve());
        let digest = objects.unwrap_or_else(|error| panic!("{error}")).digest();
        for (node, _) in NODES {
            until("the agent's taking over", || {
                let status = dir.agent_status(node).ok().flatten()?;
                (status.spec == digest && status.error.is_none()).then_some(())
            });
        }
    }

    fn manifest_path(&self, file: &str) -> PathBuf {
        self.dir().manifests().join(file)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::env::var_os(KEEP).is_some_and(|value| value == "1") {
            eprintln!("{KEEP}: lab {} stays", self.name);
            return;
        }
        let down = self.down();
        // A second panic would hide the first.
        if !thread::panicking() {
            let _ = down.expect(0);
        }
    }
}

/// A name that no lab has.
///
/// # Panics
///
/// Never: the name is made of what names are made of.
#[must_use]
pub fn unused_name() -> LabName {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}-{number}", std::process::id()).parse().expect("letters, digits and a dash")
}

/// Dials once from the calling thread's namespace.
///
/// # Errors
///
/// If there is no answer, or a wrong one.
///
/// # Panics
///
/// If there is no memory for a runtime.
pub fn once(protocol: Protocol, to: SocketAddr, bytes: usize) -> Result<Answer, DialError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    match protocol {
        Protocol::Tcp => runtime.block_on(dial::tcp(to, bytes, DIAL_LIMIT)),
        Protocol::Udp => runtime.block_on(dial::udp(to, bytes, DIAL_LIMIT)),
    }
}

/// Address of a built-in node.
///
/// # Panics
///
/// If there is none of this name.
#[must_use]
pub fn node_address(node: &str) -> Ipv4Addr {
    NODES.iter().find(|(name, _)| *name == node).expect("node-1 or node-2").1
}

/// The address that a backend on another node sees in place of the client's.
#[must_use]
pub fn masquerade_address(mode: Mode, node: &str) -> IpAddr {
    match (mode, node) {
        (Mode::HostGw, _) => node_address(node).into(),
        (Mode::Vxlan, "node-1") => [10, 244, 1, 0].into(),
        (Mode::Vxlan, _) => [10, 244, 2, 0].into(),
    }
}

/// The address of a node's bridge: what kube-proxy shows a backend on the node itself in place
/// of the client's.
#[must_use]
pub fn bridge_address(node: &str) -> IpAddr {
    if node == "node-1" { [10, 244, 1, 1].into() } else { [10, 244, 2, 1].into() }
}
