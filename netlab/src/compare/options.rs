//! What a comparison is asked for, refused before anything is built where it makes no sense.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{plan, result::LEAST_PAIRS, traffic::Flood, workload::Workload};
use crate::{
    lab::{
        Hook, Mode,
        options::{self, DEFAULT_MTU, OptionsError},
    },
    proxy::Kind,
};

/// Rounds where nothing is said; fewer leave too much to chance.
pub const DEFAULT_ROUNDS: u32 = 9;
/// Length of one turn where nothing is said.
pub const DEFAULT_DURATION: Duration = Duration::from_millis(400);
/// Numbers of Services where nothing is said.
pub const DEFAULT_SCALING: [u32; 4] = [1, 10, 100, 1_000];
/// Flows where nothing is said.
pub const DEFAULT_FLOWS: u32 = 1_000;
/// More rounds than this are a slip of the finger.
const MAX_ROUNDS: u32 = 1_000;
/// Shorter turns drown in starting and stopping, longer ones fill the kernel's conntrack table.
const DURATIONS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(60)];
/// Services that ten labs can have at once within minutes. kube-proxy's rules take time by the
/// square: with 30,000 a lab of iptables alone takes minutes.
pub const MAX_SERVICES: u32 = 10_000;

/// Node ports of the Services that nobody dials come behind this one, up to the last one of
/// Kubernetes' range. Services that are left then have a ClusterIP and no node port.
const FILLERS: u32 = 30_100;
const LAST_NODE_PORT: u32 = 32_767;

/// The node port of a Service that nobody dials, by its number from 1; None where there is none
/// left.
#[must_use]
pub fn filler_port(number: u32) -> Option<u32> {
    (1..=LAST_NODE_PORT - FILLERS).contains(&number).then_some(FILLERS + number)
}

/// How many of so many Services have a node port, the dialled one among them.
#[must_use]
pub fn with_node_port(services: u32) -> u32 {
    services.min(LAST_NODE_PORT - FILLERS + 1)
}

/// Who answers node ports, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// netlab's program at XDP.
    EbpfXdp,
    /// netlab's program at tc.
    EbpfTc,
    /// kube-proxy's rules, in its nftables mode.
    Nftables,
    /// kube-proxy's rules, in its iptables mode.
    Iptables,
    /// Nobody: the pod itself is dialled, through the first node.
    None,
}

impl Proxy {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 5] =
        [Self::EbpfXdp, Self::EbpfTc, Self::Nftables, Self::Iptables, Self::None];

    /// What the lab calls it.
    #[must_use]
    pub const fn of_lab(self) -> options::Proxy {
        match self {
            Self::EbpfXdp | Self::EbpfTc => options::Proxy::Ebpf,
            Self::Nftables => options::Proxy::Nftables,
            Self::Iptables => options::Proxy::Iptables,
            Self::None => options::Proxy::None,
        }
    }

    /// Which one a lab has; its uplinks have XDP.
    #[must_use]
    pub const fn of(proxy: options::Proxy, hook: Hook) -> Self {
        match (proxy, hook) {
            (options::Proxy::Ebpf, Hook::Auto | Hook::Xdp) => Self::EbpfXdp,
            (options::Proxy::Ebpf, Hook::Tc) => Self::EbpfTc,
            (options::Proxy::Nftables, _) => Self::Nftables,
            (options::Proxy::Iptables, _) => Self::Iptables,
            (options::Proxy::None, _) => Self::None,
        }
    }

    /// [`Self::EbpfXdp`].
    pub(super) const fn at_xdp() -> Self {
        Self::EbpfXdp
    }

    /// Where its programs are attached, if it has any.
    #[must_use]
    pub const fn hook(self) -> Option<Hook> {
        match self {
            Self::EbpfXdp => Some(Hook::Xdp),
            Self::EbpfTc => Some(Hook::Tc),
            Self::Nftables | Self::Iptables | Self::None => None,
        }
    }

    /// Which of kube-proxy's modes it is, if any.
    #[must_use]
    pub fn kube_proxy(self) -> Option<Kind> {
        self.of_lab().kube_proxy()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EbpfXdp => "ebpf-xdp",
            Self::EbpfTc => "ebpf-tc",
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::None => "none",
        })
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Pod networks, in the order in which they are measured.
    pub modes: Vec<Mode>,
    /// Who answers node ports, in order.
    pub proxies: Vec<Proxy>,
    /// What is done, in order.
    pub workloads: Vec<Workload>,
    /// Services that there are, the dialled one among them.
    pub services: u32,
    /// Numbers of Services to measure the first byte with, rising; none where that is not asked
    /// for.
    pub scaling: Vec<u32>,
    /// UDP flows of the workloads that count packets per second.
    pub flows: u32,
    /// Whether what needs no clock is measured too: bytes, MTU, entropy, state.
    pub properties: bool,
    /// Largest L3 packet of the underlay, in octets.
    pub mtu: u32,
    /// Rounds that count; one more warms up.
    pub rounds: u32,
    /// How long one workload runs in one cell in one round.
    pub duration: Duration,
    /// The backend is on the node that is dialled, not on the other one.
    pub local: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            modes: vec![Mode::HostGw, Mode::Vxlan],
            proxies: Proxy::ALL.to_vec(),
            workloads: Workload::ALL.to_vec(),
            services: 1,
            scaling: DEFAULT_SCALING.to_vec(),
            flows: DEFAULT_FLOWS,
            properties: true,
            mtu: DEFAULT_MTU,
            rounds: DEFAULT_ROUNDS,
            duration: DEFAULT_DURATION,
            local: false,
        }
    }
}

