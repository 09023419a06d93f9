//! Tests of netlab in the kernel and in network namespaces.

pub mod binary;
pub mod capture;
pub mod fields;
pub mod lab;
pub mod poll;
pub mod privilege;
pub mod semantics;
pub mod wire;
