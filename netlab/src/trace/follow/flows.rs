//! Connections: which flows are one connection under several names.
//!
//! Law: a flow and its reverse belong to the same connection, in opposite directions. A
//! translation's two flows belong to one connection, in the same direction.

use std::collections::{BTreeSet, HashMap};

use netlab_common::flow::FlowKey;

use super::{open::Open, packet::Packet, underway::UnderWay};

/// Flows that one connection may have, the first of which stays. A client that takes the same
/// port again and again gets another backend each time.
const NAMES: usize = 16;

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub connection: u64,
    /// Whether it is the reverse of the connection's first flow.
    pub reversed: bool,
}

/// A packet that nobody answered while its journey was open.
#[derive(Clone, Debug)]
pub(super) struct Unanswered {
    pub id: u64,
    pub packet: Packet,
}

#[derive(Debug, Default)]
struct Connection {
    /// Its flows in the direction of the first; none without a way in [`Flows::ways`].
    names: Vec<FlowKey>,
    /// Journeys that are under way in either direction.
    open: [UnderWay; 2],
    /// The last one in either direction that still lacks an answer.
    unanswered: [Option<Unanswered>; 2],
    /// Whether the original direction is the reverse of the first flow, where that is known.
    original: Option<bool>,
    /// When it was last seen.
    used: u64,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Flows {
    ways: HashMap<FlowKey, Way>,
    connections: HashMap<u64, Connection>,
    /// Those that have nothing under way, by when they were last seen.
    idle: BTreeSet<(u64, u64)>,
    next: u64,
    /// Most connections to remember; those with open journeys come on top.
    max: usize,
}

impl Flows {
    pub fn new(max: usize) -> Self {
        Self {
            ways: HashMap::new(),
            connections: HashMap::new(),
            idle: BTreeSet::new(),
            next: 0,
            max: max.max(1),
        }
    }

    /// The way of a flow; a connection of its own where it is new.
    pub fn enter(&mut self, flow: FlowKey, now: u64) -> Way {
        if let Some(way) = self.ways.get(&flow).copied() {
            self.change(way, |connection| connection.used = connection.used.max(now));
            return way;
        }
        self.forget();
        let way = Way { connection: self.next, reversed: false };
        self.next += 1;
        self.connections.insert(way.connection, Connection { used: now, ..Connection::default() });
        self.idle.insert((now, way.connection));
        self.name(flow, way);
        way
    }

    /// Learns that packets of `from` go on as `to`.
    ///
    /// Connections of which neither was translated so far become one. Otherwise `to` is taken
    /// from whoever had it, as a masquerade port is given to one connection after another.
    /// Returns the journeys whose connection has changed, with their ways, on which they have
    /// to [`Flows::begin`].
    pub fn link(&mut self, from: FlowKey, to: FlowKey, now: u64) -> Vec<(u64, Way)> {
        // A flow that goes on as its own reverse has no direction.
        if to == from || to == from.reverse() {
            return Vec::new();
        }
        let (of_from, of_to) = match (self.ways.get(&from).copied(), self.ways.get(&to).copied()) {
            (None, Some(way)) if self.is_plain(way) => {
                self.name(from, way);
                return Vec::new();
            }
            (_, None) => {
                let way = self.enter(from, now);
                self.name(to, way);
                return Vec::new();
            }
            (_, Some(way)) => (self.enter(from, now), way),
        };
        if of_from.connection == of_to.connection {
            return Vec::new();
        }
        if self.is_plain(of_to) {
            return self.absorb(of_to, of_from);
        }
        self.rename(to, of_from);
        Vec::new()
    }

    /// Learns that a way is the connection's original direction.
    pub fn orient(&mut self, way: Way) {
        if let Some(connection) = self.connections.get_mut(&way.connection) {
            connection.original = Some(way.reversed);
        }
    }

    /// Whether a way is the connection's reply direction; that of its first packet is the
    /// original one, unless something else is known.
    pub fn is_reply(&self, way: Way) -> bool {
        let connection = self.connections.get(&way.connection);
        way.reversed != connection.and_then(|connection| connection.original).unwrap_or(false)
    }

    /// Whether nothing is known of a translation.
    pub fn is_plain(&self, way: Way) -> bool {
        self.connections.get(&way.connection).is_some_and(|connection| connection.names.len() == 1)
    }

