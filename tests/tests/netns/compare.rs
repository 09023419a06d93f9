//! `netlab compare` from the command line: a short run, and that nothing of one is left.

use std::{
    collections::BTreeSet,
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use netlab::{
    compare::{
        options::Proxy,
        result::{Comparison, LEAST_PAIRS, Limit, LimitKind, Round, VERSION, Verdict},
        statistics::Estimate,
        workload::Workload,
    },
    lab::{LabDir, Mode},
    netlink::Netns,
};
use netlab_tests::{
    binary::{self, netlab, netlab_without},
    fields::names,
    poll::until,
    privilege::require_lab,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// How long the labs may take to go after a signal, on a busy machine.
pub(super) const REMOVAL: Duration = Duration::from_secs(10);

/// Where the JSON is described.
pub(super) const DESCRIPTION: &str = include_str!("../../../docs/compare.md");

#[test]
fn a_short_run_measures_every_workload_in_every_cell_and_leaves_nothing() {
    if !require_lab() {
        return;
    }
    let (comparison, json) = short(2, &["--services", "5", "--workloads", SOCKETS]);
    // Field by field as documented, none more and none less.
    let again = serde_json::to_value(&comparison).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(&json).unwrap());
    for field in fields(&again) {
        assert!(DESCRIPTION.contains(&format!("`{field}`")), "{field} is not in docs/compare.md");
    }
    assert_eq!(comparison.version, VERSION);
    let workloads = Workload::ALL.iter().filter(|workload| !workload.is_flood()).count();
    assert_eq!(comparison.series.len(), workloads * 6);
    assert_eq!(comparison.limits.len(), workloads);
    for series in &comparison.series {
        let name = format!("{} {}", series.workload, series.cell);
        assert_eq!(series.rounds.len(), 2, "{name}");
        for round in &series.rounds {
            let Round::Done { work, .. } = round else { panic!("{name}: {round:?}") };
            assert!(work.seconds > 0.1, "{name}: {work:?}");
        }
        let main = series.measures[0];
        assert!(main.estimate.is_some_and(|estimate| estimate.median > 0.0), "{name}: {main:?}");
        assert_eq!(main.to_none.is_some(), series.cell.proxy != Proxy::None, "{name}");
        assert_eq!(main.to_host_gw.is_some(), series.cell.mode == Mode::Vxlan, "{name}");
        let claims = [main.to_none, main.to_host_gw].into_iter().flatten();
        assert!(claims.clone().all(|ratio| ratio.verdict == Verdict::TooFew), "{name}: {main:?}");
        let metered = series.metered.as_ref().unwrap_or_else(|| panic!("{name}"));
        for host in ["client", "fabric", "node-1", "node-2", "pod"] {
            let spent = metered.of_host(host);
            assert!(spent.is_some_and(|spent| spent > 0.0), "{name}: {metered:?}");
        }
        // Packets went through netlab's programs where there are any, and only there.
        let runs = metered.bpf.map(|bpf| bpf.runs);
        assert_eq!(
            runs.is_some_and(|runs| runs > 0),
            series.cell.proxy == Proxy::EbpfXdp,
            "{name}"
        );
    }
    let conditions = &comparison.conditions;
    assert_eq!(conditions.cells["vxlan ebpf-xdp"].hook, "xdp");
    assert!(conditions.cells["host-gw nftables"].hook.contains("nftables"), "{conditions:?}");
    assert_eq!(conditions.cells["host-gw none"].pod_mtu, 1500);
    assert_eq!(conditions.cells["vxlan none"].pod_mtu, 1450);
    assert!(!conditions.machine.kernel.is_empty() && conditions.machine.cores > 0);
    differences_of(&comparison);
}

/// Sets a run beside itself, beside one that went otherwise, and beside what is none.
fn differences_of(comparison: &Comparison) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let json = |run: &Comparison| serde_json::to_string(run).unwrap();
    let mut sure = comparison.clone();
    for ratio in sure.series.iter_mut().filter_map(|series| series.measures[0].to_none.as_mut()) {
        ratio.pairs = LEAST_PAIRS;
    }
    let mut faster = sure.clone();
    let first = faster.series.iter_mut().find_map(|series| series.measures[0].to_none.as_mut());
    let estimate = &mut first.unwrap().estimate;
    let beyond = estimate.high * 2.0;
    *estimate = Estimate { median: beyond, low: beyond, high: beyond };
    let old = write("old.json", &json(&sure));

    let same = netlab(&["compare", "--diff", &old, &old]).expect(0);
    assert!(same.stdout.contains(", 0 changed, "), "{}", same.stdout);
    let changed = netlab(&["compare", "--diff", &old, &write("new.json", &json(&faster))]);
    let changed = changed.expect(1).stdout;
    assert!(changed.contains(", 1 changed, ") && changed.contains("ebpf-xdp"), "{changed}");
    let other = write("other.json", r#"{"version": 1}"#);
    let refused = netlab(&["compare", "--diff", &old, &other]).expect(2).stderr;
    assert!(refused.contains("version 1") && refused.contains("other.json"), "{refused}");
}

#[test]
fn floods_are_counted_at_the_pod_beside_their_limits() {
    if !require_lab() {
        return;
    }
    let (comparison, _) = short(1, &["--workloads", "pps,pps-mtu,pps-random", "--flows", "50"]);
    for series in &comparison.series {
        let name = format!("{} {}", series.workload, series.cell);
        let length = if series.workload == Workload::PpsMtu { 1464 } else { 60 };
        for round in &series.rounds {
            let Round::Done { work, .. } = round else { panic!("{name}: {round:?}") };
            assert!(work.operations > 0, "{name}: {work:?}");
            assert_eq!(work.bytes, work.operations * (length - 42), "{name}");
        }
        let loss = series.loss().unwrap();
        assert!(loss < 0.01, "{name}: {loss}");
        let main = series.measures[0];
        assert!(main.to_veth.is_some() && main.to_forward.is_some(), "{name}: {main:?}");
        let limit = |kind| {
            let of = |limit: &&Limit| limit.kind == kind && limit.workload == series.workload;
            let limit = comparison.limits.iter().find(of).unwrap();
            assert_eq!(limit.rounds.len(), 1, "{name}");
            limit.measures[0].estimate.unwrap().median
        };
        assert!(limit(LimitKind::Forward) > 0.0, "{name}");
        // Several times as much where it was looked at, and so no matter of timing.
        assert!(limit(LimitKind::Veth) > main.estimate.unwrap().median, "{name}: {main:?}");
        assert!(!series.generator_bound, "{name}");
    }
    assert_eq!(comparison.series.len(), 3 * 6);
    assert_eq!(comparison.limits.len(), 3 * 2);
    let flows = ["pps", "pps-mtu", "pps-random"].map(|of| comparison.conditions.flows[of]);
    assert_eq!(flows, [50, 50, 16_384]);
}

/// All workloads that have sockets.
const SOCKETS: &str = "request,connect,datagram,bulk,bulk-4,first-byte";

/// A short run in six cells, and what it has printed; it leaves nothing.
fn short(rounds: u32, args: &[&str]) -> (Comparison, String) {
    let rounds = rounds.to_string();
    let short = ["--proxies", "ebpf-xdp,nftables,none", "--rounds", &rounds, "-o", "json"];
    let mut child = start(&[&short[..], &["--duration", "0.15"], args].concat());
    let prefix = prefix(&child);
    let mut json = String::new();
    child.stdout.take().unwrap().read_to_string(&mut json).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", complaint(&mut child));
    assert_nothing_is_left(&prefix);
    (serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}")), json)
}

#[test]
fn an_interrupted_run_leaves_nothing_while_it_builds_and_while_it_measures() {
    if !require_lab() {
        return;
    }
    interrupted_when("building", "request", Signal::SIGINT, |prefix| labs(prefix) > 0);
    // Of the cells, host-gw's with eBPF has the first turn, and others are up by then.
    interrupted_when("measuring", "request", Signal::SIGHUP, |prefix| {
        Netns::open(&format!("{prefix}host-gw-ebpf-tc-client")).is_ok_and(|client| {
            let tcp = client.run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"));
            // An established connection, as the state is written there.
            tcp.is_ok_and(|tcp| tcp.is_ok_and(|tcp| tcp.contains(" 01 ")))
        })
    });
    // A flood has programs attached, and an offload turned on.
    interrupted_when("flooding", "pps", Signal::SIGTERM, |prefix| {
        Netns::open(&format!("{prefix}host-gw-ebpf-tc-node-1")).is_ok_and(|node| {
            let devices = node.run(|| std::fs::read_to_string("/proc/thread-self/net/dev"));
            let received = |devices: String| {
                let line = devices.lines().find_map(|line| line.trim().strip_prefix("eth0:"))?;
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            };
            devices.is_ok_and(|devices| devices.ok().and_then(received) > Some(100_000))
        })
    });
}

/// Sends a signal to a run as soon as it is there.
fn interrupted_when(what: &str, workload: &str, signal: Signal, is_there: impl Fn(&str) -> bool) {
    let args = ["--proxies", "ebpf-tc,none", "--workloads", workload, "--duration", "5"];
    let mut child = start(&args);
    let prefix = prefix(&child);
    until(what, || is_there(&prefix).then_some(()));
    let asked = Instant::now();
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    let status = child.wait().unwrap();
    eprintln!("{what}: over {:?} after the signal", asked.elapsed());
    assert!(asked.elapsed() < REMOVAL, "{what}: {:?}", asked.elapsed());
    assert_eq!(status.code(), Some(2), "{what}");
    assert!(complaint(&mut child).contains("interrupted"), "{what}");
    assert_nothing_is_left(&prefix);
}

#[test]
fn bad_input_is_refused_before_anything_is_built() {
    for (args, words) in [
        (&["--workloads", "telepathy"][..], "invalid value 'telepathy' for '--workloads"),
        (&["--rounds", "0"], "--rounds 0 does not do"),
        (&["--duration=-1"], "--duration -1.0 does not do"),
        (&["--duration", "0.01"], "--duration 0.01 does not do"),
        (&["--flows", "0"], "--flows 0 does not do: each flow is a source port"),
        (&["--flows", "64512"], "there can be 1 to 64511"),
        (&["--services", "0"], "--services 0 does not do"),
        (&["--mtu", "1300"], "an MTU of 1300 does not do"),
        (&["--proxies", "none,none"], "none twice"),
        (&["--workloads", "scaling", "--proxies", "none"], "there is nothing to compare"),
        (&["--modes", "geneve"], "invalid value 'geneve' for '--modes"),
    ] {
        let refused = netlab(&[&["compare"], args].concat()).expect(2);
        assert!(refused.stderr.contains(words), "{words:?}: {}", refused.stderr);
        assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    }
}

#[test]
fn a_proxy_whose_program_is_missing_is_refused_and_named() {
    if !require_lab() {
        return;
    }
    let Some(refused) = netlab_without(&["nft"], &["compare", "--proxies", "none,nftables"]) else {
        return;
    };
    let stderr = refused.expect(2).stderr;
    assert!(stderr.contains("nftables cannot be compared"), "{stderr}");
}

/// Names of all fields, wherever they stand, but not the names of cells, hosts and workloads.
pub(super) fn fields(value: &Value) -> BTreeSet<String> {
    names(value, &["cells", "offloads", "flows", "hosts"])
}

pub(super) fn start(args: &[&str]) -> Child {
    let mut command = Command::new(binary::path());
    command.arg("compare").args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What names of its labs begin with.
pub(super) fn prefix(child: &Child) -> String {
    format!("nlcmp-{}-", child.id())
}

pub(super) fn complaint(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

pub(super) fn labs(prefix: &str) -> usize {
    LabDir::list().unwrap().iter().filter(|name| name.as_str().starts_with(prefix)).count()
}

pub(super) fn assert_nothing_is_left(prefix: &str) {
    assert_eq!(labs(prefix), 0);
    let names = Netns::list().unwrap();
    let left: Vec<_> = names.iter().filter(|name| name.starts_with(prefix)).collect();
    assert!(left.is_empty(), "{left:?}");
    // Ended processes may be there for a moment, until they are collected.
    thread::sleep(Duration::from_millis(100));
    let line = |pid: &std::fs::DirEntry| std::fs::read(pid.path().join("cmdline")).ok();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|pid| String::from_utf8(line(&pid)?).ok());
    let left: Vec<_> = lines.filter(|line| line.contains(prefix)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!std::path::Path::new("/sys/fs/bpf/netlab").join(prefix).exists());
}
