//! The doctor on hosts without a lab: nodes as seen from within, and plain hosts that translate.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use netlab::{
    lab::{Hook, Mode},
    netlink::Netns,
    proxy::Kind,
};
use netlab_tests::{
    binary,
    lab::{By, Lab, unused_name},
    privilege::{require_lab, skip},
};
use serde_json::Value;

/// What was found, by its codes, and everything that was said.
struct Told {
    code: i32,
    json: Value,
    stderr: String,
}

impl Told {
    fn codes(&self) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
    }
}

/// `netlab doctor` inside a namespace; `script` comes first, in mount and process namespaces of
/// their own.
fn doctor(netns: &str, script: &str, args: &[&str]) -> Told {
    let words = args.join(" ");
    let script = format!("{script} exec {} doctor {words} -o json", binary::path().display());
    let unshare = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", &script];
    let output = Command::new("ip")
        .args(["netns", "exec", netns])
        .args(unshare)
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Told { code: output.status.code().unwrap_or(-1), json, stderr }
}

/// Of all namespaces only these can be found: others are other machines.
fn only(names: &[String]) -> String {
    let keep = names
        .iter()
        .map(|name| format!("touch /mnt/{name}; mount --bind /run/netns/{name} /mnt/{name};"));
    format!("mount -t tmpfs none /mnt; {} mount --move /mnt /run/netns;", keep.collect::<String>())
}

#[test]
fn a_node_of_kube_proxy_is_diagnosed_from_within_with_objects_and_without() {
    if !require_lab() {
        return;
    }
    for kind in [Kind::Nftables, Kind::Iptables] {
        let lab = Lab::up(Mode::Vxlan, By::KubeProxy(kind));
        let node = lab.name().netns("node-1");
        let pods = ["web-1", "web-2", "dns-1"].map(|pod| lab.name().netns(pod));
        let alone = only(&pods);
        let objects = lab.dir().manifests().display().to_string();
        let asked = "172.18.0.2:30080";
        let ways: [&[&str]; 3] =
            [&[asked, "--here"], &[asked, "--here", "-f", &objects], &["--here"]];
        for (args, script) in ways.iter().flat_map(|args| [(args, ""), (args, &alone)]) {
            let told = doctor(&node, script, args);
            assert_eq!(told.codes(), [""; 0], "{kind:?} {args:?}: {}", told.json);
            assert_eq!(told.code, 0, "{}", told.stderr);
            let backends: usize = told.json["ways"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|way| way["dialled"] == asked)
                .map(|way| way["backends"].as_object().unwrap().len())
                .sum();
            assert_eq!(backends, 4, "{kind:?} {args:?}: {}", told.json);
        }
        let _ = lab.exec("node-1", &["sysctl", "-qw", "net.ipv4.ip_forward=0"]).expect(0);
        for (args, script) in ways.iter().flat_map(|args| [(args, ""), (args, &alone)]) {
            let told = doctor(&node, script, args);
            assert_eq!(told.codes().first(), Some(&"forwarding-off"), "{args:?}: {}", told.json);
            assert_eq!(told.code, 1);
        }
    }
}

#[test]
fn a_node_of_netlab_s_programs_shows_their_maps_from_within_and_does_not_dial_past_them() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, Hook::Xdp);
    let node = lab.name().netns("node-1");
    let objects = lab.dir().manifests().display().to_string();
    let ways: [&[&str]; 2] =
        [&["172.18.0.2:30080", "--here"], &["172.18.0.2:30080", "--here", "-f", &objects]];
    for args in ways {
        let told = doctor(&node, "", args);
        assert_eq!((told.code, told.codes()), (0, vec![]), "{} {}", told.json, told.stderr);
        let backends = told.json["ways"][0]["backends"].as_object().unwrap().len();
        assert_eq!(backends, 4, "{}", told.json);
        let gaps = told.json["gaps"].to_string();
        assert!(gaps.contains("is not dialled from here"), "{gaps}");
        assert!(!gaps.contains("datapath"), "{gaps}");
    }
    // The host is the only one that can dial this, and nobody answers.
    let told = doctor(&node, "", &["127.0.0.1:30080", "--here"]);
    assert_eq!((told.code, &told.json["healthy"]), (2, &Value::Bool(false)), "{}", told.stderr);
    let why = told.json["unknown"][0]["why"].to_string();
    assert!(why.contains("itself fail (refused), and nobody else can dial"), "{}", told.json);
}

