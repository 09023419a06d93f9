//! Bad input is refused before anything is built, and the message says where it stands.

use netlab::{lab::LabDir, netlink::Netns};
use netlab_tests::{
    binary::{Ran, netlab},
    lab::{Lab, unused_name},
    privilege::require_lab,
};

/// What to change in the built-in objects, and what the message has to say behind the file.
const CASES: [(&str, &str, &str); 9] = [
    (
        "  selector:\n    app: web",
        "  selektor:\n    app: web",
        "document 1: Service default/web: spec.selektor: no such field; did you mean \"selector\"?",
    ),
    (
        "nodePort: 30053",
        "nodePort: 70000",
        "document 2: Service default/dns: spec.ports[0].nodePort: 70000 is outside 1..=65535",
    ),
    (
        "nodePort: 30080",
        "nodePort: many",
        "document 1: Service default/web: spec.ports[0].nodePort: ",
    ),
    (
        "  name: web-1\n  labels:\n    app: web\nspec:\n  nodeName: node-1",
        "  name: web-1\n  labels:\n    app: web\nspec:\n  nodeName: node-9",
        "document 4: Pod default/web-1: spec.nodeName: no Node is called \"node-9\"",
    ),
    (
        "      protocol: UDP\n      containerPort: 5353",
        "      protocol: SCTP\n      containerPort: 5353",
        "Pod default/dns-1: spec.containers[0].ports[0].protocol: SCTP is not supported",
    ),
    (
        "kind: Node\nmetadata:\n  name: node-1",
        "kind: Node\nmetadata:\n  name: Node_1",
        "document 3: Node Node_1: metadata.name: ",
    ),
    (
        "    nodePort: 30080",
        "    nodePort: 30080\n  - name: again\n    port: 81\n    targetPort: 8080\n    nodePort: 30080",
        "Service default/web: spec.ports[1].nodePort: node port 30080/TCP is taken by ",
    ),
    ("kind: Pod\nmetadata:\n  name: web-2", "kind: Pot\nmetadata:\n  name: web-2", "document 5: "),
    ("kind: Service", "kind: {Service", "line "),
];

#[test]
fn a_bad_manifest_is_refused_with_its_place_and_leaves_nothing() {
    if !require_lab() {
        return;
    }
    let builtin = netlab(&["lab", "manifest"]).expect(0).stdout;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    for (good, bad, words) in CASES {
        assert!(builtin.contains(good), "{good:?}");
        std::fs::write(&file, builtin.replacen(good, bad, 1)).unwrap();
        let refused = refused(&["-f", file.to_str().unwrap()]);
        let place = format!("netlab: {}: ", file.display());
        assert!(refused.stderr.starts_with(&place), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{words:?}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
}

#[test]
fn bad_options_are_refused_and_leave_nothing() {
    if !require_lab() {
        return;
    }
    for (args, words) in [
        (&["-f", "/nonexistent.yaml"][..], "/nonexistent.yaml: cannot be read"),
        (&["--mtu", "1000"], "an MTU of 1000 does not do"),
        (&["--mode", "geneve"], "invalid value 'geneve' for '--mode"),
        (&["--nodes", "0"], "invalid value '0' for '--nodes"),
    ] {
        let refused = refused(args);
        assert!(refused.stderr.contains(words), "{words:?}: {}", refused.stderr);
    }
}

#[test]
fn bad_input_leaves_a_running_lab_as_it_is() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up_with(&[]);
    let before = lab.dir().topology().unwrap();
    let _ = lab.again(&["-f", "/nonexistent.yaml"]).expect(2);
    let _ = lab.again(&["--underlay", "routed"]).expect(2);
    assert_eq!(lab.dir().topology().unwrap(), before);
    assert_eq!(lab.status().expect(0).json()["problems"], serde_json::json!([]));
}

#[test]
fn commands_on_a_lab_that_is_not_there_fail_and_name_it() {
    if !require_lab() {
        return;
    }
    let name = unused_name();
    for command in [
        &["lab", "status", "--name", name.as_str()][..],
        &["lab", "manifest", "--name", name.as_str()],
        &["show", "services", "--name", name.as_str()],
        &["lab", "exec", "--name", name.as_str(), "client", "--", "true"],
    ] {
        let failed = netlab(command).expect(2);
        assert!(failed.stderr.contains(name.as_str()), "{}: {}", failed.line, failed.stderr);
    }
}

fn refused(args: &[&str]) -> Ran {
    let name = unused_name();
    let refused = netlab(&[&["lab", "up", "--name", name.as_str()], args].concat()).expect(2);
    assert!(!LabDir::new(&name).root().exists());
    let prefix = format!("{name}-");
    assert!(!Netns::list().unwrap().iter().any(|netns| netns.starts_with(&prefix)));
    refused
}
