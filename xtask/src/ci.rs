//! Does what CI does, by running the script that CI runs.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::process::{run as execute, workspace};

/// `cargo xtask ci`
///
/// # Errors
///
/// A step of the script fails.
pub fn run() -> Result<ExitCode> {
    execute(Command::new("bash").arg(".ci/run").current_dir(workspace()))?;
    Ok(ExitCode::SUCCESS)
}
