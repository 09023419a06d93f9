use super::*;

fn some() -> Facts {
    Facts {
        version: VERSION,
        taken: "2026-01-02T03:04:05Z".into(),
        took_ms: 12,
        netlab: "0.1.0".into(),
        kernel: "6.12.0".into(),
        subject: Subject::everything(),
        lab: Some(Lab {
            name: "lab".parse().unwrap(),
            mode: Mode::Vxlan,
            underlay: Underlay::L2,
            proxy: Proxy::Nftables,
            hook: Hook::Auto,
            mtu: 1500,
        }),
        manifests: vec![Manifest { origin: "built-in".into(), text: spec::builtin_yaml(2) }],
        hosts: vec![HostFacts {
            name: "node-1".into(),
            role: Role::Node { node: "node-1".into() },
            ..HostFacts::default()
        }],
        softnet: counters::Softnet::default(),
        gaps: vec![Gap {
            host: Some("node-1".into()),
            source: Source::Nft,
            reason: "nft is not installed".into(),
            hides: "Rules that drop packets.".into(),
        }],
    }
}

#[test]
fn what_is_written_is_read_again() {
    let facts = some();
    assert_eq!(Facts::read(&facts.write()).unwrap(), facts);
}

#[test]
fn the_objects_can_be_parsed_again() {
    assert_eq!(some().objects().unwrap().services, {
        let mut objects = spec::read_str("built-in", &spec::builtin_yaml(2)).unwrap();
        std::mem::take(&mut objects.services)
    });
}

#[test]
fn another_version_is_refused_before_anything_else_is_read() {
    let text = r#"{"version": 2, "netlab": "9.9.9", "hosts": "of another shape"}"#;
    let error = Facts::read(text).unwrap_err();
    assert!(matches!(error, FactsError::Version { found: 2, .. }));
    assert!(error.to_string().contains("gathered by netlab 9.9.9"), "{error}");
}

#[test]
fn what_is_no_facts_is_refused_with_the_place() {
    assert!(matches!(Facts::read("{}"), Err(FactsError::NotFacts(_))));
    assert!(matches!(Facts::read("apiVersion: v1"), Err(FactsError::NotFacts(_))));
    let text = some().write().replace("\"inode\": 0", "\"inode\": \"x\"");
    let error = Facts::read(&text).unwrap_err().to_string();
    assert!(error.contains("hosts[0].inode"), "{error}");
}

#[test]
fn fields_of_a_newer_netlab_are_passed_over() {
    let text = some().write().replacen('{', "{\"later\": 1,", 1);
    assert_eq!(Facts::read(&text).unwrap(), some());
}

#[test]
fn a_gap_blinds_its_host_and_its_source_alone() {
    let mut facts = some();
    assert!(facts.is_blind("node-1", Source::Nft));
    assert!(!facts.is_blind("node-1", Source::Routes));
    assert!(!facts.is_blind("node-2", Source::Nft));
    facts.gaps[0].source = Source::Namespace;
    assert!(facts.is_blind("node-1", Source::Routes));
    facts.gaps[0].host = None;
    assert!(facts.is_blind("node-2", Source::Routes));
}
