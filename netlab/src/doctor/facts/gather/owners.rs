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
        let owner = Owner { pid, command: command(&process) };
        found.extend(held.into_iter().map(|inode| (inode, owner.clone())));
    }
    Ok((found, closed))
}

/// What a process calls itself. One that was started by way of `/proc/self/exe` is named after that
/// link, which says nothing: then it is what the program's file is called.
fn command(process: &Path) -> String {
    let own = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let own = own.trim_end();
    let file = || {
        let target = fs::read_link(process.join("exe")).ok()?;
        let name = target.file_name()?.to_str()?;
        Some(name.strip_suffix(" (deleted)").unwrap_or(name).to_owned())
    };
    Some(own).filter(|own| *own == "exe").and_then(|_| file()).unwrap_or_else(|| own.to_owned())
}

/// `socket:[INODE]`.
fn socket(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_named_after_the_link_to_its_program_has_its_programs_name() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr/bin/netlab (deleted)", directory.path().join("exe"))
            .unwrap();
        let named = |comm: &str| {
            fs::write(directory.path().join("comm"), format!("{comm}\n")).unwrap();
            command(directory.path())
        };
        assert_eq!(named("exe"), "netlab");
        assert_eq!(named("nginx"), "nginx");
    }

    #[test]
    fn the_target_of_a_descriptor_tells_its_socket() {
        assert_eq!(socket(Path::new("socket:[4242]")), Some(4242));
        assert_eq!(socket(Path::new("pipe:[4242]")), None);
        assert_eq!(socket(Path::new("/dev/null")), None);
    }
}
