//! A journey's hops as rows: one below the other, and where copies went different ways, one
//! branch after the other.

use super::journey::{Hop, Journey};

/// Beyond so many branches of branches they are drawn below each other.
const DEEPEST: usize = 8;

/// A line's hop.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub hop: &'a Hop,
    /// What is drawn before it: `├ ` where a branch begins, `│ ` beside one.
    pub lead: String,
    /// How many rows lead to it.
    pub depth: usize,
}

impl Row<'_> {
    /// Columns that the hop's host takes, with what is before it.
    pub fn width(&self, host: &str) -> usize {
        self.lead.chars().count() + host.chars().count()
    }
}

/// The rows of a journey, from its first hop on.
pub(super) fn rows(journey: &Journey) -> Vec<Row<'_>> {
    let hops = &journey.hops;
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); hops.len()];
    let mut first = Vec::new();
    for (at, hop) in hops.iter().enumerate() {
        match hop.after.filter(|after| *after < at).and_then(|after| next.get_mut(after)) {
            Some(next) => next.push(at),
            None => first.push(at),
        }
    }
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut to_do = Vec::new();
    branch(&first, 0, "", &mut to_do);
    while let Some((at, depth, lead, rest)) = to_do.pop() {
        let (Some(hop), Some(next)) = (hops.get(at), next.get(at)) else { continue };
        // A split packet has one line a place, where the first of its parts was there.
        let is_shown = hop.part.is_none() || !rows.iter().any(|row| is_part_of(row.hop, hop));
        if is_shown {
            rows.push(Row { hop, lead, depth });
        }
        branch(next, depth + usize::from(is_shown), &rest, &mut to_do);
    }
    rows
}

/// Hop, depth, what to draw before it, and before those that come after it.
type Todo = (usize, usize, String, String);

/// Hops that come after one, the last of which is done first.
fn branch(next: &[usize], depth: usize, rest: &str, to_do: &mut Vec<Todo>) {
    let is_one = next.len() < 2 || rest.chars().count() >= 2 * DEEPEST;
    for (behind, at) in next.iter().rev().enumerate() {
        let (lead, rest) = match behind {
            _ if is_one => (rest.to_owned(), rest.to_owned()),
            0 => (format!("{rest}└ "), format!("{rest}  ")),
            _ => (format!("{rest}├ "), format!("{rest}│ ")),
        };
        to_do.push((*at, depth, lead, rest));
    }
}

/// Whether both are parts of a packet that was split, at one place.
pub(super) fn is_part_of(one: &Hop, other: &Hop) -> bool {
    let are_parts = one.part.is_some() && other.part.is_some();
    let place = |hop: &Hop| (hop.hook, hop.flow, hop.tunnel.is_some(), hop.is_drop());
    are_parts
        && place(one) == place(other)
        && one.host == other.host
        && one.interface == other.interface
}
