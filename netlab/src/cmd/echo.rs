//! `netlab echo`.

use netlab::lab::echo::{Identity, Listening, serve};

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
    let listening = Listening { address: args.listen, hang: args.hang };
    runtime.block_on(serve(identity, listening, &args.tcp, &args.udp))?;
    Ok(Outcome::Fine)
}
