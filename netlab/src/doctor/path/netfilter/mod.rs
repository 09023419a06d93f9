//! What netfilter's rules make of one packet at one hook: chains of nftables and of both of
//! iptables' stores, in the order of their priorities.
//!
//! Law: a rule that cannot be evaluated is passed over, and whatever is dropped after one that
//! might have accepted is not sure.

mod iptables;
mod nft;
mod value;

use std::{
    cell::Cell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use super::packet::Packet;
use crate::doctor::{facts::HostFacts, finding::Finding};

/// Where a packet is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    /// What a bridge forwards: nftables' family bridge alone.
    Bridge,
}

/// The packet with what rules can ask about it.
#[derive(Clone, Debug)]
pub(super) struct View<'v> {
    pub host: &'v HostFacts,
    pub packet: Packet,
    pub input: Option<&'v str>,
    pub output: Option<&'v str>,
    /// conntrack's word: `new`, `established`, `invalid`, `untracked`.
    pub state: &'static str,
    /// Its connection has been given another destination here.
    pub translated: bool,
    /// The endpoint that a random choice should fall on.
    pub wish: Option<SocketAddr>,
}

/// What a NAT rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nat {
    Destination(SocketAddr),
    Source(SocketAddr),
    Masquerade,
    /// To the host itself.
    Redirect(Option<u16>),
}

/// A rule, or a chain's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `table inet filter chain forward`, or `iptables -t filter FORWARD`.
    pub chain: String,
    /// As the tool prints it, with its handle or number; a policy in words.
    pub rule: String,
    /// What takes it away; empty of a policy, which is not to be changed.
    pub mend: Vec<String>,
    pub mend_words: &'static str,
    /// The store that it was read in.
    pub store: crate::doctor::facts::Source,
    /// Of a chain's policy: how a rule is added that comes before it, where one would be asked.
    pub adds: Option<Adds>,
}

/// How a rule is added to a chain that drops by its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Adds {
    /// The command up to the chain's name, in the words of nft or of iptables.
    pub command: Vec<String>,
    /// The words are nft's.
    pub nft: bool,
    /// Packets of IPv4 meet the chain, and packets of IPv6 do.
    pub families: (bool, bool),
}

/// A packet that goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub place: Place,
    pub rejects: bool,
    /// Only what goes to or comes from single addresses is met, as by a policy for a pod.
    pub narrow: bool,
    /// The rule is about the packet's port, and takes those packets whose source it does not name.
    pub by_source: bool,
    /// Nothing that could not be evaluated came before.
    pub sure: bool,
}

/// Ports that a NAT rule gives to sources, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourcePorts {
    pub low: u16,
    pub high: u16,
    pub place: Place,
}

/// What is said of a policy where no rule is known that would help.
const KEEP_POLICY: &str =
    "Let the packet through by a rule of its own, and leave the policy as it is.";

/// What became of the packet at a hook.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub packet: Packet,
    /// What would have stopped it; it has been shown to what comes after all the same.
    pub stops: Vec<Stop>,
    pub nat: Option<Nat>,
    /// Where the rule of source NAT says which ports it takes.
    pub source_ports: Option<SourcePorts>,
    /// The rule that sends the packet to the host itself.
    pub redirect: Option<Place>,
    /// A rule that took bits off the mark.
    pub unmarked: Option<Place>,
    /// A rule that spoils the UDP checksum.
    pub spoilt: Option<Place>,
}

impl Place {
    /// It is one of kube-proxy's own rules, in either of its modes.
    pub(super) fn is_of_kube_proxy(&self) -> bool {
        self.chain.contains(" kube-proxy chain ") || self.chain.contains(" chain KUBE-")
    }

    /// A finding that this is the cause of: it shows it, and taking the rule away mends it; of a
    /// policy it says what would.
    pub(super) fn blamed(&self, finding: Finding) -> Finding {
        finding
            .shown(self.store, format!("{}: {}", self.chain, self.rule))
            .mended(self.mend.clone(), self.mend_words)
    }
}

impl Adds {
    /// The whole command, with what the rule asks and that it accepts.
    pub(super) fn accepting(&self, asks: &str) -> Vec<String> {
        let verdict = if self.nft { "accept" } else { "-j ACCEPT" };
        let words = asks.split(' ').chain(verdict.split(' ')).map(str::to_owned);
        self.command.iter().cloned().chain(words).collect()
    }
}

/// How one chain ends.
#[derive(Clone, Debug)]
enum Flow {
    /// The next rule, or the next chain.
    Next,
    /// Back to where it was jumped from.
    Return,
    Accept,
    Stop(Box<Stop>),
}

/// What the rules that led here have named of the packet.
#[derive(Clone, Copy, Debug, Default)]
struct Named {
    /// One of them has its own single address.
    address: bool,
    /// One of them has its own destination port.
    port: bool,
    /// One of them is met by all sources but those that it names.
    other_sources: bool,
}

/// What evaluation gathers on its way.
#[derive(Clone, Debug)]
struct Run<'v> {
    view: View<'v>,
    nat: Option<Nat>,
    source_ports: Option<SourcePorts>,
    redirect: Option<Place>,
    unmarked: Option<Place>,
    spoilt: Option<Place>,
    /// All that was evaluated could be.
    sure: bool,
    named: Named,
    depth: usize,
    /// How many rules may still be asked, in choices that are tried and given up too.
    budget: Rc<Cell<usize>>,
}

/// More rules than a packet meets at one hook of a host that works. Chains that jump to one another
/// by several ways are walked by each, which grows without bounds.
const MOST_RULES: usize = 100_000;
/// Deeper than any rule set may be nested (NFT_JUMP_STACK_SIZE is 16).
const DEEPEST: usize = 32;

