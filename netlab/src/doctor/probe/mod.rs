//! The observed path: probes, and what becomes of them.
//!
//! A probe is what any client would do: it connects, or sends one datagram, and reads what comes.
//! It is recognisable by its own address and port, goes nowhere but to the address that is asked
//! about, and there are few of them.

mod connect;
mod dial;
mod ways;

pub use dial::{Attempt, Outcome, Probe, dial};
pub use ways::{AT_ONCE, MOST_WAYS, Way, count, probe};
