//! What a lab is asked to be.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{datapath::attach::Hook, proxy};

/// The name of a lab: the prefix of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

/// The text is no lab name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot name a lab: 1 to 32 lower-case letters, digits and dashes, \
     a letter or digit at both ends"
)]
pub struct LabNameError(String);

impl LabName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace of a host of this lab.
    #[must_use]
    pub fn netns(&self, host: &str) -> String {
        format!("{}-{host}", self.0)
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LabName {
    type Err = LabNameError;

    fn from_str(text: &str) -> Result<Self, LabNameError> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edges = !text.starts_with('-') && !text.ends_with('-');
        if (1..=32).contains(&text.len()) && text.chars().all(inner) && edges {
            Ok(Self(text.to_owned()))
        } else {
            Err(LabNameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for LabName {
    type Error = LabNameError;

    fn try_from(text: String) -> Result<Self, LabNameError> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

/// How packets travel between pods of different nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A route per peer node, the peer as gateway.
    #[default]
    HostGw,
    /// Encapsulated, as flannel lays it out.
    Vxlan,
}

/// What joins the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Underlay {
    /// One switch, one subnet.
    #[default]
    L2,
    /// A router, a subnet for each host.
    Routed,
}

/// Who answers node ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// netlab's own programs.
    #[default]
    Ebpf,
    /// kube-proxy's rules, in its nftables mode.
    Nftables,
    /// kube-proxy's rules, in its iptables mode.
    Iptables,
    /// Nobody.
    None,
}

impl Proxy {
    /// Which of kube-proxy's modes it is, if any.
    #[must_use]
    pub fn kube_proxy(self) -> Option<proxy::Kind> {
        match self {
            Self::Nftables => Some(proxy::Kind::Nftables),
            Self::Iptables => Some(proxy::Kind::Iptables),
            Self::Ebpf | Self::None => None,
        }
    }
}

macro_rules! display_as {
    ($($kind:ident { $($variant:ident => $word:literal),+ })+) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    )+};
}

display_as! {
    Mode { HostGw => "host-gw", Vxlan => "vxlan" }
    Underlay { L2 => "l2", Routed => "routed" }
    Proxy { Ebpf => "ebpf", Nftables => "nftables", Iptables => "iptables", None => "none" }
}

/// MTU of the underlay where nothing else is said: Ethernet's.
pub const DEFAULT_MTU: u32 = 1500;

/// What a lab is asked to be, apart from its objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Its name.
    pub name: LabName,
    /// Pod network.
    pub mode: Mode,
    /// What joins the hosts.
    pub underlay: Underlay,
    /// Who answers node ports.
    pub proxy: Proxy,
    /// Where the agents attach.
    pub hook: Hook,
    /// Largest L3 packet of the underlay, in octets.
    pub mtu: u32,
    /// Build host-gw on a routed underlay all the same.
    pub force: bool,
}

/// Options that contradict each other or the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// host-gw needs the nodes on one link.
    #[error(
        "host-gw cannot work on a routed underlay: its routes name the peer node as gateway, \
         and a gateway has to be on the same link, but here every node is alone in its subnet \
         behind a router that knows no pod network; take --mode vxlan or --underlay l2 \
         (or --force, to see how it fails)"
    )]
    HostGwRouted,
    /// The MTU cannot carry what it has to.
    #[error(
        "an MTU of {mtu} does not do: --mode {mode} needs {min} to {max} \
         (pods need 1280 for IPv6, the encapsulation up to 70)"
    )]
    Mtu {
        /// As asked for.
        mtu: u32,
        /// The mode asked for.
        mode: Mode,
        /// The least that works.
        min: u32,
        /// The most that a network of this kind has.
        max: u32,
    },
}

impl Options {
    /// The defaults under a name.
    #[must_use]
    pub fn new(name: LabName) -> Self {
        Self {
            name,
            mode: Mode::default(),
            underlay: Underlay::default(),
            proxy: Proxy::default(),
            hook: Hook::default(),
            mtu: DEFAULT_MTU,
            force: false,
        }
    }

    /// Refuses what cannot be built.
    ///
    /// # Errors
    ///
    /// host-gw on a routed underlay without `force`; an MTU that IPv6 (RFC 8200, 5) or jumbo
    /// frames do not allow.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.mode == Mode::HostGw && self.underlay == Underlay::Routed && !self.force {
            return Err(OptionsError::HostGwRouted);
        }
        check_mtu(self.mode, self.mtu)
    }

    /// Whether a program on a node's uplink may see packets before the stack does, which
    /// decides how its wire treats checksums.
    #[must_use]
    pub fn wants_complete_checksums(&self) -> bool {
        self.proxy == Proxy::Ebpf && matches!(self.hook, Hook::Auto | Hook::Xdp)
    }
}

/// Refuses an MTU of the underlay that a mode cannot do with.
///
/// # Errors
///
/// Less than IPv6 needs in pods (RFC 8200, 5), or more than jumbo frames have.
pub fn check_mtu(mode: Mode, mtu: u32) -> Result<(), OptionsError> {
    let (min, max) = match mode {
        Mode::HostGw => (1280, 9000),
        Mode::Vxlan => (1280 + 70, 9000),
    };
    if (min..=max).contains(&mtu) { Ok(()) } else { Err(OptionsError::Mtu { mtu, mode, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_namespace_prefix_can_be() {
        for good in ["lab", "t1", "lab-2", "a"] {
            assert_eq!(good.parse::<LabName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a/b", "..", "a b", &"a".repeat(33)] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn host_gw_behind_a_router_is_refused_unless_forced() {
        let mut options = Options::new("t".parse().unwrap());
        options.underlay = Underlay::Routed;
        assert_eq!(options.check(), Err(OptionsError::HostGwRouted));
        options.force = true;
        assert_eq!(options.check(), Ok(()));
        options.force = false;
        options.mode = Mode::Vxlan;
        assert_eq!(options.check(), Ok(()));
    }

    #[test]
    fn the_mtu_leaves_room_for_ipv6_in_pods() {
        let mut options = Options::new("t".parse().unwrap());
        options.mtu = 1280;
        assert_eq!(options.check(), Ok(()));
        options.mode = Mode::Vxlan;
        assert!(matches!(options.check(), Err(OptionsError::Mtu { min: 1350, .. })));
        options.mtu = 9001;
        assert!(options.check().is_err());
    }
}
