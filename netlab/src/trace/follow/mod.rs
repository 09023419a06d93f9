//! Which sightings are of one packet, and the journeys that they make.
//!
//! A [`Follower`] takes sightings and gives [`Journey`]s: a packet, the places where its
//! copies were seen, and what became of it; with the packet that answers it, if one does.
//!
//! Sightings are first put in order of time. Then, for each:
//!
//! 1. What the datapath says of it ([`Event::Forward`]) joins two flows into one connection.
//! 2. Its flow tells the connection and the direction; among the packets that are under way
//!    there, those with the same lasting fields are copies of it. Where several are, the oldest
//!    that was not yet seen at this place is taken, since equal packets keep their order; where
//!    the others must be repetitions of it, because TCP numbers them or because so much time is
//!    between, one that was seen a short while ago. A packet that was seen at this place already
//!    is a journey of its own.
//! 3. If there is none, a packet under way in another connection may have been translated by
//!    somebody who does not tell: it is taken if it has the same lasting fields and there is
//!    no doubt which it is.
//! 4. Otherwise a journey begins; as the reply of one in the other direction, if it answers it.
//!
//! Offloads: a TCP segment that was split later has its parts as hops. Segments that are
//! merged later go on in the journey of the first, and those of the others end there.
//! Datagrams that an offload splits, and fragments, are journeys of their own.

mod branches;
mod close;
mod flows;
mod identity;
mod journey;
mod losses;
mod neighbor;
mod notes;
mod open;
mod options;
mod packet;
mod pairs;
mod prints;
mod questions;
mod render;
mod rounds;
mod transport;
mod tree;
mod underway;
mod written;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netlab_common::{flow::FlowKey, verdict::Kind};

pub use journey::{Direction, Flow, Hop, Journey, Outcome, Part, Tunnel};
pub use losses::LossPlace;
pub use options::Options;
pub use render::{Style, render, render_decided};
pub(crate) use transport::error_name;

use self::{
    branches::Ports,
    flows::{Flows, Way},
    identity::Likeness,
    losses::Losses,
    open::{Open, Seen},
    packet::Packet,
    prints::Prints,
};
use super::{Event, Hook, Sighting};

/// How many nanoseconds after its journey's last hop a sighting is taken for the next hop rather
/// than for one of a repetition, where both could be and the sender numbers what he sends.
const NEAR: u64 = 50_000_000;

/// Ties sightings together.
#[derive(Debug)]
pub struct Follower {
    options: Options,
    flows: Flows,
    /// Sightings that wait for earlier ones, by time, hook and arrival.
    waiting: BTreeMap<(u64, Hook, u64), Seen>,
    arrivals: u64,
    /// The newest time that was told.
    newest: u64,
    open: HashMap<u64, Open>,
    /// Leaders of open journeys by when they, or their replies, were last seen.
    last: BTreeSet<(u64, u64)>,
    /// Open journeys of IP packets, by what they would keep through a translation.
    prints: Prints,
    next: u64,
    /// Sightings in `waiting` and in `open`.
    held: usize,
    hosts: HashMap<IpAddr, String>,
    services: HashMap<(u8, SocketAddr), String>,
    fronts: HashSet<(u8, SocketAddr)>,
    ports: Ports,
    losses: Losses,
}

