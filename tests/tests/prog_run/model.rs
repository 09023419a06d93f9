//! The kernel programs' shell on the host: the same core on the same tables, with the
//! node's routes as a table. What it says, the kernel must do.

use netlab_common::{
    abi::CtEntry,
    checksum::Sum,
    counters::Counters,
    flow::{Addr, FlowKey},
    headers::Headers,
    host::tables::HostTables,
    nodeport::{Point, Room, decide, take_back},
    packet::PacketMut as _,
    reply,
    rewrite::{Rewrite, decrement_ttl},
    verdict::{Answer, DropReason, Forward, PassReason, Route, Verdict},
    wire::{
        eth::{self, EthHeader, Mac},
        ipv4::Ipv4Header,
        tcp::TcpHeader,
        udp::{self, UdpHeader},
        vxlan::{OVERHEAD, Vni, VxlanHeader, source_port},
    },
};

use crate::{datapath::Hook, fixture::Expect, node::*};

/// What the host says about a packet.
pub struct Said {
    /// The core's verdict, or what the shell made of it; None where it left the packet.
    pub verdict: Option<Verdict>,
    /// The action that goes with it.
    pub action: u32,
    /// The packet afterwards; None where it is dropped.
    pub bytes: Option<Vec<u8>>,
}

/// The node on the host.
pub struct Model {
    pub tables: HostTables,
    pub counters: [Counters; 3],
}

impl Model {
    /// Deals with a packet at the uplink as the hook's program would. `connection` is
    /// what the kernel has of the packet's flow afterwards: if it drew a source port,
    /// that is the one to draw.
    pub fn run(&mut self, hook: Hook, packet: &[u8], connection: Option<&CtEntry>) -> Said {
        if let Some(entry) = connection {
            self.script_port(entry);
        }
        let mut shell = Shell {
            tables: &self.tables,
            hook,
            bytes: packet.to_vec(),
            headers: Headers::default(),
            room: Room::default(),
            tunnelled: false,
        };
        let done = shell.carry_out();
        if let Done::Left(Verdict::Forward(Forward { kind, .. })) = done {
            take_back(&shell.headers, kind, shell.tables);
        }
        let bytes = shell.bytes;
        self.tables.scripted.borrow_mut().clear();
        let counters = &mut self.counters[hook.index()];
        let (verdict, expect) = match done {
            Done::Left(_) => {
                counters.record_left();
                (None, Expect::Left)
            }
            Done::Verdict(verdict) => {
                counters.record(&verdict);
                (Some(verdict), action_of(verdict, hook))
            }
            Done::Encapsulated(verdict) => {
                counters.record(&verdict);
                counters.encapsulated += 1;
                (Some(verdict), action_of(verdict, hook))
            }
            Done::Decapsulated(verdict) => {
                counters.record(&verdict);
                counters.decapsulated += 1;
                (Some(verdict), action_of(verdict, hook))
            }
        };
        let dropped = matches!(verdict, Some(Verdict::Drop(_)));
        Said { verdict, action: expect.action(hook), bytes: (!dropped).then_some(bytes) }
    }

    /// Makes the next draw of a port come out as in the kernel. Only a port of the
    /// range can: `low + number % span`.
    fn script_port(&self, entry: &CtEntry) {
        let [low, high] = self.tables.config.snat_ports.map(u32::from);
        let span = high - low + 1;
        // A local backend gets the client's own port first, then the one after the draw.
        let local = entry.flags & CtEntry::MASQUERADED == 0;
        let first = u32::from(entry.to.source_port()) + span - u32::from(local);
        let drawn = (first + span - low % span) % span;
        self.tables.scripted.borrow_mut().extend([0, drawn]);
    }
}

/// An expectation whose action is the verdict's.
fn action_of(verdict: Verdict, hook: Hook) -> Expect {
    match verdict {
        Verdict::Pass(reason) => Expect::Passed(reason),
        Verdict::Drop(reason) => Expect::Dropped(reason),
        Verdict::Answer(answer) => Expect::Answered(answer, vec![]),
        Verdict::Forward(Forward { kind, route: Route::Fib }) if hook != Hook::TcEgress => {
            Expect::Sent(kind, vec![], [0; 6])
        }
        Verdict::Forward(Forward { kind, .. }) => Expect::Stack(kind, vec![]),
    }
}

