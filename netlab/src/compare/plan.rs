//! Which cells are measured, in which order, and what each is compared with. Pure.
//!
//! Law: contestants take turns (A B A B ...), in every round and for every workload, so that
//! what the machine does otherwise meets all of them. The first round warms up and is thrown
//! away; the last is for looking where time goes, and counts for nothing else.

use std::{fmt, iter};

use serde::{Deserialize, Serialize};

use super::{
    options::{Options, Proxy},
    result::LimitKind,
    workload::Workload,
};
use crate::lab::Mode;

/// A contestant: one pod network with one way to answer node ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Pod network.
    pub mode: Mode,
    /// Who answers node ports.
    pub proxy: Proxy,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.mode, self.proxy)
    }
}

impl Cell {
    /// The same network with nobody answering: what the proxy costs. None of itself.
    #[must_use]
    pub fn without_proxy(self) -> Option<Self> {
        (self.proxy != Proxy::None).then_some(Self { proxy: Proxy::None, ..self })
    }

    /// Whether a proxy answers here, and another than this one.
    #[must_use]
    pub fn is_beside(self, proxy: Proxy) -> bool {
        self.proxy != Proxy::None && self.proxy != proxy
    }

    /// The same proxy over host-gw: what encapsulation costs. None of itself.
    #[must_use]
    pub fn without_encapsulation(self) -> Option<Self> {
        (self.mode != Mode::HostGw).then_some(Self { mode: Mode::HostGw, ..self })
    }
}

/// What a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is thrown away.
    WarmUp,
    /// It counts; rounds are numbered from 1.
    Counted(u32),
    /// Where time goes is looked at, which costs time.
    Metered,
}

/// Rounds that do not count.
pub const UNCOUNTED_ROUNDS: u32 = 2;

impl Stage {
    /// Of all rounds, in order.
    fn all(options: &Options) -> impl Iterator<Item = Self> {
        let counted = (1..=options.rounds).map(Self::Counted);
        iter::once(Self::WarmUp).chain(counted).chain([Self::Metered])
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WarmUp => f.write_str("warm-up"),
            Self::Counted(round) => write!(f, "round {round}"),
            Self::Metered => f.write_str("metering"),
        }
    }
}

/// Where a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a cell.
    Cell(Cell),
    /// Where there is no cell: what it measures stands beside the cells.
    Limit(LimitKind),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell(cell) => cell.fmt(f),
            Self::Limit(kind) => write!(f, "limit: {kind}"),
        }
    }
}

/// One workload in one place in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// In which round.
    pub stage: Stage,
    /// What is done.
    pub workload: Workload,
    /// Where.
    pub place: Place,
}

/// All cells. Modes alternate within a proxy, since they are what is compared first.
#[must_use]
pub fn cells(options: &Options) -> Vec<Cell> {
    let of = |proxy: &Proxy| {
        let proxy = *proxy;
        options.modes.iter().map(move |mode| Cell { mode: *mode, proxy })
    };
    options.proxies.iter().flat_map(of).collect()
}

/// The cells in which the number of Services rises: of the first mode, those with a proxy. None
/// where that is not asked for.
#[must_use]
pub fn scaled(options: &Options) -> Vec<Cell> {
    let mode = options.modes.first().filter(|_| !options.scaling.is_empty());
    let is_scaled = |cell: &Cell| Some(&cell.mode) == mode && cell.proxy != Proxy::None;
    cells(options).into_iter().filter(is_scaled).collect()
}

/// The cell in whose lab bare forwarding is measured, with its own node doing it.
pub const FORWARDING: Cell = Cell { mode: Mode::HostGw, proxy: Proxy::None };

/// All labs: the cells', and that for bare forwarding, if it is none of them; where no workload
/// is asked for only those that something else needs.
#[must_use]
pub fn labs(options: &Options) -> Vec<Cell> {
    if options.workloads.is_empty() {
        return scaled(options);
    }
    let mut labs = cells(options);
    let forwards =
        |workload: &Workload| limits(*workload, options).any(|limit| limit == LimitKind::Forward);
    if options.workloads.iter().any(forwards) && !labs.contains(&FORWARDING) {
        labs.push(FORWARDING);
    }
    labs
}

/// What stands beside a workload. Bare forwarding ends at a wire, which a node's own pods are
/// not behind: they are behind its bridge, to which XDP cannot send.
fn limits(workload: Workload, options: &Options) -> impl Iterator<Item = LimitKind> + use<> {
    let forward = (workload.is_flood() && !options.local).then_some(LimitKind::Forward);
    iter::once(LimitKind::Veth).chain(forward)
}

