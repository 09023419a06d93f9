//! Ctrl-C, noticed between steps, so that what was set up can be taken down.
//!
//! The signals stay blocked in this process alone: the standard library clears the
//! mask in the programs it starts, so they end at once as they always would.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SigSet, Signal};

/// Whether someone asked this process to stop.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals that ask a process to stop. Call it before any thread starts.
    ///
    /// # Errors
    ///
    /// The signals cannot be blocked.
    pub fn catch() -> Result<Self> {
        let signals: SigSet =
            [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        signals.thread_block().context("failed to block the stop signals")?;
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        thread::spawn(move || {
            while signals.wait().is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        Ok(Self(stopped))
    }

    /// # Errors
    ///
    /// Someone asked this process to stop.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("stopped by a signal");
        }
        Ok(())
    }
}
