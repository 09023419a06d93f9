//! Set-up, build, tests, demo, benchmarks and checks of netlab: one file a verb.
//!
//! A convenience, not a gate: once `setup` has run, plain `cargo build` and
//! `cargo test` work too.

mod bench;
mod build;
mod ci;
mod demo;
mod lint;
mod process;
mod setup;
mod test;
#[path = "../../netlab/build/toolchain.rs"]
mod toolchain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what building and testing need and this machine lacks
    Setup(setup::Args),
    /// Build the release binary, with the eBPF object inside
    Build,
    /// Run all tests; those that touch the kernel run as root
    Test(test::Args),
    /// Bring the lab up in each mode, dial its node ports, and show what happened
    Demo,
    /// Measure netlab beside the programs that people use today, as root
    Bench(bench::Args),
    /// Check formatting, lints on the host and on the BPF target, and dependencies
    Lint(lint::Args),
    /// Do what CI does
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Setup(args) => setup::run(args),
        Verb::Build => build::run(),
        Verb::Test(args) => test::run(&args),
        Verb::Demo => demo::run(),
        Verb::Bench(args) => bench::run(&args),
        Verb::Lint(args) => lint::run(args),
        Verb::Ci => ci::run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
