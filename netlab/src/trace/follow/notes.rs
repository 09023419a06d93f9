//! What is worth a word about a hop, beside its place and addresses.

use netlab_common::verdict::Kind;

use super::{
    super::event::Event,
    journey::{Direction, Flow, Hop, Tunnel},
    render::Paint,
};

/// The words about a hop that comes after `seen`, and stands for so many parts of a packet.
pub(super) fn of(
    hop: &Hop,
    seen: &[&Hop],
    segments: usize,
    direction: Direction,
) -> Vec<(Paint, String)> {
    let mut notes = Vec::new();
    let previous = seen.last().copied();
    tunnel(hop, previous, &mut notes);
    translation(hop, previous, direction, &mut notes);
    if let Some(Event::Forward { encap: Some((vni, vtep)), .. }) = &hop.event
        && hop.tunnel.is_none()
    {
        notes.push((Paint::Tunnel, format!("encap vni {vni} -> {vtep}")));
    }
    if let Some(tunnel) = hop.tunnel
        && previous.is_some_and(|previous| previous.tunnel != hop.tunnel)
    {
        notes.push((Paint::Tunnel, encap(tunnel)));
    }
    if let Some(part) = hop.part {
        let end = i64::from(part.offset) + i64::from(part.length);
        let text = match segments {
            0 | 1 => format!("bytes {}..{end}", part.offset),
            several => format!("in {several} segments"),
        };
        notes.push((Paint::Dim, text));
    } else if seen.iter().any(|other| is_same_place(other, hop)) {
        notes.push((Paint::Doubt, format!("again, with TTL {}", hop.ttl)));
    }
    match &hop.event {
        Some(Event::Answer(answer, _)) => {
            notes.push((Paint::Bad, format!("netlab answers: {answer}")));
        }
        Some(event @ (Event::Drop(..) | Event::KernelDrop { .. })) => {
            notes.push((Paint::Bad, event.to_string()));
        }
        None if hop.is_drop() => notes.push((Paint::Bad, "DROP".to_owned())),
        Some(Event::Forward { .. }) | None => {}
    }
    notes
}

fn tunnel(hop: &Hop, previous: Option<&Hop>, notes: &mut Vec<(Paint, String)>) {
    match (previous.map(|previous| previous.tunnel), hop.tunnel) {
        (None, Some(Tunnel { vni, source, destination })) => {
            let text = format!("in vxlan, vni {vni}, {source} > {destination}");
            notes.push((Paint::Tunnel, text));
        }
        (Some(Some(before)), after) if after != Some(before) => {
            notes.push((Paint::Tunnel, "decap".to_owned()));
        }
        _ if matches!(&hop.event, Some(Event::Forward { decap: true, .. })) => {
            notes.push((Paint::Tunnel, "decap".to_owned()));
        }
        _ => {}
    }
}

fn encap(tunnel: Tunnel) -> String {
    format!("encap vni {} -> {}", tunnel.vni, tunnel.destination)
}

/// Says of a translation what it was; addresses are shown beside it.
fn translation(
    hop: &Hop,
    previous: Option<&Hop>,
    direction: Direction,
    notes: &mut Vec<(Paint, String)>,
) {
    let told = match &hop.event {
        Some(Event::Forward { kind, from, to, .. }) => Some((*kind, Flow(*from), Flow(*to))),
        _ => None,
    };
    let seen = previous.and_then(|previous| Some((previous.flow?, hop.flow?)));
    let Some((kind, (from, to))) = told
        .map(|(kind, from, to)| (Some(kind), (from, to)))
        .or(seen.map(|flows| (None, flows)))
        .filter(|(_, (from, to))| from != to)
    else {
        return;
    };
    let mut note = |text: &str| notes.push((Paint::Nat, text.to_owned()));
    match kind {
        Some(Kind::Reply) => note("reverse nat"),
        None if direction == Direction::Reply => note("reverse nat"),
        Some(Kind::Error) => note("nat of the error and what it quotes"),
        Some(Kind::First | Kind::Original) | None => {
            if to.destination() != from.destination() {
                note("dnat");
            }
            if to.source() != from.source() {
                note("snat");
            }
        }
    }
    if previous.is_none() {
        notes.push((Paint::Plain, format!("was {from}")));
    }
}

fn is_same_place(a: &Hop, b: &Hop) -> bool {
    a.hook == b.hook
        && a.host == b.host
        && a.interface == b.interface
        && a.tunnel.is_some() == b.tunnel.is_some()
        && a.ttl != b.ttl
}