/// What makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A list without an element.
    #[error("there are no {0} to compare; name at least one, or leave --{0} out")]
    Nothing(&'static str),
    /// The same twice.
    #[error("--{list} names {element} twice; each is measured once a round")]
    Twice {
        /// The list.
        list: &'static str,
        /// The element.
        element: String,
    },
    /// Too few or too many rounds.
    #[error(
        "--rounds {0} does not do: 1 to {MAX_ROUNDS} can be measured, and it takes \
         {LEAST_PAIRS} for a verdict"
    )]
    Rounds(u32),
    /// Too short or too long.
    #[error(
        "--duration {} does not do: a turn takes {} to {} seconds",
        .0.as_secs_f64(), DURATIONS[0].as_secs_f64(), DURATIONS[1].as_secs_f64()
    )]
    Duration(Duration),
    /// Too few or too many Services.
    #[error("--services {0} does not do: there can be 1, which is dialled, to {MAX_SERVICES}")]
    Services(u32),
    /// Too few or too many flows.
    #[error(
        "--flows {0} does not do: each flow is a source port from {first} on, so there can be \
         1 to {most}",
        first = Flood::FIRST_PORT, most = Flood::MOST
    )]
    Flows(u32),
    /// Nothing at all.
    #[error(
        "there is nothing to compare: --workloads names nothing that can be done with these \
         --proxies (scaling needs one that answers)"
    )]
    Empty,
    /// Numbers of Services that do not rise, or none of which one is dialled.
    #[error("numbers of Services to measure with rise, from 1 at least to {MAX_SERVICES}")]
    Scaling,
    /// The lab refuses the MTU in one of the modes.
    #[error(transparent)]
    Lab(#[from] OptionsError),
}

impl Options {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    ///
    /// The first thing that makes no sense.
    pub fn check(&self) -> Result<(), Refusal> {
        distinct("modes", &self.modes)?;
        distinct("proxies", &self.proxies)?;
        let nothing_else = !self.properties && self.scaling.is_empty();
        if nothing_else || !self.workloads.is_empty() {
            distinct("workloads", &self.workloads)?;
        } else if !self.properties && plan::scaled(self).is_empty() {
            return Err(Refusal::Empty);
        }
        if !(1..=MAX_SERVICES).contains(&self.services) {
            return Err(Refusal::Services(self.services));
        }
        let is_number = |services: &u32| (1..=MAX_SERVICES).contains(services);
        if !self.scaling.iter().all(is_number) || !self.scaling.is_sorted_by(|a, b| a < b) {
            return Err(Refusal::Scaling);
        }
        if !(1..=MAX_ROUNDS).contains(&self.rounds) {
            return Err(Refusal::Rounds(self.rounds));
        }
        if !(DURATIONS[0]..=DURATIONS[1]).contains(&self.duration) {
            return Err(Refusal::Duration(self.duration));
        }
        if !(1..=u32::from(Flood::MOST)).contains(&self.flows) {
            return Err(Refusal::Flows(self.flows));
        }
        for mode in &self.modes {
            options::check_mtu(*mode, self.mtu)?;
        }
        Ok(())
    }
}

impl Options {
    /// Who answers the node ports that properties are looked at through: kube-proxy's rules
    /// where they are asked for, since they do to a packet what the pod network lets them, even
    /// to fragments; else netlab's programs.
    #[must_use]
    pub fn proxy_of_properties(&self) -> Proxy {
        let asked = |proxy: &Proxy| self.proxies.contains(proxy);
        let rules = [Proxy::Nftables, Proxy::Iptables].into_iter().find(asked);
        let own = || self.proxies.iter().copied().find(|proxy| proxy.hook().is_some());
        rules.or_else(own).unwrap_or_else(Proxy::at_xdp)
    }
}

