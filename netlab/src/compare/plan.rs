//! Which cells are measured, in which order, and what each is compared with. Pure.
//!
//! Law: contestants take turns (A B A B ...), in every round and for every workload, so that
//! what the machine does otherwise meets all of them; the first round warms up and is thrown
//! away.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    options::{Options, Proxy},
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

    /// The same proxy over host-gw: what encapsulation costs. None of itself.
    #[must_use]
    pub fn without_encapsulation(self) -> Option<Self> {
        (self.mode != Mode::HostGw).then_some(Self { mode: Mode::HostGw, ..self })
    }
}

/// One workload in one cell in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// 0 is the warm-up.
    pub round: u32,
    /// What is done.
    pub workload: Workload,
    /// Where.
    pub cell: Cell,
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

/// The cells that a lab is built for: all, or where no workload is asked for only those that
/// something else needs.
#[must_use]
pub fn built(options: &Options) -> Vec<Cell> {
    if options.workloads.is_empty() { scaled(options) } else { cells(options) }
}

/// All turns in order, the warm-up's first.
#[must_use]
pub fn turns(options: &Options) -> Vec<Turn> {
    let cells = cells(options);
    let mut turns = Vec::new();
    for round in 0..=options.rounds {
        for workload in &options.workloads {
            let turn = |cell: &Cell| Turn { round, workload: *workload, cell: *cell };
            turns.extend(cells.iter().map(turn));
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
        let names: Vec<_> = turns.iter().take(8).map(|t| t.cell.to_string()).collect();
        let once = ["host-gw nftables", "vxlan nftables", "host-gw none", "vxlan none"];
        assert_eq!(names, [once, once].concat());
        assert_eq!(turns[3].workload, Workload::Request);
        assert_eq!(turns[4].workload, Workload::Bulk);
    }

    #[test]
    fn every_cell_has_every_workload_once_a_round_and_a_warm_up() {
        let options = small();
        let turns = turns(&options);
        assert_eq!(turns.len(), 3 * 2 * 4);
        for round in 0..=options.rounds {
            for cell in cells(&options) {
                let of = |turn: &&Turn| turn.round == round && turn.cell == cell;
                assert_eq!(turns.iter().filter(of).count(), 2, "{round} {cell}");
            }
        }
    }

    #[test]
    fn services_grow_in_one_mode_where_there_is_a_proxy() {
        let name = |cells: Vec<Cell>| cells.iter().map(Cell::to_string).collect::<Vec<_>>();
        let options = small();
        assert_eq!(name(scaled(&options)), ["host-gw nftables"]);
        assert_eq!(built(&options), cells(&options));
        let alone = Options { workloads: Vec::new(), ..options.clone() };
        assert_eq!(name(built(&alone)), ["host-gw nftables"]);
        let without = Options { scaling: Vec::new(), ..alone };
        assert_eq!(built(&without), []);
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
