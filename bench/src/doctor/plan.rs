//! What is done in which order: drawn by a seed, so that it can be done again. Pure.

use std::{collections::BTreeMap, fmt, str::FromStr};

use netlab::lab::{
    Options,
    fault::{At, Dialled, Fault},
};
use serde::Serialize;

use super::{Cell, random::Random, trial::Given};

/// The nodes of the built-in cluster.
const NODES: [&str; 2] = ["node-1", "node-2"];

/// How many pairs of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// So many, drawn.
    Some(usize),
    /// Every one that can be judged.
    All,
}

impl FromStr for Pairs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            number => number.parse().map(Self::Some).map_err(|_| "a number, or all".to_owned()),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Kinds of labs.
    pub cells: Vec<Cell>,
    /// Faults, in each lab that they are fit for.
    pub faults: Vec<&'static Fault>,
    /// How often each fault.
    pub rounds: usize,
    /// Pairs, over all labs.
    pub pairs: Pairs,
    /// Runs in a lab that is well, over all labs.
    pub healthy: usize,
    /// What is drawn by.
    pub seed: u64,
}

/// One thing to do in a lab that is well.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ask the doctor.
    Healthy,
    /// Break it in one way, or in two at a time.
    Break(Vec<Given>),
}

/// What is to be done, and what is not.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The steps in each lab.
    pub cells: Vec<(Cell, Vec<Step>)>,
    /// Faults that a lab would not show.
    pub unfit: Vec<Unfit>,
    /// Pairs that are not judged: why, and how many, over all labs.
    pub unjudged: BTreeMap<&'static str, usize>,
    /// Pairs that might be drawn, over all labs.
    pub judged: usize,
}

/// A fault that a lab would not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unfit {
    /// The lab.
    pub cell: Cell,
    /// The fault.
    pub fault: &'static str,
    /// Why, as netlab says it.
    pub why: String,
}

impl Plan {
    /// Draws.
    #[must_use]
    pub fn draw(wish: &Wish) -> Self {
        let mut random = Random::seeded(wish.seed);
        let mut plan = Self::default();
        let fit: Vec<_> = wish.cells.iter().map(|cell| plan.fit(*cell, &wish.faults)).collect();
        let pairs = plan.pairs(&fit, wish.pairs, &mut random);
        for (at, ((cell, faults), pairs)) in wish.cells.iter().zip(fit).zip(pairs).enumerate() {
            let singles = (0..wish.rounds).flat_map(|_| faults.iter().map(|fault| vec![*fault]));
            let mut broken: Vec<_> = singles.chain(pairs).collect();
            random.shuffle(&mut broken);
            let steps = broken.into_iter().map(|some| {
                Step::Break(some.into_iter().map(|fault| given(fault, &mut random)).collect())
            });
            let healthy = share(wish.healthy, wish.cells.len(), at);
            plan.cells.push((*cell, spread(steps.collect(), healthy)));
        }
        plan
    }