enum Done {
    Verdict(Verdict),
    Encapsulated(Verdict),
    Decapsulated(Verdict),
    Left(Verdict),
}

struct Shell<'a> {
    tables: &'a HostTables,
    hook: Hook,
    bytes: Vec<u8>,
    headers: Headers,
    room: Room,
    tunnelled: bool,
}

impl Shell<'_> {
    fn carry_out(&mut self) -> Done {
        let verdict = self.judge();
        match verdict {
            Verdict::Pass(_) | Verdict::Drop(_) => Done::Verdict(verdict),
            Verdict::Answer(_) if self.tunnelled || self.hook == Hook::TcEgress => {
                Done::Left(verdict)
            }
            Verdict::Answer(answer) => self.answer(answer, 0),
            Verdict::Forward(Forward { route: Route::Fib, .. }) if self.hook != Hook::TcEgress => {
                self.forward(verdict)
            }
            Verdict::Forward(_) if self.tunnelled => Done::Left(verdict),
            Verdict::Forward(_) => self.translated(verdict),
        }
    }

    fn judge(&mut self) -> Verdict {
        if let Err(reason) = self.headers.read(self.bytes.as_slice(), 0) {
            return Verdict::Pass(reason);
        }
        let mut at = if self.hook == Hook::TcEgress { Point::KnownFlows } else { Point::Ingress };
        if self.hook == Hook::Xdp && self.is_ours() {
            if self.headers.read(self.bytes.as_slice(), OVERHEAD).is_err() {
                return Verdict::Pass(PassReason::NoFlow);
            }
            self.tunnelled = true;
            at = Point::KnownFlows;
        }
        decide(&self.headers, at, 0, self.tables, &mut self.room)
    }

    /// Whether this is an outer packet for this node's VXLAN device.
    fn is_ours(&self) -> bool {
        let (flow, config) = (&self.headers.flow, &self.tables.config);
        let vni: Option<[u8; 8]> = self.bytes.get(42..50).and_then(|vni| vni.try_into().ok());
        flow.proto == udp::PROTOCOL
            && flow.dport == config.vxlan_port
            && flow.dst == config.vtep
            && self.headers.is_answerable()
            && vni.and_then(|vni| VxlanHeader(vni).vni()) == Vni::new(config.vni)
    }

    fn translated(&mut self, verdict: Verdict) -> Done {
        let rewrite = Rewrite { headers: &self.headers, to: self.room.translation() };
        match rewrite.apply(self.bytes.as_mut_slice()) {
            Ok(()) => Done::Verdict(verdict),
            Err(reason) => Done::Verdict(Verdict::Drop(reason)),
        }
    }

    fn forward(&mut self, verdict: Verdict) -> Done {
        let xdp = self.hook == Hook::Xdp;
        let way = Way::to(self.room.translation().dst);
        if let Some(mtu) = way.mtu()
            && self.headers.ip_len > mtu
        {
            if self.must_not_fragment() && !self.tunnelled {
                return self.answer(Answer::FragmentationNeeded, mtu);
            }
            if xdp {
                return Done::Left(verdict);
            }
        }
        match way {
            Way::None if !xdp => return Done::Verdict(Verdict::Drop(DropReason::NoRoute)),
            Way::None | Way::Unresolved | Way::Aside if xdp => return Done::Left(verdict),
            Way::Vxlan if self.tunnelled => return Done::Left(verdict),
            _ => {}
        }
        let to = *self.room.translation();
        if let Done::Verdict(Verdict::Drop(reason)) = self.translated(verdict) {
            return Done::Verdict(Verdict::Drop(reason));
        }
        decrement_ttl(self.bytes.as_mut_slice(), &self.headers).expect("it was read");
        if !xdp {
            return Done::Verdict(verdict);
        }
        match way {
            Way::Vxlan => {
                self.address(0, VTEP_MAC, FLANNEL_MAC);
                self.encapsulate(&to);
                Done::Encapsulated(verdict)
            }
            Way::Uplink(next_hop, _) if self.tunnelled => {
                self.bytes.drain(..OVERHEAD);
                self.address(0, next_hop, NODE_MAC);
                Done::Decapsulated(verdict)
            }
            Way::Uplink(next_hop, _) => {
                self.address(0, next_hop, NODE_MAC);
                Done::Verdict(verdict)
            }
            Way::None | Way::Unresolved | Way::Aside => Done::Left(verdict),
        }
    }

    fn must_not_fragment(&self) -> bool {
        const AT_FLAGS: usize = 6;
        self.headers.is_answerable() && self.bytes[self.headers.l3() + AT_FLAGS] & 0x40 != 0
    }

    fn address(&mut self, at: usize, destination: Mac, source: Mac) {
        self.bytes[at..at + 6].copy_from_slice(&destination);
        self.bytes[at + 6..at + 12].copy_from_slice(&source);
    }

    fn encapsulate(&mut self, flow: &FlowKey) {
        let config = &self.tables.config;
        let [low, high] = config.vxlan_source_ports;
        let length = |from| u16::try_from(from).expect("it fits the MTU");
        let total_len = usize::from(self.headers.ip_len) + OVERHEAD;
        let eth = EthHeader::new(VXLAN_PEER_MAC, NODE_MAC, eth::IPV4);
        let ip = Ipv4Header::new(NODE, VXLAN_PEER, udp::PROTOCOL, length(total_len), 0, 64);
        let udp = UdpHeader::new(source_port(flow, low, high), 8_472, length(total_len - 20));
        let vxlan = VxlanHeader::new(Vni::new(config.vni).expect("it is 1"));
        let outer = [&eth.0[..], &ip.0, &udp.0, &vxlan.0].concat();
        self.bytes.splice(..0, outer);
    }

    /// Replaces the packet by the answer to it.
    fn answer(&mut self, answer: Answer, mtu: u16) -> Done {
        const L3: usize = EthHeader::LEN;
        const L4: usize = L3 + Ipv4Header::LEN;
        let part = |at: usize, len: usize| self.bytes[at..at + len].to_vec();
        let eth = reply::turn(&EthHeader(array(&part(0, L3))));
        let ip = Ipv4Header(array(&part(L3, Ipv4Header::LEN)));
        self.bytes = if answer == Answer::TcpReset {
            let (ip, mut tcp) = reply::reset(&ip, &TcpHeader(array(&part(L4, TcpHeader::LEN))));
            let sum = reply::reset_pseudo_sum(&ip).plus(Sum::ZERO.with(tcp.0)).checksum();
            tcp.0.store(TcpHeader::AT_CHECKSUM, sum).expect("it is in the header");
            [&eth.0[..], &ip.0, &tcp.0].concat()
        } else {
            let quoted = part(L3, reply::quote_len(ip.protocol()));
            let sum =
                quoted.chunks_exact(2).fold(Sum::ZERO, |sum, pair| sum.with([pair[0], pair[1]]));
            let (ip, icmp) = reply::error(answer, &ip, sum, mtu);
            [&eth.0[..], &ip.0, &icmp.0, &quoted].concat()
        };
        Done::Verdict(Verdict::Answer(answer))
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many as asked for")
}

