//! Flags of `netlab capture`: tcpdump's letters, and what tcpdump cannot see.

use std::{
    ffi::OsString,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
};

use clap::{ArgAction, Args, ValueEnum};

use super::{NameArgs, tcpdump::TcpdumpArgs};

pub(super) const EXAMPLES: &str = "\
Examples:
  netlab capture -i eth0 -nn tcp port 30080
  netlab capture --node all -c 40 'tcp port 30080 or vxlan 1'
  netlab capture --node all --follow --service web -c 1
  netlab capture --node all --drops
  netlab capture --node node-1 --hook xdp-in,xdp-out --inner 'tcp port 8080'
  netlab capture --node node-1 -w - | tshark -r -
  netlab capture -r some.pcap -nn -v 'tcp[tcpflags] & tcp-syn != 0'

Filters are pcap-filter(7)'s, and also:
  vxlan [VNI]   VXLAN, of that network; what follows in the expression is about the inner packet

A packet is seen at every hook that it passes. In a file for Wireshark that looks like
retransmissions: write one hook (--hook tc-in,tc-out is what tcpdump sees), or turn off TCP's
\"Analyze sequence numbers\" there.";

/// Largest ring, in KiB.
pub const MAX_BUFFER: u32 = 1 << 20;

/// Flags of `capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// Which packets; words are joined by spaces. See pcap-filter(7) [default: all].
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    #[command(flatten)]
    /// Where.
    pub place: PlaceArgs,
    #[command(flatten)]
    /// Which, beside the filter.
    pub choice: ChoiceArgs,
    #[command(flatten)]
    /// How they are printed.
    pub print: PrintArgs,
    #[command(flatten)]
    /// How they are written.
    pub file: FileArgs,
    #[command(flatten)]
    /// What else tcpdump has.
    pub tcpdump: TcpdumpArgs,
}

/// Where to capture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
pub struct PlaceArgs {
    /// Interface; repeatable, or several with commas; any: all [default: all but lo].
    #[arg(short, long = "interface", value_name = "IF", value_delimiter = ',')]
    pub interfaces: Vec<String>,
    /// Host of the lab: client, a node, a pod, fabric; all: all but the fabric. Repeatable.
    #[arg(long = "node", value_name = "HOST", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// Network namespace by name, as `ip netns` lists it; repeatable.
    #[arg(long = "netns", value_name = "NAME", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
    /// Hook; repeatable, or several with commas [default: all but drop].
    #[arg(long = "hook", value_name = "HOOK", value_delimiter = ',')]
    pub hooks: Vec<HookName>,
    /// Where packets are dropped, and why: by the kernel, and by netlab's datapath.
    ///
    /// Alone, nothing else; with --hook or --follow, that too.
    #[arg(long)]
    pub drops: bool,
    /// Ring for packets that are not yet taken out, in KiB.
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", default_value_t = 8192,
          value_parser = clap::value_parser!(u32).range(64..=i64::from(MAX_BUFFER)))]
    pub buffer: u32,
    /// List the interfaces there are, and end.
    #[arg(short = 'D', long = "list-interfaces")]
    pub list: bool,
}

/// Which packets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub struct ChoiceArgs {
    /// Read the filter from a file.
    #[arg(short = 'F', value_name = "FILE", conflicts_with = "filter")]
    pub filter_file: Option<PathBuf>,
    /// Only VXLAN packets, of any network, whose inner packet this filter accepts.
    #[arg(long, value_name = "FILTER")]
    pub inner: Option<String>,
    /// UDP port of VXLAN; repeatable [default: 4789 and 8472].
    #[arg(long = "vxlan-port", value_name = "PORT", value_delimiter = ',')]
    pub vxlan_ports: Vec<u16>,
    /// Only what belongs to this Service of the lab, before and after translation.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub service: Option<String>,
    /// Only packets on their way in, or out.
    #[arg(short = 'Q', long, value_name = "WAY")]
    pub direction: Option<Way>,
    /// End after so many packets; with --follow, after so many journeys.
    #[arg(short, long = "packets", value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// Keep so many bytes of each packet; 0: as many as can be.
    #[arg(short, long = "snapshot-length", value_name = "BYTES", default_value_t = 0)]
    pub snaplen: u32,
    /// Show what the filter is compiled to, and end; -dd as part of a C program, -ddd as
    /// numbers.
    #[arg(short = 'd', action = ArgAction::Count)]
    pub dump: u8,
    /// Leave the filter as libpcap has first compiled it. It means the same.
    #[arg(short = 'O', long = "no-optimize")]
    pub unoptimized: bool,
}

