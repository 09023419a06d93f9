//! Filters outside this house: their code in the kernel, where the verifier and the JIT
//! have their say, and their answers beside tcpdump's.

mod kernel;
mod prog_run;
mod tcpdump;

// The unit tests' generators, which name their own neighbours.
#[path = "../../../netlab/src/capture/filter/tests/expressions.rs"]
mod expressions;
#[path = "../../../netlab/src/capture/filter/tests/packets.rs"]
mod packets;
#[path = "../../../netlab/src/capture/filter/tests/random.rs"]
mod random;
mod capture {
    pub use netlab::capture::LinkType;
}
