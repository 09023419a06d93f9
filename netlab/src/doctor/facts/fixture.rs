//! Facts of healthy labs, for tests: what [`Topology`] lays out, as a host shows it.

mod proxy;

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Facts, HostFacts, Lab, Manifest, Role, Subject, VERSION, counters,
    link::{Bridge, BridgePort, Link, LinkKind, Peer, Vxlan},
    route::{
        Address, FdbEntry, Neighbor, NeighborState, NextHop, Route, RouteKind, Rule, RuleAction,
        local_table, main_table,
    },
    socket::{TcpListener, UdpSocket},
};
use crate::{
    lab::{
        Host, Mode, Options, Proxy, Role as LabRole, Topology, Underlay, address,
        topology::{Link as LabLink, LinkKind as LabLinkKind},
    },
    netlink::Mac,
    spec::{self, Spec, model::Protocol},
};

/// A lab of two nodes with the built-in objects, healthy.
pub fn lab(mode: Mode, proxy: Proxy) -> Facts {
    let mut options = Options::new("lab".parse().unwrap());
    (options.mode, options.proxy) = (mode, proxy);
    built(&options)
}

/// The same on a router instead of a switch.
pub fn routed(mode: Mode, proxy: Proxy) -> Facts {
    let mut options = Options::new("lab".parse().unwrap());
    (options.mode, options.proxy, options.force) = (mode, proxy, true);
    options.underlay = Underlay::Routed;
    built(&options)
}

/// The four combinations that every check is asked about.
pub fn all() -> Vec<Facts> {
    let modes = [Mode::HostGw, Mode::Vxlan];
    let proxies = [Proxy::Ebpf, Proxy::Nftables, Proxy::Iptables];
    modes.into_iter().flat_map(|mode| proxies.map(|proxy| lab(mode, proxy))).collect()
}

/// A host, to break something about it.
pub fn host<'f>(facts: &'f mut Facts, name: &str) -> &'f mut HostFacts {
    facts.hosts.iter_mut().find(|host| host.name == name).expect("the lab has that host")
}

/// A link of a host, to break something about it.
pub fn link<'f>(facts: &'f mut Facts, of: &str, name: &str) -> &'f mut Link {
    let links = &mut host(facts, of).links;
    links.iter_mut().find(|link| link.name == name).expect("the host has that link")
}

fn built(options: &Options) -> Facts {
    let mut objects = spec::builtin(2);
    address::complete(&mut objects, options.underlay).unwrap();
    let texts: Vec<_> = objects.to_yaml_by_kind().into_iter().map(|(_, text)| text).collect();
    let spec = objects.resolve().unwrap();
    let topology = Topology::new(&spec, options).unwrap();
    let mut facts = Facts {
        version: VERSION,
        taken: "2026-01-02T03:04:05Z".into(),
        took_ms: 12,
        netlab: "0.1.0".into(),
        kernel: "6.12.0".into(),
        subject: Subject::everything(),
        lab: Some(Lab {
            name: options.name.clone(),
            mode: options.mode,
            underlay: options.underlay,
            proxy: options.proxy,
            hook: options.hook,
            mtu: options.mtu,
        }),
        manifests: vec![Manifest { origin: "lab".into(), text: texts.join("---\n") }],
        hosts: topology.hosts.iter().map(|host| shown(host, &topology, &spec)).collect(),
        softnet: counters::Softnet::default(),
        gaps: Vec::new(),
    };
    proxy::program(&mut facts, &spec, options.mode, options.proxy);
    facts
}

