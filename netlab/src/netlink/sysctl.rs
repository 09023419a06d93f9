//! Switches under /proc/sys/net, which show each thread its own namespace's values.

use std::{fs, path::PathBuf};

use super::{Error, Netns, Result};

/// Reads a switch, given by its path below /proc/sys/net: `ipv4/ip_forward`.
///
/// # Errors
///
/// [`Error::is_absent`] where the kernel has no such switch.
pub fn read(netns: &Netns, key: &str) -> Result<String> {
    netns.run(|| {
        fs::read_to_string(path_of(key))
            .map(|value| value.trim_end().to_owned())
            .map_err(|e| failed("read the sysctl", netns, key, e))
    })?
}

/// Sets a switch, given by its path below /proc/sys/net.
///
/// # Errors
///
/// [`Error::is_absent`] where the kernel has no such switch, EINVAL for a value it refuses.
pub fn write(netns: &Netns, key: &str, value: &str) -> Result<()> {
    netns.run(|| {
        fs::write(path_of(key), value).map_err(|e| failed("set the sysctl", netns, key, e))
    })?
}

fn path_of(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(key)
}

fn failed(operation: &'static str, netns: &Netns, key: &str, e: std::io::Error) -> Error {
    Error::new(operation, format!("net/{key} in {}", netns.name()), e)
}
