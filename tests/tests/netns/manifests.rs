//! Manifests that stop being right while the lab runs.

use netlab::{
    lab::{Hook, Mode},
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{DNS, Lab, NODES, WEB},
    poll::until,
    privilege::require_lab,
};

#[test]
fn a_manifest_that_is_refused_changes_nothing_and_says_where() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, Hook::Xdp);
    let whole = lab.manifest("services.yaml");
    let frontends = lab.show("services");
    let cases = [
        (
            whole.replace("nodePort: 30080", "nodePort: 300800"),
            "services.yaml: document 1: Service default/web: spec.ports[0].nodePort",
        ),
        (whole.replace("kind: Service", "kind: [Service"), "services.yaml: line "),
        (
            whole.replacen("type: NodePort", "typ: NodePort", 1),
            "services.yaml: document 1: Service default/web: spec.typ",
        ),
    ];
    for (broken, place) in cases {
        assert_ne!(broken, whole);
        lab.write_manifest("services.yaml", &broken);
        let by_agents = |status: &serde_json::Value| {
            let agents = status["agents"].as_array().cloned().unwrap_or_default();
            agents.iter().all(|agent| {
                agent["status"]["error"].as_str().is_some_and(|error| error.contains(place))
            })
        };
        let status = until(place, || Some(lab.status()).filter(|status| by_agents(&status.json())));
        let status = status.expect(1);
        let problems = status.json()["problems"].to_string();
        assert!(problems.contains(place), "{problems}");
        assert_eq!(lab.show("services").len(), frontends.len());
        for (_, address) in NODES {
            let _ = lab.dials(Protocol::Tcp, (address, WEB), 64, 8);
            let _ = lab.dials(Protocol::Udp, (address, DNS), 64, 8);
        }

        lab.write_manifest("services.yaml", &whole);
        until("a status without problems", || (lab.status().code == 0).then_some(()));
        let status = lab.status().expect(0).json();
        assert_eq!(status["problems"], serde_json::json!([]));
        assert!(status["agents"][0]["status"]["error"].is_null());
        assert_eq!(lab.show("services"), frontends);
    }
}
