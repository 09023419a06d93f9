//! The table of what needs no clock: pod networks side by side, one row a property.
//!
//! What was measured stands there; `!` and what had to come by arithmetic where that differs.

use std::{collections::BTreeSet, fmt::Write as _};

use netlab::{
    compare::{
        properties::{
            Beside, Properties,
            entropy::Entropy,
            mtu::{Fit, Way as Path},
            overhead::{Row, Transported},
            reach::Reach,
            state::{Entries, Growth},
            too_large::{Fate, Way},
        },
        result::Network,
    },
    lab::Family,
};

use crate::cmd::output;

/// A row: its name, and what a network has there; one line or more.
type Property = (&'static str, fn(&Network) -> String);

/// All networks.
pub(super) fn section(networks: &[Network]) -> String {
    let Some(first) = networks.first() else { return String::new() };
    let names = networks.iter().map(|n| n.properties.mode.to_string().to_uppercase());
    let header: Vec<_> = ["PROPERTY".to_owned()].into_iter().chain(names).collect();
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let mut table = output::table(&header);
    for (name, cell) in ROWS {
        let name = name.replace(PROXY, &first.properties.proxy.to_string());
        let cells = networks.iter().map(cell);
        table.add_row([name].into_iter().chain(cells));
    }
    let mut text = format!(
        "networks: what a packet meets between pods of two nodes, by capture; underlay's MTU {}\n\
         {}",
        first.properties.underlay_mtu,
        output::drawn(&table)
    );
    for network in networks {
        for failed in &network.properties.failures {
            let (mode, property) = (network.properties.mode, failed.property);
            let _ = writeln!(text, "  {mode}: {property}: not measured: {}", failed.reason);
        }
    }
    text.push_str("One byte too large: \"don't fragment\" set; \"else\": not set.\n");
    if text.contains(MARK) {
        let _ = writeln!(text, "{MARK} stands before what it had to be, where it is not");
    }
    if let Some(remark) = networks.iter().find_map(|network| network.properties.remark()) {
        let _ = writeln!(text, "{remark}");
    }
    text.push('\n');
    text
}

/// Stands before what had to come.
const MARK: &str = "!";

/// In the name of a row stands for who answers node ports, who is the same for all networks.
const PROXY: &str = "PROXY";

const ROWS: &[Property] = &[
    ("bytes added to a packet, IPv4", |n| added(n, Family::V4)),
    ("  over IPv6", |n| added(n, Family::V6)),
    ("underlay bytes per payload byte", |_| String::new()),
    ("  datagrams of 1 byte", |n| per_byte(n, |row| row.payload == 1)),
    ("  datagrams of 512 bytes", |n| per_byte(n, |row| row.payload == 512)),
    ("  the largest datagrams", |n| {
        per_byte(n, |row| row.protocol == Transported::Udp && row.payload > 512)
    }),
    ("  a TCP connection", |n| per_byte(n, |row| row.protocol == Transported::Tcp)),
    ("MTU between pods, IPv4 / IPv6", |n| fits(n, |fit| fit.mtu)),
    ("MSS between pods, IPv4 / IPv6", |n| fits(n, |fit| fit.mss)),
    ("MSS through a node port (PROXY)", |n| {
        let through = n.properties.mtu.iter().find(|fit| fit.way == Path::NodePort);
        through.map_or_else(none, |fit| beside(&fit.mss, u32::to_string))
    }),
    ("one byte too large, pod to pod", |n| too_large(n, Way::PodToPod)),
    ("one byte too large, node port\n  (PROXY)", |n| too_large(n, Way::ClientToNodePort)),
    ("source ports of 1000 flows", |n| n.properties.entropy.as_ref().map_or_else(none, ports)),
    ("state for each peer", |n| {
        let state = n.properties.state.as_ref();
        state.map_or_else(none, |state| beside(&state.per_peer, |one| entries(*one)))
    }),
    ("  in a cluster of 2 nodes", |n| growth(n, 2)),
    ("  10 nodes", |n| growth(n, 10)),
    ("  50 nodes", |n| growth(n, 50)),
    ("  200 nodes", |n| growth(n, 200)),
    ("works behind a router", |n| n.routed.as_ref().map_or_else(none, reached)),
];

fn none() -> String {
    "-".to_owned()
}

/// What was measured, and what had to come where that is something else.
fn beside<T: PartialEq>(both: &Beside<T>, text: impl Fn(&T) -> String) -> String {
    let measured = text(&both.measured);
    if both.agrees() { measured } else { format!("{measured} {MARK}{}", text(&both.predicted)) }
}

fn overhead(properties: &Properties) -> impl Iterator<Item = &Row> {
    properties.overhead.iter().flat_map(|overhead| &overhead.rows)
}

fn added(network: &Network, family: Family) -> String {
    let rows = overhead(&network.properties).filter(|row| row.family == family);
    let (mut measured, mut predicted) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        measured.extend(&row.added.measured);
        predicted.extend(&row.added.predicted);
    }
    if measured.is_empty() {
        return none();
    }
    let list =
        |all: &BTreeSet<i64>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (measured, predicted) = (list(&measured), list(&predicted));
    let mark = if measured == predicted { "" } else { MARK };
    format!("{measured} ({mark}predicted {predicted})")
}