/// All turns in order, the warm-up's first, the metering round's last.
#[must_use]
pub fn turns(options: &Options) -> Vec<Turn> {
    let cells = cells(options);
    let mut turns = Vec::new();
    for stage in Stage::all(options) {
        for workload in &options.workloads {
            let limits = limits(*workload, options).filter(|_| stage != Stage::Metered);
            let cells = cells.iter().map(|cell| Place::Cell(*cell));
            let mut places: Vec<_> = cells.chain(limits.map(Place::Limit)).collect();
            // What a turn leaves behind does not always meet the same one.
            if matches!(stage, Stage::Counted(round) if round % 2 == 0) {
                places.reverse();
            }
            let turn = |place| Turn { stage, workload: *workload, place };
            turns.extend(places.into_iter().map(turn));
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Options {
        Options {
            proxies: vec![Proxy::Nftables, Proxy::None],
            workloads: vec![Workload::Request, Workload::Bulk],
            rounds: 2,
            ..Options::default()
        }
    }

    #[test]
    fn contestants_alternate_within_a_workload_and_a_round() {
        let turns = turns(&small());
        let names: Vec<_> = turns.iter().take(10).map(|t| t.place.to_string()).collect();
        let once =
            ["host-gw nftables", "vxlan nftables", "host-gw none", "vxlan none", "limit: veth"];
        assert_eq!(names, [once, once].concat());
        assert_eq!(turns[4].workload, Workload::Request);
        assert_eq!(turns[5].workload, Workload::Bulk);
    }

    #[test]
    fn every_second_round_goes_the_other_way() {
        let turns = turns(&small());
        let of = |round| {
            let of = |turn: &&Turn| {
                turn.stage == Stage::Counted(round) && turn.workload == Workload::Bulk
            };
            turns.iter().filter(of).map(|turn| turn.place).collect::<Vec<_>>()
        };
        let mut back = of(2);
        back.reverse();
        assert_eq!(of(1), back);
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn every_cell_has_every_workload_once_a_round_the_warm_up_first_and_the_metering_last() {
        let options = small();
        let turns = turns(&options);
        let rounds = [Stage::WarmUp, Stage::Counted(1), Stage::Counted(2), Stage::Metered];
        // Limits are not looked into.
        assert_eq!(turns.len(), rounds.len() * 2 * (4 + 1) - 2);
        assert_eq!(rounds.len(), (options.rounds + UNCOUNTED_ROUNDS) as usize);
        assert!(turns.is_sorted_by_key(|turn| rounds.iter().position(|r| *r == turn.stage)));
        for stage in rounds {
            for cell in cells(&options) {
                let of = |turn: &&Turn| turn.stage == stage && turn.place == Place::Cell(cell);
                assert_eq!(turns.iter().filter(of).count(), 2, "{stage} {cell}");
            }
        }
    }

    #[test]
    fn bare_forwarding_stands_beside_floods_and_has_a_lab() {
        let with = |modes, local| Options {
            modes,
            local,
            workloads: vec![Workload::Connect, Workload::Pps],
            ..small()
        };
        let beside = |options: &Options| -> Vec<_> {
            let limits = turns(options).into_iter().filter(|turn| turn.stage == Stage::Counted(1));
            let name = |turn: Turn| match turn.place {
                Place::Limit(kind) => Some(format!("{} {kind}", turn.workload)),
                Place::Cell(_) => None,
            };
            limits.filter_map(name).collect()
        };
        let far = with(vec![Mode::Vxlan], false);
        assert_eq!(beside(&far), ["connect veth", "pps veth", "pps forward"]);
        assert_eq!(labs(&far).last(), Some(&FORWARDING));
        assert_eq!(labs(&far).len(), cells(&far).len() + 1);
        let both = with(vec![Mode::HostGw, Mode::Vxlan], false);
        assert_eq!(labs(&both), cells(&both));
        let near = with(vec![Mode::Vxlan], true);
        assert_eq!(beside(&near), ["connect veth", "pps veth"]);
        assert_eq!(labs(&near), cells(&near));
    }

    #[test]
    fn services_grow_in_one_mode_where_there_is_a_proxy() {
        let name = |cells: Vec<Cell>| cells.iter().map(Cell::to_string).collect::<Vec<_>>();
        let options = small();
        assert_eq!(name(scaled(&options)), ["host-gw nftables"]);
        assert_eq!(labs(&options), cells(&options));
        let alone = Options { workloads: Vec::new(), ..options.clone() };
        assert_eq!(name(labs(&alone)), ["host-gw nftables"]);
        let without = Options { scaling: Vec::new(), ..alone };
        assert_eq!(labs(&without), []);
    }

    #[test]
    fn the_baselines_differ_in_one_thing() {
        let cell = Cell { mode: Mode::Vxlan, proxy: Proxy::EbpfTc };
        let name = |cell: Option<Cell>| cell.map(|cell| cell.to_string());
        assert_eq!(name(cell.without_proxy()).as_deref(), Some("vxlan none"));
        assert_eq!(name(cell.without_encapsulation()).as_deref(), Some("host-gw ebpf-tc"));
        let plain = Cell { mode: Mode::HostGw, proxy: Proxy::None };
        assert_eq!(plain.without_proxy(), None);
        assert_eq!(plain.without_encapsulation(), None);
    }
}