/// Where the node's routes lead.
#[derive(Clone, Copy)]
enum Way {
    /// By the uplink, to a next hop, with an MTU.
    Uplink(Mac, u16),
    Vxlan,
    /// By the uplink, to a next hop that ARP has not found.
    Unresolved,
    /// By another uplink.
    Aside,
    None,
}

impl Way {
    /// The routes of `node.rs` that translated packets take.
    fn to(destination: Addr) -> Self {
        let within = |net: &str, bytes: usize| {
            let net = Addr::from(at(net).ip());
            net.0[..bytes] == destination.0[..bytes]
        };
        match () {
            () if within("192.0.2.0:0", 15) => Self::Uplink(GATEWAY_MAC, 1500),
            () if within("10.244.2.0:0", 15) => Self::Uplink(PEER_MAC, 1500),
            () if within("10.244.3.0:0", 15) => Self::Vxlan,
            () if within("10.244.4.0:0", 15) => Self::Uplink(PEER_MAC, 1400),
            () if within("10.244.5.0:0", 15) => Self::Unresolved,
            () if within("10.244.6.0:0", 15) => Self::Aside,
            () if within("[2001:db8::]:0", 8) => Self::Uplink(GATEWAY_MAC, 1500),
            () if within("[fd00:244:2::]:0", 8) => Self::Uplink(PEER_MAC, 1500),
            () => Self::None,
        }
    }

    const fn mtu(self) -> Option<u16> {
        match self {
            Self::Uplink(_, mtu) => Some(mtu),
            Self::Vxlan => Some(1450),
            Self::Unresolved | Self::Aside => Some(1500),
            Self::None => None,
        }
    }
}
