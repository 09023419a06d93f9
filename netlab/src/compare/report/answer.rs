//! The first part of the page: what encapsulation and what a proxy costs, as far as it is clear.

use maud::{Markup, html};

use super::{
    judgement::{
        BOUND, LOSSY, TOO_FEW, UNCLEAR, capital, change, find, main, network, proxies, subject,
        with,
    },
    plot::{
        self, Look,
        dots::{self, Dot, Dots, Row},
        scale::{Kind, Scale},
    },
};
use crate::{
    compare::{
        options::Proxy,
        plan::Cell,
        result::{Comparison, Measured, Ratio, Round, Series},
        standing::Standing,
        statistics::Estimate,
        wording::list,
        workload::Workload,
    },
    lab::Mode,
};

/// What a cell is held against.
#[derive(Clone, Copy)]
enum Against {
    HostGw,
    NoProxy,
}

impl Against {
    const fn ratio(self, measured: &Measured) -> Option<Ratio> {
        match self {
            Self::HostGw => measured.to_host_gw,
            Self::NoProxy => measured.to_none,
        }
    }

    fn base(self, cell: Cell) -> Option<Cell> {
        match self {
            Self::HostGw => cell.without_encapsulation(),
            Self::NoProxy => cell.without_proxy(),
        }
    }
}

/// What VXLAN costs against host-gw, a plot for each proxy; nothing where that was not measured.
pub(super) fn encapsulation(comparison: &Comparison) -> Option<Markup> {
    let cells = |proxy: Proxy| vec![Cell { mode: Mode::Vxlan, proxy }];
    let plots = plots(comparison, Against::HostGw, "vxlan", cells)?;
    Some(html! {
        section id="encapsulation" {
            h2 { "What VXLAN costs" }
            p {
                "Each mark is VXLAN beside host-gw, round by round: the median of the ratios, "
                "with its 95% interval. Left of the line VXLAN is worse, to the right better: "
                "latencies are turned round, so that this holds for them too. An "
                "interval that touches the line allows no claim, and its mark is pale."
            }
            (how_to_read())
            div class="plots" { (plots) }
        }
    })
}

/// What each proxy costs against none; nothing where that was not measured.
pub(super) fn translation(comparison: &Comparison) -> Option<Markup> {
    let modes = &comparison.conditions.options.modes;
    let cells = |proxy: Proxy| modes.iter().map(|mode| Cell { mode: *mode, proxy }).collect();
    let plots = plots(comparison, Against::NoProxy, "proxy", cells)?;
    Some(html! {
        section id="translation" {
            h2 { "What a proxy costs" }
            p {
                "The same, against the same network without a proxy: the client dials the "
                "pod itself. What is left of the line is what it costs to answer a node port."
            }
            (modes_legend(modes))
            div class="plots" { (plots) }
        }
    })
}

/// A plot for each proxy, all on one scale, so that they can be held beside each other.
fn plots(
    comparison: &Comparison,
    against: Against,
    id: &str,
    cells: impl Fn(Proxy) -> Vec<Cell>,
) -> Option<Markup> {
    let of = |proxy: &Proxy| {
        let part = part(comparison, against, &cells(*proxy));
        (!part.rows.is_empty()).then_some((*proxy, part))
    };
    let parts: Vec<_> = proxies(comparison).iter().filter_map(of).collect();
    let scale = around_one(parts.iter().flat_map(|(_, part)| part.ends()));
    let draw = |(proxy, part): (Proxy, Part)| {
        let id = format!("{id}-{proxy}");
        part.draw(&id, &capital(&with(proxy)), scale, against)
    };
    (!parts.is_empty()).then(|| plot::all(parts.into_iter().map(draw)))
}

/// The networks' marks.
pub(super) fn modes_legend(modes: &[Mode]) -> Markup {
    html! {
        p class="legend" {
            @for mode in modes {
                span { (Look::of_mode(*mode).swatch(false)) (network(*mode)) }
            }
        }
    }
}

fn how_to_read() -> Markup {
    html! {
        ul class="marks" {
            li { b { (UNCLEAR) } " too noisy to tell: the interval includes 1" }
            li { b { (TOO_FEW) } " fewer than " (crate::compare::result::LEAST_PAIRS)
                " rounds that both have, so that nothing is claimed" }
            li { b { (BOUND) } " within a tenth of what the load itself is capable of: it tells "
                "more of the load than of the network" }
            li { b { (LOSSY) } " packets are lost on either side, so that it is not the same work" }
        }
    }
}