impl Follower {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            flows: Flows::new(options.max_connections),
            options,
            waiting: BTreeMap::new(),
            arrivals: 0,
            newest: 0,
            open: HashMap::new(),
            last: BTreeSet::new(),
            prints: Prints::default(),
            next: 1,
            held: 0,
            hosts: HashMap::new(),
            services: HashMap::new(),
            fronts: HashSet::new(),
            ports: Ports::new(),
            losses: Losses::default(),
        }
    }

    /// Learns that packets of one flow go on as another, from a conntrack table for instance.
    pub fn learn(&mut self, from: FlowKey, to: FlowKey) {
        self.link(from, to, self.newest);
    }

    /// Learns where an address is, so that a packet that comes in there counts as delivered.
    pub fn locate(&mut self, address: IpAddr, host: &str) {
        self.hosts.insert(address, host.to_owned());
    }

    /// Learns whose an address and port is: a Service's frontend or endpoint.
    pub fn name(&mut self, protocol: u8, socket: SocketAddr, service: &str) {
        self.services.insert((protocol, socket), service.to_owned());
    }

    /// Learns that nobody listens at an address and port, but packets to it are translated: a
    /// node port, for instance. Who has the address is not whom they are for.
    pub fn front(&mut self, protocol: u8, socket: SocketAddr) {
        self.fronts.insert((protocol, socket));
    }

    /// Learns that an interface is a port of a bridge, so that copies that leave by several ports
    /// are known for that.
    pub fn plug(&mut self, host: &str, port: &str, bridge: &str) {
        let ports = self.ports.entry(host.to_owned()).or_default();
        ports.insert(port.to_owned(), bridge.to_owned());
    }

    /// Learns that packets were lost at these places, at some time between two: nanoseconds
    /// since 1970.
    pub fn lose(&mut self, from: u64, to: u64, places: BTreeSet<LossPlace>) {
        self.losses.note(from, to, places);
    }

    /// Takes a sighting; returns the journeys that are complete by its time, in the order of
    /// their numbers.
    pub fn see(&mut self, sighting: &Sighting<'_>) -> Vec<Journey> {
        let seen = self.read(sighting);
        let key = (seen.hop.time, seen.hop.hook, self.arrivals);
        self.arrivals += 1;
        self.held += 1;
        self.waiting.insert(key, seen);
        self.advance(sighting.time)
    }

    /// Returns the journeys that are complete at this time, in the order of their numbers.
    pub fn advance(&mut self, now: u64) -> Vec<Journey> {
        self.newest = self.newest.max(now);
        let settled = self.newest.saturating_sub(nanoseconds(self.options.settle));
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= settled
        {
            let seen = entry.remove();
            self.take(seen);
        }
        let mut complete = Vec::new();
        let wait = nanoseconds(self.options.wait);
        while let Some((last, id)) = self.last.first().copied()
            && last.saturating_add(wait) <= settled
        {
            complete.extend(self.close(id));
        }
        while self.held > self.options.max_sightings.max(1) {
            if let Some((_, id)) = self.last.first().copied() {
                complete.extend(self.close(id));
            } else if let Some((_, seen)) = self.waiting.pop_first() {
                self.take(seen);
            } else {
                break;
            }
        }
        complete.sort_by_key(|journey| journey.id);
        complete
    }

    /// Returns all other journeys: nothing more will be seen.
    #[must_use]
    pub fn finish(mut self) -> Vec<Journey> {
        while let Some((_, seen)) = self.waiting.pop_first() {
            self.take(seen);
        }
        let mut complete = Vec::new();
        while let Some((_, id)) = self.last.first().copied() {
            complete.extend(self.close(id));
        }
        complete.sort_by_key(|journey| journey.id);
        complete
    }

    fn read(&self, sighting: &Sighting<'_>) -> Seen {
        let ports = &self.options.vxlan_ports;
        let packet = Packet::read(sighting.bytes, sighting.wire_len, ports);
        let hop = Hop {
            time: sighting.time,
            host: sighting.host.to_owned(),
            interface: sighting.interface.to_owned(),
            hook: sighting.hook,
            after: None,
            flow: packet.flow.map(Flow),
            tunnel: packet.tunnel.map(|(vni, source, destination)| Tunnel {
                vni,
                source,
                destination,
            }),
            ttl: packet.ttl,
            length: sighting.wire_len,
            part: None,
            event: sighting.event.clone(),
        };
        Seen { hop, packet }
    }

    fn link(&mut self, from: FlowKey, to: FlowKey, now: u64) {
        for (id, way) in self.flows.link(from, to, now) {
            if let Some(open) = self.open.get_mut(&id) {
                open.way = way;
                self.flows.begin(way, id, open);
            }
        }
    }

    /// Gives a sighting to the journey that it belongs to.
    fn take(&mut self, seen: Seen) {
        let now = seen.hop.time;
        if let Some(Event::Forward { from, to, .. }) = &seen.hop.event {
            self.link(*from, *to, now);
        }
        let flow = seen.packet.connection();
        let way = self.flows.enter(flow, now);
        if let Some(original) = original(&seen, way) {
            self.flows.orient(original);
        }
        if let Some((id, likeness)) = self.copy_in(way, &seen) {
            return self.append(id, seen, likeness);
        }
        if self.flows.is_plain(way)
            && let Some(id) = self.copy_elsewhere(&seen)
        {
            let old = self.open.get(&id).map(|open| open.first.connection());
            if let Some(old) = old {
                self.link(old, flow, now);
            }
            return self.append(id, seen, Likeness::Same);
        }
        self.begin(way, seen);
    }

    /// The journey in the same direction of the same connection that this is a hop of.
    fn copy_in(&mut self, way: Way, seen: &Seen) -> Option<(u64, Likeness)> {
        let Self { flows, open, .. } = self;
        let last = |id| {
            let open = open.get(&id)?;
            (open.compare(seen) != Likeness::Different).then_some(open.last)
        };
        let found = flows.open(way)?.copies(seen, last);
        let mut copies: Vec<_> = found
            .into_iter()
            .filter_map(|id| open.get(&id).map(|open| (id, open, open.compare(seen))))
            .filter(|(.., likeness)| *likeness != Likeness::Different)
            .collect();
        // Whole ones first; those that went on in another journey last.
        copies.sort_by_key(|(_, open, likeness)| {
            (open.merged.is_some(), *likeness != Likeness::Same)
        });
        let rank = copies.first().map(|(_, open, likeness)| (open.merged.is_some(), *likeness))?;
        copies.retain(|(_, open, likeness)| (open.merged.is_some(), *likeness) == rank);
        let near = |open: &Open| seen.hop.time.saturating_sub(open.last) <= NEAR;
        let (id, _, likeness) = match identity::is_numbered(&seen.packet) {
            true => copies.iter().find(|(_, open, _)| near(open)).or(copies.last())?,
            false => copies.first()?,
        };
        Some((*id, *likeness))
    }

    /// The one journey of any other connection that this is likely a hop of.
    fn copy_elsewhere(&self, seen: &Seen) -> Option<u64> {
        let (print, strength) = identity::print(&seen.packet);
        let candidates = self.prints.like(print, strength, seen.packet.flow?);
        let mut rated: Vec<(u8, u64)> = candidates
            .into_iter()
            .filter_map(|id| Some((self.open.get(&id)?.may_have_become(seen, strength)?, id)))
            .collect();
        rated.sort_unstable_by_key(|(rating, id)| (std::cmp::Reverse(*rating), *id));
        match rated.as_slice() {
            [(_, id)] => Some(*id),
            [(first, id), (second, _), ..] if first > second => Some(*id),
            _ => None,
        }
    }

    fn append(&mut self, id: u64, seen: Seen, likeness: Likeness) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let (time, leader, way, before) = (seen.hop.time, open.leader, open.way, open.last_flow());
        let packet = (likeness == Likeness::Part).then(|| seen.packet.clone());
        open.add(seen, likeness);
        let after = open.last_flow();
        if after != before {
            self.prints.remove(open.print, before, id);
            self.prints.insert(open.print, after, id);
        }
        if let (Some(under_way), Some(reach), Some(_)) = (self.flows.open(way), open.reach, &packet)
        {
            under_way.extend(id, &open.first, reach);
        }
        self.touch(leader, time);
        if let Some(packet) = packet {
            self.merge(way, id, &packet);
        }
    }

    /// A segment was seen that holds the bytes of several journeys: the others end here.
    fn merge(&mut self, way: Way, into: u64, packet: &Packet) {
        let Some(reach) = identity::reach(packet) else { return };
        let sharing = self.flows.open(way).map(|open| open.sharing(packet)).unwrap_or_default();
        for id in sharing {
            if id != into
                && let Some(open) = self.open.get_mut(&id)
                && open.merged.is_none()
                && identity::compare(&open.first, open.reach, packet) == Likeness::Part
                && identity::reach(&open.first).is_some_and(|own| identity::within(own, reach))
            {
                open.merged = Some(into);
            }
        }
    }

    /// Notes that a journey was seen just now.
    fn touch(&mut self, leader: u64, time: u64) {
        if let Some(open) = self.open.get_mut(&leader) {
            let newest = open.group_last.max(time);
            self.last.remove(&(open.group_last, leader));
            self.last.insert((newest, leader));
            open.group_last = newest;
        }
    }

    fn begin(&mut self, way: Way, seen: Seen) {
        let id = self.next;
        self.next += 1;
        let (answers, leader) = self.question(way, &seen, id);
        let (print, _) = identity::print(&seen.packet);
        let time = seen.hop.time;
        let open = Open {
            reach: identity::reach(&seen.packet),
            first: seen.packet,
            hops: vec![seen.hop],
            way,
            print,
            answers,
            leader: leader.unwrap_or(id),
            reply: None,
            answered_by: None,
            merged: None,
            last: time,
            group_last: time,
        };
        self.prints.insert(print, open.last_flow(), id);
        self.flows.begin(way, id, &open);
        self.open.insert(id, open);
        self.touch(leader.unwrap_or(id), time);
    }
}

/// The original direction of a packet's connection, if the packet tells.
fn original(seen: &Seen, way: Way) -> Option<Way> {
    match &seen.hop.event {
        Some(Event::Forward { kind: Kind::First | Kind::Original, .. }) => Some(way),
        Some(Event::Forward { kind: Kind::Reply, .. }) => Some(way.opposite()),
        _ => seen.packet.transport.opens().then_some(way),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
