//! What can be typed: flags and their help, nothing else.

pub mod capture;
pub mod compare;
pub mod doctor;
pub mod fault;
pub mod tcpdump;

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

pub use capture::CaptureArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
pub use compare::CompareArgs;
pub use doctor::DoctorArgs;
use netlab::lab::LabName;

/// The name of a lab where none is given.
pub const DEFAULT_LAB: &str = "lab";

const EXAMPLES: &str = "\
Examples:
  netlab lab up                              two nodes, a client, two services
  netlab lab up --mode vxlan --nodes 3       the same over VXLAN, with three nodes
  netlab lab up -f cluster.yaml --name mine  your own objects, in a lab of their own
  netlab lab exec client -- netlab dial tcp 172.18.0.2:30080
  netlab lab status -o json | jq .problems
  netlab lab fault list                      break it as clusters break,
  netlab doctor                              and hear why it does not answer
  netlab capture --node all tcp port 30080   packets, at every point of their path
  netlab show conntrack --node node-1
  netlab compare --proxies ebpf-xdp,none     what VXLAN costs, measured here
  netlab lab down";

/// A networking data-path lab: NodePort in eBPF, over host-gw and over VXLAN.
///
/// Exit status: 0 fine, 1 there are findings or differences, 2 failure.
#[derive(Debug, Parser)]
#[command(name = "netlab", version, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to print what is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// As JSON, in YAML.
    Yaml,
}

/// The first word.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// A cluster in network namespaces of this machine.
    #[command(subcommand)]
    Lab(Lab),
    /// Answer node ports on this node.
    Agent(AgentArgs),
    /// Show what an agent has in the kernel, and what the kernel has around it.
    Show(ShowArgs),
    /// Dial a node port, and see which pod answers.
    ///
    /// Exit status 1 means that an attempt failed.
    #[command(after_help = "\
Examples:
  netlab lab exec client -- netlab dial tcp 172.18.0.2:30080
  netlab lab exec client -- netlab dial udp 172.18.0.3:30053 --count 100
  netlab lab exec client -- netlab dial tcp 172.18.0.2:30080 --bytes 1048576")]
    Dial(DialArgs),
    /// Show packets as tcpdump does, at every point of their path.
    ///
    /// Interfaces of this host, or of the lab's hosts; before and after netlab's XDP and tc
    /// programs; and where packets are dropped. tcpdump's letters mean what they mean there.
    #[command(after_help = capture::EXAMPLES)]
    Capture(Box<CaptureArgs>),
    /// Compare pod networks and proxies: latency, rates and throughput, on this machine.
    ///
    /// Builds a lab for each pod network with each proxy, has a client use a Service's node port
    /// in all of them in turns, and removes them again. Only ratios of one run are claimed, with
    /// 95% intervals, and only where they are clear.
    #[command(after_help = compare::EXAMPLES)]
    Compare(CompareArgs),
    /// Say why a node port cannot be reached, and what mends it.
    ///
    /// Looks at all hosts of a lab, or at this one, works out hop by hop what must become of a
    /// packet, dials, and names the place where the two part: the cause, what shows it, and the
    /// command that mends it. Changes nothing without --fix.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// The server that plays a pod's application.
    #[command(hide = true)]
    Echo(EchoArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  netlab completions bash > /etc/bash_completion.d/netlab")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual pages into a directory.
    #[command(after_help = "Example:\n  netlab man /usr/local/share/man/man1")]
    Man {
        /// The directory, made if there is none.
        directory: PathBuf,
    },
}

/// Verbs of `netlab lab`.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Build a lab, or mend what is missing from it.
    ///
    /// What is not said stays as the lab has it. Files replace the lab's objects; without any,
    /// those under /run/netlab/LAB/manifests count, which may be edited.
    #[command(after_help = "\
Examples:
  netlab lab up
  netlab lab up --mode vxlan --underlay routed
  netlab lab up --proxy nftables             kube-proxy's rules instead of eBPF
  netlab lab up -f services.yaml -f pods.yaml --nodes 3
  netlab lab up --name second --hook tc --mtu 9000")]
    Up(UpArgs),
    /// Draw the lab: hosts, addresses, agents, services, and what is wrong.
    ///
    /// Exit status 1 means that something is.
    Status(StatusArgs),
    /// Remove a lab, in whatever state it is.
    Down(NameArgs),
    /// Print the built-in objects, or a lab's.
    #[command(after_help = "\