fn shown(host: &Host, topology: &Topology, spec: &Spec) -> HostFacts {
    let mut facts = HostFacts {
        name: host.name.clone(),
        role: match &host.role {
            LabRole::Fabric => Role::Fabric,
            LabRole::Client => Role::Client,
            LabRole::Node => Role::Node { node: host.name.clone() },
            LabRole::Pod { node, object } => Role::Pod { pod: object.clone(), node: node.clone() },
        },
        netns: Some(host.netns.clone()),
        sysctls: host.sysctls.clone(),
        rules: rules(),
        ..HostFacts::default()
    };
    facts.links.push(loopback());
    facts.links.extend(host.links.iter().map(|link| shown_link(host, link, topology)));
    own(&mut facts, 1, "127.0.0.1/8".parse().unwrap());
    own(&mut facts, 1, "::1/128".parse().unwrap());
    for address in &host.addresses {
        own(&mut facts, index(host, &address.device), address.net);
    }
    for route in &host.routes {
        let hop = NextHop {
            gateway: Some(route.gateway),
            onlink: route.onlink,
            ..on_link(index(host, &route.device))
        };
        facts.routes.push(Route { hops: vec![hop], ..unicast(route.destination) });
    }
    facts.neighbors.extend(host.neighbors.iter().map(|neighbor| Neighbor {
        device: index(host, &neighbor.device),
        address: neighbor.address,
        mac: Some(neighbor.mac),
        state: NeighborState::Permanent,
        proxy: false,
    }));
    facts.fdb.extend(host.fdb.iter().map(|fdb| FdbEntry {
        device: index(host, &fdb.device),
        mac: fdb.mac,
        destination: Some(fdb.destination),
        port: None,
        vni: None,
        master: None,
        permanent: true,
        vlan: None,
    }));
    listen(&mut facts, spec);
    switch(&mut facts, host);
    facts
}

fn loopback() -> Link {
    Link {
        index: 1,
        name: "lo".into(),
        kind: LinkKind::Loopback,
        mtu: 65536,
        up: true,
        carrier: true,
        ..Link::default()
    }
}

/// Has the switches that the lab leaves alone stand as the kernel's.
fn switch(facts: &mut HostFacts, host: &Host) {
    let defaults = [("ipv4/ip_forward", "0"), ("ipv4/ip_default_ttl", "64")];
    for (key, value) in defaults.into_iter().chain([("bridge/bridge-nf-call-iptables", "1")]) {
        facts.sysctls.entry(key.into()).or_insert_with(|| value.into());
    }
    let forward = facts.sysctls["ipv4/ip_forward"].clone();
    for name in ["all", "default"].into_iter().chain(host.links.iter().map(|l| l.name.as_str())) {
        let of = [("forwarding", forward.as_str()), ("rp_filter", "0"), ("accept_local", "0")];
        for (key, value) in of {
            let key = format!("ipv4/conf/{name}/{key}");
            facts.sysctls.entry(key).or_insert_with(|| value.into());
        }
        let v6 = facts.sysctls.get("ipv6/conf/all/forwarding").cloned().unwrap_or("0".into());
        facts.sysctls.entry(format!("ipv6/conf/{name}/forwarding")).or_insert(v6);
    }
}

fn index(host: &Host, name: &str) -> u32 {
    let at = host.links.iter().position(|link| link.name == name).expect("a link of the host");
    u32::try_from(at).unwrap() + 2
}

fn shown_link(host: &Host, link: &LabLink, topology: &Topology) -> Link {
    let own = index(host, &link.name);
    let place = topology.hosts.iter().position(|other| other.name == host.name).unwrap();
    let any = Mac([2, 0, 0, 0, u8::try_from(place).unwrap(), u8::try_from(own).unwrap()]);
    let (kind, peer) = match &link.kind {
        LabLinkKind::Bridge => (LinkKind::Bridge(Bridge::default()), None),
        LabLinkKind::Veth { host, link } => {
            let other = topology.host(host).unwrap();
            let peer = Peer {
                index: index(other, link),
                host: Some(host.clone()),
                link: Some(link.clone()),
            };
            (LinkKind::Veth, Some(peer))
        }
        LabLinkKind::Vxlan { vni, port, local, device } => {
            let vxlan = Vxlan {
                vni: *vni,
                port: *port,
                local: Some(*local),
                device: Some(index(host, device)),
                udp_checksum: true,
                ..Vxlan::default()
            };
            (LinkKind::Vxlan(vxlan), None)
        }
    };
    Link {
        index: own,
        name: link.name.clone(),
        kind,
        mac: Some(link.mac.unwrap_or(any)),
        mtu: link.mtu,
        up: true,
        carrier: true,
        operstate: "up".into(),
        master: link.master.as_ref().map(|master| index(host, master)),
        peer,
        port: link.master.as_ref().map(|_| BridgePort {
            state: "forwarding".into(),
            hairpin: link.hairpin,
            isolated: false,
            learning: true,
            flood: true,
        }),
        ..Link::default()
    }
}

