//! The capture's programs in the namespaces of the facts, for the packets that a diagnosis is
//! about.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::oneshot;

use super::{undecided, unwatched};
use crate::{
    capture::{
        LinkType,
        filter::{self, Filter, VXLAN_PORTS},
        service,
    },
    doctor::{
        facts::{Facts, Gap, HostFacts, Role, chain},
        mend,
        path::Case,
    },
    spec::{Spec, model::Protocol},
    trace::{
        Decision, Hook, Interfaces, Options, Place, Session,
        follow::{Follower, Journey, LossPlace, Options as Following},
    },
};

/// Bytes kept of a packet: all headers, with a VXLAN packet's around them, and what tells equal
/// datagrams apart.
const SNAPLEN: u32 = 256;
/// Size of the ring, in octets: all packets of hundreds of probes at all their hooks.
const RING: u32 = 4 << 20;
/// Hosts to watch: attaching to each interface takes the kernel two hundredths of a second.
const MOST_HOSTS: usize = 48;
/// Packets that are taken out of the ring at a time.
const BATCH: usize = 4096;
/// Ports that a filter can name: one of more would take the kernel too long to verify.
const MOST_PORTS: usize = 256;

/// What a watch has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Packets.
    pub journeys: Vec<Journey>,
    /// What the kernel decided about them.
    pub decisions: Vec<Decision>,
    /// What nobody could watch.
    pub gaps: Vec<Gap>,
}

/// A watch that runs.
pub(super) struct Watched {
    session: Session,
    follower: Follower,
    journeys: Vec<Journey>,
    gaps: Vec<Gap>,
}

impl Watched {
    /// Attaches to every interface of the hosts, and to the kernel's drops. In words why that
    /// cannot be.
    pub async fn start(facts: &Facts, spec: &Spec, cases: &[Case]) -> Result<Self, String> {
        let vxlan_ports = vxlan_ports(facts);
        let filter = filter(cases, &vxlan_ports)?;
        let instructions = filter.instructions().map_err(|error| chain(&error))?;
        let options = Options {
            hooks: Hook::ALL.into(),
            interfaces: Interfaces::AllButPorts,
            only_drops: false,
            snaplen: SNAPLEN,
            ring: RING,
            filter: instructions.into_iter().map(Into::into).collect(),
            reach: filter.reach(),
            decisions: addresses(facts, cases),
        };
        let (hosts, gaps) = hosts(facts, cases);
        let session = Session::start(places(&hosts)?, options).await;
        let mut session = session.map_err(|error| chain(&error))?;
        session.begin().map_err(|error| chain(&error))?;
        let follower = follower(facts, spec, vxlan_ports);
        Ok(Self { session, follower, journeys: Vec::new(), gaps })
    }

    /// Follows what is sent until the other end of the channel is gone.
    pub async fn until(&mut self, mut over: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut over => return,
                () = self.session.wait() => {}
            }
            self.drain();
            self.journeys.extend(self.follower.advance(now()));
        }
    }

    fn drain(&mut self) -> usize {
        let Self { session, follower, journeys, .. } = self;
        session.drain(BATCH, |sighting| journeys.extend(follower.see(sighting)))
    }

    /// All journeys, what the kernel decided meanwhile, and what was missed.
    pub fn finish(mut self) -> Seen {
        // What is still on its way is of no probe: nobody waits for it.
        while self.drain() == BATCH {}
        let Self { mut session, mut follower, mut journeys, mut gaps } = self;
        let (decisions, untold) = session.decisions();
        gaps.extend(untold.iter().map(|reason| undecided(reason)));
        let losses = session.losses().unwrap_or_default();
        let count: u64 = losses.iter().map(|loss| loss.count).sum();
        if count > 0 {
            gaps.push(unwatched(&format!("{count} sightings found no room in the ring")));
            let places = losses.iter().map(|loss| LossPlace {
                host: loss.host.to_owned(),
                interface: loss.interface.to_owned(),
                hook: loss.hook,
            });
            follower.lose(0, now(), places.collect());
        }
        journeys.extend(follower.finish());
        Seen { journeys, decisions, gaps }
    }
}

