//! Packets that go round and round: of rounds that are all alike one is enough to read.

use std::fmt;

use super::tree::Row;

/// So many rounds alike are a loop; fewer are told one by one.
const FEWEST: usize = 4;
/// Rows of a round, at most.
const LONGEST: usize = 48;

/// Rounds that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Their first row.
    pub first: usize,
    /// Rows of each.
    length: usize,
    /// How many they are.
    rounds: usize,
}

impl Left {
    /// Whether a row is one of theirs.
    pub fn has(&self, row: usize) -> bool {
        (self.first..self.first + self.length * self.rounds).contains(&row)
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "... and {} rounds more of the last {} places", self.rounds, self.length)
    }
}

/// All rounds but the first of each loop.
pub(super) fn repeated(rows: &[Row<'_>]) -> Vec<Left> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        let most = (rows.len() - at) / FEWEST;
        let found = (1..=most.min(LONGEST)).find_map(|length| {
            let alike = (at..rows.len() - length).take_while(|row| is_again(rows, *row, length));
            let rounds = alike.count() / length;
            (rounds + 1 >= FEWEST).then_some(Left { first: at + length, length, rounds })
        });
        match found {
            Some(left) => {
                at = left.first + left.length * left.rounds;
                all.push(left);
            }
            None => at += 1,
        }
    }
    all
}

/// Whether the row so many further on is the same place, of the same packet and no copy of it.
fn is_again(rows: &[Row<'_>], row: usize, length: usize) -> bool {
    let (one, other) = (&rows[row], &rows[row + length]);
    let place = |row: &Row<'_>| (row.hop.hook, row.hop.flow);
    place(one) == place(other)
        && one.hop.host == other.hop.host
        && one.hop.interface == other.hop.interface
        && one.lead == other.lead
        && other.depth == one.depth + length
        && !other.hop.is_drop()
}

#[cfg(test)]
mod tests {
    use super::{super::journey::Hop, *};
    use crate::trace::Hook;

    fn hops(hosts: &[&str]) -> Vec<Hop> {
        let hop = |(at, host): (usize, &&str)| Hop {
            time: u64::try_from(at).unwrap(),
            host: (*host).to_owned(),
            interface: "eth0".to_owned(),
            hook: Hook::TcIn,
            after: at.checked_sub(1),
            flow: None,
            tunnel: None,
            ttl: 64,
            length: 60,
            part: None,
            event: None,
        };
        hosts.iter().enumerate().map(hop).collect()
    }

    fn left(hosts: &[&str], chained: bool) -> Vec<String> {
        let hops = hops(hosts);
        let depth = |at: usize| if chained { at } else { 0 };
        let rows = hops.iter().enumerate();
        let rows: Vec<Row<'_>> =
            rows.map(|(at, hop)| Row { hop, lead: String::new(), depth: depth(at) }).collect();
        repeated(&rows).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn of_rounds_that_are_alike_the_first_is_left() {
        let round = ["a", "b", "b"];
        let looped = [&["c"], round.repeat(20).as_slice(), &["a", "d"]].concat();
        assert_eq!(left(&looped, true), ["... and 19 rounds more of the last 3 places"]);
        assert_eq!(left(&round.repeat(3), true), [""; 0], "that is soon read");
        assert_eq!(left(&["a"; 20], false), [""; 0], "copies beside each other");
        let loops = ["a", "b"].repeat(5);
        let two = [loops.as_slice(), &["c"], &loops].concat();
        assert_eq!(left(&two, true).len(), 2);
    }
}
