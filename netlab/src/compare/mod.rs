//! host-gw beside VXLAN: what differs, measured.

pub mod properties;
