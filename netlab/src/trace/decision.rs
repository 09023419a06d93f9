//! What the kernel decides about packets between the places where they are seen: where a route
//! lookup leads, who refuses a segment, which socket takes a connection.
//!
//! Each kind comes of a tracepoint of its own. Where a kernel lacks one, or refuses the program
//! for it, that kind is not told, and a sentence says so; where it lacks a field that any of them
//! reads, none is.

use std::{cmp::Ordering, fmt, net::IpAddr, os::fd::OwnedFd};

use netlab_common::{
    decision::{Decision as Raw, Layout, kind},
    flow::Addr,
};
use nix::errno::Errno;
use serde::Serialize;

use super::{Error, Result, btf::Btf, clock::Clock, object::Linked, places::Places};
use crate::bpf;

/// Something that the kernel decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// When: nanoseconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// The host, as of a [`super::Sighting`].
    pub host: String,
    /// Whose packet; None where a socket has no address yet.
    pub source: Option<IpAddr>,
    /// Whom it is for.
    pub destination: IpAddr,
    /// Ports, source's first; None of route lookups, which may not know them.
    pub ports: Option<(u16, u16)>,
    /// What was decided.
    #[serde(flatten)]
    pub made: Made,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Made {
    /// A route lookup.
    Route {
        /// Number of the table.
        table: u32,
        /// Why it leads nowhere; None where it leads somewhere.
        error: Option<&'static str>,
        /// The next hop, where there is one.
        gateway: Option<IpAddr>,
        /// The interface that it leads to; None where it has none.
        interface: Option<String>,
    },
    /// No socket takes the segment: it is answered with a RST.
    Refused,
    /// A listening socket took the connection.
    Accepted,
}

/// `RT_TABLE_DEFAULT`, `RT_TABLE_MAIN` and `RT_TABLE_LOCAL` of linux/rtnetlink.h.
const DEFAULT: u32 = 253;
const MAIN: u32 = 254;
const LOCAL: u32 = 255;

impl Made {
    /// Whether it is against the packet.
    #[must_use]
    pub const fn is_against(&self) -> bool {
        matches!(self, Self::Route { error: Some(_), .. } | Self::Refused)
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("socket: none, answers RST"),
            Self::Accepted => f.write_str("socket: accepted"),
            Self::Route { table, error, gateway, interface } => {
                match table {
                    &DEFAULT => f.write_str("route: table default")?,
                    &MAIN => f.write_str("route: table main")?,
                    &LOCAL => f.write_str("route: table local")?,
                    other => write!(f, "route: table {other}")?,
                }
                if let Some(error) = error {
                    return write!(f, ": {error}");
                }
                let via = gateway.map(|gateway| format!(" via {gateway}"));
                let dev = interface.as_ref().map(|interface| format!(" dev {interface}"));
                let to: String = [via, dev].into_iter().flatten().collect();
                if to.is_empty() { Ok(()) } else { write!(f, ",{to}") }
            }
        }
    }
}

/// The programs, where they are attached; and what they have told.
#[derive(Default)]
pub(super) struct Decisions {
    /// Programs and their links.
    attached: Vec<(OwnedFd, OwnedFd)>,
    told: Vec<Decision>,
    is_full: bool,
    /// What cannot be told, and why.
    pub gaps: Vec<String>,
}

/// Beyond so many decisions that nobody took away the rest is not told.
const MOST: usize = 1 << 16;

/// Program, tracepoint, and what is lost without.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("capture_fib4", "fib_table_lookup", "IPv4 route lookups"),
    ("capture_fib6", "fib6_table_lookup", "IPv6 route lookups"),
    ("capture_reset", "tcp_send_reset", "who refuses a connection"),
    ("capture_state", "inet_sock_set_state", "which sockets take connections"),
];

impl Decisions {
    /// Attaches to what this kernel has.
    pub fn watch(linked: &Linked, btf: &Btf, addresses: &[IpAddr]) -> Self {
        let mut decisions = Self::default();
        let asked = layout(btf).and_then(|layout| {
            linked.ask(layout, addresses.iter().map(|address| Addr::from(*address)))
        });
        if let Err(error) = asked {
            decisions.gaps.push(error.to_string());
            return decisions;
        }
        for (program, tracepoint, lost) in PROGRAMS {
            match attach(linked, btf, program, tracepoint) {
                Ok(attached) => decisions.attached.push(attached),
                Err(error) => decisions.gaps.push(format!("{lost} are not told: {error}")),
            }
        }
        decisions
    }

    /// Takes a decision from the ring.
    pub fn take(&mut self, item: &[u8], places: &Places, clock: &Clock) {
        let raw: Option<Raw> = super::record::read(item);
        match self.told.len().cmp(&MOST) {
            Ordering::Less => self.told.extend(raw.and_then(|raw| told(&raw, places, clock))),
            _ if self.is_full => {}
            _ => {
                self.is_full = true;
                self.gaps.push(format!("beyond {MOST} decisions of the kernel none is told"));
            }
        }
    }

    /// What was told since this was called before.
    pub fn told(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.told)
    }
}

fn attach(
    linked: &Linked,
    btf: &Btf,
    program: &'static str,
    tracepoint: &str,
) -> Result<(OwnedFd, OwnedFd)> {
    let program = linked.load_tracing(program, btf.typedef(&format!("btf_trace_{tracepoint}"))?)?;
    let link = bpf::attach_to_tracepoint(&program)
        .map_err(|source| Error::Attach { subject: tracepoint.to_owned(), source })?;
    Ok((program, link))
}

