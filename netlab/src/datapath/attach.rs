//! Where the programs are attached, and which hook is chosen.

use std::fmt;

use aya::programs::{TcAttachType, XdpMode};
use serde::{Deserialize, Serialize};

use super::{
    Error, Result,
    load::{Programs, program},
};

/// The hook that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// XDP where the uplinks' drivers have it, tc otherwise.
    #[default]
    Auto,
    /// XDP, or nothing.
    Xdp,
    /// tc alone.
    Tc,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        })
    }
}

/// The hook that took the node ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// `xdp` or `tc`.
    pub name: &'static str,
    /// Why, in a sentence.
    pub reason: String,
}

/// An interface of the node; one that is made anew under an old name has another index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// Interface index.
    pub index: u32,
    /// Interface name.
    pub name: String,
}

/// One program on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// As named in the object.
    pub program: &'static str,
    /// The interface.
    pub interface: Interface,
    /// `xdp-native`, `tcx-ingress` or `tcx-egress`.
    pub kind: &'static str,
}

/// What is attached where. The kernel itself detaches from an interface that goes.
#[derive(Clone, Debug, Default)]
pub struct Attachments {
    chosen: Option<Chosen>,
    attached: Vec<Attached>,
}

impl Attachments {
    /// The hook in use, once there is one.
    #[must_use]
    pub const fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_ref()
    }

    /// Every program on every interface.
    #[must_use]
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Attaches the programs to those interfaces of the calling thread's namespace that
    /// do not have them yet: XDP, if chosen, at the uplinks; tc at the uplinks and at
    /// the VXLAN devices (`tunnels`), since XDP leaves to it what it cannot forward, and
    /// since only egress sees a local backend's answers. Returns whether it did anything.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses; what was attached is detached with the programs.
    pub fn extend(
        &mut self,
        programs: &mut Programs,
        hook: Hook,
        uplinks: &[Interface],
        tunnels: &[Interface],
    ) -> Result<bool> {
        let present = |attached: &Attached| {
            uplinks.iter().chain(tunnels).any(|interface| *interface == attached.interface)
        };
        let before = self.attached.len();
        self.attached.retain(present);
        let lacks = |interface: &&Interface| {
            self.attached.iter().all(|attached| attached.interface != **interface)
        };
        let new_uplinks: Vec<Interface> = uplinks.iter().filter(lacks).cloned().collect();
        let new_tunnels: Vec<Interface> = tunnels.iter().filter(lacks).cloned().collect();
        if new_uplinks.is_empty() && new_tunnels.is_empty() {
            return Ok(self.attached.len() != before);
        }
        for interface in new_uplinks.iter().chain(&new_tunnels) {
            self.attach_tc(programs, interface)?;
        }
        match &self.chosen {
            Some(chosen) if chosen.name == "xdp" => self.attach_xdp(programs, &new_uplinks)?,
            Some(_) => {}
            None => self.chosen = Some(self.choose(programs, hook, &new_uplinks)?),
        }
        Ok(true)
    }

    fn choose(
        &mut self,
        programs: &mut Programs,
        hook: Hook,
        uplinks: &[Interface],
    ) -> Result<Chosen> {
        if hook == Hook::Tc {
            return Ok(Chosen { name: "tc", reason: "tc was asked for".into() });
        }
        match self.attach_xdp(programs, uplinks) {
            Ok(()) => {
                let names: Vec<&str> = uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
                let reason = format!("the driver of {} runs XDP", names.join(", "));
                Ok(Chosen { name: "xdp", reason })
            }
            Err(Error::NoXdp { interface, source }) if hook == Hook::Auto => Ok(Chosen {
                name: "tc",
                reason: format!("{interface} cannot run XDP in its driver: {source}"),
            }),
            Err(error) => Err(error),
        }
    }

    fn attach_tc(&mut self, programs: &mut Programs, interface: &Interface) -> Result<()> {
        for (name, point, kind) in [
            (program::TC_EGRESS, TcAttachType::Egress, "tcx-egress"),
            (program::TC_INGRESS, TcAttachType::Ingress, "tcx-ingress"),
        ] {
            programs.tc(name)?.attach(&interface.name, point).map_err(|source| Error::Program {
                operation: "attach",
                subject: format!("{name} to {}", interface.name),
                source: Box::new(source),
            })?;
            self.attached.push(Attached { program: name, interface: interface.clone(), kind });
        }
        Ok(())
    }

    /// All uplinks or none: a node whose uplinks behave differently is hard to reason about.
    fn attach_xdp(&mut self, programs: &mut Programs, uplinks: &[Interface]) -> Result<()> {
        let xdp = programs.xdp()?;
        let mut links = Vec::new();
        for interface in uplinks {
            match xdp.attach_to_if_index(interface.index, XdpMode::Driver) {
                Ok(link) => links.push(link),
                Err(source) => {
                    for link in links {
                        // The attachment that failed is what the user has to hear of.
                        let _ = xdp.detach(link);
                    }
                    let (interface, source) = (interface.name.clone(), Box::new(source));
                    return Err(Error::NoXdp { interface, source });
                }
            }
        }
        self.attached.extend(uplinks.iter().map(|interface| Attached {
            program: program::XDP,
            interface: interface.clone(),
            kind: "xdp-native",
        }));
        Ok(())
    }
}
