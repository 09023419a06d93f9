//! Two comparisons beside each other: what changed from one run to the other. Pure.
//!
//! Law: numbers of two runs are never set against each other, since nobody knows what else the
//! machine did; what is judged are ratios, each of which was taken within its run. They have
//! changed where their 95% intervals have nothing in common. That is stricter than 95%: of
//! ratios that did not change, one in 300 looks as if it did (simulated, 9 rounds). So that a run
//! beside its like seldom looks changed, only the measure that matters most of each workload is
//! judged. What can be counted without a clock is the same or it is not.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    plan::Cell,
    properties::state::Entries,
    result::{Comparison, LEAST_PAIRS, Measure, Measured, Network, Ratio},
    statistics::Estimate,
    workload::Workload,
};

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// What the runs were made with, where that differs.
    pub conditions: Vec<Change>,
    /// What was counted, where that differs.
    pub counts: Vec<Change>,
    /// All ratios that both runs have.
    pub ratios: Vec<Compared>,
    /// Ratios that one run has and the other has not.
    pub lone: Vec<Lone>,
}

/// Something that has a name and two values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What.
    pub what: String,
    /// In the old run; nothing where it did not have it.
    pub old: Option<String>,
    /// In the new one.
    pub new: Option<String>,
}

/// Which ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// What was done.
    pub workload: Workload,
    /// Where.
    pub cell: Cell,
    /// What was measured.
    pub measure: Measure,
    /// What it was divided by.
    pub to: Base,
    /// With how many Services, where their number rises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<u32>,
}

/// What a ratio is a ratio to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// The same network without a proxy.
    None,
    /// The same proxy over host-gw.
    HostGw,
    /// The first of the proxies.
    First,
    /// The load's own ceiling.
    Veth,
    /// Bare forwarding.
    Forward,
    /// The same with the least number of Services.
    Least,
}

/// A ratio in both runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Which.
    #[serde(flatten)]
    pub subject: Subject,
    /// In the old run.
    pub old: Estimate,
    /// In the new one.
    pub new: Estimate,
    /// What may be said.
    pub verdict: Verdict,
}

/// What two intervals allow to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All of the new interval is above the old one.
    More,
    /// All of it is below.
    Less,
    /// They have values in common: no change can be told from noise.
    Same,
    /// One of the runs has fewer than [`LEAST_PAIRS`] rounds.
    TooFew,
}

/// A ratio of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lone {
    /// Which.
    #[serde(flatten)]
    pub subject: Subject,
    /// It is the new run that has it.
    pub is_new: bool,
}

impl Base {
    /// All ratios of a measure.
    fn of(measured: &Measured) -> impl Iterator<Item = (Self, Ratio)> {
        let all = [
            (Self::None, measured.to_none),
            (Self::HostGw, measured.to_host_gw),
            (Self::First, measured.to_first),
            (Self::Veth, measured.to_veth),
            (Self::Forward, measured.to_forward),
        ];
        all.into_iter().filter_map(|(to, ratio)| Some((to, ratio?)))
    }
}

impl Verdict {
    fn of(old: &Ratio, new: &Ratio) -> Self {
        match () {
            () if old.pairs.min(new.pairs) < LEAST_PAIRS => Self::TooFew,
            () if old.estimate.overlaps(&new.estimate) => Self::Same,
            () if new.estimate.median > old.estimate.median => Self::More,
            () => Self::Less,
        }
    }

    /// Whether it is a change.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(self, Self::More | Self::Less)
    }
}

impl Diff {
    /// From an older run to a newer one.
    #[must_use]
    pub fn of(old: &Comparison, new: &Comparison) -> Self {
        let (mut ratios, mut lone) = (Vec::new(), Vec::new());
        let [old_ratios, new_ratios] = [old, new].map(all_ratios);
        let find = |all: &[(Subject, Ratio)], subject| {
            all.iter().find(|(other, _)| *other == subject).map(|(_, ratio)| *ratio)
        };
        for (subject, old) in &old_ratios {
            let subject = *subject;
            match find(&new_ratios, subject) {
                None => lone.push(Lone { subject, is_new: false }),
                Some(new) => ratios.push(Compared {
                    subject,
                    old: old.estimate,
                    new: new.estimate,
                    verdict: Verdict::of(old, &new),
                }),
            }
        }
        let is_lone = |subject: &Subject| find(&old_ratios, *subject).is_none();
        let only_new = new_ratios.iter().map(|(subject, _)| *subject).filter(is_lone);
        lone.extend(only_new.map(|subject| Lone { subject, is_new: true }));
        // What only one of them has looked at has not changed.
        let mut counts = changes(&[old, new].map(|run| counted(&run.networks)));
        counts.retain(|change| change.old.is_some() && change.new.is_some());
        let conditions = [old, new].map(conditions);
        Self { conditions: changes(&conditions), counts, ratios, lone }
    }

