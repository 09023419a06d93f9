//! Measures netlab beside the programs that people use today.
//!
//! Law: only ratios and differences taken in one run mean anything, so contestants take turns
//! in every round; the first round is a warm-up and is thrown away; what is reported is the
//! median over the others with its 95% bootstrap interval. Packets travel only in namespaces
//! that are made here, which go again whatever happens.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a benchmark are far below 2^52"
)]

mod bpf;
mod capture;
mod generator;
mod matrix;
mod schedule;
mod tool;
mod wire;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use netlab_bench::interrupt;

#[derive(Parser)]
#[command(about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// `netlab capture` beside tcpdump
    Capture(Args),
    /// `netlab doctor` held against every fault of the lab
    Doctor(matrix::Args),
}

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
struct Args {
    /// The netlab binary
    #[arg(long, value_name = "FILE")]
    netlab: PathBuf,
    /// Fewer rounds and shorter ones
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<capture::Part>,
}

fn main() -> ExitCode {
    let caught = interrupt::catch();
    let outcome = caught.and_then(|()| match Cli::parse().subject {
        Subject::Capture(args) => {
            let mut report = String::new();
            let outcome = capture::run(&args, &mut report);
            print!("{report}");
            outcome.map(|()| ExitCode::SUCCESS)
        }
        Subject::Doctor(args) => matrix::run(&args),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
