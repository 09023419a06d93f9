//! The expression, compiled by libpcap and asked about packets.

use etherparse::{PacketBuilder, PacketBuilderStep, icmpv6};
use pcap::{BpfProgram, Capture, Linktype};

use super::*;
use crate::spec::read_str;

const CLUSTER: &str = r"
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDRs: [10.244.1.0/24, fd00:1::/64]}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}, {type: InternalIP, address: 'fd00::2'}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
spec: {podCIDRs: [10.244.2.0/24, fd00:2::/64]}
status: {addresses: [{type: InternalIP, address: 172.18.0.3}, {type: InternalIP, address: 'fd00::3'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {nodeName: node-1}
status: {podIP: 10.244.1.2, podIPs: [{ip: 10.244.1.2}, {ip: 'fd00:1::2'}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  clusterIPs: [10.96.0.10, 'fd00:96::a']
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system}
spec:
  type: NodePort
  clusterIPs: [10.96.0.11]
  selector: {app: none}
  ports: [{port: 53, protocol: UDP, nodePort: 30053}]
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: none}, ports: [{port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: twice, namespace: a}
spec: {clusterIP: 10.96.0.20, selector: {app: none}, ports: [{port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: twice, namespace: b}
spec: {clusterIP: 10.96.0.21, selector: {app: none}, ports: [{port: 1}]}
";

fn spec() -> Spec {
    read_str("cluster", CLUSTER).unwrap().resolve().unwrap()
}

fn compiled(name: &str) -> BpfProgram {
    let expression = filter(&spec(), name).unwrap();
    let dead = Capture::dead(Linktype::ETHERNET).unwrap();
    dead.compile(&expression, true).unwrap_or_else(|error| panic!("{error}: {expression}"))
}

fn start(from: SocketAddr, to: SocketAddr) -> PacketBuilderStep<etherparse::IpHeaders> {
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("two families"),
    }
}

fn packet(protocol: Protocol, from: &str, to: &str) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut frame = Vec::new();
    let start = start(from, to);
    match protocol {
        Protocol::Tcp => start.tcp(from.port(), to.port(), 1, 2).write(&mut frame, b""),
        Protocol::Udp => start.udp(from.port(), to.port()).write(&mut frame, b"payload"),
    }
    .unwrap();
    frame
}

/// Host unreachable, about a frame's packet, the quote with or without IPv4 options.
fn error(from: &str, to: &str, about: &[u8], options: bool) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut quote = about[14..].to_vec();
    if options {
        quote[0] = 0x46;
        quote.splice(20..20, [1, 1, 1, 0]);
    }
    let mut frame = Vec::new();
    let start = start(from, to);
    if from.is_ipv4() {
        start.icmpv4_raw(3, 1, [0; 4]).write(&mut frame, &quote)
    } else {
        let unreachable = icmpv6::DestUnreachableCode::Address;
        start
            .icmpv6(etherparse::Icmpv6Type::DestinationUnreachable(unreachable))
            .write(&mut frame, &quote)
    }
    .unwrap();
    frame
}

/// Packets of Service web, on their ways.
const OURS: [(&str, &str); 8] = [
    ("172.18.255.10:40000", "172.18.0.2:30080"),
    ("172.18.0.3:30080", "172.18.255.10:40000"),
    ("172.18.0.3:5000", "10.244.1.2:8080"),
    ("10.244.1.2:8080", "10.244.2.0:5000"),
    ("10.244.1.9:4000", "10.96.0.10:80"),
    ("[fd00::ff]:4000", "[fd00::2]:30080"),
    ("[fd00:1::2]:8080", "[fd00::ff]:4000"),
    ("[fd00:96::a]:80", "[fd00:1::9]:4000"),
];

/// And of others.
const OTHERS: [(&str, &str); 8] = [
    ("172.18.255.10:40000", "172.18.0.2:30081"),
    ("172.18.255.10:40000", "172.18.0.4:30080"),
    ("172.18.0.2:40000", "172.18.255.10:30080"),
    ("172.18.0.3:5000", "10.244.1.2:8081"),
    ("172.18.0.3:5000", "10.244.1.3:8080"),
    ("10.244.1.2:80", "10.96.0.99:80"),
    ("[fd00::ff]:4000", "[fd00::2]:30081"),
    ("[fd00::ff]:4000", "[fd00::4]:30080"),
];

#[test]
fn its_packets_are_matched_before_and_after_translation() {
    let program = compiled("web");
    for (from, to) in OURS {
        assert!(program.filter(&packet(Protocol::Tcp, from, to)), "{from} > {to}");
        assert!(!program.filter(&packet(Protocol::Udp, from, to)), "UDP {from} > {to}");
    }
    for (from, to) in OTHERS {
        assert!(!program.filter(&packet(Protocol::Tcp, from, to)), "{from} > {to}");
    }
}

#[test]
fn errors_about_its_packets_are_matched_wherever_they_come_from() {
    let program = compiled("web");
    let ends = |about: &str| match about.starts_with('[') {
        true => ("[fd00:99::1]:0", "[fd00:99::2]:0"),
        false => ("192.0.2.1:0", "192.0.2.2:0"),
    };
    for (from, to) in OURS {
        let (router, host) = ends(from);
        let about = packet(Protocol::Tcp, from, to);
        assert!(program.filter(&error(router, host, &about, false)), "{from} > {to}");
        if !from.starts_with('[') {
            assert!(program.filter(&error(router, host, &about, true)), "{from} > {to}");
        }
        let about = packet(Protocol::Udp, from, to);
        assert!(!program.filter(&error(router, host, &about, false)), "UDP {from} > {to}");
    }
    for (from, to) in OTHERS {
        let (router, host) = ends(from);
        let about = packet(Protocol::Tcp, from, to);
        assert!(!program.filter(&error(router, host, &about, false)), "{from} > {to}");
    }
}

#[test]
fn a_ping_is_no_error_about_it() {
    let program = compiled("web");
    let about = packet(Protocol::Tcp, "172.18.255.10:40000", "172.18.0.2:30080");
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([172, 18, 0, 2], [172, 18, 255, 10], 64)
        .icmpv4_echo_request(1, 1)
        .write(&mut frame, &about[14..])
        .unwrap();
    assert!(!program.filter(&frame));
}

#[test]
fn a_service_without_endpoints_has_its_frontends() {
    let program = compiled("kube-system/dns");
    let request = packet(Protocol::Udp, "172.18.255.10:4000", "172.18.0.3:30053");
    assert!(program.filter(&request));
    assert!(program.filter(&error("172.18.0.3:0", "172.18.255.10:0", &request, false)));
    assert!(!program.filter(&packet(Protocol::Tcp, "172.18.255.10:4000", "172.18.0.3:30053")));
}

#[test]
fn a_large_service_still_compiles() {
    let mut spec = spec();
    let service = &mut spec.services.iter_mut().find(|service| service.name.name == "web");
    let port = &mut service.as_mut().unwrap().ports[0];
    let endpoint = port.endpoints[0].clone();
    for number in 0..100 {
        let address = Ipv4Addr::new(10, 244, 7, number).into();
        port.endpoints.push(crate::spec::model::Endpoint { address, ..endpoint.clone() });
    }
    let expression = filter(&spec, "web").unwrap();
    let program = Capture::dead(Linktype::ETHERNET).unwrap().compile(&expression, true).unwrap();
    assert!(program.filter(&packet(Protocol::Tcp, "10.244.7.77:8080", "172.18.0.3:5000")));
    // What the kernel takes (BPF_MAXINSNS).
    assert!(program.get_instructions().len() <= 4096, "{}", program.get_instructions().len());
}

#[test]
fn the_expression_can_be_read() {
    assert_eq!(
        filter(&spec(), "b/twice").unwrap(),
        "((tcp dst port 1 and dst host 10.96.0.21) or (tcp src port 1 and src host 10.96.0.21) \
         or (icmp and (icmp[0] = 3 or icmp[0] = 4 or icmp[0] = 5 or icmp[0] = 11 or icmp[0] = 12) \
         and (icmp[17] = 6 and \
         ((icmp[8 + ((icmp[8] & 0xf) << 2):2] = 1 and icmp[20:4] = 0x0a600015) \
         or (icmp[10 + ((icmp[8] & 0xf) << 2):2] = 1 and icmp[24:4] = 0x0a600015)))))"
    );
}

#[test]
fn an_unknown_name_gets_the_nearest_and_the_list() {
    assert_eq!(
        filter(&spec(), "wbe").unwrap_err().to_string(),
        "there is no Service wbe (did you mean default/web?); there are: a/twice, b/twice, \
         default/headless, default/web, kube-system/dns"
    );
    let elsewhere = filter(&spec(), "default/dns").unwrap_err().to_string();
    assert!(elsewhere.contains("did you mean kube-system/dns?"), "{elsewhere}");
    let nothing_like_it = filter(&spec(), "postgres").unwrap_err().to_string();
    assert!(!nothing_like_it.contains("did you mean"), "{nothing_like_it}");
    assert_eq!(
        filter(&Spec::default(), "web").unwrap_err().to_string(),
        "there is no Service web; there are no Services at all"
    );
}

#[test]
fn a_name_in_two_namespaces_has_to_be_told_in_full() {
    assert_eq!(
        filter(&spec(), "twice").unwrap_err().to_string(),
        "twice is several Services: a/twice, b/twice; say which"
    );
    assert!(filter(&spec(), "b/twice").unwrap().contains("10.96.0.21"));
}

#[test]
fn a_service_that_is_nowhere_is_refused() {
    assert_eq!(
        filter(&spec(), "headless").unwrap_err(),
        ServiceError::Nowhere { name: "default/headless".into() }
    );
}

#[test]
fn ports_are_matched_wherever_they_are_and_errors_always() {
    let ports = BTreeSet::from([(Protocol::Tcp, 30080), (Protocol::Udp, 53)]);
    let expression = of_ports(&ports);
    let start = "(tcp port 30080 or udp port 53 or (icmp and (icmp[0] = 3 or ";
    assert!(expression.starts_with(start), "{expression}");
    assert!(expression.ends_with(" or (ip6[6] = 58 and ip6[40] < 128))"), "{expression}");
}
