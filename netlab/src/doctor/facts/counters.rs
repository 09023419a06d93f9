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

impl Counters {
    /// A protocol's counter, zero where there is none.
    #[must_use]
    pub fn protocol(&self, name: &str) -> u64 {
        self.protocols.get(name).copied().unwrap_or(0)
    }

    /// What has been counted since `before`. What did not count is left out; what counts less
    /// than before (a link made anew) counts from zero.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let links = self.links.iter().filter_map(|(name, now)| {
            let then = before.links.get(name).copied().unwrap_or_default();
            let grown = now.since(then);
            (grown != LinkCounters::default()).then(|| (name.clone(), grown))
        });
        Self {
            protocols: grown(&self.protocols, &before.protocols),
            links: links.collect(),
            datapath: grown(&self.datapath, &before.datapath),
        }
    }
}

fn grown(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let differences = now.iter().map(|(name, now)| {
        let then = before.get(name).copied().unwrap_or(0);
        (name.clone(), difference(*now, then))
    });
    differences.filter(|(_, grown)| *grown > 0).collect()
}

/// From zero, where counting began anew.
const fn difference(now: u64, before: u64) -> u64 {
    match now.checked_sub(before) {
        Some(grown) => grown,
        None => now,
    }
}

impl LinkCounters {
    fn since(self, before: Self) -> Self {
        Self {
            rx_packets: difference(self.rx_packets, before.rx_packets),
            rx_bytes: difference(self.rx_bytes, before.rx_bytes),
            rx_errors: difference(self.rx_errors, before.rx_errors),
            rx_dropped: difference(self.rx_dropped, before.rx_dropped),
            rx_nohandler: difference(self.rx_nohandler, before.rx_nohandler),
            tx_packets: difference(self.tx_packets, before.tx_packets),
            tx_bytes: difference(self.tx_bytes, before.tx_bytes),
            tx_errors: difference(self.tx_errors, before.tx_errors),
            tx_dropped: difference(self.tx_dropped, before.tx_dropped),
            tx_carrier_errors: difference(self.tx_carrier_errors, before.tx_carrier_errors),
        }
    }
}

impl Softnet {
    /// What has been counted since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            processed: difference(self.processed, before.processed),
            dropped: difference(self.dropped, before.dropped),
            squeezed: difference(self.squeezed, before.squeezed),
        }
    }
}
