//! What runs at interfaces beside the stack: eBPF programs and filters of tc.

use serde::{Deserialize, Serialize};

/// An eBPF program at an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Name of the interface.
    pub interface: String,
    /// Where at it.
    pub attach: Attach,
    /// The program's number, which `bpftool prog show id` takes.
    pub id: u32,
    /// Its name, of 15 octets at most; empty where it has none, or may not be asked.
    pub name: String,
    /// Hash of its instructions, 16 hex digits; empty where it may not be asked.
    pub tag: String,
    /// Whose it is.
    pub owner: Owner,
    /// Number of the link by which somebody else's stands there (bpf_link), which
    /// `bpftool link detach id` takes; None where it is by none, or that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<u32>,
}

/// Where at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// XDP, in the driver, in the stack or in hardware.
    Xdp,
    /// tc ingress, through a link (tcx).
    TcxIngress,
    /// tc egress, through a link (tcx).
    TcxEgress,
    /// tc ingress, as a filter of clsact.
    ClsactIngress,
    /// tc egress, as a filter of clsact.
    ClsactEgress,
}

/// Whose a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// netlab's datapath.
    Datapath,
    /// One of netlab's captures, which lets everything pass.
    Capture,
    /// Somebody else's.
    Foreign,
}

/// A filter of tc that is no eBPF program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcFilter {
    /// Name of the interface.
    pub interface: String,
    /// At its ingress; else at its egress.
    pub ingress: bool,
    /// `u32`, `flower`, `matchall`.
    pub kind: String,
    /// Lower is earlier (`pref`).
    pub preference: u16,
    /// Its handle.
    pub handle: u32,
    /// Ethertype that it looks at; 3 (ETH_P_ALL): all.
    pub protocol: u16,
    /// What it does, where that could be read: `drop`, `pass`, `mirred`.
    pub action: Option<String>,
}
