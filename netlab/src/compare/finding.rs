//! From what was measured to sentences. Pure.
//!
//! Law: only what is clear is claimed, and of that the least needed: one sentence with what
//! matters most, the rest apart from it.

mod claims;

use std::collections::BTreeSet;

use self::claims::{Claims, VXLAN, join};
use super::{
    options::Proxy,
    plan::Cell,
    result::{Network, Series, Step, Verdict, first_proxy},
    wording::list,
    workload::Workload,
};
use crate::lab::{Family, Mode};

/// Workloads by how much they matter, where the sentence has no room for all.
const FOREMOST: [Workload; 4] =
    [Workload::Pps, Workload::Bulk, Workload::Request, Workload::Connect];
/// As many of them are in the sentence.
const ROOM: usize = 3;

/// What came out, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What VXLAN costs without a proxy, which is what it costs by itself, or else with the first
    /// that was measured in both modes, or else what the first proxy costs.
    pub sentence: String,
    /// What else is clear, and what is too noisy to tell, a sentence each.
    pub details: Vec<String>,
}

impl Finding {
    /// Puts it into words.
    #[must_use]
    pub fn of(all: &[Series], scaling: &[Step], networks: &[Network]) -> Self {
        let encapsulation = cells(all, Claims::encapsulation);
        let mut proxies = cells(all, Claims::proxy);
        if let Some(first) = first_proxy(all).filter(|_| proxies.is_empty()) {
            proxies = cells(all, |cell, all| Claims::contest(cell, first, all));
        }
        let alone = encapsulation.iter().find(|claims| claims.cell.proxy == Proxy::None);
        let by_rank = || alone.into_iter().chain(&encapsulation).chain(&proxies);
        let speed = by_rank().find(|claims| claims.is_clear()).or_else(|| by_rank().next());
        let counted = counted(networks);
        let clauses: Vec<_> = match speed {
            Some(claims) => headline(claims, counted).into_iter().chain(routed(networks)).collect(),
            None => counted
                .map(|bytes| format!("{VXLAN} {bytes}"))
                .into_iter()
                .chain(routed(networks))
                .collect(),
        };
        let mut details = Vec::new();
        if let Some(claims) = speed.filter(|claims| claims.is_clear()) {
            details.extend(claims.rest(&FOREMOST, ROOM));
        }
        let mode = proxies.first().map(|claims| claims.cell.mode);
        let others = encapsulation.iter();
        let others = others.chain(proxies.iter().filter(|claims| Some(claims.cell.mode) == mode));
        let others = others.filter(|claims| speed.is_none_or(|first| first != *claims));
        details.extend(others.filter_map(Claims::sentence));
        let growth = growth(scaling);
        let sentence = match (clauses.as_slice(), growth) {
            ([], Some(growth)) => growth,
            ([], None) => {
                "Nothing is compared: there are no two cells of which the same rounds have succeeded."
                    .to_owned()
            }
            (clauses, growth) => {
                details.extend(growth);
                format!("{}.", clauses.join("; "))
            }
        };
        Self { sentence, details }
    }
}

/// The claims of each cell that something is claimed or unclear of.
fn cells(all: &[Series], claims: impl Fn(Cell, &[Series]) -> Claims) -> Vec<Claims> {
    let mut cells: Vec<Cell> = Vec::new();
    for series in all {
        if !cells.contains(&series.cell) {
            cells.push(series.cell);
        }
    }
    cells.into_iter().map(|cell| claims(cell, all)).filter(|claims| !claims.is_empty()).collect()
}

/// `VXLAN costs 31% of small-packet rate here with ebpf-xdp, and adds 50 bytes to each packet`.
fn headline(claims: &Claims, counted: Option<String>) -> Vec<String> {
    let is_encapsulation = claims.who == VXLAN;
    let (with, than) = (claims.with(), &claims.than);
    let verbs = claims.foremost(&FOREMOST, ROOM).verbs();
    if verbs.is_empty() {
        let why: Vec<_> = claims.reserves().collect();
        let unclear = format!(
            "Between {} and {than} no difference of speed is clear here {with}, {}",
            claims.who,
            why.join("; ")
        );
        let counted = counted.map(|bytes| format!("{VXLAN} {bytes}"));
        return [unclear].into_iter().chain(counted).collect();
    }
    let against = if is_encapsulation { String::new() } else { format!(", against {than}") };
    let speed = format!("{} {} here {with}{against}", claims.who, join(&verbs));
    match counted {
        Some(bytes) if is_encapsulation => vec![format!("{speed}, and {bytes}")],
        Some(bytes) => vec![speed, format!("{VXLAN} {bytes}")],
        None => vec![speed],
    }
}

/// `adds 50 bytes to each packet`, where that was counted.
fn counted(networks: &[Network]) -> Option<String> {
    let vxlan = networks.iter().find(|network| network.properties.mode == Mode::Vxlan)?;
    let rows = &vxlan.properties.overhead.as_ref()?.rows;
    let rows = rows.iter().filter(|row| row.family == Family::V4);
    let added: BTreeSet<_> = rows.flat_map(|row| &row.added.measured).collect();
    match added.into_iter().collect::<Vec<_>>().as_slice() {
        [bytes] => Some(format!("adds {bytes} bytes to each packet")),
        _ => None,
    }
}

/// `host-gw does not work on a routed underlay`, where it does not.
fn routed(networks: &[Network]) -> Option<String> {
    let fails =
        |network: &&Network| network.routed.as_ref().is_some_and(|reach| !reach.reached.measured);
    let modes: Vec<_> =
        networks.iter().filter(fails).map(|n| n.properties.mode.to_string()).collect();
    let verb = if modes.len() == 1 { "does" } else { "do" };
    (!modes.is_empty()).then(|| format!("{} {verb} not work on a routed underlay", list(&modes)))
}

/// What the largest number of Services does to a new connection, by proxy.
fn growth(scaling: &[Step]) -> Option<String> {
    let most = scaling.iter().map(|step| step.services).max()?;
    let least = scaling.iter().map(|step| step.services).min()?;
    let (mut grows, mut unclear) = (Vec::new(), Vec::new());
    for step in scaling.iter().filter(|step| step.services == most) {
        let Some(ratio) = step.to_least else { continue };
        let (proxy, median): (Proxy, f64) = (step.proxy, ratio.estimate.median);
        match ratio.verdict {
            Verdict::More | Verdict::Less => {
                grows.push(format!("{median:.2} times as long with {proxy}"))
            }
            Verdict::Unclear | Verdict::TooFew => unclear.push(proxy.to_string()),
        }
    }
    let unclear = format!("no difference is clear with {}", list(&unclear));
    match (grows.is_empty(), unclear.ends_with("with ")) {
        (true, true) => None,
        (true, false) => Some(format!(
            "A new connection's first byte, with {most} Services against {least}: {unclear}."
        )),
        (false, nothing) => {
            let rest = if nothing { String::new() } else { format!("; {unclear}") };
            let grows = list(&grows);
            Some(format!(
                "A new connection's first byte, with {most} Services against {least}, takes {grows}{rest}."
            ))
        }
    }
}

#[cfg(test)]
mod tests;
