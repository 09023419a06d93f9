use super::{Existing, Ruleset, batches, render, transaction};
use crate::{
    proxy::{
        tests::{golden, sample},
        view::{Family, View},
    },
    spec::{Spec, model::Node},
};

fn rules(spec: &Spec, node: &Node) -> Ruleset {
    render(&View::new(spec, node, Family::V4))
}

#[test]
fn a_cluster_that_asks_for_everything() {
    let (spec, node) = sample();
    for (family, file) in [(Family::V4, "v4.nft"), (Family::V6, "v6.nft")] {
        let ruleset = render(&View::new(&spec, &node, family));
        let script = transaction(&ruleset, None, &Existing::default());
        golden("nftables", file, &script);
    }
}

#[test]
fn the_same_again_is_nothing_to_do() {
    let (spec, node) = sample();
    let ruleset = rules(&spec, &node);
    assert_eq!(transaction(&ruleset, Some(&ruleset), &Existing::default()), "");
}

#[test]
fn an_endpoints_change_touches_its_own_service_only() {
    let (mut spec, node) = sample();
    let before = rules(&spec, &node);
    let endpoints = &mut spec.services[0].ports[0].endpoints;
    endpoints.retain(|endpoint| endpoint.address.to_string() != "10.244.2.2");
    let after = rules(&spec, &node);
    let service = "ip kube-proxy service-OJTJMXSK-default/plain/tcp/main";
    let script = transaction(&after, Some(&before), &Existing::default());
    assert!(script.lines().all(|line| line.contains("default/plain/tcp/main")), "{script}");
    assert_eq!(script.lines().count(), 5, "{script}");
    assert!(script.starts_with(&format!("flush chain {service}\n")), "{script}");
    let back = transaction(&before, Some(&after), &Existing::default());
    assert!(back.starts_with("add chain ip kube-proxy endpoint-"), "{back}");
}

#[test]
fn an_element_that_leads_elsewhere_is_replaced() {
    let (mut spec, node) = sample();
    let before = rules(&spec, &node);
    spec.services[0].ports[0].endpoints.clear();
    let script = transaction(&rules(&spec, &node), Some(&before), &Existing::default());
    let port = "delete element ip kube-proxy service-nodeports { tcp . 30080 }\n";
    assert!(script.contains(port), "{script}");
    let nobody = "no-endpoint-nodeports { tcp . 30080 comment \"default/plain:main\" : goto \
                  reject-chain }\n";
    assert!(script.contains(nobody), "{script}");
    let at = |words: &str| script.find(words).unwrap_or_else(|| panic!("{words}: {script}"));
    assert!(at(port) < at("delete chain ip kube-proxy external-"));
}

#[test]
fn a_set_with_another_timeout_is_made_anew_with_the_chains_that_name_it() {
    let (mut spec, node) = sample();
    let before = rules(&spec, &node);
    spec.services[1].affinity = Some(std::time::Duration::from_secs(60));
    let script = transaction(&rules(&spec, &node), Some(&before), &Existing::default());
    let at = |words: &str| script.find(words).unwrap_or_else(|| panic!("{words}: {script}"));
    assert!(at("flush chain ip kube-proxy endpoint-") < at("delete set ip kube-proxy affinity-"));
    assert!(at("delete set") < at("add set") && at("add set") < at("add rule"));
    assert!(script.contains("timeout 60s"));
}

#[test]
fn what_an_agent_before_left_goes_but_clients_stay_with_their_endpoints() {
    let (spec, node) = sample();
    let ruleset = rules(&spec, &node);
    let affinity = ruleset.sets.keys().find(|name| name.starts_with("affinity-")).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let existing = Existing {
        chains: names(&["services", "service-AAAAAAAA-default/gone/tcp/main", "somebodys"]),
        sets: names(&["service-ips", affinity, "affinity-AAAAAAAA-default/gone/tcp/main__1/1"]),
    };
    let script = transaction(&ruleset, None, &existing);
    for line in [
        "flush chain ip kube-proxy services",
        "flush map ip kube-proxy service-ips",
        "delete chain ip kube-proxy service-AAAAAAAA-default/gone/tcp/main",
        "delete set ip kube-proxy affinity-AAAAAAAA-default/gone/tcp/main__1/1",
    ] {
        assert!(script.lines().any(|known| known == line), "{line}: {script}");
    }
    assert!(!script.contains("somebodys"));
    assert!(!script.contains(&format!("flush set ip kube-proxy {affinity}")));
}

#[test]
fn a_large_rule_set_is_loaded_in_pieces_and_takes_effect_with_the_last() {
    let (mut spec, node) = sample();
    assert_eq!(batches(&rules(&spec, &node)).len(), 1);
    let sticky = spec.services[1].clone();
    spec.services.extend((0..1000_u16).map(|index| {
        let mut service = sticky.clone();
        service.name.name = format!("svc-{index}");
        let [high, low] = index.to_be_bytes();
        service.cluster_addresses = vec![[10, 97, high, low].into()];
        service.ports[0].node_port = std::num::NonZeroU16::new(40_000 + index);
        service
    }));
    let ruleset = rules(&spec, &node);
    let scripts = batches(&ruleset);
    assert!(scripts.len() > 3);
    let (last, before) = scripts.split_last().unwrap();
    assert!(before.iter().all(|script| !script.contains("add element")));
    assert!(last.lines().all(|line| line.starts_with("add element ")));
    // Nothing is lost, and nothing said twice.
    let mut pieces: Vec<_> = scripts.iter().flat_map(|script| script.lines()).collect();
    let whole = transaction(&ruleset, None, &Existing::default());
    let mut whole: Vec<_> = whole.lines().collect();
    pieces.sort_unstable();
    whole.sort_unstable();
    assert!(pieces == whole);
}