Examples:
  netlab lab manifest > cluster.yaml          to start from
  netlab lab manifest --name lab              with the addresses that it has")]
    Manifest(ManifestArgs),
    /// Break the lab as clusters break, and mend it.
    #[command(subcommand)]
    Fault(fault::Verb),
    /// Run a command in a host of the lab.
    ///
    /// Its exit status is the command's.
    #[command(after_help = "\
Examples:
  netlab lab exec client -- nc 172.18.0.2 30080
  netlab lab exec node-1 -- ip route
  netlab lab exec web-1")]
    Exec(ExecArgs),
    /// Keep a lab's processes running.
    #[command(hide = true)]
    Supervise(NameArgs),
}

/// Which lab.
#[derive(Clone, Debug, Args)]
pub struct NameArgs {
    /// The lab.
    #[arg(long, value_name = "LAB", default_value = DEFAULT_LAB)]
    pub name: LabName,
}

/// Flags of `lab up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Kubernetes objects (Node, Pod, Service, EndpointSlice) in YAML or JSON; repeatable.
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How many nodes, where no file has Node objects [default: 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=250))]
    pub nodes: Option<u8>,
    /// How pods of different nodes reach each other [default: host-gw].
    #[arg(long)]
    pub mode: Option<Mode>,
    /// What joins the hosts: a switch or a router [default: l2].
    #[arg(long)]
    pub underlay: Option<Underlay>,
    /// Who answers node ports [default: ebpf].
    #[arg(long)]
    pub proxy: Option<Proxy>,
    /// Where the agents attach [default: auto].
    #[arg(long)]
    pub hook: Option<Hook>,
    /// MTU of the underlay [default: 1500].
    #[arg(long, value_name = "OCTETS")]
    pub mtu: Option<u32>,
    /// Build host-gw on a routed underlay all the same, to see it fail.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
}

/// Flags of `lab status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
    /// Format.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
}

/// Flags of `lab manifest`.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// Print this lab's objects instead of the built-in ones.
    #[arg(long, value_name = "LAB")]
    pub name: Option<LabName>,
    /// How many nodes the built-in ones have.
    #[arg(long, value_name = "N", default_value = "2", conflicts_with = "name",
          value_parser = clap::value_parser!(u8).range(1..=250))]
    pub nodes: u8,
}

/// Flags of `lab exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
    /// The host: client, fabric, a node, or a pod.
    #[arg(value_name = "HOST")]
    pub host: String,
    /// The command and its arguments; none: your shell.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Flags of `agent`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Directory of manifests to follow.
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,
    /// This node, as its Node object is named.
    #[arg(long, value_name = "NODE")]
    pub node: String,
    /// What answers.
    #[arg(long, default_value = "ebpf")]
    pub proxy: AgentProxy,
    /// Interface that clients come in by; repeatable [default: the one with the node's address].
    #[arg(long = "uplink", value_name = "IF")]
    pub uplinks: Vec<String>,
    /// Where to attach.
    #[arg(long, default_value = "auto")]
    pub hook: Hook,
    /// Directory for status.json.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Directory on a BPF file system to pin maps in; needed with --proxy ebpf.
    #[arg(long, value_name = "DIR")]
    pub pin: Option<PathBuf>,
    /// Most entries of the conntrack table.
    #[arg(long, value_name = "N", default_value_t = 262_144,
          value_parser = clap::value_parser!(u32).range(1024..=16_777_216))]
    pub conntrack_max: u32,
    /// Ports to masquerade with, outside of what the host's own sockets take.
    #[arg(long, value_name = "LOW-HIGH", default_value = "1024-29999")]
    pub snat_ports: PortRange,
}

/// What an agent answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AgentProxy {
    /// netlab's own programs.
    Ebpf,
    /// Rules as kube-proxy loads them with nft. They stay when the agent ends.
    Nftables,
    /// Rules as kube-proxy loads them with iptables-restore. They stay when the agent ends.
    Iptables,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub low: u16,
    /// The last.
    pub high: u16,
}

impl std::str::FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (low, high) = text.split_once('-')?;
            Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
        };
        match parse() {
            Some((low, high)) if 0 < low && low <= high => Ok(Self { low, high }),
            _ => Err("expected LOW-HIGH, two ports from 1 to 65535, the lower first".to_owned()),
        }
    }
}

/// Flags of `show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netlab show services
  netlab show conntrack --node node-1 -o json
  netlab show counters --name second --node node-2
  netlab show conntrack --pin /sys/fs/bpf/netlab/node   an agent without a lab, on this host")]
