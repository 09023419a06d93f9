//! One file a verb: from flags to the library, and from its answer to what is printed.
//!
//! Only this module prints: results to stdout, progress and errors to stderr.

mod agent;
mod capture;
mod dial;
mod echo;
mod lab;
mod output;
mod pages;
mod show;

use std::io::IsTerminal as _;

use crate::cli::{Cli, Color, Verb};

/// How a command went that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Fine,
    /// It found something that a person should look at.
    Findings,
}

/// Runs what was typed.
///
/// # Errors
///
/// Whatever the verb fails with; its causes tell the rest.
pub fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let default_level = if matches!(cli.verb, Verb::Agent(_)) { "info" } else { "warn" };
    let style = match cli.color {
        Color::Auto => env_logger::WriteStyle::Auto,
        Color::Always => env_logger::WriteStyle::Always,
        Color::Never => env_logger::WriteStyle::Never,
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(default_level))
        .write_style(style)
        .init();
    match cli.verb {
        Verb::Lab(verb) => lab::run(verb, use_color(cli.color)),
        Verb::Agent(args) => agent::run(args),
        Verb::Show(args) => show::run(&args),
        Verb::Capture(args) => capture::run(&args, use_color(cli.color)),
        Verb::Dial(args) => dial::run(&args),
        Verb::Echo(args) => echo::run(args),
        Verb::Completions { shell } => pages::completions(shell),
        Verb::Man { directory } => pages::man(&directory),
    }
}

/// Whether what goes to stdout is coloured.
fn use_color(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        // https://no-color.org
        Color::Auto => {
            std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}
