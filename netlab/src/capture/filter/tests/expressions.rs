//! Expressions by chance, over the grammar of pcap-filter(7), about the addresses and ports
//! that the packets have.

use super::random::Random;

const PROTOCOLS: &[&str] = &[
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "igmp",
    "ah",
    "esp",
    "pim",
    "vrrp",
    "stp",
    "ether broadcast",
    "ether multicast",
    "ip multicast",
    "ip6 multicast",
    "broadcast",
    "multicast",
    "ip broadcast",
];
const DIRECTIONS: &[&str] =
    &["", "src ", "dst ", "src or dst ", "src and dst ", "dst or src ", "dst and src "];
const PORTS: &[&str] =
    &["53", "80", "443", "4789", "8472", "30080", "http", "domain", "65535", "0"];
const HOSTS: &[&str] = &["10.0.0.1", "10.0.0.2", "10.244.1.2", "192.168.1.77", "127.1"];
const HOSTS6: &[&str] = &["fd00::1", "fd00::2", "fe80::1", "::"];
const NETS: &[&str] = &[
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.244.0.0/16",
    "10.0.0",
    "192.168",
    "0.0.0.0/0",
    "fd00::/64",
    "10.0.0.0 mask 255.255.255.0",
    "fe80::/10",
    "::/0",
];
const MACS: &[&str] = &["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"];
const FLAGS: &[&str] = &["tcp-syn", "tcp-ack", "tcp-fin", "(tcp-syn|tcp-ack)", "0x12", "2"];
const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"];
const COMPARISONS: &[&str] = &["=", "==", "!=", "<", ">", "<=", ">="];
const BASES: &[&str] = &["ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "link"];
const NUMBERS: &[&str] =
    &["0", "1", "2", "4", "6", "8", "0xf", "17", "0x45", "80", "255", "0x800", "65535", "077"];

/// What may stand in an expression.
#[derive(Clone, Copy)]
pub struct Grammar {
    /// vlan, mpls, pppoes and geneve, which move what follows them.
    pub moving: bool,
    /// Chains of headers, which loop.
    pub chains: bool,
}

/// An expression of a few primitives.
pub fn expression(random: &mut Random, grammar: Grammar) -> String {
    let depth = random.below(4);
    boolean(random, grammar, depth)
}

fn boolean(random: &mut Random, grammar: Grammar, depth: usize) -> String {
    if depth == 0 {
        return primitive(random, grammar);
    }
    let mut text = boolean(random, grammar, depth - 1);
    for _ in 0..=random.below(2) {
        let joint = random.pick(&[" and ", " or ", " && ", " || "]);
        let not = random.pick(&["", "", "not ", "! ", "!"]);
        let below = random.below(depth);
        let right = boolean(random, grammar, below);
        // Without parentheses it is a test of precedence, with them of nesting.
        let right = if random.one_in(2) { format!("({right})") } else { right };
        text = format!("{text}{joint}{not}{right}");
    }
    if random.one_in(5) { format!("not ({text})") } else { text }
}

fn primitive(random: &mut Random, grammar: Grammar) -> String {
    match random.below(if grammar.moving { 22 } else { 20 }) {
        0..3 => random.pick(PROTOCOLS).to_owned(),
        3..6 => ports(random),
        6..8 => hosts(random),
        8 => format!("{}net {}", random.pick(DIRECTIONS), random.pick(NETS)),
        9 => {
            let direction = random.pick(&["", "src ", "dst ", "host "]);
            let direction = if direction.is_empty() { "host " } else { direction };
            format!("ether {direction}{}", random.pick(MACS))
        }
        10 => protocol(random, grammar),
        11 => format!("tcp[tcpflags] & {} {} 0", random.pick(FLAGS), random.pick(COMPARISONS)),
        12 => format!(
            "icmp[icmptype] {} {}",
            random.pick(COMPARISONS),
            random.pick(&["icmp-echo", "8", "0"])
        ),
        13 => format!("{} {}", random.pick(&["less", "greater"]), random.below(160)),
        14 => format!("len {} {}", random.pick(COMPARISONS), random.below(160)),
        15..20 => {
            format!("{} {} {}", sum(random, 2), random.pick(COMPARISONS), sum(random, 1))
        }
        20 => random.pick(&["vlan", "vlan", "vlan 5", "vlan 100"]).to_owned(),
        _ => random.pick(&["mpls", "mpls 1000", "pppoes", "geneve", "vlan"]).to_owned(),
    }
}

fn ports(random: &mut Random) -> String {
    let protocol = random.pick(&["", "tcp ", "udp ", "sctp "]);
    let direction = random.pick(DIRECTIONS);
    let head = format!("{protocol}{direction}");
    match random.below(5) {
        0 => format!("{head}portrange {}-{}", random.below(100), 100 + random.below(40_000)),
        1 => format!("{head}port ({} or {})", random.pick(PORTS), random.pick(PORTS)),
        // The second inherits.
        2 => {
            let not = random.pick(&["", "not "]);
            let joint = random.pick(&["or", "and"]);
            format!("{head}port {} {joint} {not}{}", random.pick(PORTS), random.pick(PORTS))
        }
        3 => format!(
            "{head}port {} or ({} or {})",
            random.pick(PORTS),
            random.pick(PORTS),
            random.pick(PORTS)
        ),
        _ => format!("{head}port {}", random.pick(PORTS)),
    }
}

fn hosts(random: &mut Random) -> String {
    let direction = random.pick(DIRECTIONS);
    match random.below(5) {
        0 => format!(
            "{} {direction}host {}",
            random.pick(&["ip", "arp", "rarp"]),
            random.pick(HOSTS)
        ),
        1 => format!("ip6 {direction}host {}", random.pick(HOSTS6)),
        2 => format!("{direction}host {} or {}", random.pick(HOSTS), random.pick(HOSTS)),
        3 if !direction.is_empty() => format!("{direction}{}", random.pick(HOSTS)),
        _ => format!("{direction}host {}", random.pick(&[HOSTS, HOSTS6].concat())),
    }
}

fn protocol(random: &mut Random, grammar: Grammar) -> String {
    let choices: &[&str] =
        if grammar.chains { &["0", "0", "1", "2", "3", "4"] } else { &["0", "1", "2"] };
    match random.pick(choices) {
        "0" => format!("ip proto {}", random.pick(&["\\tcp", "\\udp", "17", "1", "50"])),
        "1" => format!("ip6 proto {}", random.pick(&["\\tcp", "\\udp", "58", "44", "0"])),
        "2" => {
            format!("ether proto {}", random.pick(&["\\ip", "\\arp", "0x86dd", "0x8100", "0x1234"]))
        }
        "3" => format!("ip6 protochain {}", random.pick(&["\\tcp", "\\udp", "58"])),
        _ => format!("ip protochain {}", random.pick(&["\\tcp", "\\udp", "51"])),
    }
}

/// A calculation.
fn sum(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 3 } else { 7 }) {
        0 => random.pick(NUMBERS).to_owned(),
        1 => random.pick(&["len", "tcp[12]", "ip[0]", "ip[2:2]", "udp[4:2]"]).to_owned(),
        2 => {
            let size = random.pick(&["", ":1", ":2", ":4"]);
            format!("{}[{}{size}]", random.pick(BASES), random.below(64))
        }
        3 => {
            let size = random.pick(&["", ":2", ":4"]);
            format!("{}[{}{size}]", random.pick(BASES), sum(random, depth - 1))
        }
        4 => format!("-{}", sum(random, depth - 1)),
        _ => {
            let (left, right) = (sum(random, depth - 1), sum(random, depth - 1));
            let text = format!("{left} {} {right}", random.pick(OPERATORS));
            if random.one_in(2) { format!("({text})") } else { text }
        }
    }
}