fn rules() -> Vec<Rule> {
    let rule = |v4, priority, table| Rule {
        v4,
        priority,
        action: RuleAction::Table(table),
        ..Rule::default()
    };
    vec![
        rule(true, 0, local_table()),
        rule(true, 32766, main_table()),
        rule(true, 32767, 253),
        rule(false, 0, local_table()),
        rule(false, 32766, main_table()),
    ]
}

/// An address, and the routes that the kernel makes of it.
fn own(facts: &mut HostFacts, device: u32, net: IpNet) {
    let scope = if device == 1 { "host" } else { "global" };
    facts.addresses.push(Address {
        device,
        net,
        scope: scope.into(),
        tentative: false,
        duplicate: false,
    });
    let local = |destination| Route {
        table: local_table(),
        kind: RouteKind::Local,
        scope: "host".into(),
        protocol: "kernel".into(),
        source: Some(net.addr()),
        hops: vec![on_link(device)],
        ..unicast(destination)
    };
    facts.routes.push(local(IpNet::from(net.addr())));
    if device == 1 {
        facts.routes.push(local(net.trunc()));
    } else if net.prefix_len() < net.max_prefix_len() {
        facts.routes.push(Route {
            scope: "link".into(),
            protocol: "kernel".into(),
            source: Some(net.addr()),
            hops: vec![on_link(device)],
            ..unicast(net.trunc())
        });
    }
}

/// A route of table main by hand, that leads nowhere yet.
pub fn unicast(destination: IpNet) -> Route {
    Route {
        table: main_table(),
        destination,
        kind: RouteKind::Unicast,
        protocol: "boot".into(),
        scope: "global".into(),
        metric: 0,
        tos: 0,
        source: None,
        mtu: None,
        mtu_locked: false,
        hops: Vec::new(),
    }
}

/// A way without a gateway.
pub fn on_link(device: u32) -> NextHop {
    NextHop { gateway: None, device, onlink: false, dead: false, link_down: false, weight: 1 }
}

/// Pods listen where their Services send to, on all addresses.
fn listen(facts: &mut HostFacts, spec: &Spec) {
    let Role::Pod { pod, .. } = &facts.role else { return };
    let any = |port: u16| std::net::SocketAddr::new(IpAddr::from([0; 16]), port);
    for port in spec.services.iter().flat_map(|service| &service.ports) {
        let endpoint = port
            .endpoints
            .iter()
            .find(|endpoint| endpoint.pod.as_ref().is_some_and(|name| name.to_string() == *pod));
        let Some(endpoint) = endpoint else { continue };
        let address = any(endpoint.port.get());
        match port.protocol {
            Protocol::Tcp => facts.listeners.push(TcpListener {
                address,
                v6_only: false,
                device: None,
                accept_queue: 0,
                backlog: 4096,
                inode: 7,
                owner: None,
            }),
            Protocol::Udp => facts.udp.push(UdpSocket {
                address,
                peer: None,
                v6_only: false,
                device: None,
                receive_queue: 0,
                drops: None,
                inode: 8,
                owner: None,
            }),
        }
    }
}
