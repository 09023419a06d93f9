//! The kernel programs through BPF_PROG_TEST_RUN, in every hook: what they do, what
//! the packet looks like afterwards, and every counter.
//!
//! Each test runs on a thread in a network namespace of its own, because
//! bpf_fib_lookup asks the namespace that it finds itself in. It needs CAP_BPF,
//! CAP_NET_ADMIN and CAP_SYS_ADMIN.

mod answers;
mod budget;
mod connections;
mod datapath;
mod differential;
mod drops;
mod fixture;
mod generate;
mod icmp_errors;
mod migrate;
mod model;
mod node;
mod passes;
mod vxlan;
