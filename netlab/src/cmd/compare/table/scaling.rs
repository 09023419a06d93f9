//! The table of rising numbers of Services: one row a step, by proxy.

use std::fmt::Write as _;

use netlab::compare::{
    options::Options,
    result::{Round, Step},
    scaling,
    wording::number,
};

use super::series::ratio;
use crate::cmd::output;

/// All steps, those of a proxy beside each other.
pub(super) fn section(options: &Options, steps: &[Step]) -> String {
    let Some(first) = steps.first() else { return String::new() };
    let mut table =
        output::table(&["PROXY", "SERVICES", "p50 us [95%]", "TO LEAST", "PROGRAM s", "FAILED"]);
    let mut failures = String::new();
    for proxy in &options.proxies {
        for step in steps.iter().filter(|step| step.proxy == *proxy) {
            table.add_row(row(step));
            for (at, round) in step.rounds.iter().enumerate() {
                if let Round::Failed { reason } = round {
                    let (proxy, services, at) = (step.proxy, step.services, at + 1);
                    let _ =
                        writeln!(failures, "  {proxy}, {services}: round {at} failed: {reason}");
                }
            }
        }
    }
    format!(
        "scaling: first byte of a new connection by the number of Services, {}; turns of {} s\n\
         {}{failures}\
         TO LEAST: ratio to the same proxy with the least Services, round by round. PROGRAM: from \
         writing the\nServices down to both nodes answering for them, coming from the row above; \
         the least: from the most.\n\n",
        first.mode,
        scaling::turn(options).as_secs_f64(),
        output::drawn(&table),
    )
}

fn row(step: &Step) -> Vec<String> {
    let failed = step.rounds.iter().filter(|round| matches!(round, Round::Failed { .. })).count();
    vec![
        step.proxy.to_string(),
        step.services.to_string(),
        step.first_byte.map_or_else(
            || "-".to_owned(),
            |all| format!("{} [{}, {}]", number(all.median), number(all.low), number(all.high)),
        ),
        ratio(step.to_least),
        step.program_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}")),
        match failed {
            0 => "0".to_owned(),
            failed => format!("{failed} of {}", step.rounds.len()),
        },
    ]
}

#[cfg(test)]
mod tests {
    use netlab::{
        compare::{
            options::Proxy,
            result::{Ratio, Verdict},
            statistics::Estimate,
        },
        lab::Mode,
    };

    use super::*;

    #[test]
    fn steps_stand_by_proxy_and_failures_are_told() {
        let step = |proxy, services| Step {
            mode: Mode::HostGw,
            proxy,
            services,
            program_seconds: Some(0.25),
            rounds: Vec::new(),
            first_byte: Some(Estimate { median: 100.0, low: 90.0, high: 110.0 }),
            to_least: None,
        };
        let estimate = Estimate { median: 2.0, low: 1.9, high: 2.1 };
        let failed = Round::Failed { reason: "it broke".to_owned() };
        let steps = [
            step(Proxy::EbpfXdp, 1),
            step(Proxy::Iptables, 1),
            Step {
                rounds: vec![failed],
                first_byte: None,
                program_seconds: None,
                ..step(Proxy::EbpfXdp, 10)
            },
            Step {
                to_least: Some(Ratio { estimate, pairs: 7, verdict: Verdict::More }),
                ..step(Proxy::Iptables, 10)
            },
        ];
        let text = section(&Options::default(), &steps);
        let lines: Vec<Vec<_>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[2], ["ebpf-xdp", "1", "100", "[90.0,", "110]", "-", "0.25", "0"]);
        assert_eq!(lines[3], ["ebpf-xdp", "10", "-", "-", "-", "1", "of", "1"]);
        assert_eq!(lines[5][..6], ["iptables", "10", "100", "[90.0,", "110]", "2.00"]);
        assert!(text.contains("ebpf-xdp, 10: round 1 failed: it broke"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert_eq!(section(&Options::default(), &[]), "");
    }
}