/// How packets are printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lines")]
#[expect(clippy::struct_excessive_bools, reason = "they are independent switches")]
pub struct PrintArgs {
    /// One block a packet: its way over hooks, hosts, translation and encapsulation, and the
    /// way back of its answer.
    #[arg(long)]
    pub follow: bool,
    /// With --follow: one JSON object a line.
    #[arg(long, requires = "follow")]
    pub json: bool,
    /// Addresses and ports as numbers. The default; for tcpdump's sake.
    #[arg(short = 'n', action = ArgAction::Count)]
    pub numeric: u8,
    /// Names instead of addresses and ports; not what it means to tcpdump.
    #[arg(short = 'N', long = "names")]
    pub names: bool,
    /// The link-layer header.
    #[arg(short = 'e')]
    pub link_layer: bool,
    /// More of the packet; -vv and -vvv still more.
    #[arg(short = 'v', long = "verbose", action = ArgAction::Count)]
    pub verbose: u8,
    /// Less of the packet.
    #[arg(short = 'q', long = "quick")]
    pub quick: bool,
    /// The bytes in hex; -xx with the link layer.
    #[arg(short = 'x', action = ArgAction::Count)]
    pub hex: u8,
    /// The bytes in hex and ASCII; -XX with the link layer.
    #[arg(short = 'X', action = ArgAction::Count)]
    pub hex_ascii: u8,
    /// The bytes in ASCII; -AA with the link layer.
    #[arg(short = 'A', action = ArgAction::Count)]
    pub ascii: u8,
    /// -t no time, -tt since 1970, -ttt since the packet before, -tttt with the date,
    /// -ttttt since the first packet.
    #[arg(short = 't', action = ArgAction::Count)]
    pub time: u8,
    /// Times in nanoseconds.
    #[arg(long)]
    pub nano: bool,
    /// The same, in tcpdump's long form.
    #[arg(long = "time-stamp-precision", hide = true, conflicts_with = "nano")]
    pub precision: Option<TimePrecision>,
    /// Number the packets.
    #[arg(short = '#', long = "number")]
    pub number: bool,
    /// Nothing about checksums of IPv4, TCP and UDP.
    #[arg(short = 'K', long = "dont-verify-checksums")]
    pub unverified: bool,
    /// TCP sequence numbers as they are, not relative to the first.
    #[arg(short = 'S', long = "absolute-tcp-sequence-numbers")]
    pub absolute_sequence: bool,
    /// Nothing behind tcpdump's own fields: neither the place nor what happened there.
    #[arg(long, conflicts_with = "follow")]
    pub plain: bool,
    /// Hand each line on at once, also in a pipe.
    #[arg(short = 'l')]
    pub line_buffered: bool,
}

impl PrintArgs {
    /// Whether times are nanoseconds.
    pub fn is_nano(&self) -> bool {
        self.nano || self.precision == Some(TimePrecision::Nano)
    }
}

/// Digits of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimePrecision {
    /// Six.
    Micro,
    /// Nine.
    Nano,
}

/// Files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub struct FileArgs {
    /// Read packets from a pcap or pcapng file instead of capturing; - for standard input.
    #[arg(short, long, value_name = "FILE",
          conflicts_with_all = ["nodes", "namespaces", "interfaces", "hooks", "drops", "follow"])]
    pub read: Option<PathBuf>,
    /// Print how many packets there are, not the packets.
    #[arg(long = "count", requires = "read", conflicts_with = "write")]
    pub only_count: bool,
    /// Write packets to a file instead of printing them; - for standard output.
    #[arg(short, long, value_name = "FILE", conflicts_with = "follow")]
    pub write: Option<PathBuf>,
    /// Format to write [default: pcap for FILE.pcap, otherwise pcapng, which also holds
    /// where each packet was seen, and what the datapath did].
    #[arg(long, value_name = "FORMAT", requires = "write")]
    pub format: Option<FileFormat>,
    /// Print packets also while they are written.
    #[arg(long = "print", requires = "write")]
    pub print: bool,
    /// Hand each packet on at once, to a file or as a line.
    #[arg(short = 'U', long = "packet-buffered")]
    pub packet_buffered: bool,
    /// Begin another file after so many millions of bytes.
    #[arg(short = 'C', value_name = "MILLIONS", requires = "write")]
    pub size: Option<NonZeroU64>,
    /// Begin another file after so many seconds; FILE is then a format of strftime(3).
    #[arg(short = 'G', value_name = "SECONDS", requires = "write")]
    pub every: Option<NonZeroU64>,
    /// With -C: so many files, then the first again. With -G: so many files, then end.
    #[arg(short = 'W', value_name = "N", requires = "write")]
    pub files: Option<NonZeroU32>,
    /// Run this with each file that is complete.
    #[arg(short = 'z', value_name = "COMMAND", requires = "write")]
    pub command: Option<OsString>,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// In.
    In,
    /// Out.
    Out,
    /// Both.
    Inout,
}

/// Formats of capture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// As tcpdump writes it.
    Pcap,
    /// With interfaces, comments, nanoseconds and statistics.
    Pcapng,
}

/// Where on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookName {
    /// Before netlab's XDP program.
    XdpIn,
    /// After it, where it did something.
    XdpOut,
    /// Into the stack: what tcpdump sees come in.
    TcIn,
    /// After netlab's program at tc ingress, where it did something.
    NatIn,
    /// After netlab's program at tc egress, where it did something.
    NatOut,
    /// Out of the stack: what tcpdump sees go out.
    TcOut,
    /// Where the kernel drops it.
    Drop,
}

impl From<HookName> for netlab::trace::Hook {
    fn from(name: HookName) -> Self {
        match name {
            HookName::XdpIn => Self::XdpIn,
            HookName::XdpOut => Self::XdpOut,
            HookName::TcIn => Self::TcIn,
            HookName::NatIn => Self::NatIn,
            HookName::NatOut => Self::NatOut,
            HookName::TcOut => Self::TcOut,
            HookName::Drop => Self::Drop,
        }
    }
}
