//! Where a packet is seen, and what happened to it there.

use std::{fmt, net::SocketAddr, sync::Arc};

use netlab_common::{
    event::{self, Trace},
    flow::{Addr, FlowKey},
    verdict::{Answer, DropReason, Kind},
};

/// A place on an interface, in the order of a packet's way through a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Hook {
    /// Before an XDP program ran.
    XdpIn = event::hook::XDP_IN,
    /// After an XDP program ran.
    XdpOut = event::hook::XDP_OUT,
    /// tc ingress, ahead of all other programs there.
    TcIn = event::hook::TC_IN,
    /// After netlab's program at tc ingress ran.
    NatIn = event::hook::NAT_IN,
    /// After netlab's program at tc egress ran.
    NatOut = event::hook::NAT_OUT,
    /// tc egress, after all other programs there.
    TcOut = event::hook::TC_OUT,
    /// Where the kernel freed it as a drop.
    Drop = event::hook::DROP,
}

impl Hook {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; event::hook::COUNT] =
        [Self::XdpIn, Self::XdpOut, Self::TcIn, Self::NatIn, Self::NatOut, Self::TcOut, Self::Drop];

    /// Its name, `xdp-in` for instance.
    #[must_use]
    pub const fn name(self) -> &'static str {
        event::hook::NAMES[self as usize]
    }

    /// What it is, in a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::XdpIn => "before netlab's XDP program",
            Self::XdpOut => "after netlab's XDP program, where it did something",
            Self::TcIn => "tc ingress, ahead of all other programs",
            Self::NatIn => "after netlab's program at tc ingress, where it did something",
            Self::NatOut => "after netlab's program at tc egress, where it did something",
            Self::TcOut => "tc egress, behind all other programs",
            Self::Drop => "where the kernel drops packets",
        }
    }

    /// The hook of a number in a record.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether it is around the programs of netlab's own datapath.
    #[must_use]
    pub const fn is_of_datapath(self) -> bool {
        matches!(self, Self::XdpIn | Self::XdpOut | Self::NatIn | Self::NatOut)
    }

    /// Whether packets are met there on their way into the host; None where it cannot be said.
    #[must_use]
    pub const fn is_inbound(self) -> Option<bool> {
        match self {
            Self::XdpIn | Self::TcIn | Self::NatIn => Some(true),
            Self::XdpOut | Self::TcOut | Self::NatOut => Some(false),
            Self::Drop => None,
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The datapath translated it and sent it on.
    Forward {
        /// Which packet of the connection it is.
        kind: Kind,
        /// Its flow as it came; of an ICMP error that of the packet it quotes, reversed.
        from: FlowKey,
        /// What it became.
        to: FlowKey,
        /// Into which VXLAN packet it was put: VNI and remote VTEP.
        encap: Option<(u32, Addr)>,
        /// It was taken out of a VXLAN packet.
        decap: bool,
        /// It was forwarded past the stack.
        past_stack: bool,
    },
    /// The datapath answered in the destination's name.
    Answer(Answer, FlowKey),
    /// The datapath dropped it.
    Drop(DropReason, FlowKey),
    /// The kernel dropped it: its name for the reason, and the function.
    KernelDrop {
        /// As in the kernel's enum, without `SKB_DROP_REASON_`.
        reason: Arc<str>,
        /// Function and offset, `ip_rcv_core+0x1f`.
        function: Arc<str>,
    },
}

impl Event {
    /// What the datapath noted about a packet that then looked like `bytes`.
    #[must_use]
    pub fn from_trace(trace: &Trace, bytes: &[u8]) -> Option<Self> {
        let reason = usize::from(trace.reason);
        match trace.class {
            Trace::FORWARD => Some(Self::Forward {
                kind: *Kind::ALL.get(reason)?,
                from: trace.from,
                to: trace.to,
                encap: if trace.flags & Trace::ENCAPSULATED != 0 { outer(bytes) } else { None },
                decap: trace.flags & Trace::DECAPSULATED != 0,
                past_stack: trace.flags & Trace::PAST_STACK != 0,
            }),
            Trace::ANSWER => Some(Self::Answer(*Answer::ALL.get(reason)?, trace.from)),
            Trace::DROP => Some(Self::Drop(*DropReason::ALL.get(reason)?, trace.from)),
            _ => None,
        }
    }
}

impl Event {
    /// Protocol and sockets of the packet, as it came and as it went on, that the datapath
    /// tells of.
    pub fn sockets(&self) -> impl Iterator<Item = (u8, SocketAddr)> {
        let (came, went) = match self {
            Self::Forward { from, to, .. } => (Some(from), Some(to)),
            Self::Answer(_, flow) | Self::Drop(_, flow) => (Some(flow), None),
            Self::KernelDrop { .. } => (None, None),
        };
        came.into_iter()
            .chain(went)
            .flat_map(|flow| [destination(flow), source(flow)].map(|socket| (flow.proto, socket)))
    }
}

/// VNI and destination of the VXLAN packet in an Ethernet frame: the datapath's own, which has
/// neither a VLAN tag nor IP options.
fn outer(bytes: &[u8]) -> Option<(u32, Addr)> {
    let destination: [u8; 4] = *bytes.get(30..)?.first_chunk()?;
    let [a, b, c]: [u8; 3] = *bytes.get(46..)?.first_chunk()?;
    Some((u32::from_be_bytes([0, a, b, c]), Addr::v4(destination)))
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { from, to, encap, decap, .. } => {
                let mut separator = "";
                if *decap {
                    f.write_str("decap")?;
                    separator = ", ";
                }
                for (name, old, new) in [
                    ("snat", source(from), source(to)),
                    ("dnat", destination(from), destination(to)),
                ] {
                    if old != new {
                        write!(f, "{separator}{name} {old} -> {new}")?;
                        separator = ", ";
                    }
                }
                if let Some((vni, vtep)) = encap {
                    write!(f, "{separator}encap vni {vni} -> {vtep}")?;
                }
                Ok(())
            }
            Self::Answer(answer, _) => write!(f, "answer {answer}"),
            Self::Drop(reason, _) => write!(f, "DROP {reason}"),
            Self::KernelDrop { reason, function } => write!(f, "DROP {reason} ({function})"),
        }
    }
}

