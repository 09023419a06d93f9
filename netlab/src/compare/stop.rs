//! The wish that a comparison ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Between looks of who waits for it.
const LOOK: Duration = Duration::from_millis(20);

/// Asked for once, by whoever has a clone.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until it is.
    pub async fn asked(&self) {
        while !self.is_asked() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
