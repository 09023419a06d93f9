//! Which processes hold sockets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::super::socket::Owner;

/// The first process of each socket, by the socket's inode; and how many processes could not
/// be looked into.
pub(super) fn of(wanted: &BTreeSet<u64>) -> io::Result<(BTreeMap<u64, Owner>, usize)> {
    let mut found = BTreeMap::new();
    let mut closed = 0;
    let mut pids: Vec<u32> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        if found.len() == wanted.len() {
            break;
        }
        let process = Path::new("/proc").join(pid.to_string());
        let entries = match fs::read_dir(process.join("fd")) {
            Ok(entries) => entries,
            Err(error) => {
                closed += usize::from(error.kind() == io::ErrorKind::PermissionDenied);
                continue;
            }
        };
        let sockets = entries.filter_map(|entry| socket(&fs::read_link(entry.ok()?.path()).ok()?));
        let held: Vec<u64> =
            sockets.filter(|inode| wanted.contains(inode) && !found.contains_key(inode)).collect();
        if held.is_empty() {
            continue;
        }
        let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let owner = Owner { pid, command: command.trim_end().to_owned() };
        found.extend(held.into_iter().map(|inode| (inode, owner.clone())));
    }
    Ok((found, closed))
}

/// `socket:[INODE]`.
fn socket(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_descriptor_tells_its_socket() {
        assert_eq!(socket(Path::new("socket:[4242]")), Some(4242));
        assert_eq!(socket(Path::new("pipe:[4242]")), None);
        assert_eq!(socket(Path::new("/dev/null")), None);
    }
}
