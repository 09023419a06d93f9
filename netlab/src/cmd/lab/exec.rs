//! `netlab lab exec`.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::Context as _;
use netlab::{lab::LabDir, netlink::Netns};

use super::Outcome;
use crate::cli::ExecArgs;

/// Becomes the command, inside the host's namespace; so input, output, signals and exit status
/// are its own.
pub(super) fn run(args: ExecArgs) -> anyhow::Result<Outcome> {
    let name = &args.name.name;
    let topology = LabDir::new(name)
        .topology()?
        .with_context(|| format!("there is no lab {name}; netlab lab up makes one"))?;
    let Some(host) = topology.host(&args.host) else {
        let hosts: Vec<_> = topology.hosts.iter().map(|host| host.name.as_str()).collect();
        anyhow::bail!("lab {name} has no host {}; it has {}", args.host, hosts.join(", "));
    };
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let (program, rest) = match args.command.split_first() {
        Some((program, rest)) => (program, rest),
        None => (&shell, &[][..]),
    };
    Netns::open(&host.netns)?.enter()?;
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}
