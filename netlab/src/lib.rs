//! netlab as a library: everything the binary does, without flags and without printing.
//!
//! The direction of dependency is
//! `cmd -> compare -> lab, agent, capture -> spec, plan, netlink, datapath, proxy, trace -> netlab_common`,
//! with `trace -> datapath, netlink -> bpf` among the last;
//! see docs/architecture.md.

pub mod agent;
mod bpf;
pub mod capture;
pub mod compare;
pub mod datapath;
pub mod doctor;
pub mod lab;
pub mod netlink;
pub mod plan;
pub mod proxy;
pub mod source;
pub mod spec;
pub mod trace;
