//! The expected path, hop by hop: of each verdict one way, up to the hop where it fails.

use std::{fmt::Write as _, net::SocketAddr};

use netlab::doctor::{
    facts::{Facts, Role},
    path::{Hop, Path, Stage, Tuple},
    report::Shown,
};

use super::paint::Paint;
use crate::cmd::output;

/// `TCP client -> 172.18.0.2:30080 at node-1 -> web-3 10.244.2.2:8080`.
pub(super) fn title(path: &Path) -> String {
    let case = &path.case;
    let client = if case.client.is_empty() { "a client" } else { &case.client };
    let backend = case.backend.as_ref().map(|backend| match &backend.pod {
        Some(pod) => format!(" -> {} {}", short(pod), backend.address),
        None => format!(" -> {}", backend.address),
    });
    let (protocol, dialled, node) = (case.protocol, case.dialled, &case.node);
    format!("{protocol} {client} -> {dialled} at {node}{}", backend.unwrap_or_default())
}

/// The hops in lines, the last of which is where it fails; all of them where nothing does. What
/// passes and changes nothing is left out, unless `all` are wanted.
pub(super) fn lines(shown: &Shown<'_>, all: bool, paint: Paint) -> String {
    let there = shown.path.hops.iter().map(|hop| (false, hop));
    let back = shown.path.reply.iter().map(|hop| (true, hop));
    let until = shown.until.unwrap_or(usize::MAX);
    let ways: Vec<_> = there.chain(back).collect();
    let next = |at: usize| ways.get(at + 1).map(|(_, hop)| *hop);
    let hops: Vec<_> = ways
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, (_, hop))| *at <= until && (all || *at == until || tells(hop, next(*at))))
        .collect();
    let columns = Columns::of(hops.iter().map(|(_, (_, hop))| *hop));
    let mut text = String::new();
    let mut last: Option<&Tuple> = None;
    let mut answers = false;
    for (at, (of_answer, hop)) in hops {
        if of_answer && !answers {
            let _ = writeln!(text, "  {}", paint.faint("and the answer:"));
            answers = true;
        }
        let changed = last.is_none_or(|last| !same(last, &hop.packet));
        last = Some(&hop.packet);
        let fails = at == until || (shown.until.is_none() && !hop.passes);
        text.push_str(&columns.line(hop, changed, fails, paint));
        if fails {
            for finding in &hop.findings {
                let mark = format!("^ {} stands here", finding.code);
                let _ = writeln!(text, "  {}", paint.bad(&mark));
            }
        }
    }
    text
}

/// Whether a hop is more than the way from one that is; a program that translates is told by its
/// translation.
fn tells(hop: &Hop, next: Option<&Hop>) -> bool {
    let translates =
        next.is_some_and(|next| next.stage == Stage::Translate && next.host == hop.host);
    let is_quiet = match hop.stage {
        Stage::Arrive | Stage::Route | Stage::Neighbor => true,
        Stage::Program => translates,
        _ => false,
    };
    !is_quiet || !hop.passes || !hop.findings.is_empty()
}

/// Columns of hosts and links.
struct Columns {
    host: usize,
    link: usize,
}

impl Columns {
    fn of<'h>(hops: impl Iterator<Item = &'h Hop>) -> Self {
        hops.fold(Self { host: 0, link: 0 }, |columns, hop| Self {
            host: columns.host.max(hop.host.len()),
            link: columns.link.max(hop.interface.as_ref().map_or(0, String::len)),
        })
    }

    /// Host, link, what happens, and the packet where it has changed.
    fn line(&self, hop: &Hop, changed: bool, fails: bool, paint: Paint) -> String {
        let Self { host, link } = *self;
        let interface = hop.interface.as_deref().unwrap_or("");
        let indent = " ".repeat(host + link + 6);
        let room = paint.width.saturating_sub(indent.len());
        let words = output::wrapped(&hop.words, room, &indent);
        let line = format!("  {:host$}  {interface:link$}  {words}", hop.host);
        let used = line.lines().last().map_or(0, |last| last.chars().count());
        let mut text = if fails { paint.bad(&line) } else { line };
        if changed {
            let packet = tuple(&hop.packet);
            let fits = used + 2 + packet.len() <= paint.width;
            text.push_str(if fits { "  " } else { "\n" });
            let packet = paint.faint(&packet);
            text.push_str(&if fits { packet } else { format!("{indent}{packet}") });
        }
        text + "\n"
    }
}

/// The TTL changes at each hop, and is not worth a word.
fn same(one: &Tuple, other: &Tuple) -> bool {
    let ends = |tuple: &Tuple| (tuple.source, tuple.destination, tuple.inner.is_some());
    ends(one) == ends(other)
}

fn tuple(packet: &Tuple) -> String {
    let ends = |source: SocketAddr, destination: SocketAddr| format!("{source} > {destination}");
    match &packet.inner {
        Some(inner) => {
            let outer = ends(packet.source, packet.destination);
            format!("{outer} carries {}", ends(inner.source, inner.destination))
        }
        None => ends(packet.source, packet.destination),
    }
}

/// A way in a few words: `client eth0 -> node-1 dnat -> web-2 :8080`. What joins the hosts is
/// left out.
pub(super) fn brief(path: &Path, facts: &Facts) -> String {
    let mut stations: Vec<(&str, Vec<&str>)> = Vec::new();
    for hop in &path.hops {
        if facts.host(&hop.host).is_some_and(|host| host.role == Role::Fabric) {
            continue;
        }
        if stations.last().is_none_or(|(host, _)| *host != hop.host) {
            stations.push((&hop.host, Vec::new()));
        }
        let does = match hop.stage {
            Stage::Translate => "dnat",
            Stage::Encapsulate => "encap",
            Stage::Decapsulate => "decap",
            _ => continue,
        };
        if let Some((_, done)) = stations.last_mut().filter(|(_, done)| !done.contains(&does)) {
            done.push(does);
        }
    }
    let mut words: Vec<String> = stations
        .iter()
        .map(|(host, done)| [&[*host], done.as_slice()].concat().join(" "))
        .collect();
    let uplink = path.hops.iter().find_map(|hop| hop.interface.as_deref());
    if let (Some(uplink), Some(first)) = (uplink, words.first_mut()) {
        let _ = write!(first, " {uplink}");
    }
    if let (Some(backend), Some(last)) = (&path.case.backend, words.last_mut()) {
        let _ = write!(last, " :{}", backend.address.port());
    }
    words.join(" -> ")
}

/// A name without its namespace.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
