//! Ctrl-C, noticed between steps, so that what was set up can be taken down.
//!
//! The signals are caught, not blocked: a mask would be inherited by the programs
//! started from here, and they could not be asked to stop any more.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Whether someone asked this process to stop.
static STOPPED: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: i32) {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Proof that the signals are caught.
pub struct Interrupt(());

impl Interrupt {
    /// Catches the signals that ask a process to stop.
    ///
    /// # Errors
    ///
    /// A handler cannot be installed.
    pub fn catch() -> Result<Self> {
        let action =
            SigAction::new(SigHandler::Handler(stop), SaFlags::SA_RESTART, SigSet::empty());
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: the handler only stores to an atomic.
            unsafe { sigaction(signal, &action) }
                .with_context(|| format!("failed to catch {signal}"))?;
        }
        Ok(Self(()))
    }

    /// # Errors
    ///
    /// Someone asked this process to stop.
    pub fn check(&self) -> Result<()> {
        if STOPPED.load(Ordering::Relaxed) {
            bail!("stopped by a signal");
        }
        Ok(())
    }
}
