//! The doctor's causes: the first is the fault's, two are both named, and what mends them does.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use netlab::{lab::Mode, proxy::Kind};
use netlab_tests::{
    binary::{Ran, netlab},
    lab::{By, Lab},
    privilege::require_lab,
};
use serde_json::Value;

/// How long a lab may take to be well again after a mend.
const PATIENCE: Duration = Duration::from_secs(20);

fn up() -> Lab {
    Lab::up(Mode::Vxlan, By::KubeProxy(Kind::Nftables))
}

fn inject(lab: &Lab, fault: &str) {
    let _ = netlab(&["lab", "fault", "inject", fault, "--name", lab.name().as_str()]).expect(0);
}

fn doctor(lab: &Lab) -> Ran {
    netlab(&["doctor", "--name", lab.name().as_str(), "-o", "json"])
}

fn findings(lab: &Lab) -> Vec<Value> {
    let diagnosis = doctor(lab).expect(1).json();
    diagnosis["findings"].as_array().unwrap().clone()
}

#[test]
fn the_cause_comes_first_and_its_mends_leave_nothing_to_find() {
    if !require_lab() {
        return;
    }
    for (fault, code) in [
        ("vni-mismatch", "vxlan-mismatch"),
        ("bridge-down", "link-down"),
        ("pod-not-enslaved", "link-down"),
        ("source-range-drop", "source-range-denied"),
        ("snat-range-narrow", "snat-ports-exhausted"),
    ] {
        let lab = up();
        inject(&lab, fault);
        let found = findings(&lab);
        assert_eq!(found[0]["code"], code, "{fault}: {found:#?}");
        let fixed = netlab(&["doctor", "--name", lab.name().as_str(), "--fix", "--yes"]);
        let gone = format!("gone: {code} at {}\n", found[0]["host"].as_str().unwrap());
        assert!(fixed.stdout.contains(&gone), "{fault}: {}{}", fixed.stdout, fixed.stderr);
        assert!(!fixed.stdout.contains("failed: "), "{fault}: {}", fixed.stdout);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let after = doctor(&lab);
            if after.code == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{fault}: {}", after.stdout);
        }
    }
}

#[test]
fn two_causes_are_both_named_and_the_lab_stays_what_it_is_until_they_are_cleared() {
    if !require_lab() {
        return;
    }
    let lab = up();
    inject(&lab, "no-endpoints");
    inject(&lab, "source-range-drop");
    let found = findings(&lab);
    let codes: BTreeSet<_> = found.iter().map(|of| of["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["no-endpoints", "source-range-denied"].into());

    for args in [["--proxy", "iptables"], ["--mode", "host-gw"]] {
        let refused = lab.again(&args).expect(2);
        assert!(refused.stderr.contains("lab fault clear"), "{}", refused.stderr);
        assert!(refused.stderr.contains("no-endpoints"), "{}", refused.stderr);
    }
    let _ = lab.again(&["--mode", "vxlan"]).expect(0);
    let _ = netlab(&["lab", "fault", "clear", "--name", lab.name().as_str()]).expect(0);
    let _ = doctor(&lab).expect(0);
    let _ = lab.again(&["--mode", "host-gw"]).expect(0);
}
