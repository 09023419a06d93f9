//! Builds the release binary, with the eBPF object inside.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{
    process::{cargo, run as execute, workspace},
    setup,
};

/// `cargo xtask build`
///
/// # Errors
///
/// Something is missing and cannot be installed, or the build fails.
pub fn run() -> Result<ExitCode> {
    let binary = release()?;
    println!("{}", binary.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the release binary and says where it is.
///
/// # Errors
///
/// As [`run`].
pub fn release() -> Result<PathBuf> {
    setup::ensure()?;
    execute(cargo().args(["build", "--release", "--package", "netlab"]).current_dir(workspace()))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(workspace().join(target).join("release/netlab"))
}