/// Rounds that failed and what else could not be measured, with the reasons; nothing where all
/// is well.
pub(super) fn failures(comparison: &Comparison) -> Option<Markup> {
    let mut all: Vec<(String, &[Round])> = Vec::new();
    for series in &comparison.series {
        all.push((format!("{}, {}", series.workload, series.cell), &series.rounds));
    }
    for limit in &comparison.limits {
        all.push((format!("{}, limit {}", limit.workload, limit.kind), &limit.rounds));
    }
    for step in &comparison.scaling {
        let place = format!("{} Services, {} {}", step.services, step.mode, step.proxy);
        all.push((place, &step.rounds));
    }
    let rounds: usize = all.iter().map(|(_, rounds)| rounds.len()).sum();
    let failed: Vec<_> = all.iter().flat_map(|(place, rounds)| failed(place, rounds)).collect();
    let unmetered = comparison.series.iter().filter_map(|series| {
        let reason = series.metering_failure.clone()?;
        Some((format!("{}, {}, metering", series.workload, series.cell), reason))
    });
    let failed: Vec<_> = failed.into_iter().chain(unmetered).collect();
    let missing: Vec<_> = comparison
        .networks
        .iter()
        .flat_map(|network| {
            let mode = network.properties.mode;
            network.properties.failures.iter().map(move |failed| (mode, failed))
        })
        .collect();
    (!failed.is_empty() || !missing.is_empty()).then(|| {
        html! {
            aside class="failures" {
                @if !failed.is_empty() {
                    p { b { (failed.len()) " of " (rounds) " rounds failed" } " and are in no number here:" }
                    ul { @for (place, reason) in &failed { li { (place) ": " (reason) } } }
                }
                @if !missing.is_empty() {
                    p { b { "Not everything could be measured" } " of the pod networks:" }
                    ul {
                        @for (mode, failed) in &missing {
                            li { (mode) ", " (failed.property) ": " (failed.reason) }
                        }
                    }
                }
            }
        }
    })
}

/// Those that failed, by name, with the reasons.
fn failed(place: &str, rounds: &[Round]) -> Vec<(String, String)> {
    let of = |(at, round): (usize, &Round)| match round {
        Round::Failed { reason } => Some((format!("{place}, round {}", at + 1), reason.clone())),
        Round::Done { .. } => None,
    };
    rounds.iter().enumerate().filter_map(of).collect()
}

/// What a plot shows and says.
struct Part {
    rows: Vec<Row>,
    told: Told,
}

/// The main measures of all workloads, a row each.
fn part(comparison: &Comparison, against: Against, cells: &[Cell]) -> Part {
    let mut rows = Vec::new();
    let mut told = Told { several: cells.len() > 1, ..Told::default() };
    for workload in &comparison.conditions.options.workloads {
        let mut row = Row { name: workload.to_string(), dots: Vec::new() };
        for cell in cells {
            let Some(series) = find(comparison, *workload, *cell) else { continue };
            let Some(measured) = main(series) else { continue };
            let Some(ratio) = against.ratio(measured) else { continue };
            let base = against.base(*cell).and_then(|base| find(comparison, *workload, base));
            let standing = Standing::beside(base, series, measured.measure, &ratio);
            told.add(series, measured, &ratio, standing);
            row.dots.push(dot(series, measured, &ratio, standing));
        }
        if !row.dots.is_empty() {
            rows.push(row);
        }
    }
    Part { rows, told }
}

impl Part {
    fn ends(&self) -> impl Iterator<Item = f64> {
        let dots = self.rows.iter().flat_map(|row| &row.dots);
        dots.flat_map(|dot| [dot.estimate.low, dot.estimate.high])
    }

    fn draw(self, id: &str, title: &str, scale: Scale, against: Against) -> Markup {
        let caption = self.told.sentence(against);
        let plot = Dots {
            id,
            title,
            description: &caption,
            rows: self.rows,
            scale,
            tick: &|value| format!("{} ×", (value * 100.0).round() / 100.0),
            ends: ["← worse", "better →"],
            references: vec![(1.0, String::new())],
        };
        plot::figure(title, &plot.draw(), &caption)
    }
}

/// The ratio as one of speeds: more is better.
fn speed(measured: &Measured, ratio: &Ratio) -> Estimate {
    let Estimate { median, low, high } = ratio.estimate;
    if measured.measure.more_is_better() {
        ratio.estimate
    } else {
        Estimate { median: 1.0 / median, low: 1.0 / high, high: 1.0 / low }
    }
}

/// The logarithm of a millionfold: a plot goes no further, whatever a file says.
const MOST_OFF: f64 = 13.8;

