//! Counters, which mean something as differences only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a namespace counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Of protocols, by group and name in /proc/net/snmp and /proc/net/netstat, and by name in
    /// /proc/net/snmp6: `Udp.InCsumErrors`, `TcpExt.ListenOverflows`, `Ip6InDiscards`. Zeros are
    /// left out.
    pub protocols: BTreeMap<String, u64>,
    /// Of links, by name.
    pub links: BTreeMap<String, LinkCounters>,
    /// Of netlab's datapath, as `hook group name`: `xdp dropped no-backend`. Zeros are left out.
    pub datapath: BTreeMap<String, u64>,
}

/// What a link counts (struct rtnl_link_stats64).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Received and dropped.
    pub rx_dropped: u64,
    /// Received, and nobody was there for them.
    pub rx_nohandler: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Not sent for trouble.
    pub tx_errors: u64,
    /// Not sent, dropped.
    pub tx_dropped: u64,
    /// Not sent: no carrier.
    pub tx_carrier_errors: u64,
}

/// What all CPUs did with packets before any namespace counted them (/proc/net/softnet_stat).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Softnet {
    /// Taken up.
    pub processed: u64,
    /// Dropped: the queue (net.core.netdev_max_backlog) was full.
    pub dropped: u64,
    /// Times that work was left when the budget or the time was used up.
    pub squeezed: u64,
}
