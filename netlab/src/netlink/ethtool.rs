//! Offload switches of a link, through the SIOCETHTOOL ioctl.
//!
//! These are the switches of `ethtool -k` and `-K`, through the commands that concern one
//! feature each (linux/ethtool.h), which every kernel has.

use std::{collections::BTreeMap, io, os::fd::AsRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde::{Deserialize, Serialize};

use super::{Error, Netns, Result};

/// One offload switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offload {
    /// The link completes checksums when it transmits. Off: packets leave complete.
    TxChecksum,
    /// TCP segmentation offload.
    Tso,
    /// Generic segmentation offload.
    Gso,
    /// Generic receive offload; on a veth it also turns NAPI on.
    Gro,
}

impl Offload {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TxChecksum, Self::Tso, Self::Gso, Self::Gro];

    /// The letters that `ethtool -K` takes.
    #[must_use]
    pub const fn letters(self) -> &'static str {
        match self {
            Self::TxChecksum => "tx",
            Self::Tso => "tso",
            Self::Gso => "gso",
            Self::Gro => "gro",
        }
    }

    /// ETHTOOL_G* and ETHTOOL_S*, linux/ethtool.h.
    const fn commands(self) -> (u32, u32) {
        match self {
            Self::TxChecksum => (0x16, 0x17),
            Self::Tso => (0x1e, 0x1f),
            Self::Gso => (0x23, 0x24),
            Self::Gro => (0x2b, 0x2c),
        }
    }
}

/// Whether a switch is on.
///
/// # Errors
///
/// [`Error::is_absent`] where there is no such link, EOPNOTSUPP where it has no such switch.
pub fn get(netns: &Netns, link: &str, offload: Offload) -> Result<bool> {
    let (command, _) = offload.commands();
    netns.run(|| call(link, command, 0)).and_then(|outcome| {
        outcome.map(|value| value != 0).map_err(|e| failed("read", netns, link, offload, e))
    })
}

/// The switches that a link of the calling thread's namespace has, and whether they are on.
#[must_use]
pub fn switches(link: &str) -> BTreeMap<Offload, bool> {
    let is_on = |offload: Offload| call(link, offload.commands().0, 0).ok().map(|on| on != 0);
    Offload::ALL.into_iter().filter_map(|offload| Some((offload, is_on(offload)?))).collect()
}

/// Turns a switch on or off. Turning [`Offload::TxChecksum`] off makes the kernel turn
/// [`Offload::Tso`] off with it.
///
/// # Errors
///
/// [`Error::is_absent`] where there is no such link, EOPNOTSUPP where it has no such switch.
pub fn set(netns: &Netns, link: &str, offload: Offload, on: bool) -> Result<()> {
    let (_, command) = offload.commands();
    netns
        .run(|| call(link, command, on.into()))
        .and_then(|outcome| outcome.map(|_| ()).map_err(|e| failed("set", netns, link, offload, e)))
}

/// `struct ethtool_value`, linux/ethtool.h.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

fn call(link: &str, command: u32, data: u32) -> io::Result<u32> {
    let mut name = [0; libc::IFNAMSIZ];
    if link.len() >= name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in name.iter_mut().zip(link.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let mut value = Value { command, data };
    let mut request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() },
    };
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: the request points at a `Value` that outlives the call, of the size that these
    // ETHTOOL commands read and write.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}

fn failed(
    operation: &'static str,
    netns: &Netns,
    link: &str,
    offload: Offload,
    e: io::Error,
) -> Error {
    Error::new(operation, format!("{} of {link} in {}", offload.letters(), netns.name()), e)
}
