//! Checks formatting, lints on the host and on the BPF target, and dependencies.
//!
//! All checks run, so that one run shows everything there is to mend.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

use crate::{
    process::{cargo, run as execute, rustup_run, say, status, workspace},
    setup,
    toolchain::BpfToolchain,
};

const CARGO_DENY: &str = "0.20.2";

/// Flags of `cargo xtask lint`.
#[derive(clap::Args, Clone, Copy)]
pub struct Args {
    /// Check only the dependencies against the advisory database, fetched from its server
    #[arg(long)]
    advisories: bool,
}

/// `cargo xtask lint`
///
/// # Errors
///
/// A tool is missing and cannot be installed, or cannot be started.
pub fn run(args: Args) -> Result<ExitCode> {
    setup::cargo_tool("cargo-deny", CARGO_DENY, "checks the dependencies")?;
    if args.advisories {
        return advisories();
    }
    setup::ensure()?;
    let toolchain = BpfToolchain::find().context("no Rust toolchain for the BPF target")?;
    setup::lint_components(toolchain)?;

    let mut format = cargo();
    format.args(["fmt", "--all", "--check"]);
    let mut host = cargo();
    host.args(["clippy", "--workspace", "--exclude", "netlab-ebpf", "--all-targets"]);
    host.args(["--", "-D", "warnings"]);
    let mut dependencies = cargo();
    dependencies.args(["deny", "check", "licenses", "bans", "sources"]);

    let mut failed = Vec::new();
    for (name, command) in [
        ("formatting", &mut format),
        ("clippy, host", &mut host),
        ("clippy, BPF target", &mut bpf_clippy(toolchain)),
        ("dependencies: licences, bans, sources", &mut dependencies),
    ] {
        say(name);
        if !status(command.current_dir(workspace()))?.success() {
            failed.push(name);
        }
    }
    say("dependencies: advisories NOT checked here; that is `cargo xtask lint --advisories`");
    if failed.is_empty() {
        say("lint: ok");
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!("lint: failed: {}", failed.join("; ")));
    Ok(ExitCode::FAILURE)
}

/// clippy of the compiler that builds the kernel programs, on the target they run on.
fn bpf_clippy(toolchain: BpfToolchain) -> Command {
    let mut clippy = rustup_run(toolchain.name(), "cargo");
    clippy.arg("clippy");
    if toolchain == BpfToolchain::Nightly {
        clippy.args(["-Z", "build-std=core"]);
    }
    clippy
        .args(["--package", "netlab-ebpf", "--package", "netlab-common"])
        .args(["--target", bpf_target(), "--target-dir", "target/lint-bpf"])
        .args(["--", "-D", "warnings"])
        // As aya-build sets it: the programs read the registers of this machine.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        );
    clippy
}

const fn bpf_target() -> &'static str {
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
}

/// A database that cannot be fetched is a failure: unchecked is not the same as passed.
fn advisories() -> Result<ExitCode> {
    let mut fetch = cargo();
    fetch.args(["deny", "fetch", "db"]).stdin(Stdio::null()).current_dir(workspace());
    execute(&mut fetch)
        .context("advisories NOT checked: the advisory database could not be fetched")?;
    let mut check = cargo();
    check.args(["deny", "--offline", "check", "advisories"]).current_dir(workspace());
    let passed = status(&mut check)?.success();
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
