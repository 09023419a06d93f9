//! How packets are followed.

use std::time::Duration;

/// How packets are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long to wait for the next hop, and for an answer.
    pub wait: Duration,
    /// By how much sightings may be late: so long each waits for earlier ones.
    pub settle: Duration,
    /// UDP ports that carry VXLAN.
    pub vxlan_ports: Vec<u16>,
    /// Most sightings to hold. Beyond, journeys end before their time, oldest first.
    pub max_sightings: usize,
    /// Most connections to remember, beside those with packets under way.
    pub max_connections: usize,
}

impl Default for Options {
    /// The IANA port of VXLAN and the one that Linux, and so flannel, takes.
    fn default() -> Self {
        Self {
            wait: Duration::from_millis(250),
            settle: Duration::from_millis(20),
            vxlan_ports: vec![4789, 8472],
            max_sightings: 1 << 16,
            max_connections: 1 << 16,
        }
    }
}