    /// The ratios that changed.
    pub fn changed(&self) -> impl Iterator<Item = &Compared> {
        self.ratios.iter().filter(|ratio| ratio.verdict.is_change())
    }

    /// Whether anything that was measured or counted changed. What it was measured with is the
    /// user's to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.changed().next().is_none()
    }
}

fn all_ratios(run: &Comparison) -> Vec<(Subject, Ratio)> {
    let of_series = run.series.iter().flat_map(|series| {
        let (workload, cell) = (series.workload, series.cell);
        series.measures.first().into_iter().flat_map(move |measured| {
            let measure = measured.measure;
            let subject = move |to| Subject { workload, cell, measure, to, services: None };
            Base::of(measured).map(move |(to, ratio)| (subject(to), ratio))
        })
    });
    let of_steps = run.scaling.iter().filter_map(|step| {
        let subject = Subject {
            workload: Workload::FirstByte,
            cell: Cell { mode: step.mode, proxy: step.proxy },
            measure: Measure::LatencyP50,
            to: Base::Least,
            services: Some(step.services),
        };
        Some((subject, step.to_least?))
    });
    of_series.chain(of_steps).collect()
}

fn changes([old, new]: &[BTreeMap<String, String>; 2]) -> Vec<Change> {
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| {
        let (old, new) = (old.get(name), new.get(name));
        let change = || Change { what: name.clone(), old: old.cloned(), new: new.cloned() };
        (old != new).then(change)
    };
    names.into_iter().filter_map(change).collect()
}

