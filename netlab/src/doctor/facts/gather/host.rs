//! Everything that one namespace shows.

use std::{collections::BTreeMap, io, net::IpAddr};

use netlink_packet_route::AddressFamily;

use super::{
    super::{
        Gap, HostFacts, Source,
        iptables::{Store, Variant},
        program::{Owner, Program},
    },
    connections, counters, datapath,
    gaps::Gaps,
    iptables, ipvs, links, network, nft, programs,
    scope::Target,
    sysctls,
    tool::Programs,
};
use crate::{
    datapath::load::Maps,
    doctor::facts::Subject,
    netlink::{Connection, Netns, nftables},
};

/// Most routes, neighbors and FDB entries of a host that are told.
const MOST: usize = 16_384;

/// What is gathered with, the same for all hosts.
pub(super) struct Means<'g> {
    pub subject: &'g Subject,
    pub programs: &'g Programs,
    /// Addresses of all nodes, as the objects have them.
    pub nodes: Vec<IpAddr>,
    /// Of the spec, to tell whether an agent has the newest one.
    pub digest: Option<&'g str>,
}

/// A host's facts, and what is needed to tie them to other hosts'.
pub(super) struct Gathered {
    pub facts: HostFacts,
    pub gaps: Vec<Gap>,
    pub netns: Option<Netns>,
    /// By index of a link: what its host calls the namespace of its peer.
    pub peer_netns: BTreeMap<u32, i32>,
}

impl Gathered {
    fn of(target: &Target) -> Self {
        Self {
            facts: HostFacts {
                name: target.name.clone(),
                role: target.role.clone(),
                netns: target.netns_name.clone(),
                inode: Netns::current().and_then(|netns| netns.inode()).unwrap_or(0),
                ..HostFacts::default()
            },
            gaps: Vec::new(),
            netns: target.netns.clone(),
            peer_netns: BTreeMap::new(),
        }
    }

    /// The calling thread's links, and what they count.
    async fn links(&mut self, connection: &Connection) -> crate::netlink::Result<()> {
        for message in connection.link_messages().await? {
            let observed = links::link(&message);
            let name = observed.link.name.clone();
            self.peer_netns.extend(observed.peer_netns.map(|n| (observed.link.index, n)));
            self.facts.counters.links.insert(name, observed.counters);
            self.facts.links.push(observed.link);
        }
        Ok(())
    }
}

/// The links of the calling thread's namespace, which is the target's, and nothing else.
pub(super) fn links(target: &Target) -> Gathered {
    let mut gathered = Gathered::of(target);
    if let Ok(runtime) = runtime() {
        // What cannot be looked at leads nowhere.
        let _ = runtime.block_on(async { gathered.links(&Connection::here()?).await });
    }
    gathered
}

/// Looks at the calling thread's namespace, which is the target's.
pub(super) fn gather(target: &Target, means: &Means<'_>) -> Gathered {
    let mut gathered = Gathered::of(target);
    let mut gaps = Gaps::of(&target.name);
    match runtime() {
        Ok(runtime) => runtime.block_on(async {
            netlink(&mut gathered, &mut gaps).await;
            rules(&mut gathered.facts, means, &mut gaps).await;
        }),
        Err(error) => {
            gaps.note(
                Source::Namespace,
                error.to_string(),
                format!("Nothing of {} is seen.", target.name),
            );
        }
    }
    let facts = &mut gathered.facts;
    facts.sysctls = sysctls::read(&facts.links);
    sockets(facts, means.subject, &mut gaps);
    facts.programs.extend(programs::read(&facts.links, &mut gaps));
    let outcome = counters::protocols();
    let hides = "What protocols have counted, errors among it, is not seen.";
    facts.counters.protocols = gaps.take(outcome, Source::Counters, hides).unwrap_or_default();
    let is_datapath = |program: &Program| program.owner == Owner::Datapath;
    let found = match &target.pins {
        Some(pins) => datapath::open(pins),
        None => {
            let own = facts.programs.iter().filter(|program| is_datapath(program));
            datapath::of_programs(&own.map(|program| program.id).collect())
        }
    };
    maps(facts, found, means.subject, &mut gaps);
    let is_told = gaps.list.iter().any(|gap| gap.source == Source::Datapath);
    if facts.datapath.is_none() && !is_told && facts.programs.iter().any(is_datapath) {
        let reason = datapath::unpinned(target.pins.as_deref());
        gaps.note(Source::Datapath, reason, "What netlab's programs make of packets is not seen.");
    }
    if let Some(directory) = &target.agent {
        match datapath::agent(directory, means.digest) {
            Ok(agent) => facts.agent = agent,
            Err(reason) => {
                let hides = "Whether netlab's agent does its work is not seen.";
                gaps.note(Source::Agent, reason, hides);
            }
        }
    }
    gathered.gaps = gaps.list;
    gathered
}

