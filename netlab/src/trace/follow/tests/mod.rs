//! Sightings made by hand, and what becomes of them.

mod branches;
mod bulk;
mod golden;
mod limits;
mod losses;
mod neighbors;
mod paths;
mod repetitions;
mod replies;
mod translations;

use std::net::SocketAddr;

use etherparse::PacketBuilder;
use netlab_common::{
    flow::{Addr, FlowKey},
    verdict::Kind,
};

use super::{Direction, Follower, Journey, Options, Outcome};
use crate::trace::{Event, Hook, Sighting};

/// 2026-11-23 02:15:01.123456 UTC.
const START: u64 = 1_795_400_101_123_456_000;

pub(super) const CLIENT: &str = "172.18.255.10:40132";
pub(super) const FRONTEND: &str = "172.18.0.2:30080";
pub(super) const MASQUERADE: &str = "10.244.1.0:5704";
pub(super) const LOCAL: &str = "10.244.1.2:8080";
pub(super) const REMOTE: &str = "10.244.2.3:8080";

/// A packet to build.
#[derive(Clone, Debug)]
pub(super) struct Build {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub ttl: u8,
    pub id: u16,
    pub what: What,
    pub payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// Flags as letters, sequence and acknowledgment number, TSval.
    Tcp(&'static str, u32, u32, Option<u32>),
    Udp,
    Ping(bool, u16),
}

pub(super) fn tcp(from: &str, to: &str, flags: &'static str, seq: u32, ack: u32) -> Build {
    Build {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        ttl: 64,
        id: 0,
        what: What::Tcp(flags, seq, ack, Some(7)),
        payload: Vec::new(),
    }
}

pub(super) fn udp(from: &str, to: &str, payload: &[u8]) -> Build {
    Build { what: What::Udp, payload: payload.to_vec(), ..tcp(from, to, "", 0, 0) }
}

impl Build {
    pub fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    pub fn bytes(self, from: u32, len: usize) -> Self {
        let What::Tcp(flags, _, ack, time) = self.what else { panic!("not TCP") };
        Self { what: What::Tcp(flags, from, ack, time), payload: vec![b'x'; len], ..self }
    }

    /// The same packet under other names.
    pub fn between(&self, from: &str, to: &str) -> Self {
        Self { from: from.parse().unwrap(), to: to.parse().unwrap(), ..self.clone() }
    }

    pub fn flow(&self) -> FlowKey {
        let proto = match self.what {
            What::Tcp(..) => 6,
            What::Udp => 17,
            What::Ping(..) => 1,
        };
        FlowKey {
            src: self.from.ip().into(),
            dst: self.to.ip().into(),
            sport: self.from.port().to_be_bytes(),
            dport: self.to.port().to_be_bytes(),
            proto,
            reserved: [0; 3],
        }
    }

    pub fn frame(&self) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let ip = match (self.from, self.to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                let mut header = etherparse::Ipv4Header::new(
                    0,
                    self.ttl,
                    etherparse::IpNumber::TCP,
                    from.ip().octets(),
                    to.ip().octets(),
                )
                .unwrap();
                header.identification = self.id;
                header.dont_fragment = true;
                ethernet.ip(etherparse::IpHeaders::Ipv4(header, Default::default()))
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                ethernet.ipv6(from.ip().octets(), to.ip().octets(), self.ttl)
            }
            _ => panic!("two families"),
        };
        let mut frame = Vec::new();
        let written = match self.what {
            What::Tcp(flags, seq, ack, time) => {
                let mut header =
                    etherparse::TcpHeader::new(self.from.port(), self.to.port(), seq, 500);
                header.acknowledgment_number = ack;
                header.syn = flags.contains('S');
                header.fin = flags.contains('F');
                header.rst = flags.contains('R');
                header.ack = flags.contains('A');
                if let Some(time) = time {
                    let element = etherparse::TcpOptionElement::Timestamp(time, 0);
                    header.set_options(&[element]).unwrap();
                }
                ip.tcp_header(header).write(&mut frame, &self.payload)
            }
            What::Udp => ip.udp(self.from.port(), self.to.port()).write(&mut frame, &self.payload),
            What::Ping(false, seq) => {
                ip.icmpv4_echo_request(self.from.port(), seq).write(&mut frame, &self.payload)
            }
            What::Ping(true, seq) => {
                ip.icmpv4_echo_reply(self.from.port(), seq).write(&mut frame, &self.payload)
            }
        };
        written.unwrap();
        frame
    }
}