/// Everything that a run was made with, by its place in the JSON; not the load of the machine,
/// which is never the same twice.
fn conditions(run: &Comparison) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Ok(value) = serde_json::to_value(&run.conditions) {
        flatten("", &value, &mut all);
    }
    all.remove("machine.load");
    all
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{name}"), inner, into);
            }
        }
        Value::Array(list) => {
            let words = list.iter().map(|one| match one {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            into.insert(path.to_owned(), words.collect::<Vec<_>>().join(" "));
        }
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}

/// What has no noise in it, by a name that a person understands.
fn counted(networks: &[Network]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for network in networks {
        let of = &network.properties;
        let mode = of.mode;
        let mut count = |what: String, value: String| all.insert(format!("{mode}: {what}"), value);
        for row in of.overhead.iter().flat_map(|overhead| &overhead.rows) {
            let added: Vec<_> = row.added.measured.iter().map(ToString::to_string).collect();
            let what = format!("bytes added, {} {}", word(&row.family), word(&row.protocol));
            count(what, added.join(" or "));
        }
        for fit in &of.mtu {
            let way = format!("{} {}", word(&fit.way), word(&fit.family));
            count(format!("MSS, {way}"), fit.mss.measured.to_string());
            count(format!("MTU, {way}"), fit.mtu.measured.to_string());
        }
        for attempt in &of.too_large {
            let fragment = if attempt.dont_fragment { "must not" } else { "may" };
            let (length, way) = (attempt.length, word(&attempt.way));
            let what = format!("{length} bytes that {fragment} be fragmented, {way}");
            count(what, word(&attempt.fate.measured));
        }
        if let Some(state) = &of.state {
            let Entries { routes, neighbors, fdb } = state.per_peer.measured;
            for (what, number) in [("routes", routes), ("neighbors", neighbors), ("FDB", fdb)] {
                count(format!("{what} for each peer"), number.to_string());
            }
        }
        if let Some(reach) = &network.routed {
            let reached = if reach.reached.measured { "reached" } else { "not reached" };
            count("on a routed underlay".to_owned(), reached.to_owned());
        }
    }
    all
}

/// As it is written in the JSON.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(members)) => {
            let words = members.values().map(word);
            words.collect::<Vec<_>>().join(" ")
        }
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{
            options::{Options, Proxy},
            result::{Conditions, Machine, Step, VERSION, judged, rates},
        },
        lab::Mode,
    };

    /// VXLAN at so many connections a second in each round, beside host-gw at 1,000.
    fn run(vxlan: &[u32]) -> Comparison {
        let vxlan: Vec<_> = vxlan.iter().copied().map(Some).collect();
        let host_gw = vec![Some(1_000); vxlan.len()];
        Comparison {
            version: VERSION,
            finding: String::new(),
            details: Vec::new(),
            conditions: Conditions {
                netlab: "1".into(),
                options: Options::default(),
                machine: Machine::default(),
                cells: BTreeMap::new(),
                flows: BTreeMap::new(),
            },
            series: judged(vec![
                rates(Mode::HostGw, Proxy::None, &host_gw),
                rates(Mode::Vxlan, Proxy::None, &vxlan),
            ]),
            limits: Vec::new(),
            scaling: Vec::new(),
            networks: Vec::new(),
        }
    }

    fn rate(diff: &Diff) -> Compared {
        let is_rate = |one: &&Compared| one.subject.measure == Measure::Rate;
        *diff.ratios.iter().find(is_rate).unwrap()
    }

    #[test]
    fn ratios_change_where_their_intervals_have_nothing_in_common() {
        let old = run(&[900, 910, 890, 905, 895, 900, 900]);
        for (new, verdict) in [
            (&[700, 710, 690, 705, 695, 700, 700][..], Verdict::Less),
            (&[980; 7], Verdict::More),
            (&[905, 915, 895, 910, 900, 905, 905], Verdict::Same),
            (&[500; 5], Verdict::TooFew),
        ] {
            let diff = Diff::of(&old, &run(new));
            let rate = rate(&diff);
            assert_eq!(rate.verdict, verdict, "{new:?}");
            assert_eq!(rate.subject.to, Base::HostGw);
            assert_eq!(rate.old.median, 0.9);
        }
    }

    #[test]
    fn what_many_services_cost_is_judged_too() {
        let with = |ratio: f64| {
            let ratios = Ratio::of(&[Some(ratio); 7], &[Some(1.0); 7]);
            let step = Step {
                mode: Mode::HostGw,
                proxy: Proxy::Iptables,
                services: 1_000,
                program_seconds: None,
                rounds: Vec::new(),
                first_byte: None,
                to_least: ratios,
            };
            Comparison { scaling: vec![step], ..run(&[900; 7]) }
        };
        let diff = Diff::of(&with(1.0), &with(1.6));
        let changed: Vec<_> = diff.changed().map(|one| one.subject).collect();
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!((changed[0].to, changed[0].services), (Base::Least, Some(1_000)));
        assert!(Diff::of(&with(1.6), &with(1.6)).is_empty());
    }

    #[test]
    fn a_run_beside_itself_is_no_change_and_neither_is_another_load() {
        let old = run(&[900; 7]);
        let mut new = old.clone();
        new.conditions.machine.load = 3.0;
        let diff = Diff::of(&old, &new);
        assert!(diff.is_empty() && diff.conditions.is_empty() && diff.lone.is_empty(), "{diff:?}");
        assert!(!diff.ratios.is_empty());
    }

    #[test]
    fn absolute_numbers_are_not_judged() {
        let mut new = run(&[450; 7]);
        new.series = judged(vec![
            rates(Mode::HostGw, Proxy::None, &[Some(500); 7]),
            rates(Mode::Vxlan, Proxy::None, &[Some(450); 7]),
        ]);
        // Half as fast, both of them.
        assert!(Diff::of(&run(&[900; 7]), &new).is_empty());
    }

    #[test]
    fn conditions_and_what_one_run_alone_has_are_told() {
        let old = run(&[900; 7]);
        let mut new = run(&[900; 7]);
        new.conditions.machine.kernel = "7.0".into();
        new.conditions.options.mtu = 9000;
        new.series.remove(0);
        new.series = judged(new.series);
        let diff = Diff::of(&old, &new);
        let told: Vec<_> = diff.conditions.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(told, ["machine.kernel", "options.mtu"]);
        assert_eq!(diff.conditions[1].new.as_deref(), Some("9000"));
        assert!(!diff.lone.is_empty() && diff.lone.iter().all(|lone| !lone.is_new));
        assert!(diff.is_empty());
    }
}