/// As much room to the left of 1 as to the right.
fn around_one(values: impl Iterator<Item = f64>) -> Scale {
    let off = |value: f64| if value > 0.0 { value.ln().abs() } else { 0.0 };
    let most = values.map(off).filter(|off| off.is_finite()).fold(0.1, f64::max).min(MOST_OFF);
    let end = (most * 1.08).exp();
    Scale::exactly(Kind::Log, [1.0 / end, end], dots::ACROSS)
}

fn dot(series: &Series, measured: &Measured, ratio: &Ratio, standing: Standing) -> Dot {
    let bound = if series.generator_bound { BOUND } else { "" };
    let mark = match standing {
        Standing::Better | Standing::Worse | Standing::Bound => "",
        Standing::Unclear => UNCLEAR,
        Standing::TooFew => TOO_FEW,
        Standing::Lossy => LOSSY,
    };
    let Estimate { median, low, high } = ratio.estimate;
    let words = format!(
        "{}, {}: ratio {median:.3} [{low:.3}, {high:.3}]{}",
        series.cell,
        subject(series.workload, measured.measure),
        match standing {
            Standing::Better => ", better",
            Standing::Worse => ", worse",
            Standing::Unclear => ", too noisy to tell",
            Standing::TooFew => ", too few rounds",
            Standing::Lossy => ", not the same work: packets are lost",
            Standing::Bound => ", bound by the load itself in both",
        }
    );
    Dot {
        look: Look::of_mode(series.cell.mode),
        estimate: speed(measured, ratio),
        value: format!("{} {mark}{bound}", change(ratio, standing)).trim_end().to_owned(),
        words,
        says: standing.says(),
    }
}

/// What a plot's marks say, sorted.
#[derive(Default)]
struct Told {
    worse: Vec<Said>,
    better: Vec<Said>,
    unclear: Vec<Said>,
    /// Not between the two: packets are lost, or the load is the bound.
    other: Vec<Said>,
    /// There is more than one network in the plot.
    several: bool,
}

/// What a mark says.
struct Said {
    workload: Workload,
    mode: Mode,
    /// How far it is off 1, either way.
    off: f64,
    change: String,
}

impl Told {
    fn add(&mut self, series: &Series, measured: &Measured, ratio: &Ratio, standing: Standing) {
        let place = match standing {
            Standing::Worse => &mut self.worse,
            Standing::Better => &mut self.better,
            Standing::Unclear | Standing::TooFew => &mut self.unclear,
            Standing::Lossy | Standing::Bound => &mut self.other,
        };
        let (workload, mode) = (series.workload, series.cell.mode);
        let off = ratio.estimate.median.ln().abs();
        let subject = subject(workload, measured.measure);
        place.push(Said {
            workload,
            mode,
            off,
            change: format!("{subject}: {}", change(ratio, standing)),
        });
    }

    fn sentence(&self, against: Against) -> String {
        let than = match against {
            Against::HostGw => "VXLAN is clearly",
            Against::NoProxy => "The proxy is clearly",
        };
        if self.worse.is_empty() && self.better.is_empty() {
            return "No difference is clear here.".to_owned();
        }
        let parts = [
            (format!("{than} worse in"), &self.worse, true),
            (format!("{than} better in"), &self.better, true),
            ("Not clear:".to_owned(), &self.unclear, false),
            ("Not comparable:".to_owned(), &self.other, false),
        ];
        let say = |(begin, all, clear): &(String, &Vec<Said>, bool)| {
            let most = all.iter().max_by(|a, b| a.off.total_cmp(&b.off)).filter(|_| *clear);
            let most = most.map(|most| self.most(most, all.len())).unwrap_or_default();
            format!("{begin} {}{most}.", self.names(all))
        };
        let told = parts.iter().filter(|(_, all, _)| !all.is_empty());
        told.map(say).collect::<Vec<_>>().join(" ")
    }

    fn most(&self, most: &Said, of: usize) -> String {
        let over =
            if self.several { format!(" over {}", network(most.mode)) } else { String::new() };
        let begin = if of > 1 { ", most of all in" } else { ":" };
        format!("{begin} {}{over}", most.change)
    }

    /// Each workload once, with its network where it is the only one.
    fn names(&self, all: &[Said]) -> String {
        let mut names: Vec<(Workload, Vec<Mode>)> = Vec::new();
        for said in all {
            match names.iter_mut().find(|(workload, _)| *workload == said.workload) {
                Some((_, modes)) => modes.push(said.mode),
                None => names.push((said.workload, vec![said.mode])),
            }
        }
        let name = |(workload, modes): &(Workload, Vec<Mode>)| match modes.as_slice() {
            [mode] if self.several => format!("{workload} over {}", network(*mode)),
            _ => workload.to_string(),
        };
        list(&names.iter().map(name).collect::<Vec<_>>())
    }
}
