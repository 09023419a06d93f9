//! The agent of one node: follows the spec, and makes the datapath agree with it.

pub mod status;
