//! Taking over what an agent of another ABI version has left pinned.
//!
//! Law: what is not understood is never read. Version 1 is copied; anything else is refused, since
//! its connections would end unnoticed.

use std::{fs, io, path::Path};

use aya::{
    Pod,
    maps::{HashMap, Map, MapData, MapError},
};
use netlab_common::{
    abi::{self, BackendKey, FrontendKey, map, v1},
    flow::FlowKey,
};

use super::{
    Error, Result,
    load::{Maps, broken},
    pins,
};

/// `BPF_NOEXIST` of linux/bpf.h: what stands there is newer.
const NEW: u64 = 1;

/// Refuses pins of a version that this one can do nothing with.
///
/// # Errors
///
/// [`Error::OtherVersion`] with the folder.
pub fn check(pins: &Path) -> Result<()> {
    for version in versions(pins)? {
        if !(1..=abi::VERSION).contains(&version) {
            let path = folder(pins, version).display().to_string();
            return Err(Error::OtherVersion { path, found: version, own: abi::VERSION });
        }
    }
    Ok(())
}

/// Copies frontends, backends and connections of version 1 below `pins` to where nothing stands
/// yet, and removes it. Returns how many entries of connections there were; None without one.
///
/// # Errors
///
/// Where a map cannot be read or written; what version 1 left then stays.
pub fn take_over(pins: &Path, maps: &mut Maps) -> Result<Option<usize>> {
    let old = folder(pins, 1);
    if !old.is_dir() {
        return Ok(None);
    }
    // In this order: a connection names a Service's number.
    copy::<FrontendKey, v1::Frontend, _>(&old, map::FRONTENDS, &mut maps.frontends)?;
    copy::<BackendKey, v1::Backend, _>(&old, map::BACKENDS, &mut maps.backends)?;
    let entries = copy::<FlowKey, v1::CtEntry, _>(&old, map::CONNTRACK, &mut maps.conntrack)?;
    fs::remove_dir_all(&old).map_err(|error| pins::failed("remove", &old, error))?;
    Ok(Some(entries))
}

fn copy<K: Pod, Old: Pod, New: Pod + From<Old>>(
    folder: &Path,
    name: &'static str,
    to: &mut HashMap<MapData, K, New>,
) -> Result<usize> {
    let data = match MapData::from_pin(folder.join(name)) {
        // It had not got as far.
        Err(MapError::PinError { .. }) if !folder.join(name).exists() => return Ok(0),
        other => other.map_err(broken("open", name))?,
    };
    let from = Map::from_map_data(data).map_err(broken("use", name))?;
    let from: HashMap<MapData, K, Old> = from.try_into().map_err(broken("use", name))?;
    let mut copied = 0;
    for item in from.iter() {
        let (key, value) = match item {
            // It went between reading its key and its value.
            Err(MapError::KeyNotFound) => continue,
            other => other.map_err(broken("read", name))?,
        };
        match to.insert(key, New::from(value), NEW) {
            Ok(()) => copied += 1,
            Err(MapError::SyscallError(call))
                if call.io_error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(broken("write", name)(error)),
        }
    }
    Ok(copied)
}

fn folder(pins: &Path, version: u32) -> std::path::PathBuf {
    pins.join(format!("v{version}"))
}

/// Versions that have a folder below `pins`.
fn versions(pins: &Path) -> Result<Vec<u32>> {
    let entries = match fs::read_dir(pins) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| pins::failed("list", pins, error))?,
    };
    let mut versions = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| pins::failed("list", pins, error))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix('v')?.parse::<u32>().ok());
        versions.extend(number);
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_is_refused_and_an_earlier_one_is_not() {
        let pins = tempfile::tempdir().unwrap();
        assert!(check(&pins.path().join("nothing")).is_ok());
        for known in ["v1", &format!("v{}", abi::VERSION), "captures"] {
            fs::create_dir(pins.path().join(known)).unwrap();
        }
        assert!(check(pins.path()).is_ok());
        fs::create_dir(pins.path().join("v77")).unwrap();
        let message = check(pins.path()).unwrap_err().to_string();
        assert!(message.contains("version 77") && message.contains("v77"), "{message}");
    }
}
