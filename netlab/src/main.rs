//! The netlab command: parse, run, and turn the outcome into an exit code.

mod cli;
mod cmd;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use nix::sys::signal::SigSet;

fn main() -> ExitCode {
    // A mask is inherited: whoever started this may block SIGTERM, and then neither this
    // process nor those that it starts could be asked to end.
    if let Err(errno) = SigSet::empty().thread_set_mask() {
        eprintln!("netlab: cannot unblock signals: {errno}");
    }
    // clap itself exits with 2 for bad flags, and with 0 for help.
    let outcome = cmd::run(cli::Cli::parse());
    match outcome {
        Ok(cmd::Outcome::Fine) => ExitCode::SUCCESS,
        Ok(cmd::Outcome::Findings) => ExitCode::from(1),
        Ok(cmd::Outcome::Unknown) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening: then the exit status has to do.
            let _ = writeln!(io::stderr(), "netlab: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}

/// The reader of our output has had enough; `netlab ... | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes in one line, without a cause that its effect has quoted already.
fn chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let error = Err::<(), _>(anyhow::anyhow!("b")).context("a: b").context("x").unwrap_err();
        assert_eq!(chain(&error), "x: a: b");
    }

    #[test]
    fn a_broken_pipe_is_found_below_other_errors() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("x");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("x")));
    }
}
