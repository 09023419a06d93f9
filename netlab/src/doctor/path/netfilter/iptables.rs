//! Chains of iptables, rule by rule (iptables-extensions(8)).

use std::net::{IpAddr, SocketAddr};

use super::{Adds, Flow, Hook, KEEP_POLICY, Nat, Place, Run, SourcePorts, value::address_type};
use crate::doctor::{
    facts::{
        Source,
        iptables::{Chain, Rule, Store, Table, Variant, destination, net},
    },
    path::{
        fib::Query,
        packet::{TCP, UDP},
    },
};

/// Priority and chain of a table at a hook (linux/netfilter_ipv4.h); None where it has none.
pub(super) fn place(table: &str, hook: Hook) -> Option<(i32, &'static str)> {
    let chain = match hook {
        Hook::Prerouting => "PREROUTING",
        Hook::Input => "INPUT",
        Hook::Forward => "FORWARD",
        Hook::Output => "OUTPUT",
        Hook::Postrouting => "POSTROUTING",
        Hook::Ingress | Hook::Bridge => return None,
    };
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("filter", _) => 0,
        ("security", _) => 50,
        _ => return None,
    };
    Some((priority, chain))
}

pub(super) fn base(store: &Store, table: &Table, name: &str, run: &mut Run<'_>) -> Flow {
    let Some(chain) = table.chain(name) else { return Flow::Accept };
    let end = walk(store, table, chain, run);
    if !matches!(end, Flow::Next | Flow::Return) {
        return end;
    }
    if chain.policy.as_deref() != Some("DROP") {
        return Flow::Accept;
    }
    let place = Place {
        rule: format!("-P {name} DROP"),
        mend_words: KEEP_POLICY,
        // At the end, so that all rules that are there decide before it; after a return nothing is
        // asked any more.
        adds: matches!(end, Flow::Next).then(|| Adds {
            command: command(store, table, &["-A", name]),
            nft: false,
            families: (store.v4, !store.v4),
        }),
        ..of_chain(store, table, chain)
    };
    run.stop_by_policy(place)
}

/// The program that reads and writes the store.
const fn program(store: &Store) -> &'static str {
    match (store.variant, store.v4) {
        (Variant::Legacy, true) => "iptables-legacy",
        (Variant::Legacy, false) => "ip6tables-legacy",
        (Variant::Nft, true) => "iptables-nft",
        (Variant::Nft, false) => "ip6tables-nft",
    }
}

fn command(store: &Store, table: &Table, words: &[&str]) -> Vec<String> {
    let begin = [program(store), "-w", "-t", &table.name];
    begin.iter().chain(words).map(ToString::to_string).collect()
}

fn of_chain(store: &Store, table: &Table, chain: &Chain) -> Place {
    Place {
        chain: format!("{} -t {} chain {}", program(store), table.name, chain.name),
        rule: String::new(),
        mend: Vec::new(),
        mend_words: "Delete the rule.",
        store: match store.variant {
            Variant::Legacy => Source::IptablesLegacy,
            Variant::Nft => Source::IptablesNft,
        },
        adds: None,
    }
}

fn of_rule(store: &Store, table: &Table, chain: &Chain, rule: &Rule) -> Place {
    // By what it says and not by its number, which another mend may have moved by then.
    let begin = ["-D", &chain.name].into_iter();
    let words: Vec<_> = begin.chain(rule.arguments.iter().map(String::as_str)).collect();
    Place {
        rule: format!("-A {} {} (number {})", chain.name, rule.text, rule.number),
        mend: command(store, table, &words),
        ..of_chain(store, table, chain)
    }
}

fn walk(store: &Store, table: &Table, chain: &Chain, run: &mut Run<'_>) -> Flow {
    let mut next = 1;
    let flow = run.chain(&chain.rules, |rule, run| {
        // What was cut away before it may have been met.
        run.sure &= chain.left_out == 0 || rule.number == next;
        next = rule.number + 1;
        apply(store, table, chain, rule, run)
    });
    if matches!(flow, Flow::Next) {
        run.sure &= next > chain.rules.len() + chain.left_out || chain.left_out == 0;
    }
    flow
}