/// Numbers of Services to measure with: powers of ten up to `services` and that itself, or
/// [`DEFAULT_SCALING`] where there is one alone.
#[must_use]
pub fn scaling(services: u32) -> Vec<u32> {
    if services <= 1 {
        return DEFAULT_SCALING.to_vec();
    }
    let powers = std::iter::successors(Some(1_u32), |power| power.checked_mul(10));
    powers.take_while(|power| *power < services).chain([services]).collect()
}

fn distinct<T: PartialEq + fmt::Display>(
    list: &'static str,
    elements: &[T],
) -> Result<(), Refusal> {
    if elements.is_empty() {
        return Err(Refusal::Nothing(list));
    }
    let again = |(at, element): &(usize, &T)| elements[..*at].contains(element);
    match elements.iter().enumerate().find(again) {
        None => Ok(()),
        Some((_, element)) => Err(Refusal::Twice { list, element: element.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_measured() {
        assert_eq!(Options::default().check(), Ok(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_flag_that_says_it() {
        let refused = |change: fn(&mut Options), word: &str| {
            let mut options = Options::default();
            change(&mut options);
            let refusal = options.check().unwrap_err().to_string();
            assert!(refusal.contains(word), "{refusal}");
        };
        refused(|o| o.rounds = 0, "--rounds 0");
        refused(|o| o.rounds = MAX_ROUNDS + 1, "--rounds 1001");
        refused(|o| o.duration = Duration::from_millis(49), "--duration 0.049");
        refused(|o| o.duration = Duration::from_secs(61), "--duration 61");
        refused(|o| o.services = 0, "--services 0 ");
        refused(|o| o.flows = 0, "--flows 0 ");
        refused(|o| o.flows = u32::from(Flood::MOST) + 1, "--flows 64512");
        refused(
            |o| o.services = MAX_SERVICES + 1,
            "--services 10001 does not do: there can be 1, which is dialled, to 10000",
        );
        refused(|o| o.modes.clear(), "--modes");
        refused(|o| o.proxies.clear(), "--proxies");
        refused(
            |o| {
                (o.scaling, o.properties) = (Vec::new(), false);
                o.workloads.clear();
            },
            "--workloads",
        );
        refused(|o| o.scaling = vec![10, 10], "rise");
        refused(|o| o.scaling = vec![0], "rise");
        refused(|o| o.proxies.push(Proxy::None), "none twice");
        refused(|o| o.mtu = 1300, "an MTU of 1300");
    }

    #[test]
    fn properties_are_looked_at_through_a_proxy_that_was_asked_for() {
        use Proxy::{EbpfTc, EbpfXdp, Iptables, Nftables, None};
        let through = |proxies: &[Proxy]| {
            Options { proxies: proxies.to_vec(), ..Options::default() }.proxy_of_properties()
        };
        assert_eq!(through(&Proxy::ALL), Nftables);
        assert_eq!(through(&[EbpfXdp, Iptables, Nftables]), Nftables);
        assert_eq!(through(&[EbpfXdp, Iptables]), Iptables);
        assert_eq!(through(&[None, EbpfTc, EbpfXdp]), EbpfTc);
        assert_eq!(through(&[None]), EbpfXdp);
        for proxy in Proxy::ALL {
            assert_eq!(Proxy::of(proxy.of_lab(), proxy.hook().unwrap_or(Hook::Xdp)), proxy);
        }
    }

    #[test]
    fn services_have_node_ports_for_as_long_as_there_are_some() {
        assert_eq!([0, 1, 2_667, 2_668].map(filler_port), [None, Some(30_101), Some(32_767), None]);
        assert_eq!([1, 2_668, 2_669, MAX_SERVICES].map(with_node_port), [1, 2_668, 2_668, 2_668]);
    }

    #[test]
    fn services_grow_by_powers_of_ten_up_to_what_is_asked_for() {
        assert_eq!(scaling(1), DEFAULT_SCALING);
        assert_eq!(scaling(20), [1, 10, 20]);
        assert_eq!(scaling(1_000), [1, 10, 100, 1_000]);
        assert_eq!(scaling(2_000), [1, 10, 100, 1_000, 2_000]);
    }

    #[test]
    fn without_workloads_there_is_something_else_to_measure() {
        let none = Options { workloads: Vec::new(), ..Options::default() };
        assert_eq!(none.check(), Ok(()));
        let counted = Options { scaling: Vec::new(), ..none.clone() };
        assert_eq!(counted.check(), Ok(()));
        let direct = Options { properties: false, proxies: vec![Proxy::None], ..none };
        assert_eq!(direct.check(), Err(Refusal::Empty));
    }

    #[test]
    fn the_least_mtu_is_that_of_the_modes_asked_for() {
        let options = Options { modes: vec![Mode::HostGw], mtu: 1300, ..Options::default() };
        assert_eq!(options.check(), Ok(()));
    }
}