pub struct ShowArgs {
    /// What to show.
    pub table: Table,
    /// The node of the lab [default: all].
    #[arg(long, value_name = "HOST")]
    pub node: Option<String>,
    /// The maps of the agent that pins here, and this host's network, instead of a lab's.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["node", "name"])]
    pub pin: Option<PathBuf>,
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
    /// Format.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
}

/// What `show` can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// Frontends, as the datapath has them.
    Services,
    /// Backends, as the datapath has them.
    Backends,
    /// Connection state.
    Conntrack,
    /// Packets by verdict and drop reason.
    Counters,
    /// Routes of the node.
    Routes,
    /// Forwarding database of the node.
    Fdb,
}

/// Flags of `dial`.
#[derive(Debug, Args)]
pub struct DialArgs {
    /// Protocol.
    pub transport: Transport,
    /// Address and port; IPv6 as `[::1]:30080`.
    #[arg(value_name = "ADDRESS:PORT")]
    pub address: SocketAddr,
    /// How often, one after the other.
    #[arg(short, long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Bytes to have echoed each time.
    #[arg(short, long, value_name = "N", default_value_t = 64)]
    pub bytes: usize,
    /// Dial from this port; the attempts of TCP have to wait for each other then [default: any].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub source_port: Option<u16>,
    /// Give an attempt up after this many milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    pub timeout: u64,
    /// Format.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
}

/// Transport protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// A connection an attempt.
    Tcp,
    /// A datagram an attempt.
    Udp,
}

/// Flags of `echo`.
#[derive(Debug, Args)]
pub struct EchoArgs {
    /// The lab that it belongs to.
    #[arg(long)]
    pub lab: LabName,
    /// The pod that it speaks for.
    #[arg(long)]
    pub pod: String,
    /// The node that the pod runs on.
    #[arg(long)]
    pub node: String,
    /// TCP port to serve; repeatable.
    #[arg(long = "tcp", value_name = "PORT")]
    pub tcp: Vec<u16>,
    /// UDP port to serve; repeatable.
    #[arg(long = "udp", value_name = "PORT")]
    pub udp: Vec<u16>,
    /// Listen on this address alone.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<IpAddr>,
    /// Accept no TCP connection, with a full backlog.
    #[arg(long)]
    pub hang: bool,
}

/// Makes a flag's values from those of the library's type of the same name.
macro_rules! flag_values {
    ($($(#[$doc:meta])* $kind:ident { $($(#[$about:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub enum $kind {
            $($(#[$about])* #[value(name = $word)] $variant),+
        }

        impl From<$kind> for netlab::lab::$kind {
            fn from(value: $kind) -> Self {
                match value { $($kind::$variant => Self::$variant),+ }
            }
        }
    )+};
}

flag_values! {
    /// Pod networks.
    Mode {
        /// A route per peer node, the peer as gateway.
        HostGw = "host-gw",
        /// Encapsulated, as flannel lays it out.
        Vxlan = "vxlan",
    }
    /// Underlays.
    Underlay {
        /// A switch: all hosts in one subnet.
        L2 = "l2",
        /// A router: a subnet for each host.
        Routed = "routed",
    }
    /// Who answers node ports.
    Proxy {
        /// netlab's own programs, loaded by an agent on each node.
        Ebpf = "ebpf",
        /// Rules of nftables, as kube-proxy's.
        Nftables = "nftables",
        /// Rules of iptables, as kube-proxy's.
        Iptables = "iptables",
        /// Nobody.
        None = "none",
    }
    /// Where agents attach.
    Hook {
        /// The agent chooses, and says why.
        Auto = "auto",
        /// XDP: before the stack has seen the packet.
        Xdp = "xdp",
        /// tc: as the packet enters the stack.
        Tc = "tc",
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn port_ranges_have_two_ends_in_order() {
        assert_eq!("1024-29999".parse(), Ok(PortRange { low: 1024, high: 29999 }));
        for bad in ["", "1024", "0-5", "9-8", "1-70000"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_command_for_a_host_keeps_its_own_flags() {
        let cli = Cli::parse_from(["netlab", "lab", "exec", "client", "--", "ping", "-c", "1"]);
        let Verb::Lab(Lab::Exec(args)) = cli.verb else { panic!("not exec") };
        assert_eq!(args.command, ["ping", "-c", "1"]);
        assert_eq!(args.name.name.as_str(), "lab");
    }
}