fn per_byte(network: &Network, is_it: fn(&Row) -> bool) -> String {
    let mut rows = overhead(&network.properties).filter(|row| row.family == Family::V4);
    let row = rows.find(|row| is_it(row));
    row.map_or_else(none, |row| beside(&row.per_payload_byte, |ratio| format!("{ratio:.3}")))
}

fn fits(network: &Network, of: fn(&Fit) -> Beside<u32>) -> String {
    let fits = network.properties.mtu.iter().filter(|fit| fit.way == Path::PodToPod);
    let all: Vec<_> = fits.map(|fit| beside(&of(fit), u32::to_string)).collect();
    if all.is_empty() { none() } else { all.join(" / ") }
}

/// What the larger of the packets met with, with "don't fragment" and without.
fn too_large(network: &Network, way: Way) -> String {
    let of_way: Vec<_> = network.properties.too_large.iter().filter(|a| a.way == way).collect();
    let Some(longest) = of_way.iter().map(|attempt| attempt.length).max() else { return none() };
    let fate = |dont_fragment: bool| {
        let mut of = of_way.iter().filter(|attempt| attempt.length == longest);
        let found = of.find(|attempt| attempt.dont_fragment == dont_fragment);
        // Each on a line: together they are too wide for a column.
        let met = found.map_or_else(none, |attempt| beside(&attempt.fate, met));
        met.replace(&format!(" {MARK}"), &format!("\n     {MARK}"))
    };
    format!("{}\nelse {}", fate(true), fate(false))
}

fn met(fate: &Fate) -> String {
    match fate {
        Fate::Arrived { pieces: 1 } => "arrives whole".to_owned(),
        Fate::Arrived { pieces } => format!("arrives in {pieces} fragments"),
        Fate::Refused { mtu } => format!("own kernel refuses, MTU {mtu}"),
        Fate::FragmentationNeeded { mtu, .. } => format!("ICMP frag needed, MTU {mtu}"),
        // On two lines, as `too_large` puts the expected one.
        Fate::Unreachable(told) => told.to_string().replace(" from ", "\n     from "),
        Fate::Dropped => "dropped, nobody is told".to_owned(),
        Fate::Silence => "lost without a trace".to_owned(),
    }
}

fn ports(entropy: &Entropy) -> String {
    let Entropy { distinct, bits, most_bits, outside, .. } = entropy;
    let outside = if *outside > 0 { format!(", {outside} out of range") } else { String::new() };
    let drawn = if distinct.predicted < f64::from(entropy.flows) {
        format!(" ({:.0} if at random)", distinct.predicted)
    } else {
        String::new()
    };
    let (distinct, bits) = (distinct.measured, bits.measured);
    format!("{distinct:.0} different{drawn}\n{bits:.2} of {most_bits:.2} bits{outside}")
}

fn entries(entries: Entries) -> String {
    let Entries { routes, neighbors, fdb } = entries;
    let number = |count: usize, one: &str, many: &str| {
        (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
    };
    let all = [
        number(routes, "route", "routes"),
        number(neighbors, "neighbor", "neighbors"),
        number(fdb, "FDB", "FDB"),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn growth(network: &Network, nodes: usize) -> String {
    let state = network.properties.state.as_ref();
    let mut growth = state.iter().flat_map(|state| &state.growth);
    growth.find(|growth| growth.nodes == nodes).map_or_else(none, |growth| {
        let Growth { entries, micros, .. } = growth;
        let sum = |one: &Entries| (one.routes + one.neighbors + one.fdb).to_string();
        let millis = std::time::Duration::from_micros(*micros).as_secs_f64() * 1e3;
        format!("{} entries, {millis:.1} ms", beside(entries, sum))
    })
}

fn reached(reach: &Reach) -> String {
    let answer = beside(&reach.reached, |reached| if *reached { "yes" } else { "NO" }.to_owned());
    let seconds = std::time::Duration::from_micros(reach.micros).as_secs_f64();
    if reach.reached.measured {
        return answer;
    }
    let signs = &reach.signs;
    let why = if signs.asked > 0 && signs.answered == 0 {
        format!("\n{} ARP requests, no answer", signs.asked)
    } else {
        String::new()
    };
    let error = reach.error.as_deref().unwrap_or("no connection");
    // The number behind it is for programs.
    let error = error.split(" (os error").next().unwrap_or(error);
    format!("{answer}: {error}, {seconds:.1} s{why}")
}

#[cfg(test)]
mod tests;
