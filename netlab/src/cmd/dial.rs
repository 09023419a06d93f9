//! `netlab dial`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use netlab::lab::dial::{self, Answer, DialError};
use serde::Serialize;

use super::{Outcome, output};
use crate::cli::{DialArgs, Output, Transport};

/// Outcome of all attempts.
#[derive(Serialize)]
struct Report {
    attempts: u32,
    answers: Vec<Answer>,
    /// How often each failure occurred.
    failures: BTreeMap<String, u32>,
}

/// Dials, and says who answered.
///
/// # Errors
///
/// Where nothing could be tried. An attempt that fails is a finding.
pub fn run(args: &DialArgs) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let mut report =
        Report { attempts: args.count, answers: Vec::new(), failures: BTreeMap::new() };
    for _ in 0..args.count {
        match runtime.block_on(once(args)) {
            Ok(answer) => report.answers.push(answer),
            Err(error) => *report.failures.entry(error.to_string()).or_default() += 1,
        }
    }
    match args.output {
        Output::Table => output::print(&table(args, &report))?,
        Output::Json => output::print_json(&report)?,
        Output::Yaml => output::print_yaml(&report)?,
    };
    Ok(if report.failures.is_empty() { Outcome::Fine } else { Outcome::Findings })
}

async fn once(args: &DialArgs) -> Result<Answer, DialError> {
    let limit = Duration::from_millis(args.timeout);
    let from = args.source_port.unwrap_or(0);
    match args.transport {
        Transport::Tcp => dial::tcp_from(from, args.address, args.bytes, limit).await,
        Transport::Udp => dial::udp_from(from, args.address, args.bytes, limit).await,
    }
}

/// One line a pod: how often it answered, how the first time looked, and how fast.
fn table(args: &DialArgs, report: &Report) -> String {
    let mut by_pod: BTreeMap<(&str, &str), Vec<&Answer>> = BTreeMap::new();
    for answer in &report.answers {
        by_pod.entry((&answer.pod, &answer.node)).or_default().push(answer);
    }
    let mut table = output::table(&["POD", "NODE", "ANSWERS", "DIALLED FROM", "SEEN AS", "MEDIAN"]);
    for ((pod, node), answers) in &by_pod {
        let mut micros: Vec<u64> = answers.iter().map(|answer| answer.micros).collect();
        micros.sort_unstable();
        let median = micros.get(micros.len() / 2).copied().unwrap_or_default();
        table.add_row([
            (*pod).to_owned(),
            (*node).to_owned(),
            answers.len().to_string(),
            answers[0].from.to_string(),
            answers[0].seen_as.to_string(),
            format!("{median} us"),
        ]);
    }
    let mut text = if by_pod.is_empty() { String::new() } else { format!("{table}\n") };
    for (failure, count) in &report.failures {
        text.push_str(&format!("{count} of {} failed: {failure}\n", report.attempts));
    }
    let answered = report.answers.len();
    text.push_str(&format!("{} answered {answered} of {}\n", args.address, report.attempts));
    text
}
