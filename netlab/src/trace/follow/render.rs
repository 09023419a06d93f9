//! A journey as a block of text.
//!
//! ```text
//! #1  02:15:01.123456  TCP SYN  172.18.255.10:40132 > 172.18.0.2:30080  default/web
//!      0.0 us  client  eth0  tc-out
//!    +14.0 us  node-1  eth0  xdp-in
//!     +3.1 us  node-1  eth0  xdp-out  10.244.1.0:5704 > 10.244.2.3:8080  dnat, snat
//!   ...
//!   reply #2  TCP SYN-ACK  10.244.2.3:8080 > 10.244.1.0:5704
//!   ...
//!   answered after 210.0 us
//! ```
//!
//! Each hop has the time since the one before it, and the packet's addresses only where they
//! have changed. Where copies went different ways, each way is a branch, with times since the
//! hop that they have in common:
//!
//! ```text
//!     +2.0 us  node-1     cni0       tc-out
//!     +1.0 us  ├ node-1   vethweb-1  tc-out
//!     +4.0 us  │ web-1    eth0       tc-in
//!     +2.0 us  └ node-1   vethweb-2  tc-out
//! ```

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    super::Decision,
    journey::{Flow, Hop, Journey, Outcome},
    losses::LossPlace,
    notes, rounds,
    tree::{Row, is_part_of, rows},
};

/// How journeys are printed.
#[derive(Clone, Debug)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// What clock times are given in.
    pub zone: TimeZone,
}

/// A colour, or rather its number (ECMA-48, SGR).
#[derive(Clone, Copy, Debug)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Doubt,
    Bad,
    Nat,
    Tunnel,
}

impl Style {
    fn paint(&self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Plain => return text.to_owned(),
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Good => "32",
            Paint::Doubt | Paint::Nat => "33",
            Paint::Bad => "1;31",
            Paint::Tunnel => "36",
        };
        if self.color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The block of a journey and its reply, with a newline at the end of each line.
#[must_use]
pub fn render(journey: &Journey, style: &Style) -> String {
    render_decided(journey, &[], style)
}

/// The same, with a line for each of the kernel's decisions below the hop that it followed on its
/// host.
#[must_use]
pub fn render_decided(journey: &Journey, decisions: &[Decision], style: &Style) -> String {
    let mut out = String::new();
    let question = rows(journey);
    let answer = journey.reply.as_deref().map(rows).unwrap_or_default();
    let columns = Columns::of(&question).widest(&Columns::of(&answer));
    heading(&mut out, journey, style);
    let decisions = decisions.iter().map(|of| (place_of(journey, of), of)).collect();
    let mut writer = Writer { out: &mut out, columns, style, decisions };
    writer.decided(None);
    writer.hops(journey, &question, journey.time);
    if let Some(reply) = &journey.reply {
        let title = format!("reply #{}", reply.id);
        let line = format!("  {}  {}\n", style.paint(Paint::Bold, &title), packet(reply));
        writer.out.push_str(&line);
        // The reply may set out while copies of the question are still seen.
        let earlier = journey.hops.iter().rev().find(|hop| hop.time <= reply.time);
        writer.hops(reply, &answer, earlier.map_or(reply.time, |hop| hop.time));
    }
    ending(&mut out, journey, style);
    out
}

fn heading(out: &mut String, journey: &Journey, style: &Style) {
    let clock = i64::try_from(journey.time / 1000)
        .ok()
        .and_then(|time| Timestamp::from_microsecond(time).ok())
        .map_or_else(
            || journey.time.to_string(),
            |time| time.to_zoned(style.zone.clone()).strftime("%H:%M:%S%.6f").to_string(),
        );
    let title = style.paint(Paint::Bold, &format!("#{}", journey.id));
    let _ = write!(out, "{title}  {clock}  {}", packet(journey));
    if let Some(service) = &journey.service {
        let _ = write!(out, "  {}", style.paint(Paint::Tunnel, service));
    }
    if let Some(answers) = journey.answers {
        let _ = write!(out, "  (answers #{answers})");
    }
    out.push('\n');
}

/// What a packet is, and between whom.
fn packet(journey: &Journey) -> String {
    let mut text = journey.packet.clone();
    if let Some(flow) = journey.flow() {
        let _ = write!(text, "  {flow}");
    }
    if let Some(about) = journey.about {
        let _ = write!(text, "  about {about}");
    }
    text
}

/// Widths.
struct Columns {
    host: usize,
    interface: usize,
    hook: usize,
}

impl Columns {
    fn of(rows: &[Row<'_>]) -> Self {
        let mut columns = Self { host: 0, interface: 0, hook: 0 };
        for row in rows {
            let hop = row.hop;
            columns.host = columns.host.max(row.width(or_dash(&hop.host)));
            columns.interface = columns.interface.max(or_dash(&hop.interface).chars().count());
            columns.hook = columns.hook.max(hop.hook.name().len());
        }
        columns
    }

    fn widest(self, other: &Self) -> Self {
        Self {
            host: self.host.max(other.host),
            interface: self.interface.max(other.interface),
            hook: self.hook.max(other.hook),
        }
    }
}

fn or_dash(name: &str) -> &str {
    if name.is_empty() { "-" } else { name }
}

/// The hop that a decision followed on its host; None where it was made before all of them.
fn place_of<'a>(journey: &'a Journey, decision: &Decision) -> Option<&'a Hop> {
    let replies = journey.reply.iter().flat_map(|reply| &reply.hops);
    let is_before = |hop: &&Hop| hop.host == decision.host && hop.time <= decision.time;
    journey.hops.iter().chain(replies).filter(is_before).max_by_key(|hop| hop.time)
}

