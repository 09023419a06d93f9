//! Runs all tests: unit and property, then in the kernel and in namespaces.
//!
//! The tests of netlab-tests load programs and build namespaces, so they need root.
//! For anyone else the build stays the user's, and only those test binaries run
//! through sudo.

use std::{
    ffi::OsString,
    fs,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{cargo, code, find, is_root, output, say, status, workspace},
    setup,
};

/// Flags of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Handed to `cargo test` as they are, a `--` too; `semantics` alone stands for all tests that
    /// docs/semantics.md names
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

/// `cargo xtask test`; its exit code is that of the first `cargo test` that fails.
///
/// # Errors
///
/// Something is missing and cannot be installed, or cargo cannot be started.
pub fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure()?;
    let mut args = args.as_typed();
    if matches!(args.as_slice(), [word] if word == "semantics") {
        args = semantics()?;
    }
    // The tests in namespaces run the netlab command, which `cargo test` alone does not build.
    let built = status(cargo().args(["build", "--package", "netlab"]).current_dir(workspace()))?;
    if !built.success() {
        return Ok(code(built));
    }
    if is_root() {
        let mut all = cargo();
        all.args(["test", "--workspace", "--exclude", "netlab-ebpf"]).args(&args);
        return Ok(code(status(all.current_dir(workspace()))?));
    }
    let mut plain = cargo();
    plain.args(["test", "--workspace", "--exclude", "netlab-ebpf", "--exclude", "netlab-tests"]);
    let outcome = status(plain.args(&args).current_dir(workspace()))?;
    if !outcome.success() {
        return Ok(code(outcome));
    }
    if find("sudo").is_none() {
        bail!(
            "the tests of netlab-tests load programs into the kernel and build namespaces, which \
             needs root, and sudo is not installed; run as root: cargo test --package netlab-tests"
        );
    }
    say("the tests of netlab-tests run through sudo: they load programs and build namespaces");
    let mut privileged = cargo();
    privileged
        .args(["test", "--package", "netlab-tests"])
        .args(&args)
        .env(runner_variable()?, "sudo --preserve-env");
    Ok(code(status(privileged.current_dir(workspace()))?))
}

impl Args {
    /// The words after the verb. clap takes the first `--` for itself, cargo needs it.
    fn as_typed(&self) -> Vec<OsString> {
        let typed: Vec<_> = std::env::args_os().skip(2).collect();
        if typed.first().is_some_and(|word| word == "--") { typed } else { self.args.clone() }
    }
}

/// The tests that docs/semantics.md names, and those of the page itself, as words for `cargo test`.
fn semantics() -> Result<Vec<OsString>> {
    let path = workspace().join("docs/semantics.md");
    let page =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let mut names: Vec<OsString> = names.map(OsString::from).collect();
    if names.is_empty() {
        bail!("{} names no tests", path.display());
    }
    names.splice(..0, ["semantics::", "--"].map(OsString::from));
    Ok(names)
}

/// The variable that tells cargo how to start the host's test binaries.
fn runner_variable() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV")).context("rustc does not start")?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not tell its host")?;
    Ok(format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace('-', "_")))
}
