//! Measures netlab beside the programs that people use today, and its doctor by faults.
//!
//! What measures is a program of its own, netlab-bench, built like netlab: as a release.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    build,
    process::{as_root, cargo, code, run as execute, status, workspace},
};

/// Flags of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure, and how: `capture --quick` or `doctor` for instance; `--help` tells
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// `cargo xtask bench`; its exit code is that of what measures.
///
/// # Errors
///
/// Something is missing, a build fails, or what measures cannot be started.
pub fn run(args: &Args) -> Result<ExitCode> {
    let netlab = build::release()?;
    execute(
        cargo().args(["build", "--release", "--package", "netlab-bench"]).current_dir(workspace()),
    )?;
    let bench = netlab.with_file_name("netlab-bench");
    let netlab = netlab.to_string_lossy();
    let words = args.words.iter().map(String::as_str).chain(["--netlab", &*netlab]);
    let words: Vec<_> = words.collect();
    let why = "network namespaces and eBPF programs need root";
    Ok(code(status(&mut as_root(bench, &words, why)?)?))
}
