//! The command that is run on complete files (`-z`), beside the capture.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// The lowest priority there is (setpriority(2)).
const LOWEST: libc::c_int = 19;

/// The commands that have not ended yet.
#[derive(Default)]
pub(super) struct Commands(Vec<Child>);

impl Commands {
    /// Runs `command file`, without a shell. That it cannot be run must not cost packets, so
    /// it is only logged.
    pub(super) fn run(&mut self, command: &OsStr, file: &Path) {
        match Command::new(command).arg(file).stdin(Stdio::null()).spawn() {
            Ok(child) => {
                // SAFETY: takes and returns numbers. The child is not reaped yet, so its
                // number is its own.
                unsafe { libc::setpriority(libc::PRIO_PROCESS, child.id(), LOWEST) };
                self.0.push(child);
            }
            Err(error) => {
                log::warn!("cannot run {} {}: {error}", command.display(), file.display());
            }
        }
    }

    /// Forgets those that have ended.
    pub(super) fn reap(&mut self) {
        self.0.retain_mut(|child| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) if status.success() => false,
            Ok(Some(status)) => {
                log::warn!("the command run on a complete capture file failed: {status}");
                false
            }
            Err(error) => {
                log::warn!("cannot wait for the command run on a capture file: {error}");
                false
            }
        });
    }
}
