//! One file a verb: from flags to the library, and from its answer to what is printed.
//!
//! Only this module prints: results to stdout, progress and errors to stderr.

mod agent;
mod capture;
mod compare;
mod dial;
mod doctor;
mod echo;
mod lab;
mod output;
mod pages;
mod show;
mod signals;

use std::io::{IsTerminal as _, Write as _};

use crate::cli::{Cli, Color, Lab, Verb};

/// How a command went that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Fine,
    /// It found something that a person should look at.
    Findings,
    /// It could not look so well that it knows.
    Unknown,
}

/// Runs what was typed.
///
/// # Errors
///
/// Whatever the verb fails with; its causes tell the rest.
pub fn run(cli: Cli) -> anyhow::Result<Outcome> {
    begin_log(&cli);
    match cli.verb {
        Verb::Lab(verb) => lab::run(verb, use_color(cli.color)),
        Verb::Agent(args) => agent::run(args),
        Verb::Show(args) => show::run(&args),
        Verb::Capture(args) => capture::run(&args, use_color(cli.color)),
        Verb::Compare(args) => compare::run(args),
        Verb::Dial(args) => dial::run(&args),
        Verb::Doctor(args) => doctor::run(&args, use_color(cli.color)),
        Verb::Echo(args) => echo::run(args),
        Verb::Completions { shell } => pages::completions(shell),
        Verb::Man { directory } => pages::man(&directory),
    }
}

/// What the library has to say on the way: a log of those that run for themselves, which others
/// collect; of the rest a person's `netlab: ...`, as their errors are.
fn begin_log(cli: &Cli) {
    let runs_for_itself =
        matches!(cli.verb, Verb::Agent(_) | Verb::Echo(_) | Verb::Lab(Lab::Supervise(_)));
    let level = if matches!(cli.verb, Verb::Agent(_)) { "info" } else { "warn" };
    let style = match cli.color {
        Color::Auto => env_logger::WriteStyle::Auto,
        Color::Always => env_logger::WriteStyle::Always,
        Color::Never => env_logger::WriteStyle::Never,
    };
    // A request that nobody waits for any more, since what asked for it is over, is no news.
    let filter = format!("{level},netlink_proto=error");
    let env = env_logger::Env::default().default_filter_or(filter);
    let mut log = env_logger::Builder::from_env(env);
    log.write_style(style);
    if !runs_for_itself {
        log.format(|out, record| match record.level() {
            log::Level::Error | log::Level::Warn => writeln!(out, "netlab: {}", record.args()),
            level => writeln!(out, "netlab: {level} {}: {}", record.target(), record.args()),
        });
    }
    log.init();
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
