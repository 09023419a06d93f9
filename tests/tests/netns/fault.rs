//! Faults: each breaks the lab in its way, shows what its line says, and leaves nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use netlab::{
    lab::{
        LabDir, Mode,
        dial::{Answer, DialError},
        fault::{self, Dial, Fault, Request, Shows},
        processes,
    },
    netlink::Netns,
    proxy::Kind,
};
use netlab_tests::{
    binary::{Ran, netlab},
    lab::{By, DNS_PODS, Lab, NODES, WEB, WEB_PODS, unused_name},
    privilege::require_lab,
};
use serde_json::json;

/// How long a dial may take where an answer is due at once.
const LIMIT: Duration = Duration::from_millis(700);

/// The same where a refusal is due: the kernel limits ICMP errors to one a second for each client
/// (icmp_ratelimit), and a SYN is sent again after a second.
const REFUSAL_LIMIT: Duration = Duration::from_millis(3500);

/// How long a fault may take to show, and the lab to be well again: agents, learnt neighbors.
const PATIENCE: Duration = Duration::from_secs(20);

/// Dials in a row that have to be answered for a lab to be well: four backends are tried.
const WELL: usize = 12;

#[test]
fn each_fault_shows_as_it_says_host_gw_nftables() {
    all_faults(Mode::HostGw, By::KubeProxy(Kind::Nftables));
}

#[test]
fn each_fault_shows_as_it_says_vxlan_ebpf() {
    all_faults(Mode::Vxlan, By::Ebpf(netlab::lab::Hook::Auto));
}

#[test]
#[ignore = "the other two cells tell more, and this takes minutes: cargo test -- --ignored"]
fn each_fault_shows_as_it_says_elsewhere() {
    all_faults(Mode::Vxlan, By::KubeProxy(Kind::Nftables));
    all_faults(Mode::HostGw, By::Ebpf(netlab::lab::Hook::Auto));
    all_faults(Mode::HostGw, By::KubeProxy(Kind::Iptables));
    all_faults(Mode::Vxlan, By::KubeProxy(Kind::Iptables));
}

