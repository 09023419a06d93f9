//! A packet's journey, as it is handed out: plain values, for the renderer and for JSON.

use std::{fmt, net::SocketAddr};

use netlab_common::flow::{Addr, FlowKey};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    super::event::{Event, Hook},
    losses::LossPlace,
    transport::protocol_name,
    written,
};

/// A packet, and all places where copies of it were seen.
///
/// Law: each sighting is a hop of exactly one journey; hops are in the order of their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Journey {
    /// Its number, in the order in which packets were first seen.
    pub id: u64,
    /// The packet that it answers.
    pub answers: Option<u64>,
    /// The Service that it belongs to, `namespace/name`.
    pub service: Option<String>,
    /// What packet it is: `TCP SYN`, `UDP 64 bytes`.
    pub packet: String,
    /// Which direction of its connection it goes in.
    pub direction: Direction,
    /// When it was first seen: nanoseconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// From the first hop to the last, in nanoseconds.
    pub duration: u64,
    /// What it was about, of an ICMP error.
    pub about: Option<Flow>,
    /// Where it was seen; never empty.
    pub hops: Vec<Hop>,
    /// What became of it.
    pub outcome: Outcome,
    /// Where packets were lost meanwhile, and this one was not seen: hops may be missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<LossPlace>,
    /// The packet that answers it, if that was seen in time. It has no reply itself.
    pub reply: Option<Box<Journey>>,
}

impl Journey {
    /// Its addresses and ports where it was first seen; None where it is not IP.
    #[must_use]
    pub fn flow(&self) -> Option<Flow> {
        self.hops.first().and_then(|hop| hop.flow)
    }
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client, or whoever was seen first.
    Original,
    /// To the client.
    Reply,
}

/// A place where a packet was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// When: nanoseconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// The host; empty for this machine's own namespace.
    pub host: String,
    /// The interface; empty where the packet had none.
    pub interface: String,
    /// Where on it.
    #[serde(serialize_with = "written::hook")]
    pub hook: Hook,
    /// The hop of this journey that it comes after, counted from 0; None of the first, and of
    /// each copy where several were sent.
    pub after: Option<usize>,
    /// The packet's own addresses and ports there, inside of any VXLAN; None where it is not IP.
    pub flow: Option<Flow>,
    /// The VXLAN packet that it was in.
    pub tunnel: Option<Tunnel>,
    /// TTL or hop limit; 0 where it is not IP.
    pub ttl: u8,
    /// Length on the wire, in bytes, of what was seen: with its VXLAN packet.
    pub length: u32,
    /// Where an offload had split the packet, or merged it with others: which bytes.
    pub part: Option<Part>,
    /// What happened there, as far as it is known.
    #[serde(serialize_with = "written::event")]
    pub event: Option<Event>,
}

impl Hop {
    /// Whether it was dropped there.
    #[must_use]
    pub fn is_drop(&self) -> bool {
        let is_told = matches!(&self.event, Some(Event::Drop(..) | Event::KernelDrop { .. }));
        is_told || self.hook == Hook::Drop
    }
}

/// Bytes of a packet's TCP payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The first, counted from the first one that was seen of the packet; negative where
    /// the packet was merged with one ahead of it.
    pub offset: i32,
    /// How many.
    pub length: u32,
}

/// A VXLAN packet around another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// VXLAN network identifier.
    pub vni: u32,
    /// VTEP that sent it.
    pub source: Addr,
    /// VTEP that it is for.
    pub destination: Addr,
}

/// Source and destination of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow(pub FlowKey);

impl Flow {
    fn has_ports(&self) -> bool {
        matches!(self.0.proto, 6 | 17)
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(self.0.src.into(), self.0.source_port())
    }

    /// Where it goes to.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.0.dst.into(), self.0.destination_port())
    }

    fn ends(&self) -> [String; 2] {
        let ends = [self.source(), self.destination()];
        ends.map(|end| if self.has_ports() { end.to_string() } else { end.ip().to_string() })
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [source, destination] = self.ends();
        write!(f, "{source} > {destination}")
    }
}

impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [source, destination] = self.ends();
        let mut flow = serializer.serialize_struct("Flow", 3)?;
        flow.serialize_field("protocol", &protocol_name(self.0.proto))?;
        flow.serialize_field("source", &source)?;
        flow.serialize_field("destination", &destination)?;
        flow.end()
    }
}

impl Serialize for Tunnel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tunnel = serializer.serialize_struct("Tunnel", 3)?;
        tunnel.serialize_field("vni", &self.vni)?;
        tunnel.serialize_field("source", &self.source.to_string())?;
        tunnel.serialize_field("destination", &self.destination.to_string())?;
        tunnel.end()
    }
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// Something came back.
    Answered {
        /// The journey of the answer.
        by: u64,
        /// Nanoseconds from where it was first seen to where its answer was last seen.
        after: u64,
    },
    /// A TCP RST or an ICMP error came back.
    Refused {
        /// The journey of the answer.
        by: u64,
        /// Nanoseconds from where it was first seen to where its answer was last seen.
        after: u64,
        /// What packet that is.
        with: String,
    },
    /// It came in where its destination is, or, as an answer, where the question came from.
    Delivered {
        /// The host.
        host: String,
    },
    /// It was dropped.
    Dropped {
        /// The host.
        host: String,
        /// The interface; may be empty.
        interface: String,
        /// The datapath's or the kernel's name for the reason, or the XDP program's action.
        reason: String,
        /// Cause and remedy, where they are known.
        explanation: Option<String>,
    },
    /// The receiver's offload merged it with another; it went on as part of that one.
    Merged {
        /// The journey of the other.
        into: u64,
    },
    /// Nothing more was seen of it.
    LastSeen {
        /// The host.
        host: String,
        /// The interface; may be empty.
        interface: String,
        /// Where on it.
        #[serde(serialize_with = "written::hook")]
        hook: Hook,
    },
}
