//! Why a node port cannot be reached.
//!
//! Three steps, each of which can be looked at by itself, and a judgement:
//!
//! 1. **Facts** ([`facts`]): what every host that may be looked into shows, observed once and
//!    changed by nothing that follows. They can be kept in a file and judged elsewhere.
//! 2. **Expected path**: from facts and spec, hop by hop, what must become of a SYN or a datagram
//!    and of its answer.
//! 3. **Observed path** ([`observe`]): what becomes of a probe, or of real traffic, on all hosts.
//!
//! The **verdict** is the first place where expected and observed part.
//!
//! Law: only the gathering of facts and the probe touch the kernel. What judges is a function of
//! facts.

pub mod check;
pub mod diagnosis;
pub mod facts;
pub mod finding;
pub mod mend;
pub mod observe;
pub mod path;
pub mod plain;
pub mod probe;
pub mod reach;
pub mod report;
