//! Row 22: an eBPF program of somebody else's at the uplink.

use std::path::PathBuf;

use super::{
    FaultError,
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, Shows},
    site::Site,
    step::{Plan, Step},
};
use crate::{
    bpf::{self, Instruction, Kind},
    lab::UPLINK,
    netlink::Netns,
};

const XDP: Fault = Fault {
    name: "xdp-drop",
    rows: &[22],
    imitates: "an XDP program of somebody else's, as of a DDoS filter, that drops the node port",
    at: At::Node,
    modes: MODES,
    proxies: KUBE_PROXY,
    limits: "an interface has one XDP program, and with --proxy ebpf it is netlab's",
    shows: &[Shows::Silence],
    dialled: Dialled::AtNode,
    programs: &[],
    on_switch: false,
    plan: |site| foreign(site, Hook::Xdp),
};

pub(super) const FAULTS: &[Fault] = &[
    XDP,
    Fault {
        name: "tc-drop",
        imitates: "a tc program of somebody else's that drops the node port",
        limits: super::netfilter::BEFORE,
        plan: |site| foreign(site, Hook::Tc),
        ..XDP
    },
];

#[derive(Clone, Copy, Debug)]
enum Hook {
    Xdp,
    Tc,
}

/// A program that drops what goes to a port, at an interface. Its link is pinned, and ends with
/// the pin.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    netns: String,
    hook: Hook,
    protocol: u8,
    port: u16,
    pub(super) pin: PathBuf,
}

fn foreign(site: &Site, hook: Hook) -> Plan {
    let pin = site.dir.pins().join(format!("{}-{}", site.fault, site.node.name));
    let (netns, protocol) = (site.node.netns.clone(), site.port.protocol.number());
    let port = site.node_port();
    Ok(vec![Step::Program(Foreign { netns, hook, protocol, port, pin })])
}

impl Foreign {
    pub(super) fn told(&self) -> String {
        let hook = match self.hook {
            Hook::Xdp => "XDP",
            Hook::Tc => "tc ingress",
        };
        let (netns, port, pin) = (&self.netns, self.port, self.pin.display());
        format!(
            "{netns}: an eBPF program at {hook} of {UPLINK} that drops port {port}, pinned as {pin}"
        )
    }

    pub(super) fn attach(&self) -> Result<(), FaultError> {
        let failed = || FaultError::io("attach", self.told());
        if let Some(directory) = self.pin.parent() {
            std::fs::create_dir_all(directory).map_err(failed())?;
        }
        let attach = || {
            let index = nix::net::if_::if_nametoindex(UPLINK)?;
            let (kind, code) = match self.hook {
                Hook::Xdp => (Kind::Xdp, code(self, 0, 1, 2)),
                Hook::Tc => (Kind::Classifier, code(self, 76, 2, -1)),
            };
            let program = bpf::load("filter_port", kind, &code, c"Dual MIT/GPL")?;
            let link = match self.hook {
                Hook::Xdp => bpf::attach_xdp(&program, index)?,
                Hook::Tc => bpf::attach_to_interface(&program, index, bpf::Position::IngressHead)?,
            };
            bpf::pin(&link, &self.pin)
        };
        Netns::open(&self.netns)?.run(attach)?.map_err(failed())
    }
}

/// Drops what is of the protocol and to the port, behind an IPv4 header without options. `data`
/// is where the context says where the frame begins, and four octets on, where it ends.
fn code(foreign: &Foreign, data: i16, drop: i32, pass: i32) -> Vec<Instruction> {
    // Ethernet 14, IPv4 20, and of TCP and UDP the first four octets: both ports.
    const PORTS_END: i32 = 38;
    const PROTOCOL: i16 = 14 + 9;
    const PORT: i16 = 36;
    // Codes of linux/bpf.h: LDX of a word, half and octet; MOV and ADD in 64 bits; jumps.
    const LDX_W: u8 = 0x61;
    const LDX_H: u8 = 0x69;
    const LDX_B: u8 = 0x71;
    const MOV: u8 = 0xb7;
    const MOV_X: u8 = 0xbf;
    const ADD: u8 = 0x07;
    const JGT_X: u8 = 0x2d;
    const JNE: u8 = 0x55;
    const EXIT: u8 = 0x95;
    let port = i32::from(u16::from_ne_bytes(foreign.port.to_be_bytes()));
    let op = bpf::instruction;
    vec![
        op(LDX_W, 2, 1, data, 0),
        op(LDX_W, 3, 1, data + 4, 0),
        op(MOV_X, 4, 2, 0, 0),
        op(ADD, 4, 0, 0, PORTS_END),
        op(JGT_X, 4, 3, 6, 0),
        op(LDX_B, 5, 2, PROTOCOL, 0),
        op(JNE, 5, 0, 4, i32::from(foreign.protocol)),
        op(LDX_H, 5, 2, PORT, 0),
        op(JNE, 5, 0, 2, port),
        op(MOV, 0, 0, 0, drop),
        op(EXIT, 0, 0, 0, 0),
        op(MOV, 0, 0, 0, pass),
        op(EXIT, 0, 0, 0, 0),
    ]
}
