//! From a topology to namespaces: observe, plan, apply, until nothing differs.
//!
//! Law: applying a plan to what it was planned from leaves an empty plan. Where the kernel
//! changes things by itself on the way (deleting a veth takes its peer, a link that goes down
//! loses its routes), the next round sees it.

mod apply;
mod observe;
mod steps;

pub(crate) use apply::{create_vxlan, kernel_route};
pub use observe::{Observed, ObservedHost, observe};
pub use steps::{Change, Step, steps};

use std::time::Duration;

use super::topology::Topology;
use crate::netlink;

/// Rounds of observing and applying before giving up. Two do where nothing interferes.
const ROUNDS: usize = 6;

/// Between rounds, for the kernel to finish deleting what the last round deleted.
const PAUSE: Duration = Duration::from_millis(50);

/// A topology that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The kernel could not be observed.
    #[error("cannot observe the lab's namespaces")]
    Observe(#[source] Box<netlink::Error>),
    /// A step failed each time.
    #[error("{step}")]
    Step {
        /// The step, as a person would say it.
        step: String,
        /// Why it failed the last time.
        source: Box<netlink::Error>,
    },
    /// Every step succeeds, and still something differs.
    #[error("the lab does not come to rest; still to do: {0}")]
    Restless(String),
}

/// Makes the namespaces be what `desired` says, and what `previous` said and `desired` does
/// not go. Returns what was done.
///
/// # Errors
///
/// Where a step fails in every round.
pub async fn build(
    desired: &Topology,
    previous: Option<&Topology>,
    mut progress: impl FnMut(&Step),
) -> Result<Vec<Step>, BuildError> {
    let mut done = Vec::new();
    let mut failed: Option<(String, netlink::Error)> = None;
    for round in 0..ROUNDS {
        if round > 1 {
            tokio::time::sleep(PAUSE).await;
        }
        let observed = observe(desired).await.map_err(unobserved)?;
        let plan = steps(desired, previous, &observed);
        if plan.is_empty() {
            return Ok(done);
        }
        failed = None;
        let mut hosts = apply::Hosts::default();
        for step in plan {
            progress(&step);
            match hosts.apply(&step).await {
                Ok(()) => done.push(step),
                Err(error) => {
                    // The rest of the plan may stand on this step.
                    failed = Some((step.to_string(), error));
                    break;
                }
            }
        }
    }
    if let Some((step, source)) = failed {
        return Err(BuildError::Step { step, source: Box::new(source) });
    }
    let observed = observe(desired).await.map_err(unobserved)?;
    match steps(desired, previous, &observed).first() {
        None => Ok(done),
        Some(step) => Err(BuildError::Restless(step.to_string())),
    }
}

fn unobserved(error: netlink::Error) -> BuildError {
    BuildError::Observe(Box::new(error))
}

/// What differs between a topology and the kernel, without changing anything.
///
/// # Errors
///
/// Where the kernel cannot be observed.
pub async fn differences(desired: &Topology) -> Result<Vec<Step>, BuildError> {
    let observed = observe(desired).await.map_err(unobserved)?;
    Ok(steps(desired, None, &observed))
}
