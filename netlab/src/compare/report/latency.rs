//! The distribution of latencies: a plot for each workload that times its operations.

use maud::{Markup, html};

use super::{
    judgement::{network, of_workload},
    plot::{
        self, Look,
        lines::{self, Line, Lines, Point},
        scale::{Kind, Scale},
    },
};
use crate::{
    compare::{
        histogram::{Latencies, QUANTILES},
        options::Proxy,
        plan::Cell,
        result::{Comparison, Measure, Round, Series},
        statistics::{Estimate, median},
        wording::{self, time},
        workload::Workload,
    },
    lab::Mode,
};

/// Quantiles that get a mark.
const MARKED: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// All curves; nothing where no workload has any.
pub(super) fn section(comparison: &Comparison) -> Option<Markup> {
    let options = &comparison.conditions.options;
    let workloads = options.workloads.iter();
    let plots: Vec<_> =
        workloads.flat_map(|workload| distributions(comparison, *workload)).collect();
    (!plots.is_empty()).then(|| {
        html! {
            section id="latency" {
                h2 { "How long it takes" }
                p {
                    "Latencies by the share of operations that take no longer, on an axis that "
                    "gives every further nine the same room: the median is at the left, one in "
                    "ten thousand at the right. Medians of the rounds; a curve ends where the "
                    "rounds have too few operations to go on."
                }
                (legend(&options.modes, &options.proxies))
                div class="plots" { (plot::all(plots)) }
            }
        }
    })
}

/// What each line is.
pub(super) fn legend(modes: &[Mode], proxies: &[Proxy]) -> Markup {
    html! {
        div class="legend cells" {
            @for mode in modes {
                p {
                    b { (network(*mode)) }
                    @for proxy in proxies {
                        span { (Look::of_cell(Cell { mode: *mode, proxy: *proxy }).swatch(true)) (proxy) }
                    }
                }
            }
        }
    }
}

/// A curve: a quantile's place and the median of the rounds there.
struct Curve<'a> {
    series: &'a Series,
    /// Places in [`QUANTILES`], and microseconds.
    points: Vec<(usize, f64)>,
}

/// A plot for each mode, all on one scale, since the lines of both would hide each other.
fn distributions(comparison: &Comparison, workload: Workload) -> Vec<Markup> {
    let curves: Vec<_> = of_workload(comparison, workload).into_iter().filter_map(curve).collect();
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let Some(furthest) = points().map(|(at, _)| *at).max() else { return Vec::new() };
    let y = Scale::log(points().map(|(_, value)| *value), lines::UPWARDS);
    let mut plots = Vec::new();
    for mode in &comparison.conditions.options.modes {
        let curves: Vec<_> =
            curves.iter().filter(|curve| curve.series.cell.mode == *mode).collect();
        if !curves.is_empty() {
            plots.push(distribution(workload, *mode, &curves, QUANTILES[furthest], y));
        }
    }
    plots
}

/// As far as the quantile `furthest`.
fn distribution(
    workload: Workload,
    mode: Mode,
    curves: &[&Curve<'_>],
    furthest: f64,
    y: Scale,
) -> Markup {
    let x = Scale::exactly(Kind::Linear, [0.0, nines(furthest).max(1.0)], lines::ACROSS);
    let shown = [(0.5, "50%"), (0.9, "90%"), (0.99, "99%"), (0.999, "99.9%"), (0.9999, "99.99%")];
    let shown = shown.into_iter().filter(|(quantile, _)| *quantile <= furthest);
    let caption = caption(curves);
    let title = format!("{workload}: latency over {}", network(mode));
    let plot = Lines {
        id: &format!("latency-{workload}-{mode}"),
        title: &title,
        description: &caption,
        up: "latency at most",
        across: "share of the operations",
        lines: curves.iter().map(|curve| line(curve)).collect(),
        x,
        y,
        x_ticks: shown.map(|(quantile, name)| (nines(quantile), name.to_owned())).collect(),
        y_tick: &tick,
    };
    let caption = format!("{}. {caption}", super::judgement::capital(wording::workload(workload)));
    plot::figure(&title, &plot.draw(), &caption)
}

/// 1 for 90%, 2 for 99%, and so on.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-9).log10()
}

