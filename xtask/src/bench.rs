//! Measures netlab beside the programs that people use today.
//!
//! What measures is a program of its own, netlab-bench, built like netlab: as a release.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    build,
    process::{as_root, cargo, run as execute, workspace},
};

/// Flags of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure
    #[arg(value_enum)]
    subject: Subject,
    /// Fewer rounds, half a minute: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// `netlab capture` beside tcpdump
    Capture,
}

/// `cargo xtask bench`
///
/// # Errors
///
/// Something is missing, a build fails, or the measuring does.
pub fn run(args: &Args) -> Result<ExitCode> {
    let netlab = build::release()?;
    execute(
        cargo().args(["build", "--release", "--package", "netlab-bench"]).current_dir(workspace()),
    )?;
    let bench = netlab.with_file_name("netlab-bench");
    let subject = match args.subject {
        Subject::Capture => "capture",
    };
    let netlab = netlab.to_string_lossy();
    let mut words = vec![subject, "--netlab", &*netlab];
    words.extend(args.quick.then_some("--quick"));
    execute(&mut as_root(bench, &words, "network namespaces and eBPF programs need root")?)?;
    Ok(ExitCode::SUCCESS)
}
