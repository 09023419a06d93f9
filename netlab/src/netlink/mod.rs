//! The kernel's network configuration: namespaces, links, addresses, routes, neighbors, FDB; and
//! its connections.
//!
//! Law: nothing here leaves the namespace that it was given. A [`Netns`] says where, a
//! [`Connection`] is a netlink socket made inside it, and [`ethtool`] and [`sysctl`] work on
//! a thread that has entered it. No thread that runs other code ever changes namespace.
//!
//! # Errors
//!
//! Every failure is an [`Error`]: what was tried, on what, and the kernel's own answer.

mod connection;
pub mod conntrack;
mod entries;
pub mod ethtool;
mod family;
mod links;
mod mac;
mod messages;
mod netns;
pub mod nftables;
pub mod nsid;
mod raw;
mod routes;
pub mod sockets;
pub mod sysctl;
#[cfg(test)]
mod tests;

use std::io;

use nix::errno::Errno;

pub use connection::Connection;
pub use entries::{Address, FdbEntry, Neighbor, NewFdbEntry};
pub(crate) use entries::{destination, link_layer_address};
pub use family::Family;
pub(crate) use links::xdp_programs;
pub use links::{Link, LinkKind, NewVxlan, VethEnd, Vxlan};
pub use mac::{Mac, MacError};
pub use netns::{NETNS_DIR, Netns, PRIVILEGES, missing_privileges};
pub use routes::{Path, Route};

/// The outcome of everything in this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on the kernel's network configuration that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {subject}")]
pub struct Error {
    /// What was tried, as a verb: `add the route`.
    pub operation: &'static str,
    /// On what, as a person would name it: `10.244.2.0/24 via 172.18.0.3`.
    pub subject: String,
    /// Why it failed.
    pub source: Cause,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The kernel refused; its error code.
    #[error(transparent)]
    Kernel(#[from] io::Error),
    /// The netlink conversation broke down.
    #[error("netlink: {0}")]
    Conversation(rtnetlink::Error),
    /// The kernel knows no such object.
    #[error("there is none")]
    Absent,
    /// The value does not fit the field that it is for.
    #[error("{0}")]
    Unfit(&'static str),
}

impl Error {
    pub(crate) fn new(
        operation: &'static str,
        subject: impl Into<String>,
        source: impl Into<Cause>,
    ) -> Self {
        Self { operation, subject: subject.into(), source: source.into() }
    }

    /// The kernel's error code, where it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match &self.source {
            Cause::Kernel(error) => error.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }

    /// Whether the object was not there: ENOENT, ENODEV, ESRCH or EADDRNOTAVAIL.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self.source, Cause::Absent)
            || matches!(
                self.errno(),
                Some(Errno::ENOENT | Errno::ENODEV | Errno::ESRCH | Errno::EADDRNOTAVAIL)
            )
    }
}

impl From<rtnetlink::Error> for Cause {
    fn from(error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::Kernel(message.to_io()),
            other => Self::Conversation(other),
        }
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno.into())
    }
}
