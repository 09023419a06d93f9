//! What a cell's ratios allow to say, by verb.

use crate::compare::{
    options::Proxy,
    plan::Cell,
    result::{Measure, Measured, Ratio, Series},
    standing::Standing,
    statistics::Estimate,
    wording::list,
    workload::Workload,
};

/// What sentences call encapsulation.
pub(super) const VXLAN: &str = "VXLAN";

/// What is said of a cell beside another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claims {
    /// The cell.
    pub cell: Cell,
    /// Who costs it: `VXLAN`, or a proxy.
    pub who: String,
    /// Without whom it would be otherwise.
    pub than: String,
    all: Vec<(Workload, Told)>,
}

/// What a workload tells.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// `12% of bulk throughput` are missing.
    Costs(String),
    /// `12% to request latency` come on top.
    Adds(String),
    /// `12% off request latency`.
    Takes(String),
    /// `12% of bulk throughput` come on top.
    Gains(String),
    /// What nothing can be said of: there is too much noise.
    Noisy(String),
    /// Or too few rounds.
    TooFew(String),
    /// What tells of the load rather than of either side.
    Bound(String),
    /// Where packets are lost, so that it is not the same work.
    Lossy(String),
}

impl Claims {
    /// What encapsulation costs, of what was measured in all cells.
    pub fn encapsulation(cell: Cell, all: &[Series]) -> Self {
        let all = told(cell, cell.without_encapsulation(), all, |measured| measured.to_host_gw);
        Self { cell, who: VXLAN.to_owned(), than: "host-gw".to_owned(), all }
    }

    /// What the proxy costs, of what was measured in all cells.
    pub fn proxy(cell: Cell, all: &[Series]) -> Self {
        let all = told(cell, cell.without_proxy(), all, |measured| measured.to_none);
        Self { cell, who: cell.proxy.to_string(), than: "no proxy".to_owned(), all }
    }

    /// What the proxy costs that another would not.
    pub fn contest(cell: Cell, first: Proxy, all: &[Series]) -> Self {
        let base = Some(Cell { proxy: first, ..cell });
        let all = told(cell, base, all, |measured| measured.to_first);
        Self { cell, who: cell.proxy.to_string(), than: first.to_string(), all }
    }

    /// Whether there is nothing to say, not even that it is unclear.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Where else it is so: `with ebpf-xdp`, or `over host-gw`.
    pub fn with(&self) -> String {
        match self.cell.proxy {
            _ if self.who != VXLAN => format!("over {}", self.cell.mode),
            Proxy::None => "without a proxy".to_owned(),
            proxy => format!("with {proxy}"),
        }
    }

    /// What is clear of these workloads, as much as there is room for; where nothing is, of the
    /// others.
    pub fn foremost(&self, workloads: &[Workload], room: usize) -> Self {
        let clear = |workload: &Workload| {
            self.all.iter().find(|(of, told)| of == workload && told.is_clear()).cloned()
        };
        let mut all: Vec<_> = workloads.iter().filter_map(clear).collect();
        if all.is_empty() {
            all = self.all.iter().filter(|(_, told)| told.is_clear()).cloned().collect();
        }
        all.truncate(room);
        Self { all, ..self.clone() }
    }

    /// What is not among the foremost, clear or not, as a sentence.
    pub fn rest(&self, workloads: &[Workload], room: usize) -> Option<String> {
        let told = self.foremost(workloads, room).all;
        let all = self.all.iter().filter(|one| !told.contains(one)).cloned().collect();
        Self { all, ..self.clone() }.sentence()
    }

    /// All of it as a sentence.
    pub fn sentence(&self) -> Option<String> {
        let verbs = self.verbs();
        let clear = (!verbs.is_empty()).then(|| join(&verbs));
        let parts: Vec<_> = clear.into_iter().chain(self.reserves()).collect();
        let (who, with, than) = (&self.who, self.with(), &self.than);
        (!parts.is_empty()).then(|| format!("{who} {with}, against {than}: {}.", parts.join("; ")))
    }

    /// Whether anything of it is clear.
    pub fn is_clear(&self) -> bool {
        self.all.iter().any(|(_, told)| told.is_clear())
    }

    /// What is not claimed, by why.
    pub fn reserves(&self) -> impl Iterator<Item = String> {
        type Of = fn(&Told) -> Option<&str>;
        let reasons: [(&str, Of); 4] = [
            ("too noisy to tell", |told| match told {
                Told::Noisy(subject) => Some(subject),
                _ => None,
            }),
            ("too few rounds to tell", |told| match told {
                Told::TooFew(subject) => Some(subject),
                _ => None,
            }),
            ("bound by the load itself in both", |told| match told {
                Told::Bound(subject) => Some(subject),
                _ => None,
            }),
            ("not the same work, since packets are lost", |told| match told {
                Told::Lossy(subject) => Some(subject),
                _ => None,
            }),
        ];
        reasons.into_iter().filter_map(|(why, of)| {
            let subjects: Vec<_> = self.all.iter().filter_map(|(_, told)| of(told)).collect();
            (!subjects.is_empty()).then(|| format!("{why}: {}", subjects.join(", ")))
        })
    }

