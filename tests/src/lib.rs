//! Tests of netlab in the kernel and in network namespaces.

pub mod privilege;