    /// Journeys under way.
    pub fn open(&mut self, way: Way) -> Option<&mut UnderWay> {
        let connection = self.connections.get_mut(&way.connection)?;
        Some(&mut connection.open[usize::from(way.reversed)])
    }

    /// A journey is under way from now on; or belongs to another connection now, as
    /// [`Flows::link`] says.
    pub fn begin(&mut self, way: Way, id: u64, open: &Open) {
        let direction = usize::from(way.reversed);
        self.change(way, |connection| connection.open[direction].insert(id, open));
    }

    pub fn end(&mut self, way: Way, id: u64, open: &Open, is_unanswered: bool) {
        let direction = usize::from(way.reversed);
        self.change(way, |connection| {
            connection.open[direction].remove(id, open);
            if is_unanswered {
                connection.unanswered[direction] =
                    Some(Unanswered { id, packet: open.first.clone() });
            }
        });
    }

    /// The last packet in a direction that lacks an answer.
    pub fn unanswered(&mut self, way: Way) -> Option<&mut Option<Unanswered>> {
        let connection = self.connections.get_mut(&way.connection)?;
        Some(&mut connection.unanswered[usize::from(way.reversed)])
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    fn name(&mut self, flow: FlowKey, way: Way) {
        let Some(connection) = self.connections.get_mut(&way.connection) else { return };
        let oldest = (connection.names.len() >= NAMES).then(|| connection.names.remove(1));
        connection.names.push(if way.reversed { flow.reverse() } else { flow });
        if let Some(oldest) = oldest {
            self.ways.remove(&oldest);
            self.ways.remove(&oldest.reverse());
        }
        self.ways.insert(flow, way);
        // A flow that is its own reverse has one direction.
        if flow.reverse() != flow {
            self.ways.insert(flow.reverse(), way.opposite());
        }
    }

    /// Gives a flow of one connection to another.
    fn rename(&mut self, flow: FlowKey, way: Way) {
        if let Some(old) = self.ways.get(&flow)
            && let Some(connection) = self.connections.get_mut(&old.connection)
        {
            connection.names.retain(|name| *name != flow && *name != flow.reverse());
        }
        self.name(flow, way);
    }

    /// Makes one connection part of another, so that the two ways are one. Its journeys have
    /// still to [`Flows::begin`] there.
    fn absorb(&mut self, gone: Way, into: Way) -> Vec<(u64, Way)> {
        let Some(old) = self.connections.remove(&gone.connection) else { return Vec::new() };
        self.idle.remove(&(old.used, gone.connection));
        let flip = gone.reversed != into.reversed;
        for name in old.names {
            self.name(name, Way { connection: into.connection, reversed: flip });
        }
        let mut moved = Vec::new();
        for (direction, (open, unanswered)) in old.open.iter().zip(old.unanswered).enumerate() {
            let reversed = (direction == 1) != flip;
            let way = Way { connection: into.connection, reversed };
            moved.extend(open.all().map(|journey| (journey, way)));
            if let Some(slot) = self.unanswered(way)
                && slot.is_none()
            {
                *slot = unanswered;
            }
        }
        self.change(into, |connection| {
            connection.used = connection.used.max(old.used);
            connection.original =
                connection.original.or(old.original.map(|reversed| reversed != flip));
        });
        moved
    }

    /// Makes room: forgets the older half of the connections that have nothing under way.
    fn forget(&mut self) {
        if self.connections.len() < self.max {
            return;
        }
        for _ in 0..self.idle.len().div_ceil(2) {
            let Some((_, id)) = self.idle.pop_first() else { break };
            for name in self.connections.remove(&id).unwrap_or_default().names {
                self.ways.remove(&name);
                self.ways.remove(&name.reverse());
            }
        }
    }

    /// Changes a connection; every change of what makes it idle, and when, goes through here.
    fn change(&mut self, way: Way, change: impl FnOnce(&mut Connection)) {
        let id = way.connection;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_idle() {
            self.idle.remove(&(connection.used, id));
        }
        change(connection);
        if connection.is_idle() {
            self.idle.insert((connection.used, id));
        }
    }
}

impl Connection {
    fn is_idle(&self) -> bool {
        self.open.iter().all(UnderWay::is_empty)
    }
}

impl Way {
    pub const fn opposite(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }
}
