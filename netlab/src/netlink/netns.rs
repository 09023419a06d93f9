//! Network namespaces with names, as `ip netns` keeps them.
//!
//! A name is an empty file under /run/netns with the namespace bind-mounted over it, so
//! `ip netns exec` and this module see the same ones (ip-netns(8)).

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use super::{Error, Result};

/// Where the names live; the same directory as iproute2's.
pub const NETNS_DIR: &str = "/run/netns";

/// What a process needs to make namespaces and configure links, with the capability's number
/// (linux/capability.h).
pub const PRIVILEGES: [(&str, u8); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];

/// Which of [`PRIVILEGES`] this process lacks.
///
/// # Errors
///
/// Where /proc/self/status cannot be read.
pub fn missing_privileges() -> Result<Vec<&'static str>> {
    let path = "/proc/self/status";
    let status = fs::read_to_string(path).map_err(|e| Error::new("read", path, e))?;
    let effective = effective_capabilities(&status);
    Ok(PRIVILEGES
        .into_iter()
        .filter(|(_, number)| effective >> number & 1 == 0)
        .map(|(name, _)| name)
        .collect())
}

fn effective_capabilities(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// An open network namespace: a named one or the one that this process runs in.
///
/// Cloning is cheap; the namespace lives while a clone of this does.
#[derive(Clone, Debug)]
pub struct Netns {
    name: Option<Arc<str>>,
    file: Arc<File>,
}

impl Netns {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Where /proc is not mounted.
    pub fn current() -> Result<Self> {
        let path = Path::new("/proc/thread-self/ns/net");
        let file = File::open(path)
            .map_err(|e| Error::new("open the namespace", path.display().to_string(), e))?;
        Ok(Self { name: None, file: Arc::new(file) })
    }

    /// Makes a namespace and names it, like `ip netns add`.
    ///
    /// # Errors
    ///
    /// EEXIST where the name is taken, EPERM without CAP_SYS_ADMIN.
    pub fn create(name: &str) -> Result<Self> {
        let failed = |e: io::Error| Error::new("create the namespace", name, e);
        prepare_directory()?;
        let path = path_of(name);
        OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        let mounted = on_own_thread(|| -> nix::Result<()> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            mount(
                Some("/proc/thread-self/ns/net"),
                &path,
                Some("none"),
                MsFlags::MS_BIND,
                None::<&str>,
            )
        })
        .map_err(failed)?;
        if let Err(errno) = mounted {
            // Left behind, the file would look like a namespace to `ip netns list`.
            let _ = fs::remove_file(&path);
            return Err(failed(errno.into()));
        }
        Self::open(name)
    }

    /// Makes a namespace without a name, which ends with the last of its processes and of this.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_SYS_ADMIN.
    pub fn unnamed() -> Result<Self> {
        on_own_thread(|| {
            let failed = |errno| Error::new("create", "a namespace", errno);
            unshare(CloneFlags::CLONE_NEWNET).map_err(failed)?;
            Self::current()
        })
        .map_err(|e| Error::new("create", "a namespace", e))?
    }

    /// Opens a namespace by its name.
    ///
    /// # Errors
    ///
    /// [`Error::is_absent`] where there is none, EINVAL where the file is no namespace.
    pub fn open(name: &str) -> Result<Self> {
        let failed = |e: io::Error| Error::new("open the namespace", name, e);
        let file = File::open(path_of(name)).map_err(failed)?;
        if !is_namespace(&file) {
            return Err(failed(Errno::EINVAL.into()));
        }
        Ok(Self { name: Some(name.into()), file: Arc::new(file) })
    }

    /// The namespace of a process. It has no name.
    ///
    /// # Errors
    ///
    /// [`Error::is_absent`] where there is no such process, EACCES without CAP_SYS_PTRACE where
    /// it is another user's.
    pub fn of_process(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        let file = File::open(&path).map_err(|e| Error::new("open the namespace", path, e))?;
        Ok(Self { name: None, file: Arc::new(file) })
    }

    /// Whether a namespace of this name can be opened.
    #[must_use]
    pub fn exists(name: &str) -> bool {
        Self::open(name).is_ok()
    }

    /// Takes the name away. The namespace itself ends with its last process and socket.
    /// A name without a namespace behind it, as a crash leaves one, is removed too.
    ///
    /// # Errors
    ///
    /// [`Error::is_absent`] where there is no such name.
    pub fn delete(name: &str) -> Result<()> {
        let path = path_of(name);
        match umount2(&path, MntFlags::MNT_DETACH) {
            // EINVAL: nothing is mounted there.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(Error::new("unmount the namespace", name, errno)),
        }
        fs::remove_file(&path).map_err(|e| Error::new("delete the namespace", name, e))
    }

    /// All names, sorted.
    ///
    /// # Errors
    ///
    /// Where the directory exists and cannot be read.
    pub fn list() -> Result<Vec<String>> {
        let failed = |e| Error::new("list", NETNS_DIR, e);
        let entries = match fs::read_dir(NETNS_DIR) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Its name, for messages: the name, or `this namespace`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("this namespace")
    }

    /// The name that it was opened by; None for the one that this process runs in.
    #[must_use]
    pub fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The namespace's identity: the inode number that /proc/PID/ns/net shows.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses to stat it.
    pub fn inode(&self) -> Result<u64> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|e| Error::new("stat the namespace", self.name(), e))?.ino())
    }

    /// Runs a closure on a thread of its own inside the namespace, and waits for it.
    /// A panic inside goes on outside.
    ///
    /// # Errors
    ///
    /// Where the namespace cannot be entered; the closure has not run then.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T> {
        let operation = if self.name.is_some() { "enter the namespace" } else { "enter" };
        let failed = |e: io::Error| Error::new(operation, self.name(), e);
        // A process may be where it is without the privilege to get there.
        let is_here = self.name.is_none()
            && Self::current().and_then(|own| own.inode()).ok() == self.inode().ok();
        on_own_thread(|| {
            if !is_here {
                setns(self, CloneFlags::CLONE_NEWNET)?;
            }
            Ok(inside())
        })
        .and_then(|outcome: nix::Result<T>| outcome.map_err(Into::into))
        .map_err(failed)
    }

    /// Moves the calling thread, and with it a program that it executes, into the namespace.
    /// Only for a thread that does nothing else afterwards.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_SYS_ADMIN.
    pub fn enter(&self) -> Result<()> {
        setns(self, CloneFlags::CLONE_NEWNET)
            .map_err(|e| Error::new("enter the namespace", self.name(), e))
    }

    /// A command whose process enters the namespace before the program starts.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = Arc::clone(&self.file);
        // SAFETY: between fork and exec the closure makes one system call, setns, on a
        // descriptor that it owns, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
            });
        }
        command
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Netns {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

fn path_of(name: &str) -> PathBuf {
    Path::new(NETNS_DIR).join(name)
}

fn is_namespace(file: &File) -> bool {
    // NSFS_MAGIC, linux/magic.h.
    const NSFS_MAGIC: i64 = 0x6e73_6673;
    nix::sys::statfs::fstatfs(file).is_ok_and(|fs| fs.filesystem_type().0 == NSFS_MAGIC)
}

/// Makes the directory a shared mount, as iproute2 does, so that a name made or deleted in one
/// mount namespace is made or deleted in all.
fn prepare_directory() -> Result<()> {
    fs::create_dir_all(NETNS_DIR).map_err(|e| Error::new("create", NETNS_DIR, e))?;
    let share = || {
        mount(
            None::<&str>,
            NETNS_DIR,
            None::<&str>,
            MsFlags::MS_SHARED | MsFlags::MS_REC,
            None::<&str>,
        )
    };
    let failed = |errno| Error::new("share the mount", NETNS_DIR, errno);
    match share() {
        // EINVAL: it is no mount point yet.
        Err(Errno::EINVAL) => {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(NETNS_DIR), NETNS_DIR, None::<&str>, flags, None::<&str>).map_err(failed)?;
            share().map_err(failed)
        }
        outcome => outcome.map_err(failed),
    }
}

/// A thread that has changed its namespace must never run anything else, so each one is new.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, work)?;
        match thread.join() {
            Ok(value) => Ok(value),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000201000\n";
        assert_eq!(effective_capabilities(status), 1 << 21 | 1 << 12);
        assert_eq!(effective_capabilities("nothing"), 0);
    }

    #[test]
    fn the_current_namespace_is_one() {
        let current = Netns::current().unwrap();
        assert!(is_namespace(&current.file));
        assert_eq!(current.inode().unwrap(), Netns::current().unwrap().inode().unwrap());
    }
}
