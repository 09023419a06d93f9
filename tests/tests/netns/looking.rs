//! What the commands show, as programs read it.

use netlab::{
    lab::{Hook, Mode},
    spec::model::Protocol,
};
use netlab_tests::{
    binary::netlab,
    lab::{DNS, Lab, NODES, WEB},
    privilege::require_lab,
};
use serde_json::{Value, json};

#[test]
fn status_and_tables_tell_programs_what_is_there() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Tc);
    status(&lab);
    services_and_backends(&lab);
    connections(&lab);
    counters(&lab);
    routes_and_fdb(&lab);
    one_node_only(&lab);
}

fn status(lab: &Lab) {
    let status = lab.status().expect(0).json();
    assert_eq!((&status["mode"], &status["underlay"]), (&json!("vxlan"), &json!("l2")));
    assert_eq!(status["problems"], json!([]));
    let hosts = status["hosts"].as_array().unwrap();
    for (name, address) in NODES {
        let host = hosts.iter().find(|host| host["name"] == name).unwrap();
        assert_eq!(host["addresses"][0], address.to_string());
        assert_eq!(host["netns"], lab.name().netns(name));
    }
    let services = status["services"].as_array().unwrap();
    let web = services.iter().find(|service| service["name"] == "web").unwrap();
    assert_eq!(web["ports"][0]["node_port"], WEB);
    assert_eq!(web["ports"][0]["endpoints"].as_array().unwrap().len(), 8);
}

fn services_and_backends(lab: &Lab) {
    let services = lab.show("services");
    for (node, _) in NODES {
        for (frontend, protocol, backends) in
            [("0.0.0.0:30080", "TCP", 4), ("0.0.0.0:30053", "UDP", 2)]
        {
            let row = services
                .iter()
                .find(|row| row["node"] == node && row["frontend"] == frontend)
                .unwrap_or_else(|| panic!("{frontend} on {node}: {services:?}"));
            assert_eq!((&row["protocol"], &row["backends"]), (&json!(protocol), &json!(backends)));
        }
    }
    let backends = lab.show("backends");
    let place = |node: &str, backend: &str| {
        let row = backends.iter().find(|row| row["node"] == node && row["backend"] == backend);
        let row = row.unwrap_or_else(|| panic!("{backend} on {node}: {backends:?}"));
        (row["service"].clone(), row["place"].clone(), row["masquerade"].clone())
    };
    let web = json!("default/web:80");
    assert_eq!(place("node-1", "10.244.1.2:8080"), (web.clone(), json!("local"), Value::Null));
    assert_eq!(place("node-2", "10.244.1.2:8080"), (web, json!("remote"), json!("10.244.2.0")));
}

fn connections(lab: &Lab) {
    let (node, address) = NODES[0];
    let answers = lab.dials(Protocol::Udp, (address, DNS), 100, 12);
    let rows = lab.show("conntrack");
    for answer in answers {
        let from = answer.from.to_string();
        let row = rows.iter().find(|row| row["client"] == from).unwrap();
        assert_eq!(row["node"], node);
        assert_eq!(row["protocol"], "UDP");
        assert_eq!(row["state"], "ASSURED");
        assert_eq!(row["frontend"], format!("{address}:{DNS}"));
        assert_eq!(row["source"], answer.seen_as.to_string());
        let pod = if answer.pod == "dns-1" { "10.244.1.4:5353" } else { "10.244.2.4:5353" };
        assert_eq!(row["backend"], pod);
        assert_eq!((&row["packets"], &row["reply_packets"]), (&json!(1), &json!(1)));
        assert_eq!(row["bytes"], 20 + 8 + 100);
    }
}

fn counters(lab: &Lab) {
    let rows = lab.show("counters");
    let of = |node: &str, name: &str| {
        let row = rows
            .iter()
            .find(|row| row["node"] == node && row["hook"] == "tc-ingress" && row["name"] == name);
        row.unwrap()["packets"].as_u64().unwrap()
    };
    assert_eq!((of("node-1", "first"), of("node-2", "first")), (12, 0));
    assert!(of("node-1", "seen") >= 12);
}

fn routes_and_fdb(lab: &Lab) {
    let routes = lab.show("routes");
    let fdb = lab.show("fdb");
    for (node, pods, peer) in
        [("node-1", "10.244.2.0/24", "172.18.0.3"), ("node-2", "10.244.1.0/24", "172.18.0.2")]
    {
        let to_pods = |row: &&Value| row["node"] == node && row["destination"] == pods;
        let route = routes.iter().find(to_pods).unwrap();
        assert_eq!(route["via"], pods.trim_end_matches("/24"));
        assert_eq!((&route["device"], &route["onlink"]), (&json!("flannel.1"), &json!(true)));
        let entry = fdb.iter().find(|row| row["node"] == node && row["vtep"] == peer).unwrap();
        assert_eq!((&entry["device"], &entry["permanent"]), (&json!("flannel.1"), &json!(true)));
    }
}

fn one_node_only(lab: &Lab) {
    let name = ["--name", lab.name().as_str(), "-o", "json"];
    for table in ["services", "backends", "conntrack", "counters", "routes", "fdb"] {
        let ran = netlab(&[&["show", table, "--node", "node-2"], &name[..]].concat()).expect(0);
        let rows = ran.json();
        assert!(rows.as_array().unwrap().iter().all(|row| row["node"] == "node-2"), "{table}");
    }
    let nobody = netlab(&[&["show", "routes", "--node", "node-9"], &name[..]].concat()).expect(2);
    assert!(nobody.stderr.contains("node-9"), "{}", nobody.stderr);
}