/// Whom packets of these connections, and their answers, are for: what is dialled and who gets it,
/// and hosts that dial, or put their own address in the client's place.
fn addresses(facts: &Facts, cases: &[Case]) -> Vec<IpAddr> {
    let ends = cases.iter().flat_map(|case| {
        let backend = case.backend.as_ref().map(|backend| backend.address.ip());
        [Some(case.dialled.ip()), backend, case.source].into_iter().flatten()
    });
    let clients: BTreeSet<&str> = cases.iter().map(|case| case.client.as_str()).collect();
    let is_end = |host: &&HostFacts| {
        matches!(host.role, Role::Node { .. }) || clients.contains(host.name.as_str())
    };
    let hosts = facts.hosts.iter().filter(is_end).flat_map(|host| &host.addresses);
    let all: BTreeSet<IpAddr> = ends.chain(hosts.map(|address| address.net.addr())).collect();
    all.into_iter().collect()
}

/// What goes to and comes from the ports dialled and those of their backends, inside of VXLAN too.
fn filter(cases: &[Case], vxlan_ports: &[u16]) -> Result<Filter, String> {
    let ports: BTreeSet<(Protocol, u16)> = cases
        .iter()
        .flat_map(|case| {
            let backend = case.backend.as_ref().map(|backend| backend.address);
            let ends = [Some(case.dialled), backend].into_iter().flatten();
            ends.map(|end| (case.protocol, end.port()))
        })
        .collect();
    if ports.is_empty() {
        return Err("there is nothing to dial".to_owned());
    }
    if ports.len() > MOST_PORTS {
        return Err(format!(
            "{} ports are more than a filter can name; ask about one Service",
            ports.len()
        ));
    }
    let options = filter::Options {
        link: LinkType::ETHERNET,
        vxlan_ports: vxlan_ports.to_vec(),
        ..filter::Options::default()
    };
    Filter::parse_anywhere(&service::of_ports(&ports), &options).map_err(|error| chain(&error))
}

/// The usual ports, and those of the hosts' devices.
fn vxlan_ports(facts: &Facts) -> Vec<u16> {
    let links = facts.hosts.iter().flat_map(|host| &host.links);
    let own = links.filter_map(|link| link.vxlan().map(|vxlan| vxlan.port));
    let all: BTreeSet<u16> = VXLAN_PORTS.into_iter().chain(own).collect();
    all.into_iter().collect()
}

/// The hosts that packets of these connections pass: all but the fabric, which is the wire between
/// them, and pods that none of them is for. Those that are too many are a gap.
fn hosts<'f>(facts: &'f Facts, cases: &[Case]) -> (Vec<&'f HostFacts>, Vec<Gap>) {
    let backends: BTreeSet<&str> =
        cases.iter().filter_map(|case| case.backend.as_ref()?.pod.as_deref()).collect();
    let is_watched = |host: &&HostFacts| match &host.role {
        Role::Fabric => false,
        Role::Pod { pod, .. } => backends.contains(pod.as_str()),
        // This host itself has no name.
        _ => host.netns.is_some() || facts.here().is_some_and(|here| here.name == host.name),
    };
    let mut hosts: Vec<&HostFacts> = facts.hosts.iter().filter(is_watched).collect();
    let left_out = hosts.split_off(hosts.len().min(MOST_HOSTS));
    let gap = (!left_out.is_empty()).then(|| {
        unwatched(&format!("{} of the hosts are too many to watch all at once", left_out.len()))
    });
    (hosts, gap.into_iter().collect())
}

fn places(hosts: &[&HostFacts]) -> Result<Vec<Place>, String> {
    let open = |host: &&HostFacts| {
        // Of a pod that has no named namespace it is that of its process.
        let netns = mend::namespace(Some(host)).map_err(|error| chain(&error))?;
        Ok(Place { name: host.name.clone(), netns })
    };
    hosts.iter().map(open).collect()
}

/// One that knows whose addresses and ports are whose.
fn follower(facts: &Facts, spec: &Spec, vxlan_ports: Vec<u16>) -> Follower {
    let mut follower = Follower::new(Following { vxlan_ports, ..Following::default() });
    let addresses = facts.hosts.iter().flat_map(|host| {
        host.addresses.iter().map(|address| (host.name.as_str(), address.net.addr()))
    });
    let nodes: BTreeSet<IpAddr> = facts
        .hosts
        .iter()
        .filter(|host| matches!(host.role, Role::Node { .. }))
        .flat_map(|host| host.addresses.iter().map(|address| address.net.addr()))
        .collect();
    service::introduce(&mut follower, Some(spec), addresses, &nodes);
    for host in &facts.hosts {
        let names: BTreeMap<u32, &str> =
            host.links.iter().map(|link| (link.index, link.name.as_str())).collect();
        for link in &host.links {
            if let Some(master) = link.master.and_then(|master| names.get(&master)) {
                follower.plug(&host.name, &link.name, master);
            }
        }
    }
    follower
}

/// Nanoseconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