    /// `costs ... and ...`, `adds ...`, `takes ...`, `gains ...`, those that there are.
    pub fn verbs(&self) -> Vec<String> {
        let verb = |verb: &str, of: fn(&Told) -> Option<&String>| {
            let what: Vec<_> = self.all.iter().filter_map(|(_, told)| of(told)).cloned().collect();
            (!what.is_empty()).then(|| format!("{verb} {}", list(&what)))
        };
        let costs = verb("costs", |told| match told {
            Told::Costs(what) => Some(what),
            _ => None,
        });
        let adds = verb("adds", |told| match told {
            Told::Adds(what) => Some(what),
            _ => None,
        });
        let takes = verb("takes", |told| match told {
            Told::Takes(what) => Some(what),
            _ => None,
        });
        let gains = verb("gains", |told| match told {
            Told::Gains(what) => Some(what),
            _ => None,
        });
        [costs, adds, takes, gains].into_iter().flatten().collect()
    }
}

impl Told {
    const fn is_clear(&self) -> bool {
        matches!(self, Self::Costs(_) | Self::Adds(_) | Self::Takes(_) | Self::Gains(_))
    }
}

/// What each workload tells of a cell beside its base.
fn told(
    cell: Cell,
    base: Option<Cell>,
    all: &[Series],
    ratio: impl Fn(&Measured) -> Option<Ratio>,
) -> Vec<(Workload, Told)> {
    let of_cell = all.iter().filter(|series| series.cell == cell);
    let told = of_cell.filter_map(|series| {
        let of_base =
            |other: &&Series| other.workload == series.workload && Some(other.cell) == base;
        tell(series, all.iter().find(of_base), &ratio)
    });
    told.collect()
}

/// What a workload tells by the measure that matters most, unless the ratio, whatever it is, is
/// not between the two: either side drops packets, or both are at the load's own ceiling.
fn tell(
    series: &Series,
    base: Option<&Series>,
    ratio: impl Fn(&Measured) -> Option<Ratio>,
) -> Option<(Workload, Told)> {
    let measured = series.measures.first()?;
    let ratio = ratio(measured)?;
    let subject = subject(series.workload, measured.measure);
    let percent = percent(&ratio.estimate);
    let more_is_better = measured.measure.more_is_better();
    let told = match Standing::beside(base, series, measured.measure, &ratio) {
        Standing::Lossy => Told::Lossy(subject),
        Standing::Bound => Told::Bound(subject),
        Standing::Worse if more_is_better => Told::Costs(format!("{percent} of {subject}")),
        Standing::Better if more_is_better => Told::Gains(format!("{percent} of {subject}")),
        Standing::Worse => Told::Adds(format!("{percent} to {subject}")),
        Standing::Better => Told::Takes(format!("{percent} off {subject}")),
        Standing::Unclear => Told::Noisy(subject),
        Standing::TooFew => Told::TooFew(subject),
    };
    Some((series.workload, told))
}

/// How far it is off 1; where the interval is longer than that, the least that it may be.
fn percent(Estimate { median, low, high }: &Estimate) -> String {
    let is_wide = high - low > (median - 1.0).abs();
    let least = if *median > 1.0 { *low } else { *high };
    let off = |value: f64| match (value - 1.0).abs() * 100.0 {
        part if part < 10.0 => format!("{part:.1}%"),
        part => format!("{part:.0}%"),
    };
    if is_wide { format!("at least {}", off(least)) } else { off(*median) }
}

fn subject(workload: Workload, measure: Measure) -> String {
    let what = match measure {
        Measure::Throughput => "throughput",
        Measure::Rate => "rate",
        Measure::LatencyP50 | Measure::LatencyP90 | Measure::LatencyP99 | Measure::LatencyMax => {
            "latency"
        }
        Measure::CpuPerOperation | Measure::CpuPerMib => "CPU time",
    };
    match workload {
        Workload::FirstByte => "the time to the first byte".to_owned(),
        Workload::Pps => format!("small-packet {what}"),
        Workload::PpsMtu => format!("MTU-sized packet {what}"),
        Workload::PpsRandom => format!("small-packet {what} from random ports"),
        Workload::Connect => format!("connection {what}"),
        workload => format!("{workload} {what}"),
    }
}

/// As [`list`], of parts that may be lists themselves.
pub(super) fn join(parts: &[String]) -> String {
    match parts {
        [all @ .., last] if !all.is_empty() => format!("{}, and {last}", all.join(", ")),
        parts => parts.concat(),
    }
}
