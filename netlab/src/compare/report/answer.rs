//! The first part of the page: what encapsulation and what a proxy costs, as far as it is clear.

use maud::{Markup, html};

use super::{
    judgement::{
        BOUND, Standing, TOO_FEW, UNCLEAR, capital, change, find, list, main, network, proxies,
        subject, with,
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
        statistics::Estimate,
        wording::number,
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
}

/// What VXLAN costs against host-gw, a plot for each proxy; nothing where that was not measured.
pub(super) fn encapsulation(comparison: &Comparison) -> Option<Markup> {
    let of = |proxy: &Proxy| {
        let cells = [Cell { mode: Mode::Vxlan, proxy: *proxy }];
        let id = format!("vxlan-{proxy}");
        let title = capital(&with(*proxy));
        plot(comparison, Against::HostGw, &cells, &id, &title)
    };
    let plots: Vec<_> = proxies(comparison).iter().filter_map(of).collect();
    (!plots.is_empty()).then(|| {
        html! {
            section id="encapsulation" {
                h2 { "What VXLAN costs" }
                p {
                    "Each mark is VXLAN beside host-gw, round by round: the median of the ratios, "
                    "with its 95% interval. Left of the line VXLAN is worse, right of it it is "
                    "better: latencies are turned round, so that this holds for them too. An "
                    "interval that touches the line allows no claim."
                }
                (how_to_read(comparison))
                div class="plots" { (plot::all(plots)) }
            }
        }
    })
}

/// What each proxy costs against none; nothing where that was not measured.
pub(super) fn translation(comparison: &Comparison) -> Option<Markup> {
    let modes = &comparison.conditions.options.modes;
    let of = |proxy: &Proxy| {
        let cells: Vec<_> = modes.iter().map(|mode| Cell { mode: *mode, proxy: *proxy }).collect();
        let title = capital(&with(*proxy));
        plot(comparison, Against::NoProxy, &cells, &format!("proxy-{proxy}"), &title)
    };
    let plots: Vec<_> = proxies(comparison).iter().filter_map(of).collect();
    (!plots.is_empty()).then(|| {
        html! {
            section id="translation" {
                h2 { "What a proxy costs" }
                p {
                    "The same, against the same network without a proxy: the client dials the "
                    "pod itself. What is left of the line is what it costs to answer a node port."
                }
                (modes_legend(modes))
                div class="plots" { (plot::all(plots)) }
            }
        }
    })
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

fn how_to_read(comparison: &Comparison) -> Markup {
    let rounds = comparison.conditions.options.rounds;
    html! {
        ul class="marks" {
            li { b { (UNCLEAR) } " too noisy to tell: the interval includes 1" }
            li { b { (TOO_FEW) } " fewer than " (crate::compare::result::LEAST_PAIRS)
                " rounds that both have, so that nothing is claimed (asked for: " (rounds) ")" }
            li { b { (BOUND) } " within a tenth of what the load itself is capable of: it tells "
                "more of the load than of the network" }
        }
    }
}

/// Rounds that failed, with their reasons; nothing where there are none.
pub(super) fn failures(comparison: &Comparison) -> Option<Markup> {
    let failed = |series: &Series| -> Vec<(String, String)> {
        let of = |(at, round): (usize, &Round)| match round {
            Round::Failed { reason } => {
                let place = format!("{}, {}, round {}", series.workload, series.cell, at + 1);
                Some((place, reason.clone()))
            }
            Round::Done { .. } => None,
        };
        series.rounds.iter().enumerate().filter_map(of).collect()
    };
    let all: Vec<_> = comparison.series.iter().flat_map(failed).collect();
    let rounds: usize = comparison.series.iter().map(|series| series.rounds.len()).sum();
    (!all.is_empty()).then(|| {
        html! {
            aside class="failures" {
                p { b { (all.len()) " of " (rounds) " rounds failed" } " and are in no number here:" }
                ul { @for (place, reason) in &all { li { (place) ": " (reason) } } }
            }
        }
    })
}

/// Marks of the main measures of all workloads, a row each.
fn plot(
    comparison: &Comparison,
    against: Against,
    cells: &[Cell],
    id: &str,
    title: &str,
) -> Option<Markup> {
    let mut told = Told::default();
    let mut rows = Vec::new();
    let mut speeds = Vec::new();
    for workload in &comparison.conditions.options.workloads {
        let mut row = Row { name: workload.to_string(), dots: Vec::new() };
        for cell in cells {
            let Some(series) = find(comparison, *workload, *cell) else { continue };
            let Some(measured) = main(series) else { continue };
            let Some(ratio) = against.ratio(measured) else { continue };
            let speed = speed(measured, &ratio);
            speeds.extend([speed.low, speed.high]);
            told.add(series, measured, &ratio, (cells.len() > 1).then_some(cell.mode));
            row.dots.push(dot(series, measured, &ratio, speed));
        }
        rows.push(row);
    }
    rows.retain(|row| !row.dots.is_empty());
    if rows.is_empty() {
        return None;
    }
    let scale = around_one(&speeds);
    let caption = told.sentence(against);
    let plot = Dots {
        id,
        title,
        description: &caption,
        rows,
        scale,
        tick: &|value| format!("{} ×", number(value).trim_end_matches('0').trim_end_matches('.')),
        ends: ["← worse", "better →"],
        references: vec![(1.0, String::new())],
    };
    Some(plot::figure(title, &plot.draw(), &caption))
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

/// As much room to the left of 1 as to the right.
fn around_one(values: &[f64]) -> Scale {
    let off = |value: &f64| if *value > 0.0 { value.ln().abs() } else { 0.0 };
    let most = values.iter().map(off).filter(|off| off.is_finite()).fold(0.1, f64::max);
    let end = (most * 1.08).exp();
    Scale::exactly(Kind::Log, [1.0 / end, end], dots::ACROSS)
}

fn dot(series: &Series, measured: &Measured, ratio: &Ratio, speed: Estimate) -> Dot {
    let standing = Standing::of(measured.measure, ratio);
    let bound = if series.generator_bound { BOUND } else { "" };
    let mark = match standing {
        Standing::Better | Standing::Worse => "",
        Standing::Unclear => UNCLEAR,
        Standing::TooFew => TOO_FEW,
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
        }
    );
    Dot {
        look: Look::of_mode(series.cell.mode),
        estimate: speed,
        value: format!("{}{mark}{bound}", change(ratio)),
        words,
        says: standing.says(),
    }
}

/// What a plot's marks say, sorted.
#[derive(Default)]
struct Told {
    worse: Vec<String>,
    better: Vec<String>,
    unclear: Vec<String>,
}

impl Told {
    fn add(&mut self, series: &Series, measured: &Measured, ratio: &Ratio, mode: Option<Mode>) {
        let over = mode.map(|mode| format!(" over {}", network(mode))).unwrap_or_default();
        let subject = format!("{}{over}", subject(series.workload, measured.measure));
        match Standing::of(measured.measure, ratio) {
            Standing::Worse => self.worse.push(format!("{subject} ({})", change(ratio))),
            Standing::Better => self.better.push(format!("{subject} ({})", change(ratio))),
            Standing::Unclear | Standing::TooFew => self.unclear.push(subject),
        }
    }

    fn sentence(&self, against: Against) -> String {
        let who = match against {
            Against::HostGw => "VXLAN",
            Against::NoProxy => "The proxy",
        };
        if self.worse.is_empty() && self.better.is_empty() {
            return "No difference is clear here.".to_owned();
        }
        let mut sentences = Vec::new();
        if !self.worse.is_empty() {
            sentences.push(format!("{who} is worse in {}.", list(&self.worse)));
        }
        if !self.better.is_empty() {
            sentences.push(format!("{who} is better in {}.", list(&self.better)));
        }
        if !self.unclear.is_empty() {
            sentences.push(format!("Not clear: {}.", list(&self.unclear)));
        }
        sentences.join(" ")
    }
}