struct Writer<'a> {
    out: &'a mut String,
    columns: Columns,
    style: &'a Style,
    /// And the hops that they follow.
    decisions: Vec<(Option<&'a Hop>, &'a Decision)>,
}

impl Writer<'_> {
    /// `before` is when the packet that this one answers was last seen.
    fn hops(&mut self, journey: &Journey, rows: &[Row<'_>], before: u64) {
        let mut shown: Vec<&Hop> = Vec::new();
        let repeated = rounds::repeated(rows);
        for (at, row) in rows.iter().enumerate() {
            if let Some(left) = repeated.iter().find(|left| left.first == at) {
                let told = self.style.paint(Paint::Doubt, &left.to_string());
                let _ = writeln!(self.out, "{:>11}  {told}", "");
            }
            if repeated.iter().any(|left| left.has(at)) {
                continue;
            }
            let hop = row.hop;
            shown.truncate(row.depth);
            let previous = shown.last().copied();
            let before = previous.map_or(before, |previous| previous.time);
            let first = previous.is_none() && hop.time == before;
            let delta = hop.time.saturating_sub(before);
            let time = if first { duration(0) } else { format!("+{}", duration(delta)) };
            let flow = hop.flow.filter(|flow| changed(previous, flow));
            let segments = journey.hops.iter().filter(|other| is_part_of(hop, other)).count();
            let notes = notes::of(hop, &shown, segments, journey.direction);
            self.line(&time, row, flow, &notes);
            self.decided(Some(row));
            shown.push(hop);
        }
    }

    /// What was decided behind a hop: `└ route: table main, via 172.18.0.3 dev eth0`.
    fn decided(&mut self, behind: Option<&Row<'_>>) {
        let is_there = |hop: &Option<&Hop>| match (hop, behind) {
            (Some(hop), Some(row)) => std::ptr::eq(*hop, row.hop),
            (None, None) => true,
            _ => false,
        };
        let lead = behind.map_or("", |row| row.lead.as_str());
        let host = self.columns.host;
        for (_, decision) in self.decisions.iter().filter(|(hop, _)| is_there(hop)) {
            let paint = if decision.made.is_against() { Paint::Bad } else { Paint::Dim };
            let words = self.style.paint(paint, &decision.made.to_string());
            let place = format!("{lead}{}", decision.host);
            let _ = writeln!(self.out, "{:>11}  {place:host$}  {words}", "");
        }
    }

    fn line(&mut self, time: &str, row: &Row<'_>, flow: Option<Flow>, notes: &[(Paint, String)]) {
        let Columns { host, interface, hook } = self.columns;
        let Row { hop, lead, .. } = row;
        let time = self.style.paint(Paint::Dim, &format!("{time:>11}"));
        let mut line = format!(
            "{time}  {:host$}  {:interface$}  {:hook$}",
            format!("{lead}{}", or_dash(&hop.host)),
            or_dash(&hop.interface),
            hop.hook.name(),
        );
        if let Some(flow) = flow {
            let _ = write!(line, "  {flow}");
        }
        for (at, (paint, note)) in notes.iter().enumerate() {
            line.push_str(if at == 0 { "  " } else { ", " });
            line.push_str(&self.style.paint(*paint, note));
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }
}

/// Whether the heading, or the hop before, has told another flow.
fn changed(previous: Option<&Hop>, flow: &Flow) -> bool {
    previous.is_some_and(|previous| previous.flow.as_ref() != Some(flow))
}

fn ending(out: &mut String, journey: &Journey, style: &Style) {
    let (paint, text) = verdict(journey);
    let _ = write!(out, "  {}", style.paint(paint, &text));
    if let Some(reply) = &journey.reply {
        match &reply.outcome {
            Outcome::Dropped { .. } => {
                let lost = format!("; the answer was {}", verdict(reply).1);
                out.push_str(&style.paint(Paint::Bad, &lost));
            }
            Outcome::LastSeen { host, interface, hook } => {
                let place = place(host, interface);
                let lost = format!("; the answer was last seen {place} {hook}");
                out.push_str(&style.paint(Paint::Doubt, &lost));
            }
            _ => {}
        }
    }
    out.push('\n');
    let dropped = [Some(journey), journey.reply.as_deref()].into_iter().flatten();
    for journey in dropped {
        if let Outcome::Dropped { explanation: Some(explanation), .. } = &journey.outcome {
            let _ = writeln!(out, "    {explanation}");
        }
    }
    losses(out, journey, style);
}

/// Where packets were lost meanwhile, a few places of them.
fn losses(out: &mut String, journey: &Journey, style: &Style) {
    const FEW: usize = 2;
    let replies = journey.reply.iter().flat_map(|reply| &reply.losses);
    // Where one of the two was seen, the other need not have come by.
    let seen = |loss: &LossPlace| {
        let replies = journey.reply.iter().flat_map(|reply| &reply.hops);
        journey.hops.iter().chain(replies).any(|hop| loss.is_at(hop))
    };
    let places: BTreeSet<&LossPlace> =
        journey.losses.iter().chain(replies).filter(|loss| !seen(loss)).collect();
    if places.is_empty() {
        return;
    }
    let named = places.iter().take(FEW);
    let mut text: Vec<_> = named
        .map(|LossPlace { host, interface, hook }| format!("{} {hook}", place(host, interface)))
        .collect();
    if places.len() > FEW {
        text.push(format!("at {} more places", places.len() - FEW));
    }
    let text = format!("the ring lost packets meanwhile {}: hops may be missing", text.join(", "));
    let _ = writeln!(out, "    {}", style.paint(Paint::Doubt, &text));
}

fn verdict(journey: &Journey) -> (Paint, String) {
    let after = if journey.hops.len() > 1 {
        format!(" after {}", duration(journey.duration))
    } else {
        String::new()
    };
    match &journey.outcome {
        Outcome::Answered { by, after } => {
            let who = match journey.reply {
                Some(_) => String::new(),
                None => format!(" by #{by}"),
            };
            (Paint::Good, format!("answered{who} after {}", duration(*after)))
        }
        Outcome::Refused { after, with, .. } => {
            (Paint::Bad, format!("refused after {}: {with}", duration(*after)))
        }
        Outcome::Delivered { host } => (Paint::Good, format!("delivered to {host}{after}")),
        Outcome::Dropped { host, interface, reason, .. } => {
            (Paint::Bad, format!("DROPPED {}{after}: {reason}", place(host, interface)))
        }
        Outcome::Merged { into } => {
            (Paint::Plain, format!("an offload merged it with others; it goes on as #{into}"))
        }
        Outcome::LastSeen { host, interface, hook } => {
            (Paint::Doubt, format!("last seen {} {hook}{after}", place(host, interface)))
        }
    }
}

fn place(host: &str, interface: &str) -> String {
    match (host, interface) {
        ("", "") => "here".to_owned(),
        ("", interface) => format!("on {interface}"),
        (host, "") => format!("on {host}"),
        (host, interface) => format!("on {host} {interface}"),
    }
}

/// A time in the unit that a person would choose.
#[expect(clippy::cast_precision_loss, reason = "few digits are shown")]
fn duration(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..999_950 => format!("{:.1} us", value / 1e3),
        999_950..999_950_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.1} s", value / 1e9),
    }
}
