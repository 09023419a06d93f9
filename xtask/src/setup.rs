//! Installs what building and testing need and this machine lacks, and says so.
//!
//! Silent when nothing is missing. Two ways lead to a compiler for the BPF target:
//!
//! - Debian's rustc-web, which brings a prebuilt `core` for it: taken wherever apt
//!   knows that package;
//! - rustup's nightly with rust-src, which builds `core` on the way: everywhere else.
//!
//! A usable toolchain that is already there always wins over both. bpf-linker reads
//! the compiler's bitcode, so its LLVM must not be older than the compiler's.

mod apt;
mod linker;

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{find, run as execute, rustup_run, say},
    toolchain::BpfToolchain,
};

/// What Debian calls the compiler, and the `core` that it needs for the BPF target.
const DEBIAN_TOOLCHAIN: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// Programs that are used by name: (program, Debian package, what for).
const PROGRAMS: [(&str, &str, &str); 8] = [
    ("cc", "build-essential", "links Rust programs"),
    ("chromium", "chromium", "tests look at reports with it"),
    ("ip", "iproute2", "runs commands in the lab's namespaces"),
    ("iptables", "iptables", "loads kube-proxy's rules in iptables mode"),
    ("nft", "nftables", "loads kube-proxy's rules in nftables mode"),
    ("pcap-config", "libpcap-dev", "compiles capture filters"),
    ("tcpdump", "tcpdump", "tests compare captures with its"),
    ("tshark", "tshark", "tests have it read what a capture wrote"),
];

/// Flags of `cargo xtask setup`.
#[derive(clap::Args, Clone, Copy)]
pub struct Args {
    /// Install nothing: say what is missing, and fail if anything is
    #[arg(long)]
    check: bool,
}

/// `cargo xtask setup`
///
/// # Errors
///
/// Something is missing and cannot be installed.
pub fn run(args: Args) -> Result<ExitCode> {
    if !args.check {
        ensure()?;
        return Ok(ExitCode::SUCCESS);
    }
    let missing = missing();
    for what in &missing {
        println!("to install: {what}");
    }
    Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes sure that netlab can be built and tested here.
///
/// # Errors
///
/// Something is missing and cannot be installed.
pub fn ensure() -> Result<()> {
    require_rustup()?;
    programs()?;
    let toolchain = match BpfToolchain::find() {
        Some(toolchain) => toolchain,
        None => install_toolchain()?,
    };
    linker::ensure(toolchain)
}

/// Makes sure that a cargo subcommand of the given version is there.
///
/// # Errors
///
/// It cannot be installed.
pub fn cargo_tool(name: &str, version: &str, why: &str) -> Result<()> {
    if find(name).is_some() {
        return Ok(());
    }
    say(format_args!("installing {name} {version} with cargo ({why}), about a minute"));
    execute(crate::process::cargo().args([
        "install",
        name,
        "--version",
        version,
        "--locked",
        "--debug",
    ]))
    .with_context(|| format!("failed to install {name}"))
}

/// Makes sure that clippy and rustfmt of the default toolchain, and clippy for BPF, are there.
///
/// # Errors
///
/// One of them cannot be installed.
pub fn lint_components(toolchain: BpfToolchain) -> Result<()> {
    for (component, program) in [("rustfmt", "cargo-fmt"), ("clippy", "clippy-driver")] {
        if !works(Command::new(program).arg("--version")) {
            say(format_args!("installing rustup's {component} (checks the sources)"));
            execute(Command::new("rustup").args(["component", "add", component]))
                .with_context(|| format!("failed to install {component}"))?;
        }
    }
    if works(rustup_run(toolchain.name(), "clippy-driver").arg("--version")) {
        return Ok(());
    }
    match toolchain {
        BpfToolchain::Nightly => {
            say("installing nightly's clippy (checks the kernel programs)");
            execute(Command::new("rustup").args([
                "component",
                "add",
                "clippy",
                "--toolchain",
                "nightly",
            ]))
            .context("failed to install nightly's clippy")
        }
        BpfToolchain::Linked => apt::install(&["rust-web-clippy"], "checks the kernel programs"),
    }
}

fn missing() -> Vec<String> {
    let mut missing: Vec<String> = PROGRAMS
        .iter()
        .filter(|(program, ..)| find(program).is_none())
        .map(|(program, _, why)| format!("{program} ({why})"))
        .collect();
    match BpfToolchain::find() {
        None => missing.push("a Rust toolchain for the BPF target".to_owned()),
        Some(toolchain) => missing.extend(linker::complaint(toolchain)),
    }
    missing
}

fn require_rustup() -> Result<()> {
    if find("rustup").is_none() {
        bail!(
            "rustup is not installed. The kernel programs need a second Rust toolchain beside \
             the default one, and rustup keeps the two apart. Install rustup (your \
             distribution's package of that name, or as the Rust project's site says), then \
             run this again"
        );
    }
    Ok(())
}

fn programs() -> Result<()> {
    for (program, package, why) in PROGRAMS {
        if find(program).is_some() {
            continue;
        }
        if !apt::is_there() {
            bail!("`{program}` is not installed ({why}); install it with your package manager");
        }
        apt::install(&[package], why)?;
    }
    Ok(())
}

fn install_toolchain() -> Result<BpfToolchain> {
    let debian = apt::is_there() && apt::knows(DEBIAN_TOOLCHAIN[2])?;
    if debian {
        install_debian()?
    } else {
        install_nightly()?
    }
    BpfToolchain::find()
        .context("the toolchain for the BPF target was installed, yet does not work")
}

fn install_debian() -> Result<()> {
    apt::install(&DEBIAN_TOOLCHAIN, "compiles the kernel programs")?;
    say("linking Debian's compiler into rustup as toolchain `bpf`");
    execute(Command::new("rustup").args(["toolchain", "link", "bpf", "/usr"]))
        .context("failed to link /usr as toolchain `bpf`")
}

fn install_nightly() -> Result<()> {
    say("installing rustup's nightly with rust-src (compiles the kernel programs)");
    execute(Command::new("rustup").args([
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ]))
    .context(
        "no toolchain for the BPF target: rustup could not install nightly, and apt has no \
         libstd-rust-web-dev-bpf. Make rustup's server reachable (RUSTUP_DIST_SERVER names a \
         mirror), or run on a Debian release that has that package",
    )
}

fn works(command: &mut Command) -> bool {
    crate::process::output(command).is_some()
}
