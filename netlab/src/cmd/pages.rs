//! `netlab completions` and `netlab man`.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Outcome, output};
use crate::cli::Cli;

/// Prints a completion script.
///
/// # Errors
///
/// Where stdout is gone.
pub fn completions(shell: Shell) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "netlab", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Writes `netlab.1` and a page for each verb.
///
/// # Errors
///
/// Where the directory cannot be written.
pub fn man(directory: &Path) -> anyhow::Result<Outcome> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        clap_mangen::generate_to(Cli::command(), directory)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    Ok(Outcome::Fine)
}
