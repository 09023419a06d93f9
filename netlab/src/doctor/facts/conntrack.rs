//! The kernel's connection tracking.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The conntrack table of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conntrack {
    /// Connections in it.
    pub count: u64,
    /// Most that there may be, in all namespaces together (net.netfilter.nf_conntrack_max).
    pub max: u64,
    /// Connections that touch the subject.
    pub connections: Vec<Connection>,
    /// How many that touch it were left out, since there are so many; all, where it is full.
    pub left_out: usize,
}

impl Conntrack {
    /// How much of it is taken, in percent.
    #[must_use]
    pub fn percent(&self) -> u64 {
        self.count.saturating_mul(100).checked_div(self.max).unwrap_or(0)
    }

    /// The kernel refuses beyond the limit; a little less is full again with the next client.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.percent() >= 99
    }
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// IP protocol number.
    pub protocol: u8,
    /// Source and destination of the first packet, before translation.
    pub original: (SocketAddr, SocketAddr),
    /// Source and destination of answers, before they are translated back.
    pub reply: (SocketAddr, SocketAddr),
    /// Of TCP, in the words of conntrack -L: `SYN_SENT`, `ESTABLISHED`.
    #[serde(default)]
    pub state: Option<String>,
    /// An answer has been seen.
    #[serde(default)]
    pub replied: bool,
    /// It is not the first to go where the table is full.
    #[serde(default)]
    pub assured: bool,
    /// Seconds until it is forgotten if it stays silent.
    #[serde(default)]
    pub expires_in: u32,
    /// Its mark.
    #[serde(default)]
    pub mark: u32,
}