/// One that lives on the calling thread, as its namespace does.
pub(super) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn netlink(gathered: &mut Gathered, gaps: &mut Gaps) {
    let hides = format!("Nothing of {} is seen.", gathered.facts.name);
    let Some(connection) = gaps.take(Connection::here(), Source::Namespace, &hides) else {
        return;
    };
    let hides = "Links that are down, or lead elsewhere, are not seen.";
    gaps.take(gathered.links(&connection).await, Source::Links, hides);
    let facts = &mut gathered.facts;
    let hides = "Which addresses are the host's own is not seen.";
    let messages = gaps.take(connection.address_messages().await, Source::Addresses, hides);
    facts.addresses = messages.iter().flatten().filter_map(network::address).collect();
    let hides = "Policy routing that sends packets elsewhere is not seen.";
    for v4 in [true, false] {
        let messages = gaps.take(connection.rule_messages(v4).await, Source::Rules, hides);
        facts.rules.extend(messages.iter().flatten().map(network::rule));
    }
    let hides = "Where packets are sent to is not seen.";
    let messages = gaps.take(connection.route_messages().await, Source::Routes, hides);
    facts.routes = messages.iter().flatten().filter_map(network::route).collect();
    let hides = "Whether next hops answer is not seen.";
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let messages =
            gaps.take(connection.neighbor_messages(family).await, Source::Neighbors, hides);
        facts.neighbors.extend(messages.iter().flatten().filter_map(network::neighbor));
    }
    let hides = "Where bridges and VXLAN devices send frames is not seen.";
    let messages = connection.neighbor_messages(AddressFamily::Bridge).await;
    let messages = gaps.take(messages, Source::Fdb, hides);
    facts.fdb = messages.iter().flatten().filter_map(network::fdb).collect();
    let hides = "Filters of tc that drop packets are not seen.";
    let outcome = programs::filters(&connection, &facts.links).await;
    if let Some((programs, filters)) = gaps.take(outcome, Source::TcFilters, hides) {
        facts.programs = programs;
        facts.tc_filters = filters;
    }
    bound(&mut facts.routes, Source::Routes, "routes", gaps);
    bound(&mut facts.neighbors, Source::Neighbors, "neighbors", gaps);
    bound(&mut facts.fdb, Source::Fdb, "FDB entries", gaps);
}

fn bound<T>(list: &mut Vec<T>, source: Source, what: &str, gaps: &mut Gaps) {
    if list.len() > MOST {
        let reason = format!("there are {}", list.len());
        gaps.note(
            source,
            reason,
            format!("Of the {what}, those after the first {MOST} are not seen."),
        );
        list.truncate(MOST);
    }
}

async fn rules(facts: &mut HostFacts, means: &Means<'_>, gaps: &mut Gaps) {
    let tables = match nftables::tables() {
        Ok(tables) => tables,
        // The kernel has no nftables, so there are no rules of nftables.
        Err(error) if is_unknown(&error) => Vec::new(),
        Err(error) => {
            gaps.note(
                Source::Nft,
                super::gaps::chain(&error),
                "Rules of nftables and of iptables-nft that drop packets are not seen.",
            );
            Vec::new()
        }
    };
    ipvs::note(gaps);
    facts.iptables = iptables::read(means, facts, &tables, gaps).await;
    // nft needs many seconds for what iptables-nft-save has shown in one.
    if !are_shown(&facts.iptables, &tables) {
        facts.nft = nft::read(means.programs, means.subject, &tables, gaps).await;
    }
}

/// Rules from which on nobody wants to wait for nft to show them once more.
const LARGE: usize = 2048;

/// Whether all of nftables' tables are iptables' own, have been read as such, and are large.
fn are_shown(stores: &[Store], tables: &[nftables::Table]) -> bool {
    let of_nft = || stores.iter().filter(|store| store.variant == Variant::Nft);
    let is_shown =
        |table: &nftables::Table| of_nft().any(|store| store.keeps(table.family, &table.name));
    let chains = of_nft().flat_map(|store| &store.tables).flat_map(|table| &table.chains);
    let rules: usize = chains.map(|chain| chain.rules.len() + chain.left_out).sum();
    rules > LARGE && tables.iter().all(is_shown)
}

/// EPROTONOSUPPORT: no nfnetlink; EINVAL: no subsystem of nftables.
fn is_unknown(error: &crate::netlink::Error) -> bool {
    use nix::errno::Errno;
    matches!(error.errno(), Some(Errno::EPROTONOSUPPORT | Errno::EINVAL))
}

fn sockets(facts: &mut HostFacts, subject: &Subject, gaps: &mut Gaps) {
    let hides = "Who listens on which address and port is not seen.";
    let listeners = gaps.take(connections::listeners(), Source::Sockets, hides);
    facts.listeners = listeners.unwrap_or_default();
    facts.udp = gaps.take(connections::udp(), Source::Sockets, hides).unwrap_or_default();
    facts.conntrack = connections::conntrack(subject, gaps);
}

fn maps(
    facts: &mut HostFacts,
    found: crate::datapath::Result<Option<Maps>>,
    subject: &Subject,
    gaps: &mut Gaps,
) {
    let hides = "What netlab's own programs have been told is not seen.";
    let Some(maps) = gaps.take(found, Source::Datapath, hides).flatten() else { return };
    facts.datapath = gaps.take(datapath::read(&maps, subject), Source::Datapath, hides);
    let counted = gaps.take(datapath::counters(&maps), Source::Datapath, hides);
    facts.counters.datapath = counted.unwrap_or_default();
}