fn apply(store: &Store, table: &Table, chain: &Chain, rule: &Rule, run: &mut Run<'_>) -> Flow {
    match meets(rule, run) {
        Met::No => return Flow::Next,
        Met::Unknown => {
            let quiet = matches!(rule.target.as_deref(), None | Some("DROP" | "REJECT" | "LOG"));
            run.sure &= quiet;
            return Flow::Next;
        }
        Met::Yes => {}
        // The rest of the chain is as likely, so what is wished for decides.
        Met::Perhaps => {
            let mut tried = run.clone();
            let flow = target(store, table, chain, rule, &mut tried);
            let wish = tried.view.wish;
            if wish.is_none() || tried.nat == wish.map(Nat::Destination) {
                *run = tried;
                return flow;
            }
            return Flow::Next;
        }
    }
    target(store, table, chain, rule, run)
}

fn target(store: &Store, table: &Table, chain: &Chain, rule: &Rule, run: &mut Run<'_>) -> Flow {
    let Some(target) = rule.target.as_deref() else { return Flow::Next };
    let option = |name: &str| rule.option(name);
    match target {
        "ACCEPT" => Flow::Accept,
        "RETURN" => Flow::Return,
        "DROP" | "REJECT" => {
            // Where kube-proxy takes what none of a Service's source ranges has let through.
            run.named.other_sources |= chain.name == "KUBE-PROXY-FIREWALL";
            run.stop(of_rule(store, table, chain, rule), target == "REJECT")
        }
        "MARK" => {
            match option("--set-xmark").or_else(|| option("--set-mark")).and_then(mark) {
                Some((value, mask)) => {
                    let is_xor = option("--set-xmark").is_some();
                    let kept = run.view.packet.mark & !mask;
                    let mark = if is_xor { kept ^ value } else { kept | value };
                    run.mark(mark, || of_rule(store, table, chain, rule));
                }
                None => run.sure = false,
            }
            Flow::Next
        }
        "DNAT" => translated(option("--to-destination"), Nat::Destination, true, run),
        "SNAT" | "MASQUERADE" => {
            let to = option("--to-source").unwrap_or_default();
            let (to, of_source) = split_ports(to);
            let range = option("--to-ports").or(of_source).and_then(port_range);
            run.source_ports = range.map(|(low, high)| {
                let place = of_rule(store, table, chain, rule);
                SourcePorts { low, high, place }
            });
            match target {
                "SNAT" => translated(Some(to), Nat::Source, false, run),
                _ => end_with(run, Nat::Masquerade),
            }
        }
        "REDIRECT" => {
            run.redirect = Some(of_rule(store, table, chain, rule));
            end_with(run, Nat::Redirect(option("--to-ports").and_then(|port| port.parse().ok())))
        }
        name => match table.chain(name) {
            Some(next) => match walk(store, table, next, run) {
                Flow::Next | Flow::Return if rule.goto => Flow::Return,
                Flow::Next | Flow::Return => Flow::Next,
                end => end,
            },
            // An extension that decides nothing, as LOG, or a chain that was left out.
            None => Flow::Next,
        },
    }
}

fn end_with(run: &mut Run<'_>, nat: Nat) -> Flow {
    run.nat = Some(nat);
    Flow::Accept
}

fn translated(
    to: Option<&str>,
    nat: fn(SocketAddr) -> Nat,
    is_destination: bool,
    run: &mut Run<'_>,
) -> Flow {
    let packet = &run.view.packet;
    let own = if is_destination { packet.destination } else { packet.source };
    match to.and_then(destination) {
        Some((address, port)) => {
            let port = port.unwrap_or(own.port());
            end_with(run, nat(SocketAddr::new(address, port)))
        }
        None => {
            run.sure = false;
            Flow::Accept
        }
    }
}

/// What SNAT is given, without its ports, and those: `ADDRESS`, `ADDRESS:PORTS`, `[ADDRESS]:PORTS`.
fn split_ports(to: &str) -> (&str, Option<&str>) {
    match to.rsplit_once(':') {
        Some((address, ports)) if address.ends_with(']') || !address.contains(':') => {
            (address.trim_matches(['[', ']']), Some(ports))
        }
        _ => (to, None),
    }
}

/// `PORT` or `PORT-PORT`.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.parse().ok()?, high.parse().ok()?))
}

