//! What a capture does at signals beyond ending: at once at the second, and at tcpdump's own.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind};

use crate::cmd::signals::{Signals, listen};

/// Ends the process at the second signal, whatever it is at: a reader that does not read may
/// keep it from ending in good order. Nothing that is attached outlives it.
pub(super) fn end_at_second() -> anyhow::Result<()> {
    const INTERRUPTED: i32 = 130;
    let runtime = super::runtime()?;
    let watch = move || {
        runtime.block_on(async {
            if let Ok(mut signals) = Signals::new() {
                signals.next().await;
                signals.next().await;
                std::process::exit(INTERRUPTED);
            }
        });
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(watch);
    thread.map(drop).context("cannot listen for signals")
}

/// SIGUSR1, which asks for the counts so far, and SIGUSR2, which asks for what is in memory to
/// be written to the file: that happens at every pause anyway.
pub(super) struct Requests {
    counts: Signal,
    _write: Signal,
}

impl Requests {
    /// From now on they end nothing.
    pub fn new() -> anyhow::Result<Self> {
        let (counts, write) = (SignalKind::user_defined1(), SignalKind::user_defined2());
        Ok(Self { counts: listen(counts)?, _write: listen(write)? })
    }

    /// Waits until the counts are asked for.
    pub async fn counts(&mut self) {
        // The kernel's word does not end as long as this is there.
        if self.counts.recv().await.is_none() {
            std::future::pending().await
        }
    }
}