    fn fit(&mut self, cell: Cell, faults: &[&'static Fault]) -> Vec<&'static Fault> {
        let mut fit = Vec::new();
        // The name of the lab plays no part in what is fit for it.
        let Ok(name) = "any".parse() else { return fit };
        let options = Options { mode: cell.mode, proxy: cell.proxy, ..Options::new(name) };
        for fault in faults {
            match fault.unfit(&options) {
                Some(why) => self.unfit.push(Unfit { cell, fault: fault.name, why }),
                None => fit.push(*fault),
            }
        }
        fit
    }

    /// Pairs for each lab, all of one and the next in turns.
    fn pairs(
        &mut self,
        fit: &[Vec<&'static Fault>],
        wished: Pairs,
        random: &mut Random,
    ) -> Vec<Vec<Vec<&'static Fault>>> {
        let mut all: Vec<Vec<_>> = fit.iter().map(|faults| self.judged(faults)).collect();
        self.judged = all.iter().map(Vec::len).sum();
        let cells = all.len();
        for (at, pairs) in all.iter_mut().enumerate() {
            random.shuffle(pairs);
            if let Pairs::Some(number) = wished {
                pairs.truncate(share(number, cells, at));
            }
            for pair in pairs.iter_mut() {
                random.shuffle(pair);
                // A pod that the other takes from the Service could not be chosen any more.
                pair.sort_by_key(|fault| fault.at != At::Pod);
            }
        }
        all
    }

    fn judged(&mut self, faults: &[&'static Fault]) -> Vec<Vec<&'static Fault>> {
        let mut judged = Vec::new();
        for (at, one) in faults.iter().enumerate() {
            for other in faults.iter().skip(at + 1) {
                match unjudged(one, other) {
                    Some(why) => *self.unjudged.entry(why).or_default() += 1,
                    None => judged.push(vec![*one, *other]),
                }
            }
        }
        judged
    }

    /// How many runs of the doctor this takes: where something was broken, one more.
    #[must_use]
    pub fn diagnoses(&self) -> usize {
        self.cells.iter().flat_map(|(_, steps)| steps).map(Step::diagnoses).sum()
    }
}

impl Step {
    /// How many runs of the doctor it takes.
    #[must_use]
    pub const fn diagnoses(&self) -> usize {
        match self {
            Self::Healthy => 1,
            Self::Break(_) => 2,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Break(given) => {
                let names: Vec<_> = given.iter().map(|given| given.fault.name).collect();
                f.write_str(&names.join(" + "))
            }
        }
    }
}

/// Why a pair cannot be judged, where that is plain before it is injected.
fn unjudged(one: &Fault, other: &Fault) -> Option<&'static str> {
    if one.rows.iter().any(|row| other.rows.contains(row)) {
        return Some("both are of one row, so one finding names both");
    }
    let is_asked = |fault: &Fault| fault.dialled == Dialled::AtNodeV6;
    (is_asked(one) || is_asked(other))
        .then_some("one is asked about by an address that the Service need not have, by itself")
}

/// The part of the whole that the place `at` of so many has.
const fn share(whole: usize, places: usize, at: usize) -> usize {
    whole / places + if at < whole % places { 1 } else { 0 }
}

fn given(fault: &'static Fault, random: &mut Random) -> Given {
    let of_node = matches!(fault.at, At::Node | At::Pod);
    let node = of_node.then(|| NODES[random.below(NODES.len())].to_owned());
    Given { fault, node }
}

/// Puts so many healthy runs evenly between steps, the first before all.
fn spread(steps: Vec<Step>, healthy: usize) -> Vec<Step> {
    let count = steps.len();
    let mut all = Vec::with_capacity(count + healthy);
    for (at, step) in steps.into_iter().enumerate() {
        all.extend((0..share_before(healthy, count, at)).map(|_| Step::Healthy));
        all.push(step);
    }
    let left = healthy - all.iter().filter(|step| matches!(step, Step::Healthy)).count();
    all.extend((0..left).map(|_| Step::Healthy));
    all
}

/// How many of `healthy` come right before the step `at` of `count`.
const fn share_before(healthy: usize, count: usize, at: usize) -> usize {
    // Ceilings, so that the first comes before the first step.
    (healthy * (at + 1)).div_ceil(count) - (healthy * at).div_ceil(count)
}

#[cfg(test)]
mod tests {
    use netlab::lab::{Mode, Proxy, fault};

    use super::*;

    fn wish(pairs: Pairs) -> Wish {
        let cells = [Mode::HostGw, Mode::Vxlan].map(|mode| Cell { mode, proxy: Proxy::Nftables });
        let (cells, faults) = (cells.into(), fault::all());
        Wish { cells, faults, rounds: 2, pairs, healthy: 15, seed: 7 }
    }

    fn told(plan: &Plan) -> Vec<String> {
        plan.cells.iter().flat_map(|(_, steps)| steps).map(|step| format!("{step:?}")).collect()
    }

    #[test]
    fn every_fault_is_tried_in_every_lab_that_it_is_fit_for_or_listed_as_unfit() {
        let plan = Plan::draw(&wish(Pairs::Some(0)));
        for (cell, steps) in &plan.cells {
            for fault in fault::all() {
                let tried = steps.iter().filter(|step| step.to_string() == fault.name).count();
                let is_unfit =
                    plan.unfit.iter().any(|no| no.cell == *cell && no.fault == fault.name);
                assert_eq!(tried, if is_unfit { 0 } else { 2 }, "{} in {cell}", fault.name);
            }
        }
    }

    #[test]
    fn healthy_runs_and_pairs_are_divided_among_labs_without_remainder() {
        let plan = Plan::draw(&wish(Pairs::Some(11)));
        let steps = || plan.cells.iter().map(|(_, steps)| steps);
        let healthy: Vec<_> =
            steps().map(|all| all.iter().filter(|step| step.diagnoses() == 1).count()).collect();
        assert_eq!(healthy, [8, 7]);
        assert!(steps().all(|all| matches!(all[0], Step::Healthy)));
        let is_pair = |step: &&Step| matches!(step, Step::Break(given) if given.len() == 2);
        let pairs: Vec<_> = steps().map(|all| all.iter().filter(is_pair).count()).collect();
        assert_eq!(pairs, [6, 5]);
    }

    #[test]
    fn a_seed_draws_one_plan() {
        let draw = |seed| told(&Plan::draw(&Wish { seed, ..wish(Pairs::Some(5)) }));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn all_pairs_are_those_that_are_not_excluded_by_a_rule() {
        let plan = Plan::draw(&Wish { rounds: 0, healthy: 0, ..wish(Pairs::All) });
        let steps: usize = plan.cells.iter().map(|(_, steps)| steps.len()).sum();
        assert_eq!(steps, plan.judged);
        assert_eq!(plan.unjudged.len(), 2);
        assert!(plan.judged > 1_000, "{}", plan.judged);
        let is_of_pod = |given: &Given| given.fault.at == At::Pod;
        for step in plan.cells.iter().flat_map(|(_, steps)| steps) {
            let Step::Break(pair) = step else { panic!("{step}") };
            assert!(is_of_pod(&pair[0]) || !is_of_pod(&pair[1]), "{step}");
        }
    }

    #[test]
    fn without_faults_there_are_healthy_runs() {
        assert_eq!(spread(Vec::new(), 3).len(), 3);
        assert_eq!("all".parse(), Ok(Pairs::All));
        assert_eq!("12".parse(), Ok(Pairs::Some(12)));
        assert!("some".parse::<Pairs>().is_err());
    }
}
