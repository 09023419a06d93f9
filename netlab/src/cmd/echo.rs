//! `netlab echo`.

use netlab::lab::echo::{Identity, serve};

use super::Outcome;
use crate::cli::EchoArgs;

/// Serves until killed.
///
/// # Errors
///
/// Where a port cannot be listened on.
pub fn run(args: EchoArgs) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let identity = Identity { pod: args.pod, node: args.node };
    runtime.block_on(serve(identity, &args.tcp, &args.udp))?;
    Ok(Outcome::Fine)
}
