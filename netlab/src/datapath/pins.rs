//! The BPF file system, where maps have names.
//!
//! Pins lie in `<pin folder>/v<ABI version>/<MAP>`: a program of another ABI version
//! finds an empty folder instead of maps that it would misread.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use netlab_common::abi;
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::{Error, Result};

/// Where the BPF file system is mounted, as systemd and bpftool do.
pub const BPF_FS: &str = "/sys/fs/bpf";

/// The folder below `pins` for this ABI version.
#[must_use]
pub fn versioned(pins: &Path) -> PathBuf {
    pins.join(format!("v{}", abi::VERSION))
}

/// Makes the folder below `pins` for this ABI version, and mounts the BPF file system
/// if `pins` is to lie in it and nobody has done so.
///
/// # Errors
///
/// Where the file system cannot be mounted or the folder not made.
pub fn prepare(pins: &Path) -> Result<PathBuf> {
    let root = Path::new(BPF_FS);
    if pins.starts_with(root) && !is_mounted(root)? {
        mount(Some("bpf"), root, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
            .map_err(|errno| failed("mount the BPF file system at", root, errno.into()))?;
    }
    let folder = versioned(pins);
    fs::create_dir_all(&folder).map_err(|error| failed("create", &folder, error))?;
    Ok(folder)
}

fn is_mounted(root: &Path) -> Result<bool> {
    let stat = statfs(root).map_err(|errno| failed("look at", root, errno.into()))?;
    Ok(stat.filesystem_type() == BPF_FS_MAGIC)
}

/// Removes all pins below `pins`, of every ABI version. A folder that is not there is fine.
///
/// # Errors
///
/// Where something cannot be removed.
pub fn remove(pins: &Path) -> Result<()> {
    match fs::remove_dir_all(pins) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", pins, error)),
        _ => Ok(()),
    }
}

pub(super) fn failed(operation: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Pins { operation, path: path.display().to_string(), source }
}