fn source(flow: &FlowKey) -> SocketAddr {
    SocketAddr::new(flow.src.into(), flow.source_port())
}

fn destination(flow: &FlowKey) -> SocketAddr {
    SocketAddr::new(flow.dst.into(), flow.destination_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_found_by_their_numbers() {
        assert!(
            Hook::ALL.into_iter().all(|hook| Hook::from_number(hook as u8) == Some(hook)),
            "{:?}",
            Hook::ALL
        );
        assert_eq!(Hook::from_number(200), None);
    }

    #[test]
    fn a_translation_is_told_by_what_it_changed() {
        let flow = |src: [u8; 4], sport: u16, dst: [u8; 4], dport: u16| FlowKey {
            src: Addr::v4(src),
            dst: Addr::v4(dst),
            sport: sport.to_be_bytes(),
            dport: dport.to_be_bytes(),
            proto: 6,
            reserved: [0; 3],
        };
        let from = flow([172, 18, 255, 10], 40000, [172, 18, 0, 2], 30080);
        let to = flow([10, 244, 1, 0], 5704, [10, 244, 2, 3], 8080);
        let mut event = Event::Forward {
            kind: Kind::First,
            from,
            to,
            encap: Some((1, Addr::v4([172, 18, 0, 3]))),
            decap: false,
            past_stack: true,
        };
        assert_eq!(
            event.to_string(),
            "snat 172.18.255.10:40000 -> 10.244.1.0:5704, \
             dnat 172.18.0.2:30080 -> 10.244.2.3:8080, encap vni 1 -> 172.18.0.3"
        );
        if let Event::Forward { to, encap, .. } = &mut event {
            *to = flow([172, 18, 255, 10], 40000, [10, 244, 1, 3], 8080);
            *encap = None;
        }
        assert_eq!(event.to_string(), "dnat 172.18.0.2:30080 -> 10.244.1.3:8080");
    }
}
