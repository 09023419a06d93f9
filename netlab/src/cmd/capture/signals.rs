//! The signals that end a capture: the first in good order, the second at once.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP.
pub(super) struct Signals([Signal; 3]);

impl Signals {
    /// From now on they end nothing by themselves.
    pub fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Ends the process at the second signal, whatever it is at: a reader that does not read may
    /// keep it from ending in good order. Nothing that is attached outlives it.
    pub fn end_at_second() -> anyhow::Result<()> {
        const INTERRUPTED: i32 = 130;
        let runtime = super::runtime()?;
        let watch = move || {
            runtime.block_on(async {
                if let Ok(mut signals) = Self::new() {
                    signals.next().await;
                    signals.next().await;
                    std::process::exit(INTERRUPTED);
                }
            });
        };
        let thread = std::thread::Builder::new().name("signals".into()).spawn(watch);
        thread.map(drop).context("cannot listen for signals")
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Whether one has come already.
    pub async fn came(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.next() => true,
            () = std::future::ready(()) => false,
        }
    }
}
