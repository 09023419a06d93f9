//! The first sequence numbers of TCP connections, which the others are told relative to.

use std::collections::HashMap;

use super::ip::Address;

/// Where both directions of a connection begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct First {
    /// Of the direction that the key is written in.
    pub seq: u32,
    /// Of the other.
    pub ack: u32,
}

/// A connection, in the direction in which the source port is the lower one, or the source
/// address where the ports are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    source: (Address, u16),
    destination: (Address, u16),
}

impl Connection {
    /// The connection of a segment, and whether the segment goes against its direction.
    pub fn of(source: (Address, u16), destination: (Address, u16)) -> (Self, bool) {
        if (source.1, source.0) > (destination.1, destination.0) {
            (Self { source: destination, destination: source }, true)
        } else {
            (Self { source, destination }, false)
        }
    }
}

/// Connections that were seen. Those that were not seen for long are forgotten, so that
/// memory does not grow with the traffic.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    young: HashMap<Connection, First>,
    old: HashMap<Connection, First>,
}

/// Connections in each of the two generations.
const GENERATION: usize = 1 << 15;

impl Sequences {
    /// Where `connection` begins, if it was seen.
    pub fn get(&mut self, connection: &Connection) -> Option<First> {
        if let Some(first) = self.young.get(connection) {
            return Some(*first);
        }
        let first = self.old.remove(connection)?;
        self.set(*connection, first);
        Some(first)
    }

    /// Says where `connection` begins.
    pub fn set(&mut self, connection: Connection, first: First) {
        if self.young.len() == GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(connection, first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: usize) -> Connection {
        let [_, _, _, _, a, b, c, d] = (number as u64).to_be_bytes();
        Connection::of((Address::V4([a, b, c, d]), 1), (Address::V4([10, 0, 0, 1]), 80)).0
    }

    #[test]
    fn both_directions_are_one_connection() {
        let (a, b) = ((Address::V4([10, 0, 0, 2]), 80), (Address::V4([10, 0, 0, 1]), 80));
        assert_eq!(Connection::of(a, b), (Connection::of(b, a).0, true));
        assert!(!Connection::of(b, a).1);
    }

    #[test]
    fn connections_in_use_stay_while_others_are_forgotten() {
        let mut sequences = Sequences::default();
        let first = First { seq: 7, ack: 9 };
        sequences.set(connection(0), first);
        for number in 1..4 * GENERATION {
            sequences.set(connection(number), First::default());
            assert_eq!(sequences.get(&connection(0)), Some(first));
        }
        assert_eq!(sequences.get(&connection(1)), None);
        assert!(sequences.young.len() + sequences.old.len() <= 2 * GENERATION);
    }
}