pub(super) fn tick(microseconds: f64) -> String {
    let (value, unit) = match microseconds {
        value if value >= 1e6 => (value / 1e6, "s"),
        value if value >= 1e3 => (value / 1e3, "ms"),
        value => (value, "µs"),
    };
    let value = format!("{value:.1}");
    format!("{} {unit}", value.strip_suffix(".0").unwrap_or(&value))
}

/// The medians over the rounds, as far as a round has an operation beyond the quantile.
fn curve(series: &Series) -> Option<Curve<'_>> {
    let latencies = |round: &Round| match round {
        Round::Done { work, .. } => work.latencies,
        Round::Failed { .. } => None,
    };
    let rounds: Vec<Latencies> = series.rounds.iter().filter_map(latencies).collect();
    let fewest = rounds.iter().map(|round| round.count).min()?;
    #[expect(clippy::cast_precision_loss, reason = "operations of a turn are far below 2^52")]
    let is_known = |quantile: f64| quantile < 1.0 && (1.0 - quantile) * fewest as f64 >= 1.0;
    let at = |(at, quantile): (usize, &f64)| {
        let values: Vec<f64> = rounds.iter().map(|round| round.curve[at]).collect();
        Some((at, median(&values).filter(|value| *value > 0.0 && is_known(*quantile))?))
    };
    let points: Vec<_> = QUANTILES.iter().enumerate().filter_map(at).collect();
    (points.len() > 1).then_some(Curve { series, points })
}

fn line(curve: &Curve<'_>) -> Line {
    let point = |(at, value): &(usize, f64)| {
        let quantile = QUANTILES[*at];
        let words = MARKED.contains(&quantile).then(|| {
            format!("{}: {}% take at most {}", curve.series.cell, quantile * 100.0, time(*value))
        });
        Point { x: nines(quantile), y: *value, interval: None, words }
    };
    let look = Look::of_cell(curve.series.cell);
    Line { look, points: curve.points.iter().map(point).collect() }
}

/// The quickest and the slowest at the median, and at the last mark that all have.
fn caption(curves: &[&Curve<'_>]) -> String {
    let name = |curve: &Curve<'_>| curve.series.cell.proxy.to_string();
    let value = |curve: &Curve<'_>, quantile: f64| {
        curve.points.iter().find(|(at, _)| QUANTILES[*at] == quantile).map(|(_, value)| *value)
    };
    let ends = |quantile: f64| {
        let known = curves.iter().map(|curve| Some((*curve, value(curve, quantile)?)));
        let known: Vec<_> = known.collect::<Option<_>>()?;
        let by_value = |a: &&(&Curve<'_>, f64), b: &&(&Curve<'_>, f64)| a.1.total_cmp(&b.1);
        let (least, most) = (known.iter().min_by(by_value)?, known.iter().max_by(by_value)?);
        Some((least.0, least.1, most.0, most.1))
    };
    let Some((quick, least, slow, most)) = ends(0.5) else { return String::new() };
    if curves.len() < 2 {
        return format!("Half take at most {} ({}).", time(least), name(quick));
    }
    let p50 = |curve: &Curve<'_>| -> Option<Estimate> {
        let mut measures = curve.series.measures.iter();
        measures.find(|measured| measured.measure == Measure::LatencyP50)?.estimate
    };
    let apart = matches!((p50(quick), p50(slow)), (Some(a), Some(b)) if !a.overlaps(&b));
    let mut text = format!(
        "Half take at most {} ({}) to {} ({})",
        time(least),
        name(quick),
        time(most),
        name(slow)
    );
    text.push_str(if apart {
        "."
    } else {
        ", which is no clear difference: the intervals overlap."
    });
    let tail = MARKED[1..].iter().rev().find_map(|quantile| Some((*quantile, ends(*quantile)?)));
    if let Some((quantile, (quick, least, slow, most))) = tail {
        text.push_str(&format!(
            " All but {}% take at most {} ({}) to {} ({}).",
            ((1.0 - quantile) * 1e3).round() / 10.0,
            time(least),
            name(quick),
            time(most),
            name(slow)
        ));
    }
    text
}
