//! Tier 3: the lab with real sockets and real traffic.
//!
//! Each test has labs of its own, so all can run beside each other. `NETLAB_KEEP=1` keeps
//! the labs for looking: `ip netns list`, `netlab lab status --name NAME`.
#![expect(clippy::unwrap_used, reason = "what a test calls may panic as the test may")]

mod answers;
mod bad_input;
mod capture;
mod checksums;
mod compare;
mod compare_networks;
mod doctor_blind;
mod doctor_causes;
mod doctor_here;
mod doctor_matrix;
mod doctor_observe;
mod doctor_report;
mod endpoints;
mod facts;
mod families;
mod fault;
mod host;
mod kube_proxy;
mod looking;
mod manifests;
mod offloads;
mod properties;
mod readme;
mod refusals;
mod repair;
mod scale;
mod softirq;
mod traffic;
mod underlay;
