//! A diagnosis for people: the three steps, facts, expected path and observed path, and the
//! verdict: where they part, what shows it, and what mends it.

use std::{fmt::Write as _, time::Duration};

use netlab::doctor::{
    facts::Facts,
    reach::Reach,
    report::{Report, Shown, representative},
};

use super::{expected, gaps, healthy, matrix, observed, paint::Paint, verdict};

/// The whole of it.
pub(super) fn draw(report: &Report<'_>, paint: Paint) -> String {
    let Report { facts, spec, diagnosis, took, all_paths } = *report;
    let mut text = String::new();
    if diagnosis.findings.is_empty() && !all_paths {
        text.push_str(&gaps::lines(&diagnosis.gaps, paint));
        if diagnosis.has_failed_attempts() {
            let seen = observed::draw(diagnosis, paint);
            section(&mut text, paint, "Observed path", "", &seen);
        }
        text.push_str(&healthy::lines(report, paint));
        return text;
    }
    section(
        &mut text,
        paint,
        "Facts",
        &observed_facts(facts),
        &gaps::lines(&diagnosis.gaps, paint),
    );
    if all_paths {
        for path in &diagnosis.paths {
            let lines = expected::lines(&Shown { path, until: None }, true, paint);
            section(&mut text, paint, "Expected path", &expected::title(path), &lines);
        }
    } else if let Some(shown) = representative(diagnosis) {
        let lines = expected::lines(&shown, false, paint);
        section(&mut text, paint, "Expected path", &expected::title(shown.path), &lines);
    }
    let seen = observed::draw(diagnosis, paint);
    if !seen.is_empty() {
        section(&mut text, paint, "Observed path", "", &seen);
    }
    if diagnosis.findings.is_empty() {
        text.push_str(&healthy::lines(report, paint));
        return text;
    }
    let count = match diagnosis.findings.len() {
        1 => "1 finding".to_owned(),
        many => format!("{many} findings, the worst first, each to be mended by itself"),
    };
    let seconds = took.as_secs_f64();
    let reach = matrix::draw(&Reach::of(diagnosis, spec), paint);
    section(&mut text, paint, "Verdict", &format!("{count}; {seconds:.1} s"), &reach);
    for (at, finding) in diagnosis.findings.iter().enumerate() {
        if at > 0 || !reach.is_empty() {
            text.push('\n');
        }
        text.push_str(&verdict::told(finding, facts, paint));
    }
    if !diagnosis.unknown.is_empty() {
        let _ = write!(text, "\n{}", healthy::unknown(diagnosis, paint));
    }
    let code = diagnosis.findings[0].code;
    let _ =
        writeln!(text, "\n{}", paint.faint(&format!("netlab doctor --explain {code} tells more")));
    text
}

/// A heading with what is in it; an empty line stands before all but the first.
fn section(text: &mut String, paint: Paint, name: &str, title: &str, body: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    let head = paint.strong(name);
    text.push_str(&paint.fitted(format!("{head}  {title}").trim_end(), 4));
    text.push_str(body);
}

/// `9 hosts of lab lab (vxlan, ebpf) in 0.21 s, 2 gaps`.
fn observed_facts(facts: &Facts) -> String {
    let hosts = match facts.hosts.len() {
        1 => "1 host".to_owned(),
        many => format!("{many} hosts"),
    };
    let of = match &facts.lab {
        Some(lab) => format!(" of lab {} ({}, {})", lab.name, lab.mode, lab.proxy),
        None => String::new(),
    };
    let gaps = match facts.gaps.len() {
        0 => "nothing hidden".to_owned(),
        1 => "1 gap".to_owned(),
        many => format!("{many} gaps"),
    };
    let seconds = Duration::from_millis(facts.took_ms).as_secs_f64();
    format!("{hosts}{of} in {seconds:.2} s, {gaps}")
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf};

    use netlab::{
        doctor::{
            diagnosis,
            facts::{Gap, Role, Source},
            path,
            probe::{Attempt, Outcome, Way},
        },
        spec::Spec,
    };

    use super::*;

    /// A healthy lab as it was once recorded.
    fn recorded() -> (Facts, Spec) {
        let text = include_str!("../../doctor/facts/fixture/recorded/vxlan.nftables.json");
        let facts = Facts::read(text).unwrap();
        let spec = facts.spec().unwrap();
        (facts, spec)
    }

    /// What is drawn of facts, where each way's probes end like this.
    fn drawn(facts: &Facts, spec: &Spec, outcome: &dyn Fn(&Way) -> Vec<Outcome>) -> String {
        let mut ways: Vec<_> =
            path::cases(facts, spec, &facts.subject).iter().map(Way::of).collect();
        ways.sort();
        ways.dedup();
        let attempts = |way: &Way| {
            let attempt = |outcome| Attempt {
                from: None,
                outcome,
                micros: 1_300,
                journeys: Vec::new(),
                decisions: Vec::new(),
            };
            outcome(way).into_iter().map(attempt).collect()
        };
        let ways: Vec<_> = ways.into_iter().map(|way| (way.clone(), attempts(&way))).collect();
        let diagnosis = diagnosis::judge(facts, spec, &ways);
        let took = Duration::from_millis(400);
        let report = Report { facts, spec, diagnosis: &diagnosis, took, all_paths: false };
        draw(&report, Paint { color: false, width: 100 })
    }

    fn answers(facts: &Facts) -> Vec<Outcome> {
        let seen_as = ([10, 244, 1, 1], 40_000).into();
        let pods = facts.hosts.iter().filter(|host| matches!(host.role, Role::Pod { .. }));
        pods.map(|host| Outcome::Answered { pod: host.name.clone(), seen_as }).collect()
    }

    /// Compares with a file of `golden/`; `NETLAB_BLESS=1` writes it instead.
    fn golden(name: &str, text: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("src/cmd/doctor/golden")
            .join(format!("{name}.txt"));
        if env::var_os("NETLAB_BLESS").is_some_and(|value| value == "1") {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&path).unwrap(), "{}", path.display());
    }

    #[test]
    fn a_healthy_node_port_is_one_line() {
        let (facts, spec) = recorded();
        let text = drawn(&facts, &spec, &|_| answers(&facts));
        golden("healthy", &text);
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_host_that_nobody_dials_and_that_listens_to_nothing_itself_speaks_for_itself_alone() {
        let (mut facts, spec) = recorded();
        facts.lab = None;
        facts.hosts.retain(|host| host.name == "node-1");
        let text = drawn(&facts, &spec, &|_| Vec::new());
        assert!(text.starts_with("healthy as far as this host goes: "), "{text}");
        let text = drawn(&facts, &spec, &|_| vec![Outcome::Somebody(String::new())]);
        assert!(text.starts_with("healthy: "), "{text}");
    }

    #[test]
    fn a_node_that_does_not_forward_is_shown_with_its_path_and_its_mend() {
        let (mut facts, spec) = recorded();
        let node = facts.hosts.iter_mut().find(|host| host.name == "node-1").unwrap();
        for (key, value) in &mut node.sysctls {
            if key.starts_with("ipv4/") && key.ends_with("forward") || key.ends_with("forwarding") {
                *value = "0".to_owned();
            }
        }
        facts.gaps.push(Gap {
            host: Some("node-2".to_owned()),
            source: Source::IptablesLegacy,
            reason: "iptables-legacy-save is not installed".to_owned(),
            hides: "Its rules are not seen.".to_owned(),
        });
        let text = drawn(&facts, &spec, &|_| vec![Outcome::Silence; 4]);
        golden("forwarding-off", &text);
    }
}