impl Hook {
    const fn nft(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward | Self::Bridge => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }
}

impl Run<'_> {
    fn mark(&mut self, mark: u32, place: impl FnOnce() -> Place) {
        if self.view.packet.mark & !mark != 0 {
            self.unmarked = Some(place());
        }
        self.view.packet.mark = mark;
    }

    /// Asks the rules of a chain, one after the other, until one decides.
    fn chain<R>(&mut self, rules: &[R], mut ask: impl FnMut(&R, &mut Self) -> Flow) -> Flow {
        if self.depth >= DEEPEST {
            return Flow::Next;
        }
        self.depth += 1;
        let before = self.named;
        let mut flow = Flow::Next;
        for rule in rules {
            self.named = before;
            let Some(left) = self.budget.get().checked_sub(1) else {
                // What was not evaluated is not held against the packet.
                (self.sure, flow) = (false, Flow::Accept);
                break;
            };
            self.budget.set(left);
            flow = ask(rule, self);
            if !matches!(flow, Flow::Next) {
                break;
            }
        }
        self.depth -= 1;
        flow
    }

    /// The packet goes no further.
    fn stop(&self, place: Place, rejects: bool) -> Flow {
        let Named { address: narrow, port, other_sources } = self.named;
        let by_source = port && other_sources;
        Flow::Stop(Box::new(Stop { place, rejects, narrow, by_source, sure: self.sure }))
    }

    /// Nor does what no rule has decided about.
    fn stop_by_policy(&self, place: Place) -> Flow {
        let (rejects, narrow, by_source) = (false, false, false);
        Flow::Stop(Box::new(Stop { place, rejects, narrow, by_source, sure: self.sure }))
    }

    fn is_own_address(&self, address: IpAddr) -> bool {
        let packet = &self.view.packet;
        [packet.source.ip(), packet.destination.ip()].contains(&address)
    }
}

/// One chain at a hook.
enum Base<'f> {
    Nft(&'f crate::doctor::facts::nft::Table, &'f crate::doctor::facts::nft::Chain),
    Iptables(
        &'f crate::doctor::facts::iptables::Store,
        &'f crate::doctor::facts::iptables::Table,
        &'static str,
    ),
}

/// Asks all rules of a hook.
pub(super) fn pass(hook: Hook, view: View<'_>) -> Passage {
    let host = view.host;
    let mut run = Run {
        view,
        nat: None,
        source_ports: None,
        redirect: None,
        unmarked: None,
        spoilt: None,
        sure: true,
        named: Named::default(),
        depth: 0,
        budget: Rc::new(Cell::new(MOST_RULES)),
    };
    let mut stops = Vec::new();
    for base in bases(host, hook, &run.view) {
        run.named = Named::default();
        run.sure &= !is_anywhere(&base);
        let is_nat = match &base {
            Base::Nft(_, chain) => chain.hook.as_ref().is_some_and(|hook| hook.kind == "nat"),
            Base::Iptables(_, table, _) => table.name == "nat",
        };
        // Only the first packet of a connection is shown to NAT rules, and one answer is enough.
        if is_nat && (run.view.state != "new" || run.nat.is_some()) {
            continue;
        }
        let flow = match base {
            Base::Nft(table, chain) => nft::base(table, chain, &mut run),
            Base::Iptables(store, table, chain) => iptables::base(store, table, chain, &mut run),
        };
        if let Flow::Stop(found) = flow {
            stops.push(*found);
        }
    }
    Passage {
        packet: run.view.packet,
        stops,
        nat: run.nat,
        source_ports: run.source_ports,
        redirect: run.redirect,
        unmarked: run.unmarked,
        spoilt: run.spoilt,
    }
}

fn bases<'f>(host: &'f HostFacts, hook: Hook, view: &View<'_>) -> Vec<Base<'f>> {
    let v4 = view.packet.is_v4();
    let mut found: Vec<(i32, Base<'f>)> = Vec::new();
    if let Some(ruleset) = &host.nft {
        for table in ruleset.tables.iter().filter(|table| !table.dormant) {
            let of_iptables =
                host.iptables.iter().any(|store| store.keeps(&table.family, &table.name));
            if of_iptables || !is_asked(&table.family, hook, v4) {
                continue;
            }
            for chain in &table.chains {
                let Some(at) = chain.hook.as_ref().filter(|at| at.hook == hook.nft()) else {
                    continue;
                };
                // Older nft does not say which devices a chain is at: then it may be at any.
                let is_here = hook != Hook::Ingress
                    || at.devices.is_empty()
                    || view.input.is_some_and(|input| at.devices.iter().any(|dev| dev == input));
                if is_here {
                    found.push((at.priority, Base::Nft(table, chain)));
                }
            }
        }
    }
    if !matches!(hook, Hook::Ingress | Hook::Bridge) {
        for store in host.iptables.iter().filter(|store| store.v4 == v4) {
            for table in &store.tables {
                if let Some((priority, chain)) = iptables::place(&table.name, hook) {
                    found.push((priority, Base::Iptables(store, table, chain)));
                }
            }
        }
    }
    found.sort_by_key(|(priority, _)| *priority);
    found.into_iter().map(|(_, base)| base).collect()
}

/// Whether it is not known at which devices a chain of ingress is.
fn is_anywhere(base: &Base<'_>) -> bool {
    let Base::Nft(_, chain) = base else { return false };
    chain.hook.as_ref().is_some_and(|at| at.hook == "ingress" && at.devices.is_empty())
}

fn is_asked(family: &str, hook: Hook, v4: bool) -> bool {
    match hook {
        Hook::Bridge => family == "bridge",
        Hook::Ingress => family == "netdev" || family == "inet",
        _ => family == "inet" || family == if v4 { "ip" } else { "ip6" },
    }
}