/// From the ring's form. None where the namespace is not known, or a lookup has only found that
/// the next table is to be asked.
fn told(raw: &Raw, places: &Places, clock: &Clock) -> Option<Decision> {
    let address = |addr: Addr| (!addr.is_unspecified()).then(|| IpAddr::from(addr));
    let interface = || match raw.oif {
        0 => None,
        index => Some(places.interface(raw.namespace, index).to_owned()),
    };
    let made = match raw.kind {
        kind::ROUTE => Made::Route {
            table: raw.table,
            error: error(raw.error, raw.destination.is_v4()),
            gateway: address(raw.gateway),
            interface: interface().filter(|_| raw.error == 0),
        },
        kind::RESET => Made::Refused,
        kind::ACCEPT => Made::Accepted,
        _ => return None,
    };
    let [from, to] = raw.ports.map(u16::from_be_bytes);
    Some(Decision {
        time: clock.time_of_day(raw.time),
        host: places.host(raw.namespace)?.to_owned(),
        source: address(raw.source),
        destination: raw.destination.into(),
        ports: (raw.kind != kind::ROUTE).then_some((from, to)),
        made,
    })
}

/// What lookups say, in the words of ip-route(8) where it has some. IPv6's null entry, which is
/// found where there is no route, is of the type `unreachable`.
fn error(code: i32, v4: bool) -> Option<&'static str> {
    if code >= 0 {
        return None;
    }
    Some(match Errno::from_raw(code.wrapping_neg()) {
        Errno::EINVAL => "blackhole",
        Errno::EHOSTUNREACH if v4 => "unreachable",
        Errno::EHOSTUNREACH => "no route, or unreachable",
        Errno::EACCES => "prohibit",
        Errno::EAGAIN | Errno::ENETUNREACH | Errno::ESRCH => "no route",
        _ => "fails",
    })
}

/// Reads the offsets from BTF.
fn layout(btf: &Btf) -> Result<Layout> {
    Ok(Layout {
        flow_iif: btf.offset("flowi_common", &["flowic_iif"])?,
        flow_proto: btf.offset("flowi_common", &["flowic_proto"])?,
        flow4_source: btf.offset("flowi4", &["saddr"])?,
        flow4_destination: btf.offset("flowi4", &["daddr"])?,
        flow6_source: btf.offset("flowi6", &["saddr"])?,
        flow6_destination: btf.offset("flowi6", &["daddr"])?,
        hop_dev: btf.offset("fib_nh_common", &["nhc_dev"])?,
        hop_family: btf.offset("fib_nh_common", &["nhc_gw_family"])?,
        hop_gateway: btf.offset("fib_nh_common", &["nhc_gw"])?,
        result6_hop: btf.offset("fib6_result", &["nh"])?,
        result6_type: btf.offset("fib6_result", &["fib6_type"])?,
        table6_id: btf.offset("fib6_table", &["tb6_id"])?,
        task_nsproxy: btf.offset("task_struct", &["nsproxy"])?,
        nsproxy_net: btf.offset("nsproxy", &["net_ns"])?,
        skb_transport_header: btf.offset("sk_buff", &["transport_header"])?,
        sock_family: btf.offset("sock_common", &["skc_family"])?,
        sock_remote4: btf.offset("sock_common", &["skc_daddr"])?,
        sock_local4: btf.offset("sock_common", &["skc_rcv_saddr"])?,
        sock_remote6: btf.offset("sock_common", &["skc_v6_daddr"])?,
        sock_local6: btf.offset("sock_common", &["skc_v6_rcv_saddr"])?,
        sock_remote_port: btf.offset("sock_common", &["skc_dport"])?,
        sock_local_port: btf.offset("sock_common", &["skc_num"])?,
        dev_ifindex: btf.offset("net_device", &["ifindex"])?,
        dev_net: btf.offset("net_device", &["nd_net", "net"])?,
        net_inum: btf.offset("net", &["ns", "inum"])?,
        skb_head: btf.offset("sk_buff", &["head"])?,
        skb_network_header: btf.offset("sk_buff", &["network_header"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(table: u32, code: i32, gateway: Option<&str>) -> String {
        let gateway = gateway.map(|gateway| gateway.parse().unwrap());
        let interface = (code == 0).then(|| "eth0".to_owned());
        Made::Route { table, error: error(code, true), gateway, interface }.to_string()
    }

    #[test]
    fn lookups_are_told_as_routes_are_typed() {
        assert_eq!(route(254, 0, Some("172.18.0.3")), "route: table main, via 172.18.0.3 dev eth0");
        assert_eq!(route(255, 0, None), "route: table local, dev eth0");
        assert_eq!(route(100, -libc::EHOSTUNREACH, None), "route: table 100: unreachable");
        assert_eq!(route(254, -libc::EINVAL, None), "route: table main: blackhole");
        assert_eq!(route(254, -libc::EACCES, None), "route: table main: prohibit");
        assert_eq!(route(253, -libc::EAGAIN, None), "route: table default: no route");
        assert_eq!(error(-libc::EHOSTUNREACH, false), Some("no route, or unreachable"));
        assert_eq!(route(254, i32::MIN, None), "route: table main: fails");
    }

    #[test]
    fn this_kernel_has_all_that_is_read() {
        assert!(layout(&Btf::of_kernel().unwrap()).is_ok());
    }
}
