//! Flags of `netlab compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use netlab::compare::{
    options::{self, DEFAULT_DURATION, DEFAULT_FLOWS, DEFAULT_ROUNDS},
    workload,
};

use super::Mode;

/// Shown after the help.
pub const EXAMPLES: &str = "\
Examples:
  netlab compare                                      everything, in about ten minutes
  netlab compare --proxies ebpf-xdp,none              what VXLAN costs, in a third of that
  netlab compare --modes host-gw --workloads connect  what the proxies cost
  netlab compare --workloads first-byte --services 1000
  netlab compare --workloads properties               what differs without a clock, in seconds
  netlab compare --workloads pps,pps-mtu --flows 10000
  netlab compare --report compare.html                a page with plots, to be mailed around
  netlab compare -o json > today.json
  netlab compare --from today.json --report today.html
  netlab compare --diff yesterday.json today.json     what changed; exit code 1 if anything has";

/// Flags of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Pod networks.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "host-gw,vxlan")]
    pub modes: Vec<Mode>,
    /// Who answers node ports.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "ebpf-xdp,ebpf-tc,nftables,iptables,none"
    )]
    pub proxies: Vec<Proxy>,
    /// What is done.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "request,connect,datagram,bulk,bulk-4,first-byte,pps,pps-mtu,pps-random,\
                         properties,scaling"
    )]
    pub workloads: Vec<Workload>,
    /// How many Services there are, the one that is dialled among them; `scaling` goes up to that.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub services: u32,
    /// How many UDP flows there are in pps and pps-mtu; pps-random has 16384.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_FLOWS)]
    pub flows: u32,
    /// MTU of the underlay.
    #[arg(long, value_name = "OCTETS", default_value_t = netlab::lab::options::DEFAULT_MTU)]
    pub mtu: u32,
    /// How many rounds count; one before them warms up, one after them looks where time goes.
    /// Fewer than 6 allow no verdict.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ROUNDS, allow_negative_numbers = true)]
    pub rounds: u32,
    /// How many seconds each workload runs in each lab, each round.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = DEFAULT_DURATION.as_secs_f64(),
        allow_negative_numbers = true
    )]
    pub duration: f64,
    /// Have the pod on the node that is dialled, not on the other one.
    #[arg(long)]
    pub local: bool,
    /// Compare nothing: tell what changed between two earlier comparisons, from their JSON. Exit
    /// code 1 says that something did.
    #[arg(
        long,
        num_args = 2,
        value_names = ["OLD.json", "NEW.json"],
        conflicts_with_all = [
            "modes", "proxies", "workloads", "services", "flows", "mtu", "rounds", "duration",
            "local", "report", "from",
        ]
    )]
    pub diff: Option<Vec<PathBuf>>,
    /// Format.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
    /// Write a page with plots too: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Measure nothing, and show what an earlier comparison has printed with -o json.
    #[arg(
        long,
        value_name = "RUN.json",
        conflicts_with_all = [
            "modes", "proxies", "workloads", "services", "flows", "mtu", "rounds", "duration",
            "local",
        ]
    )]
    pub from: Option<PathBuf>,
}

/// How to print a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people: the finding in one sentence, then the numbers.
    Table,
    /// For programs: everything, round by round.
    Json,
}

/// Who answers node ports, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Proxy {
    /// netlab's program at XDP.
    EbpfXdp,
    /// netlab's program at tc.
    EbpfTc,
    /// kube-proxy's rules, in its nftables mode.
    Nftables,
    /// kube-proxy's rules, in its iptables mode.
    Iptables,
    /// Nobody: the pod is dialled, and the network alone is measured.
    None,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Latency of requests over one TCP connection.
    Request,
    /// Rate of TCP connections with a request each.
    Connect,
    /// Latency of requests by UDP.
    Datagram,
    /// Throughput of one TCP stream to the pod.
    Bulk,
    /// Throughput of four.
    #[value(name = "bulk-4")]
    Bulk4,
    /// Time from a connection's first packet to the first byte of the answer.
    FirstByte,
    /// Small datagrams a second, one way, from source ports in turn.
    Pps,
    /// Datagrams of the MTU's size a second.
    PpsMtu,
    /// Small datagrams a second from source ports at random.
    PpsRandom,
    /// What needs no clock, by capture: bytes on the underlay, MTU and MSS, source ports, state
    /// for each peer, whether it works behind a router.
    Properties,
    /// Time to the first byte over rising numbers of Services, in the first mode.
    Scaling,
}

impl From<Proxy> for options::Proxy {
    fn from(proxy: Proxy) -> Self {
        match proxy {
            Proxy::EbpfXdp => Self::EbpfXdp,
            Proxy::EbpfTc => Self::EbpfTc,
            Proxy::Nftables => Self::Nftables,
            Proxy::Iptables => Self::Iptables,
            Proxy::None => Self::None,
        }
    }
}

impl Workload {
    /// What the library calls it; none of what is not done in rounds in every lab.
    #[must_use]
    pub fn in_rounds(self) -> Option<workload::Workload> {
        use workload::Workload as Named;
        Some(match self {
            Self::Request => Named::Request,
            Self::Connect => Named::Connect,
            Self::Datagram => Named::Datagram,
            Self::Bulk => Named::Bulk,
            Self::Bulk4 => Named::Bulk4,
            Self::FirstByte => Named::FirstByte,
            Self::Pps => Named::Pps,
            Self::PpsMtu => Named::PpsMtu,
            Self::PpsRandom => Named::PpsRandom,
            Self::Properties | Self::Scaling => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_compared_can_be_typed() {
        let typed = |values: Vec<String>| values.join(",");
        let proxies = Proxy::value_variants().iter().map(|p| options::Proxy::from(*p).to_string());
        let all = options::Proxy::ALL.map(|proxy| proxy.to_string());
        assert_eq!(typed(proxies.collect()), typed(all.into()));
        let mut others = Vec::new();
        for value in Workload::value_variants() {
            let name = value.to_possible_value().map(|value| value.get_name().to_owned());
            match value.in_rounds() {
                Some(workload) => assert_eq!(name, Some(workload.to_string())),
                None => others.extend(name),
            }
        }
        assert_eq!(others, ["properties", "scaling"]);
        let in_rounds = Workload::value_variants().len() - others.len();
        assert_eq!(in_rounds, workload::Workload::ALL.len());
    }
}
