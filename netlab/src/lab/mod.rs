//! A Kubernetes-like cluster in network namespaces of one machine.
//!
//! Down: [`options`] and objects, completed by [`address`], give a [`topology`]; [`build`]
//! makes the kernel be that; [`supervise`] keeps the processes in it alive. [`up`], [`down`]
//! and [`status`] put these together, with [`state`] on disk between them. [`fault`] breaks what
//! was built.
//!
//! Laws: nothing outside of the lab's own namespaces changes. What a lab has made is recorded
//! before it is made, so that [`down`](mod@down) needs no guess and never touches another lab.

pub mod address;
pub mod build;
pub mod dial;
pub mod down;
pub mod echo;
pub mod fault;
mod layout;
mod leftovers;
mod lock;
pub mod options;
mod pool;
pub mod processes;
pub mod state;
pub mod status;
mod subnet;
pub mod supervise;
pub mod topology;
pub mod up;

pub use crate::datapath::attach::Hook;
pub use crate::netlink::Family;
pub use layout::{POD_BRIDGE, UPLINK};
pub use options::{LabName, Mode, Options, Proxy, Underlay};
pub use state::LabDir;
pub use topology::{Host, Role, Topology};
