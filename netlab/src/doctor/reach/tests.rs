use super::*;
use std::collections::BTreeSet;

use crate::doctor::probe::Attempt;

/// Two nodes with two pods each, two Services, both IP versions; `fails` says which do not answer.
fn reach(fails: impl Fn(&Cell) -> bool) -> Reach {
    let mut cells = Vec::new();
    for (service, protocol, port) in
        [("default/web", Protocol::Tcp, 30080), ("default/dns", Protocol::Udp, 30053)]
    {
        for (node, addresses) in
            [("node-1", ["172.18.0.2", "fd00:18::2"]), ("node-2", ["172.18.0.3", "fd00:18::3"])]
        {
            for address in addresses {
                for (at, home) in [(1, "node-1"), (2, "node-1"), (3, "node-2"), (4, "node-2")] {
                    let name = service.rsplit('/').next().unwrap();
                    let mut cell = Cell {
                        service: service.into(),
                        protocol,
                        dialled: SocketAddr::new(address.parse().unwrap(), port),
                        node: node.into(),
                        backend: format!("{name}-{at}"),
                        home: Some(home.into()),
                        works: None,
                        stalls: false,
                    };
                    cell.works = Some(!fails(&cell));
                    cells.push(cell);
                }
            }
        }
    }
    Reach { cells }
}

fn said(fails: impl Fn(&Cell) -> bool) -> String {
    let pattern = reach(fails).pattern();
    pattern.map(|pattern| pattern.to_string()).unwrap_or_default()
}

#[test]
fn what_fails_is_said_in_the_widest_words_that_hold() {
    let is_local = |cell: &Cell| cell.home.as_ref() == Some(&cell.node);
    let is_v6 = |cell: &Cell| cell.dialled.is_ipv6();
    let is_web = |cell: &Cell| cell.service == "default/web";
    assert_eq!(said(|_| false), "");
    assert_eq!(said(|_| true), "nothing answers, at whichever node it is dialled");
    assert_eq!(said(|cell| !is_local(cell)), "it works only on the node where the pod runs");
    assert_eq!(said(is_local), "it fails only on the node where the pod runs");
    assert_eq!(said(|cell| cell.node == "node-1"), "it fails only through node-1");
    assert_eq!(
        said(|cell| cell.home.as_deref() == Some("node-2")),
        "only the pods of node-2 fail, at whichever node"
    );
    assert_eq!(said(|cell| cell.backend == "web-2"), "only pod web-2 fails, at whichever node");
    assert_eq!(
        said(|cell| cell.node == "node-1" || cell.home.as_deref() == Some("node-1")),
        "it fails wherever node-1 is on the way"
    );
    assert_eq!(said(is_v6), "only IPv6 fails; everything else answers");
    assert_eq!(said(is_web), "only Service default/web fails; everything else answers");
    assert_eq!(
        said(|cell| is_web(cell) && !is_local(cell)),
        "it works only on the node where the pod runs (Service default/web alone)"
    );
    assert_eq!(
        said(|cell| cell.node == "node-1" && !is_local(cell)),
        "it fails only from node-1 to the pods of node-2"
    );
    assert_eq!(
        said(|cell| is_web(cell) && is_v6(cell)),
        "only Service default/web over IPv6 fails; everything else answers"
    );
}

#[test]
fn a_protocol_is_named_where_several_services_have_it() {
    let mut reach = reach(|cell| cell.protocol == Protocol::Udp);
    let other = reach.cells.iter().filter(|cell| cell.service == "default/dns").cloned();
    let other = other.map(|cell| Cell { service: "default/log".into(), ..cell });
    let other: Vec<_> = other.collect();
    reach.cells.extend(other);
    let pattern = reach.pattern().map(|pattern| pattern.to_string());
    assert_eq!(pattern.as_deref(), Some("only UDP fails; everything else answers"));
}

#[test]
fn no_pattern_is_made_up_and_what_is_unknown_counts_for_none() {
    let odd = |cell: &Cell| {
        (cell.node == "node-1" && cell.backend == "web-1")
            || (cell.node == "node-2" && cell.backend == "dns-4")
    };
    assert_eq!(said(odd), "");
    let pattern = |unknown: fn(&Cell) -> bool| {
        let mut reach = reach(|cell| cell.node == "node-1");
        let cells = reach.cells.iter_mut().filter(|cell| cell.backend == "web-3" && unknown(cell));
        cells.for_each(|cell| cell.works = None);
        reach.pattern().map(|pattern| pattern.only)
    };
    assert_eq!(pattern(|cell| cell.node == "node-1"), Some(Only::Through("node-1".into())));
    assert_eq!(pattern(|_| true), None, "it may fail at node-2 too");
    assert_eq!(Reach::default().pattern(), None);
}

#[test]
fn what_stalls_is_told_from_what_is_silent() {
    let mut reach = reach(|_| true);
    reach.cells.iter_mut().for_each(|cell| cell.stalls = true);
    let said = reach.pattern().unwrap().to_string();
    assert_eq!(said, "connections stand everywhere, and large answers do not come");
}

#[test]
fn what_nobody_has_seen_is_unknown_until_something_of_its_way_answers() {
    let attempt = |outcome| Attempt {
        from: None,
        outcome,
        micros: 1,
        journeys: Vec::new(),
        decisions: Vec::new(),
    };
    let silence = || attempt(Outcome::Silence);
    let told = |fates: &[Fate], attempts| Told {
        way: Way {
            client: "client".into(),
            node: "node-1".into(),
            dialled: "172.18.0.2:30080".parse().unwrap(),
            protocol: Protocol::Tcp,
        },
        backends: fates.iter().enumerate().map(|(at, fate)| (at.to_string(), *fate)).collect(),
        attempts,
        pods: BTreeSet::new(),
        divergence: None,
    };
    let both = [Fate::Failing, Fate::Unseen];
    let works = |fates: &[Fate], attempts| works(&told(fates, attempts), Fate::Unseen);
    assert_eq!(works(&both, vec![silence(); 4]), None);
    let answer = attempt(Outcome::Somebody(String::new()));
    assert_eq!(works(&both, vec![silence(), answer.clone()]), Some(true));
    assert_eq!(works(&[Fate::Unseen], vec![silence(); 4]), Some(false));
    assert_eq!(works(&[Fate::Unseen], vec![silence(), answer]), None);
    assert_eq!(works(&both, Vec::new()), Some(true), "by the facts alone");
    // Of a lab, whose pods say who they are, a stranger's answer is none.
    let stranger = vec![attempt(Outcome::Somebody(String::new())); 4];
    let way = told(&[Fate::Unseen], stranger);
    assert_eq!(super::works(&way, Fate::Unseen), Some(true));
    assert_eq!(
        super::works(&Told { pods: ["web-1".to_owned()].into(), ..way }, Fate::Unseen),
        Some(false)
    );
}
