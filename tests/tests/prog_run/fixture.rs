//! A table of packets: what came before, the packet, and what has to become of it.

use netlab_common::{
    counters::Counters,
    verdict::{Answer, DropReason, Kind, PassReason},
    wire::eth::Mac,
};

use crate::{
    datapath::{Datapath, Hook},
    node::{FLANNEL_MAC, NODE_MAC, VTEP_MAC, on_node, tables},
    vxlan,
};

/// One packet and its fate.
pub struct Fixture {
    /// What is tried.
    pub name: &'static str,
    /// Packets that went before, at ingress.
    pub before: Vec<Vec<u8>>,
    /// The packet.
    pub packet: Vec<u8>,
    /// What becomes of it, by hook.
    pub expect: Vec<(Hook, Expect)>,
}

/// What has to become of a packet.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Untouched to the stack.
    Passed(PassReason),
    /// Untouched to the next hook.
    Left,
    /// Gone.
    Dropped(DropReason),
    /// Translated to these bytes, up or down the stack.
    Stack(Kind, Vec<u8>),
    /// Translated to these bytes and sent on to a next hop, whose MAC XDP writes itself.
    Sent(Kind, Vec<u8>, Mac),
    /// Answered with these bytes.
    Answered(Answer, Vec<u8>),
    /// Translated to these bytes and sent on inside VXLAN.
    Encapsulated(Kind, Vec<u8>),
    /// Translated to these bytes and sent on without the VXLAN around them.
    Decapsulated(Kind, Vec<u8>, Mac),
}

/// The same in XDP and at tc ingress.
pub fn at_ingress(expect: Expect) -> Vec<(Hook, Expect)> {
    vec![(Hook::Xdp, expect.clone()), (Hook::TcIngress, expect)]
}

/// In XDP and at tc ingress.
pub fn by_hook(xdp: Expect, tc: Expect) -> Vec<(Hook, Expect)> {
    vec![(Hook::Xdp, xdp), (Hook::TcIngress, tc)]
}

/// At tc egress.
pub fn at_egress(expect: Expect) -> Vec<(Hook, Expect)> {
    vec![(Hook::TcEgress, expect)]
}

/// Runs each fixture in each of its hooks, on empty conntrack and zero counters.
pub fn check(fixtures: Vec<Fixture>) {
    on_node(tables(), |mut datapath, _| {
        for fixture in fixtures {
            for (hook, expect) in &fixture.expect {
                let name = format!("{} ({hook:?})", fixture.name);
                datapath.reset();
                let opening = if *hook == Hook::Xdp { Hook::Xdp } else { Hook::TcIngress };
                for packet in &fixture.before {
                    datapath.run(opening, packet);
                }
                datapath.reset_counters();
                check_one(&mut datapath, &name, *hook, &fixture.packet, expect);
            }
        }
    });
}

fn check_one(datapath: &mut Datapath, name: &str, hook: Hook, packet: &[u8], expect: &Expect) {
    let outcome = datapath.run(hook, packet);
    let action = expect.action(hook);
    let counters = datapath.counters();
    assert_eq!(outcome.action, action, "{name}: action; counted {:?}", counters[hook.index()]);
    match expect {
        Expect::Encapsulated(_, inner) => {
            vxlan::check_outer(name, &outcome.bytes);
            let inner = addressed(inner, FLANNEL_MAC, VTEP_MAC);
            assert_bytes(name, &outcome.bytes[50..], &inner);
        }
        _ => {
            if let Some(wanted) = expect.bytes(hook, packet) {
                assert_bytes(name, &outcome.bytes, &wanted);
            }
        }
    }
    let mut wanted = [Counters::default(); 3];
    wanted[hook.index()] = expect.counters();
    assert_eq!(counters, wanted, "{name}: counters");
}

impl Expect {
    /// The kernel's return code.
    pub const fn action(&self, hook: Hook) -> u32 {
        const XDP_DROP: u32 = 1;
        const XDP_PASS: u32 = 2;
        const XDP_REDIRECT: u32 = 4;
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        const TC_ACT_SHOT: u32 = 2;
        const TC_ACT_REDIRECT: u32 = 7;
        let xdp = matches!(hook, Hook::Xdp);
        match self {
            Self::Passed(_) | Self::Left | Self::Stack(..) if xdp => XDP_PASS,
            Self::Passed(_) | Self::Left | Self::Stack(..) => TC_ACT_UNSPEC,
            Self::Dropped(_) if xdp => XDP_DROP,
            Self::Dropped(_) => TC_ACT_SHOT,
            _ if xdp => XDP_REDIRECT,
            _ => TC_ACT_REDIRECT,
        }
    }

    /// The packet afterwards; None where it does not matter.
    fn bytes(&self, hook: Hook, before: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Passed(_) | Self::Left => Some(before.to_vec()),
            Self::Stack(_, bytes) | Self::Answered(_, bytes) => Some(bytes.clone()),
            // tc leaves the MACs to the kernel.
            Self::Sent(_, bytes, _) if hook != Hook::Xdp => Some(bytes.clone()),
            Self::Sent(_, bytes, next_hop) | Self::Decapsulated(_, bytes, next_hop) => {
                Some(addressed(bytes, NODE_MAC, *next_hop))
            }
            Self::Dropped(_) | Self::Encapsulated(..) => None,
        }
    }

    /// What the hook counts for this one packet.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters { seen: 1, ..Counters::default() };
        match self {
            Self::Passed(reason) => counters.passed[*reason as usize] = 1,
            Self::Left => counters.left_to_stack = 1,
            Self::Dropped(reason) => counters.dropped[*reason as usize] = 1,
            Self::Answered(answer, _) => counters.answered[*answer as usize] = 1,
            Self::Encapsulated(..) => counters.encapsulated = 1,
            Self::Decapsulated(..) => counters.decapsulated = 1,
            Self::Stack(..) | Self::Sent(..) => {}
        }
        match self {
            Self::Stack(kind, _)
            | Self::Sent(kind, ..)
            | Self::Encapsulated(kind, _)
            | Self::Decapsulated(kind, ..) => match kind {
                Kind::First => counters.first = 1,
                Kind::Original => counters.original = 1,
                Kind::Reply => counters.reply = 1,
                Kind::Error => counters.error = 1,
            },
            _ => {}
        }
        counters
    }
}

/// The frame with other MACs.
pub fn addressed(frame: &[u8], source: Mac, destination: Mac) -> Vec<u8> {
    [&destination, &source, &frame[12..]].concat()
}

/// Fails with both packets in hex where they differ, as far as a person reads.
#[track_caller]
pub fn assert_bytes(name: &str, found: &[u8], wanted: &[u8]) {
    if found == wanted {
        return;
    }
    let lines = (0..found.len().max(wanted.len())).step_by(16).filter_map(|at| {
        let part = |bytes: &[u8]| {
            bytes
                .get(at..)
                .map_or(String::new(), |rest| format!("{:02x?}", &rest[..rest.len().min(16)]))
        };
        let (found, wanted) = (part(found), part(wanted));
        (found != wanted).then(|| format!("at {at}\n  found  {found}\n  wanted {wanted}\n"))
    });
    panic!(
        "{name}: {} bytes instead of {}\n{}",
        found.len(),
        wanted.len(),
        lines.take(8).collect::<String>()
    );
}
