//! Where no packet's way could be looked at: that is neither healthy nor a finding.

use std::net::SocketAddr;

use netlab::{doctor::facts::Facts, spec::Spec};

/// Node ports that are told.
const MOST: usize = 8;

/// What was asked about that is not there, and what could be asked instead.
pub(super) fn why(facts: &Facts, spec: &Spec) -> String {
    let instead = instead(spec);
    let Ok(asked) = facts.subject.asked.parse::<SocketAddr>() else {
        return format!("nothing to judge: no Service has a node port that is dialled; {instead}");
    };
    let address = asked.ip();
    match spec.services.iter().find(|service| service.cluster_addresses.contains(&address)) {
        Some(service) => format!(
            "nothing to judge: {address} is the cluster address of Service {}, which pods and \
             nodes dial; {instead}",
            service.name
        ),
        None => format!(
            "nothing to judge: no host that is looked at has the address {address}; {instead}"
        ),
    }
}

/// Node ports that there are.
pub(super) fn instead(spec: &Spec) -> String {
    let own = |port: u16| {
        let node = spec.nodes.iter().flat_map(|node| &node.addresses).next();
        node.map(|address| SocketAddr::new(*address, port))
    };
    let ports = spec.services.iter().flat_map(|service| {
        service.ports.iter().filter_map(move |port| {
            let dialled = own(port.node_port?.get())?;
            Some(format!("{dialled} ({} of Service {})", port.protocol, service.name))
        })
    });
    let mut told: Vec<String> = ports.take(MOST + 1).collect();
    if told.len() > MOST {
        told[MOST] = "others".to_owned();
    }
    match told.as_slice() {
        [] => "ask about ADDRESS:PORT of a host that is looked at".to_owned(),
        _ => format!("there are {}", told.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_about_nobody_is_told_what_there_is() {
        let text = include_str!("../../doctor/facts/fixture/recorded/vxlan.nftables.json");
        let mut facts = Facts::read(text).unwrap();
        let spec = facts.spec().unwrap();
        let mut of = |asked: &str| {
            facts.subject.asked = asked.to_owned();
            why(&facts, &spec)
        };
        let there = "there are 172.18.0.2:30053 (UDP of Service default/dns), \
                     172.18.0.2:30080 (TCP of Service default/web)";
        assert_eq!(
            of("172.18.0.99:30080"),
            format!(
                "nothing to judge: no host that is looked at has the address 172.18.0.99; {there}"
            )
        );
        let cluster = of("10.96.0.10:80");
        assert!(cluster.contains("is the cluster address of Service default/web"), "{cluster}");
        let empty = why(&facts, &Spec::default());
        assert!(empty.ends_with("ask about ADDRESS:PORT of a host that is looked at"), "{empty}");
    }
}
