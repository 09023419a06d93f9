//! A line for each node port that answers, or of which nobody knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use netlab::doctor::{
    diagnosis::{Diagnosis, Told, Unknown},
    path::Path,
    reach,
    report::Report,
};

use super::{
    expected::{brief, short},
    observed,
    paint::Paint,
};
use crate::cmd::output;

/// More node ports than these are told in one line.
const MOST: usize = 8;

/// `healthy: web TCP 172.18.0.2:30080 -> client -> node-1 dnat -> web-2 :8080, 8 of 8 probes, ...`.
pub(super) fn lines(report: &Report<'_>, paint: Paint) -> String {
    let Report { diagnosis, spec, took, .. } = *report;
    let seconds = took.as_secs_f64();
    let mut ports: BTreeMap<(String, String), Vec<&Path>> = BTreeMap::new();
    for path in &diagnosis.paths {
        let service = reach::service(spec, &path.case).unwrap_or_default();
        let port = format!("{} {}", path.case.protocol, path.case.dialled.port());
        ports.entry((service, port)).or_default().push(path);
    }
    let unknown = unknown(diagnosis, paint);
    let is_known = |path: &&Path| {
        let own = (path.case.dialled, path.case.protocol);
        let is_unknown = diagnosis.unknown.iter().any(|of| (of.dialled, of.protocol) == own);
        !is_unknown && (!path.ends_nowhere() || is_dialled(diagnosis, path))
    };
    // Of a port with an address that nobody knows about, the others alone are well.
    for paths in ports.values_mut() {
        paths.retain(is_known);
    }
    ports.retain(|_, paths| !paths.is_empty());
    if ports.is_empty() && !unknown.is_empty() {
        return unknown;
    }
    let asked = if diagnosis.asked.is_empty() { "every node port" } else { &diagnosis.asked };
    if ports.is_empty() || ports.len() > MOST {
        let count = ports.len();
        let probes = probes(&diagnosis.ways.iter().collect::<Vec<_>>(), diagnosis.passive);
        let paths: Vec<_> = ports.into_values().flatten().collect();
        let well = well(diagnosis, &paths);
        let line = format!("{well}: {asked}: {count} node ports, {probes}; {seconds:.1} s");
        return paint.good(&line) + "\n" + &unknown;
    }
    let mut text = String::new();
    for ((service, _), paths) in ports {
        let line = of_port(report, &service, &paths);
        let _ = writeln!(text, "{}", paint.good(&line));
    }
    text + &unknown
}

/// A line for each address and port of which nobody knows.
pub(super) fn unknown(diagnosis: &Diagnosis, paint: Paint) -> String {
    diagnosis.unknown.iter().map(|of| not_known(of, paint)).collect()
}

/// `not known: TCP 127.0.0.1:30080 at node-1: 4 of 4 probes from node-1 itself fail (refused)`.
fn not_known(of: &Unknown, paint: Paint) -> String {
    let Unknown { node, dialled, protocol, why } = of;
    let line = format!("not known: {protocol} {dialled} at {node}: {why}");
    paint.bad(&output::wrapped(&line, paint.width, "  ")) + "\n"
}

/// Somebody has dialled a path's address and port.
fn is_dialled(diagnosis: &Diagnosis, path: &Path) -> bool {
    let own = (path.case.dialled, path.case.protocol);
    let of_path = |told: &&Told| (told.way.dialled, told.way.protocol) == own;
    diagnosis.ways.iter().filter(of_path).any(|told| !told.attempts.is_empty())
}

/// How well these paths are known to be: they may all lead to hosts that nobody has looked at.
fn well(diagnosis: &Diagnosis, paths: &[&Path]) -> &'static str {
    let is_shown = |path: &&Path| path.gets_to_listener() || is_dialled(diagnosis, path);
    match paths.is_empty() || paths.iter().any(is_shown) {
        true => "healthy",
        false => "healthy as far as this host goes",
    }
}

fn of_port(report: &Report<'_>, service: &str, paths: &[&Path]) -> String {
    // Whoever dials: a host that dials itself is a way of its own.
    let is_of = |told: &&Told| {
        let socket = (told.way.dialled, told.way.protocol);
        paths.iter().any(|path| (path.case.dialled, path.case.protocol) == socket)
    };
    let ways: Vec<_> = report.diagnosis.ways.iter().filter(is_of).collect();
    // The way that crosses most hosts tells most.
    let hosts = |path: &Path| brief(path, report.facts).matches("->").count();
    let longest = paths.iter().rev().max_by_key(|path| (path.passes(), hosts(path)));
    let Some(path) = longest else { return String::new() };
    let case = &path.case;
    format!(
        "{}: {}{} {} -> {}, {}; {:.1} s",
        well(report.diagnosis, paths),
        if service.is_empty() { String::new() } else { format!("{} ", short(service)) },
        case.protocol,
        case.dialled,
        brief(path, report.facts),
        probes(&ways, report.diagnosis.passive),
        report.took.as_secs_f64(),
    )
}

/// `8 of 8 probes at 2 addresses, slowest 1.3 ms`.
fn probes(ways: &[&Told], passive: bool) -> String {
    let attempts = || ways.iter().flat_map(|told| &told.attempts);
    let Some(slowest) = attempts().map(|attempt| attempt.micros).max() else {
        return "no client has dialled".to_owned();
    };
    let good =
        ways.iter().map(|told| told.attempts.iter().filter(|of| told.is_answered(of)).count());
    let good: usize = good.sum();
    // Those alone that somebody has dialled, whoever it was.
    let dialled = ways.iter().filter(|told| !told.attempts.is_empty());
    let by = match dialled.clone().all(|told| told.way.client == told.way.node) {
        true => " from this host itself",
        false => "",
    };
    let addresses = dialled.map(|told| told.way.dialled.ip()).collect::<BTreeSet<_>>().len();
    let milliseconds = Duration::from_micros(slowest).as_secs_f64() * 1e3;
    let at = match addresses {
        0 | 1 => String::new(),
        many => format!(" at {many} addresses"),
    };
    let (all, what) = (attempts().count(), observed::attempts(passive));
    format!("{good} of {all} {what}{by}{at}, slowest {milliseconds:.1} ms")
}