/// `VALUE` or `VALUE/MASK`.
fn mark(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

enum Met {
    Yes,
    No,
    Unknown,
    /// By chance.
    Perhaps,
}

fn meets(rule: &Rule, run: &mut Run<'_>) -> Met {
    let (mut negated, mut unknown, mut chance) = (false, false, false);
    let mut words = rule.arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let met = match word {
            "!" => {
                negated = true;
                continue;
            }
            "-m" | "--comment" | "--mode" => {
                words.next();
                continue;
            }
            "--probability" | "--every" => {
                words.next();
                chance = true;
                continue;
            }
            // What follows is the target's.
            "-j" | "-g" => break,
            option => condition(option, words.next().unwrap_or_default(), negated, run),
        };
        match met {
            Some(met) if met == negated => return Met::No,
            Some(_) => {}
            None => unknown = true,
        }
        negated = false;
    }
    match (unknown, chance) {
        (true, _) => Met::Unknown,
        (false, true) => Met::Perhaps,
        (false, false) => Met::Yes,
    }
}

fn condition(option: &str, value: &str, negated: bool, run: &mut Run<'_>) -> Option<bool> {
    let view = &run.view;
    let packet = &view.packet;
    let has_ports = packet.protocol == TCP || packet.protocol == UDP;
    match option {
        "-s" | "--source" => {
            let met = address(value, packet.source.ip(), negated, run);
            run.named.other_sources |= negated && met == Some(false);
            met
        }
        "-d" | "--destination" => address(value, packet.destination.ip(), negated, run),
        "-p" | "--protocol" => Some(match value {
            "tcp" => packet.protocol == TCP,
            "udp" => packet.protocol == UDP,
            "icmp" => packet.protocol == 1,
            "ipv6-icmp" => packet.protocol == 58,
            "all" => true,
            number => packet.protocol == number.parse::<u8>().ok()?,
        }),
        "-i" => Some(is_link(value, view.input)),
        "-o" => Some(is_link(value, view.output)),
        "--dport" | "--dports" => {
            let met = ports(value, packet.destination.port()).map(|met| met && has_ports);
            run.named.port |= !negated && met == Some(true);
            met
        }
        "--sport" | "--sports" => ports(value, packet.source.port()).map(|met| met && has_ports),
        "--ctstate" | "--state" => Some(value.split(',').any(|word| {
            word.eq_ignore_ascii_case(view.state) || (word == "DNAT" && view.translated)
        })),
        "--mark" => mark(value).map(|(mark, mask)| packet.mark & mask == mark & mask),
        "--dst-type" | "--src-type" => {
            let mut query = Query::of(packet, None);
            if option == "--src-type" {
                (query.destination, query.source) = (packet.source, packet.destination);
            }
            Some(value.split(',').any(|kind| kind.eq_ignore_ascii_case(address_type(view, &query))))
        }
        "--icmp-type" => Some(match (value, packet.icmp) {
            ("3/4" | "fragmentation-needed", icmp) => icmp == Some((3, 4)),
            ("3" | "destination-unreachable", icmp) => icmp.is_some_and(|(kind, _)| kind == 3),
            ("any", icmp) => icmp.is_some(),
            (_, None) => false,
            _ => return None,
        }),
        _ => None,
    }
}

fn address(value: &str, own: IpAddr, negated: bool, run: &mut Run<'_>) -> Option<bool> {
    let net = net(value).ok()?;
    let met = net.contains(&own);
    if met && !negated && net.prefix_len() == net.max_prefix_len() {
        run.named.address = true;
    }
    Some(met)
}

/// Names of links may end in a plus.
fn is_link(named: &str, own: Option<&str>) -> bool {
    let own = own.unwrap_or_default();
    match named.strip_suffix('+') {
        Some(begin) => own.starts_with(begin),
        None => own == named,
    }
}

/// `80`, `80:90`, `80,90`.
fn ports(value: &str, own: u16) -> Option<bool> {
    let mut met = false;
    for part in value.split(',') {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        let low = if low.is_empty() { 0 } else { low.parse().ok()? };
        let high = if high.is_empty() { u16::MAX } else { high.parse().ok()? };
        met |= (low..=high).contains(&own);
    }
    Some(met)
}
