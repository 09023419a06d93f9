//! Endpoints: selectors, readiness and local policies.

use super::*;

#[test]
fn a_selector_that_matches_nothing_names_the_nearest_labels() {
    let facts = edited("selector:\n    app: web", "selector:\n    app: wbe");
    let finding = only(&of_cluster(facts));
    assert_eq!(finding.code, Code::NoEndpoints);
    assert!(finding.cause.contains("app=wbe"), "{}", finding.cause);
    assert!(
        finding.fixes[0].command.iter().any(|word| word.contains(r#""app":"web""#)),
        "{finding:?}"
    );
}

#[test]
fn a_selector_of_pods_that_do_not_run_is_not_patched_to_select_others() {
    // A letter is a slip; another word is another application, another digit another version.
    let slips = [("wbe", true), ("we", true), ("weeb", true), ("wep", true)];
    let others = [("db", false), ("web2", false), ("webshop", false), ("api", false)];
    for (label, is_slip) in slips.into_iter().chain(others) {
        let facts = edited("selector:\n    app: web", &format!("selector:\n    app: {label}"));
        let finding = only(&of_cluster(facts));
        assert_eq!(finding.code, Code::NoEndpoints);
        assert_eq!(finding.fixes.len(), 1, "{label}");
        assert_eq!(finding.fixes[0].mends, is_slip, "{label}: {finding:?}");
        let is_patch = finding.fixes[0].command.iter().any(|word| word == "patch");
        assert_eq!(is_patch, is_slip, "{label}");
    }
}

#[test]
fn an_object_of_a_lab_is_mended_in_its_manifest_and_one_of_a_cluster_by_kubectl() {
    let mut facts = edited("selector:\n    app: web", "selector:\n    app: wbe");
    facts.manifests[0].origin = "/run/netlab/lab/manifests/lab.yaml".to_owned();
    let fix = |facts: &Facts| only(facts).fixes.remove(0);
    let in_lab = fix(&facts);
    assert!(in_lab.command.is_empty() && !in_lab.mends, "{in_lab:?}");
    assert!(in_lab.words.contains("/run/netlab/lab/manifests/lab.yaml (document"), "{in_lab:?}");
    assert!(in_lab.words.contains("Service default/web), write app: web"), "{in_lab:?}");
    let in_cluster = fix(&of_cluster(facts));
    assert_eq!((in_cluster.command[0].as_str(), in_cluster.mends), ("kubectl", true));
    assert_eq!(in_cluster.host, None);
}

#[test]
fn pods_that_are_not_ready_are_named_with_brackets_and_with_the_place_that_says_so() {
    let mut spec = lab().spec().unwrap();
    for port in spec.services.iter_mut().flat_map(|service| &mut service.ports) {
        port.endpoints.iter_mut().for_each(|endpoint| endpoint.ready = false);
    }
    let mut facts = lab();
    // The slice of another Service, whose name begins alike.
    let slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
                 endpoints: [], metadata: {name: NAME, labels: {kubernetes.io/service-name: OF}}}";
    let write = |facts: &mut Facts, name: &str, of: &str| {
        let text = slice.replace("NAME", name).replace("OF", of);
        facts.manifests.push(Manifest { origin: "slice.yaml".into(), text });
    };
    write(&mut facts, "webshop-x", "webshop");
    let found = all(&facts, &spec);
    assert!(found.iter().all(|of| of.code == Code::NoneReady), "{found:?}");
    let web = found.iter().find(|of| of.cause.contains("default/web")).unwrap();
    let mut texts = web.evidence.iter().map(|of| of.text.as_str());
    assert!(texts.any(|text| text.starts_with("endpoint [fd00:10:244:1::2]:8080 ")), "{web:?}");
    assert!(web.fixes[0].words.contains("Pod default/web-1), set the condition"), "{web:?}");
    let mut sliced = facts.clone();
    write(&mut sliced, "endpoints-1", "web");
    let found = all(&sliced, &spec);
    let web = found.iter().find(|of| of.cause.contains("default/web")).unwrap();
    let place = "slice.yaml (document 1, EndpointSlice default/endpoints-1), set conditions.ready";
    assert!(web.fixes[0].words.contains(place), "{web:?}");
    let web = &all(&of_cluster(facts), &spec)[0];
    assert_eq!((web.fixes[0].command[0].as_str(), web.fixes[0].mends), ("kubectl", false));
}

#[test]
fn a_local_policy_is_told_of_nodes_without_endpoints_alone() {
    let mut facts = edited("type: NodePort", "type: NodePort\n  externalTrafficPolicy: Local");
    // Both nodes have pods of both Services.
    assert_eq!(found(&facts), []);
    for manifest in &mut facts.manifests {
        let documents = manifest.text.split("---\n");
        let stay: Vec<_> = documents.filter(|text| !text.contains("nodeName: node-2")).collect();
        manifest.text = stay.join("---\n");
    }
    let found = found(&facts);
    assert!(!found.is_empty());
    for finding in found {
        assert_eq!(
            (finding.code, finding.host.as_deref()),
            (Code::NoLocalEndpoint, Some("node-2"))
        );
    }
}
