//! What the kernel programs and the agent share: the ABI of the maps, the packet
//! formats and the NodePort core.
//!
//! Everything here compiles for the host and for the BPF target, from the same
//! source. [`nodeport::decide`] is the core: headers and [`nodeport::Tables`] in, a
//! [`verdict::Verdict`] out, without a clock, a context or a packet byte.
//! The kernel programs only read packets, call it, and carry the verdict out.
//!
//! Wire values are big-endian byte arrays; accessors give host order.
#![cfg_attr(not(test), no_std)]

#[cfg(all(feature = "host", not(test)))]
extern crate std;

pub mod abi;
pub mod checksum;
pub mod conntrack;
pub mod counters;
pub mod decision;
pub mod event;
pub mod filter_input;
pub mod flow;
pub mod headers;
#[cfg(feature = "host")]
pub mod host;
pub mod nodeport;
pub mod packet;
pub mod reply;
pub mod rewrite;
pub mod softirq;
pub mod traffic;
pub mod verdict;
pub mod wire;