/// A frame in a VXLAN packet of VNI 1.
pub(super) fn vxlan(from: [u8; 4], to: [u8; 4], frame: &[u8]) -> Vec<u8> {
    let payload = [&[8, 0, 0, 0, 0, 0, 1, 0], frame].concat();
    let mut outer = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from, to, 64)
        .udp(49_152, 8472)
        .write(&mut outer, &payload)
        .unwrap();
    outer
}

pub(super) const NODE_1: [u8; 4] = [172, 18, 0, 2];
pub(super) const NODE_2: [u8; 4] = [172, 18, 0, 3];

/// An ICMP error (type and code) about a frame's packet.
pub(super) fn icmp_error(
    from: [u8; 4],
    to: [u8; 4],
    (kind, code): (u8, u8),
    about: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from, to, 64)
        .icmpv4_raw(kind, code, [0; 4])
        .write(&mut frame, &about[14..about.len().min(14 + 28)])
        .unwrap();
    frame
}

pub(super) fn translated(kind: Kind, from: &Build, to: &Build) -> Event {
    Event::Forward {
        kind,
        from: from.flow(),
        to: to.flow(),
        encap: None,
        decap: false,
        past_stack: false,
    }
}

pub(super) fn encapsulated(kind: Kind, from: &Build, to: &Build, vtep: [u8; 4]) -> Event {
    match translated(kind, from, to) {
        Event::Forward { kind, from, to, .. } => Event::Forward {
            kind,
            from,
            to,
            encap: Some((1, Addr::v4(vtep))),
            decap: false,
            past_stack: true,
        },
        other => other,
    }
}

pub(super) fn decapsulated(kind: Kind, from: &Build, to: &Build) -> Event {
    match translated(kind, from, to) {
        Event::Forward { kind, from, to, encap, .. } => {
            Event::Forward { kind, from, to, encap, decap: true, past_stack: true }
        }
        other => other,
    }
}

/// A follower that is fed with places written as `client eth0 tc-out`.
pub(super) struct Scene {
    pub follower: Follower,
    pub journeys: Vec<Journey>,
}

impl Scene {
    pub fn new() -> Self {
        Self { follower: Follower::new(Options::default()), journeys: Vec::new() }
    }

    /// Sees a frame, so many microseconds after the start.
    pub fn see(&mut self, time: u64, place: &str, frame: &[u8]) {
        self.event(time, place, frame, None);
    }

    pub fn event(&mut self, time: u64, place: &str, frame: &[u8], event: Option<Event>) {
        let [host, interface, hook] = place.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let hook = Hook::ALL.into_iter().find(|known| known.name() == hook).unwrap();
        let sighting = Sighting {
            time: START + time * 1000,
            host,
            interface,
            hook,
            event,
            wire_len: u32::try_from(frame.len()).unwrap(),
            bytes: frame,
        };
        self.journeys.extend(self.follower.see(&sighting));
    }

    pub fn end(self) -> Vec<Journey> {
        let mut journeys = self.journeys;
        journeys.extend(self.follower.finish());
        journeys
    }
}

/// Where a journey went: `client eth0 tc-out`.
pub(super) fn places(journey: &Journey) -> Vec<String> {
    let hops = journey.hops.iter();
    hops.map(|hop| format!("{} {} {}", hop.host, hop.interface, hop.hook)).collect()
}

/// Numbers of hops and of the reply's hops, of each block.
pub(super) fn shape(journeys: &[Journey]) -> Vec<(usize, usize)> {
    let reply = |journey: &Journey| journey.reply.as_ref().map_or(0, |reply| reply.hops.len());
    journeys.iter().map(|journey| (journey.hops.len(), reply(journey))).collect()
}

pub(super) fn is_answered(journey: &Journey) -> bool {
    matches!(journey.outcome, Outcome::Answered { .. })
}