/// Every fault that applies, one after the other in one lab.
fn all_faults(mode: Mode, by: By) {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(mode, by);
    let options = lab.dir().record().unwrap().unwrap().options;
    let only = std::env::var("NETLAB_FAULT").unwrap_or_default();
    let mut failed = Vec::new();
    let mut before = snapshot(&lab);
    for fault in fault::all() {
        if !only.is_empty() && !only.split(',').any(|name| name == fault.name) {
            continue;
        }
        if let Some(why) = fault.unfit(&options) {
            let refused = inject(&lab, &[fault.name]).expect(2);
            assert!(refused.stderr.contains(&why), "{}", refused.stderr);
            continue;
        }
        let begun = Instant::now();
        let outcome = one(&lab, fault, &before);
        println!("{mode} {} {}: {outcome:?} in {:.1?}", by.proxy(), fault.name, begun.elapsed());
        if outcome.is_err() {
            failed.push((fault.name, outcome));
            let _ = clear(&lab, &[]);
            let _ = lab.again(&[]).expect(0);
            before = snapshot(&lab);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What was met, in order of its first time.
fn one(lab: &Lab, fault: &Fault, before: &BTreeMap<String, String>) -> Result<Vec<Shows>, String> {
    let request = Request::new(lab.name().clone(), fault.name);
    let dials = fault::dials(&request).map_err(|error| error.to_string())?;
    well(lab, &dials).map_err(|met| format!("before: {met}"))?;
    let injected = inject(lab, &[fault.name]);
    if injected.code != 0 {
        return Err(injected.stderr);
    }
    if inject(lab, &[fault.name]).code != 2 {
        return Err("injected twice".to_owned());
    }
    let met = broken(lab, &dials, fault);
    let cleared = clear(lab, &[fault.name]);
    if cleared.code != 0 {
        return Err(cleared.stderr);
    }
    let after = snapshot(lab);
    let met = met?;
    well(lab, &dials).map_err(|met| format!("after: {met}"))?;
    match difference(before, &after) {
        None => Ok(met),
        Some(difference) => Err(difference),
    }
}

/// Dials until something fails in a way that the fault has.
fn broken(lab: &Lab, dials: &[Dial], fault: &Fault) -> Result<Vec<Shows>, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut met = Vec::new();
    let mut answered = 0;
    let is_silent = |shows: &Shows| matches!(shows, Shows::Silence | Shows::Stalls);
    let limit = if fault.shows.iter().any(is_silent) { LIMIT } else { REFUSAL_LIMIT };
    while Instant::now() < deadline {
        for dial in dials {
            match dialled(lab, dial, limit) {
                None => answered += 1,
                Some((shows, _)) if fault.shows.contains(&shows) => met.push(shows),
                Some((shows, error)) => return Err(format!("{shows:?} ({error}) for {fault:?}")),
            }
        }
        if !met.is_empty() {
            if met.contains(&Shows::Stalls) {
                let few = Dial { bytes: 64, ..dials[0].clone() };
                well(lab, &[few]).map_err(|error| format!("few octets do not come: {error}"))?;
            }
            return Ok(met);
        }
    }
    Err(format!("{answered} dials of {dials:?} were answered"))
}

/// Waits until everybody answers many times in a row.
fn well(lab: &Lab, dials: &[Dial]) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    let mut in_a_row = 0;
    while in_a_row < WELL {
        for dial in dials {
            match dialled(lab, dial, LIMIT) {
                None => in_a_row += 1,
                Some((_, error)) if Instant::now() > deadline => return Err(error),
                Some(_) => in_a_row = 0,
            }
        }
    }
    Ok(())
}

fn dialled(lab: &Lab, dial: &Dial, limit: Duration) -> Option<(Shows, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome: Result<Answer, DialError> =
        lab.inside(&dial.from, || runtime.block_on(dial.once(limit)));
    let pods: Vec<_> = WEB_PODS.into_iter().chain(DNS_PODS).collect();
    let met = dial.met(&outcome, &pods)?;
    Some((met, format!("{} to {}: {outcome:?}", dial.from, dial.to)))
}

fn inject(lab: &Lab, args: &[&str]) -> Ran {
    let words = ["lab", "fault", "inject", "--name", lab.name().as_str()];
    netlab(&[&words, args].concat())
}

fn clear(lab: &Lab, args: &[&str]) -> Ran {
    let words = ["lab", "fault", "clear", "--name", lab.name().as_str()];
    netlab(&[&words, args].concat())
}

/// Everything that a fault may change, by what shows it.
fn snapshot(lab: &Lab) -> BTreeMap<String, String> {
    const MARK: &str = "=== ";
    const COMMANDS: [&str; 10] = [
        "ip -d route show table all",
        "ip rule",
        "ip -d link",
        "ip addr",
        "ip neigh show nud permanent",
        "bridge fdb show",
        "bridge -d link",
        "nft -s list ruleset",
        "sysctl -a -r 'net.(ipv4|ipv6|bridge)'",
        "iptables-legacy-save | grep ^-A",
    ];
    let script: String =
        COMMANDS.iter().map(|command| format!("echo \"{MARK}{command}\"; {command}; ")).collect();
    let mut all = BTreeMap::new();
    for host in lab.dir().topology().unwrap().unwrap().hosts {
        let shown = lab.exec(&host.name, &["sh", "-c", &script]).stdout;
        for part in shown.split(MARK).skip(1) {
            let (command, text) = part.split_once('\n').unwrap();
            let lines = text.lines().filter(|line| !is_fleeting(line));
            let mut lines: Vec<_> = lines.map(lasting).collect();
            // Elements of maps, and tables, come in any order.
            lines.sort();
            all.insert(format!("{}: {command}", host.name), lines.join("\n"));
        }
    }
    for entry in fs::read_dir(lab.dir().manifests()).unwrap() {
        let path = entry.unwrap().path();
        all.insert(path.display().to_string(), fs::read_to_string(&path).unwrap());
    }
    all.insert("processes".to_owned(), format!("{:?}", lab.dir().processes().unwrap()));
    all
}

/// What changes by itself: learnt addresses, counts, timers.
fn is_fleeting(line: &str) -> bool {
    // Learnt, not set.
    let learnt = line.contains(" master ") && !line.contains("permanent") && line.contains(" dev ");
    // A program is another one each time that an agent starts.
    let program = line.contains("prog/xdp");
    learnt
        || program
        || [
            "_count",
            "valid_lft",
            "random",
            "uuid",
            "tcp_mem",
            "udp_mem",
            "stable_secret",
            "fe80::",
        ]
        .iter()
        .any(|word| line.contains(word))
        || line.starts_with("multicast ff")
}

fn lasting(line: &str) -> String {
    let words = line.split_whitespace();
    let mut kept = Vec::new();
    let mut skip = false;
    for word in words {
        if skip {
            skip = false;
        } else if word == "state" || word.ends_with("timer") {
            skip = true;
        } else if !word.starts_with("xdp/id:") {
            kept.push(word);
        }
    }
    kept.join(" ")
}

fn difference(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Option<String> {
    let mut text = String::new();
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (before.get(key), after.get(key));
        if before != after {
            let lines = |text: Option<&String>| -> BTreeSet<String> {
                text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
            };
            let (before, after) = (lines(before), lines(after));
            let gone: Vec<_> = before.difference(&after).collect();
            let came: Vec<_> = after.difference(&before).collect();
            let _ = writeln!(text, "{key}: gone {gone:#?} came {came:#?}");
        }
    }
    (!text.is_empty()).then_some(text)
}

#[test]
fn faults_are_listed_told_and_taken_down_with_the_lab() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    let name = lab.name().as_str();
    let refused = inject(&lab, &["forward-dorp"]).expect(2);
    assert!(refused.stderr.contains("do you mean forward-drop?"), "{}", refused.stderr);
    let refused = inject(&lab, &["forward-drop", "--node", "node-9"]).expect(2);
    assert!(refused.stderr.contains("node-1, node-2"), "{}", refused.stderr);
    let refused = inject(&lab, &["vni-mismatch"]).expect(2);
    assert!(refused.stderr.contains("--mode host-gw"), "{}", refused.stderr);
    let refused = inject(&lab, &["no-endpoints", "--node", "node-1"]).expect(2);
    assert!(refused.stderr.contains("leave --node out"), "{}", refused.stderr);
    assert_eq!(fault::injected(lab.name()).unwrap(), []);

    let dry = inject(&lab, &["port-held", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("redirect to :30080"), "{}", dry.stdout);
    assert_eq!(fault::injected(lab.name()).unwrap(), []);

    for fault in ["port-held", "agent-stale", "forward-drop", "listen-loopback"] {
        let _ = inject(&lab, &[fault]).expect(0);
    }
    let _ = inject(&lab, &["forward-drop", "--node", "node-2"]).expect(0);
    let status = lab.status().json();
    assert_eq!(
        status["faults"],
        json!([
            "port-held at node-1",
            "agent-stale at node-1",
            "forward-drop at node-1",
            "listen-loopback at web-1",
            "forward-drop at node-2"
        ])
    );
    let list = netlab(&["lab", "fault", "list", "--name", name, "-o", "json"]).expect(0).json();
    let faults = list["faults"].as_array().unwrap();
    let held = faults.iter().find(|fault| fault["name"] == "port-held").unwrap();
    assert_eq!(held["injected"][0]["node"], "node-1");

    let _ = lab.down().expect(0);
    assert!(!LabDir::new(lab.name()).root().exists());
    assert_eq!(processes::running(lab.name()).unwrap().len(), 0);
    assert!(!Netns::list().unwrap().iter().any(|netns| netns.starts_with(name)));
}

#[test]
fn a_fault_below_others_is_cleared_and_they_stay() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    let before = snapshot(&lab);
    for fault in ["endpoints-not-ready", "wrong-target-port", "ip-forward-off"] {
        let _ = inject(&lab, &[fault]).expect(0);
    }
    let cleared = clear(&lab, &["endpoints-not-ready"]).expect(0);
    assert_eq!(cleared.stdout, "cleared endpoints-not-ready\nput back wrong-target-port\n");
    let names: Vec<_> =
        fault::injected(lab.name()).unwrap().into_iter().map(|fault| fault.name).collect();
    assert_eq!(names, ["ip-forward-off", "wrong-target-port"]);
    assert!(!lab.manifest("pods.yaml").contains("\"False\""));
    let _ = clear(&lab, &["ip-forward-off"]).expect(0);
    let dial = |bytes| lab.dial(netlab::spec::model::Protocol::Tcp, (NODES[0].1, WEB), bytes);
    assert!(dial(64).is_err());
    let _ = clear(&lab, &[]).expect(0);
    assert_eq!(difference(&before, &snapshot(&lab)), None);
    assert!(dial(64).is_ok());
    assert!(clear(&lab, &["wrong-target-port"]).expect(2).stderr.contains("is not injected"));
    assert_eq!(clear(&lab, &[]).expect(0).stdout, "nothing is injected\n");
}

#[test]
fn a_fault_that_fails_half_way_undoes_itself() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    // A table in the way of the fault's second step, which wants a chain of another kind there.
    let table = "add table inet fault-port-held; \
                 add chain inet fault-port-held prerouting { type filter hook prerouting priority 0; }";
    let _ = lab.exec("node-1", &["nft", table]).expect(0);
    let before = snapshot(&lab);
    let refused = inject(&lab, &["port-held"]).expect(2);
    assert!(refused.stderr.contains("undone"), "{}", refused.stderr);
    assert_eq!(fault::injected(lab.name()).unwrap(), []);
    let after = snapshot(&lab);
    assert_eq!(before["processes"], after["processes"]);
}

#[test]
fn without_a_lab_faults_are_listed_and_nothing_else() {
    let name = unused_name();
    let list = netlab(&["lab", "fault", "list", "--name", name.as_str()]).expect(0);
    assert!(list.stdout.contains("fdb-wrong-vtep"));
    if !require_lab() {
        return;
    }
    for args in [&["inject", "forward-drop"][..], &["clear"]] {
        let words = [&["lab", "fault"], args, &["--name", name.as_str()]].concat();
        assert!(netlab(&words).expect(2).stderr.contains("there is no lab"));
    }
}