/// A client, a host that translates 10.71.0.1:8080, and a server, each in a namespace.
struct Plain {
    prefix: String,
}

/// How the host is told what to translate.
const WRITERS: [&str; 3] = ["nft", "iptables-nft", "iptables-legacy"];

impl Plain {
    fn up() -> Self {
        let plain = Self { prefix: unused_name().to_string() };
        let [client, host, server] = ["c", "h", "s"].map(|part| plain.netns(part));
        for name in [&client, &host, &server] {
            Netns::create(name).unwrap();
            run(name, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set lo up");
        }
        run(&host, &format!("ip link add c type veth peer name eth0 netns {client}"));
        run(&host, &format!("ip link add s type veth peer name eth0 netns {server}"));
        run(&client, "ip addr add 10.71.0.2/24 dev eth0; ip link set eth0 up");
        run(&server, "ip addr add 10.72.0.2/24 dev eth0; ip link set eth0 up");
        run(
            &host,
            "ip addr add 10.71.0.1/24 dev c; ip link set c up; ip addr add 10.72.0.1/24 dev s; \
             ip link set s up; sysctl -qw net.ipv4.ip_forward=1",
        );
        plain
    }

    fn netns(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    /// Has the port go to a server.
    fn translate(&self, writer: &str, to: &str) {
        let script = match writer {
            "nft" => format!(
                "nft 'add table ip t; add chain ip t pre {{ type nat hook prerouting priority -100; \
                 }}; add chain ip t post {{ type nat hook postrouting priority 100; }}; \
                 add rule ip t pre tcp dport 8080 dnat to {to}; \
                 add rule ip t post oifname s masquerade'"
            ),
            iptables => format!(
                "{iptables} -t nat -A PREROUTING -d 10.71.0.1 -p tcp --dport 8080 -j DNAT \
                 --to-destination {to}; {iptables} -t nat -A POSTROUTING -o s -j MASQUERADE"
            ),
        };
        run(&self.netns("h"), &script);
    }

    fn forget(&self) {
        run(
            &self.netns("h"),
            "nft flush ruleset; iptables-legacy -t nat -F; sysctl -qw net.ipv4.ip_forward=1",
        );
    }

    /// As with everything in sight, and as with the host alone.
    fn diagnoses(&self) -> [Told; 2] {
        let args = ["10.71.0.1:8080", "--here"];
        ["", &only(&[])].map(|script| doctor(&self.netns("h"), script, &args))
    }

    fn serve(&self) -> TcpListener {
        let server = Netns::open(&self.netns("s")).unwrap();
        let address: SocketAddr = "10.72.0.2:80".parse().unwrap();
        server.run(|| TcpListener::bind(address).unwrap()).unwrap()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        for part in ["c", "h", "s"] {
            let _ = Netns::delete(&self.netns(part));
        }
    }
}

fn run(netns: &str, script: &str) {
    let script = format!("set -e; {script}");
    let output =
        Command::new("ip").args(["netns", "exec", netns, "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn are_installed(programs: &[&str]) -> bool {
    let is_there = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    programs.iter().all(is_there)
}

#[test]
fn a_plain_host_that_translates_is_diagnosed_whoever_wrote_the_rule() {
    if !require_lab() {
        return;
    }
    if !are_installed(&WRITERS) {
        return skip("nft, iptables-nft or iptables-legacy is not installed");
    }
    let plain = Plain::up();
    let server = plain.serve();
    let host = plain.netns("h");
    for writer in WRITERS {
        plain.translate(writer, "10.72.0.2:80");
        for told in plain.diagnoses() {
            assert_eq!(told.codes(), [""; 0], "{writer}: {}", told.json);
            let backends = &told.json["ways"][0]["backends"];
            assert!(backends.get("10.72.0.2:80").is_some(), "{writer}: {}", told.json);
        }
        run(&host, "sysctl -qw net.ipv4.ip_forward=0");
        for told in plain.diagnoses() {
            assert_eq!(told.codes(), ["forwarding-off"], "{writer}: {}", told.json);
        }
        plain.forget();
        plain.translate(writer, "10.72.0.9:80");
        let [in_sight, _] = plain.diagnoses();
        assert_eq!(in_sight.codes(), ["proxy-stale"], "{writer}: {}", in_sight.json);
        plain.forget();
    }
    plain.translate("nft", "10.72.0.2:80");
    run(
        &host,
        "nft 'add table ip f; add chain ip f ff { type filter hook forward priority 0; policy \
         drop; }'",
    );
    for told in plain.diagnoses() {
        assert_eq!(told.codes(), ["forward-dropped"], "{}", told.json);
    }
    run(&host, "nft delete table ip f; nft flush chain ip t post");
    let [in_sight, _] = plain.diagnoses();
    // The server has no way back to the client.
    assert_eq!(in_sight.codes(), ["route-missing"], "{}", in_sight.json);
    run(&host, "nft add rule ip t post oifname s masquerade");
    drop(server);
    let [in_sight, _] = plain.diagnoses();
    assert_eq!(in_sight.codes(), ["nothing-listens"], "{}", in_sight.json);
}

#[test]
fn without_an_address_nothing_is_sent() {
    if !require_lab() {
        return;
    }
    if !are_installed(&["nft"]) {
        return skip("nft is not installed");
    }
    let plain = Plain::up();
    plain.translate("nft", "10.72.0.2:80");
    let sent = || {
        let count = |link: &str| {
            let file = format!("cat /sys/class/net/{link}/statistics/tx_packets");
            let args = ["netns", "exec", &plain.netns("h"), "sh", "-c", &file];
            String::from_utf8(Command::new("ip").args(args).output().unwrap().stdout).unwrap()
        };
        (count("c"), count("s"))
    };
    let before = sent();
    let told = doctor(&plain.netns("h"), "", &["--here"]);
    assert_eq!(told.code, 1, "nothing listens at the server: {}", told.json);
    assert_eq!(sent(), before);
    let gaps = told.json["gaps"].to_string();
    assert!(gaps.contains("nothing is dialled"), "{gaps}");
}

#[test]
fn a_service_that_nobody_knows_and_a_lab_that_is_not_there_are_refused_with_a_way_out() {
    if !require_lab() {
        return;
    }
    let plain = Plain::up();
    let told = doctor(&plain.netns("h"), "", &["web", "--here"]);
    assert_eq!(told.code, 2, "{}", told.stderr);
    assert!(told.stderr.contains("-f FILE or --kubernetes"), "{}", told.stderr);
    let told = doctor(&plain.netns("h"), "", &["--name", "nosuchlab"]);
    assert_eq!(told.code, 2, "{}", told.stderr);
    assert!(told.stderr.contains("netlab doctor --here"), "{}", told.stderr);
}

/// As `kubectl get nodes,pods,services,endpointslices -A -o json` prints it, in part.
const LIST: &str = include_str!("../../fixtures/kubectl-list.json");

#[test]
fn the_objects_of_the_cluster_are_asked_of_kubectl_where_that_was_wished_for() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    let node = lab.name().netns("node-1");
    let directory = tempfile::tempdir().unwrap();
    let kubectl = directory.path().join("kubectl");
    fs::write(directory.path().join("list.json"), LIST).unwrap();
    let asked = directory.path().join("asked");
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {}\ncat {}/list.json\n",
        asked.display(),
        directory.path().display()
    );
    fs::write(&kubectl, script).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("export PATH={}:$PATH;", directory.path().display());
    let told = doctor(&node, &path, &["web", "--here"]);
    assert_eq!(told.code, 2, "{}", told.json);
    assert!(!asked.exists(), "nobody wished for it");
    let with_config = format!("{path} export KUBECONFIG=/dev/null;");
    let told = doctor(&node, &with_config, &["web", "--here", "--kubernetes"]);
    assert_eq!(told.codes(), [""; 0], "{} {}", told.json, told.stderr);
    assert_eq!(told.json["ways"][0]["dialled"], "172.18.0.2:30080", "{}", told.json);
    // Pods of the host's network, one that waits for a node, names instead of addresses.
    assert!(!told.json["gaps"].to_string().contains("left out"), "{}", told.json);
    let words = fs::read_to_string(&asked).unwrap();
    assert!(words.starts_with("get nodes,pods,services,endpointslices -A"), "{words}");
    let without = format!("{path} export HOME=/nonexistent;");
    let told = doctor(&node, &without, &["172.18.0.2:30080", "--here", "--kubernetes"]);
    assert_eq!((told.code, told.codes()), (0, vec![]), "{}", told.json);
    let gaps = told.json["gaps"].to_string();
    assert!(gaps.contains("there is no kubeconfig"), "{gaps}");
}
