//! Where the programs are attached, and which hook is chosen.

use std::{collections::BTreeMap, fmt};

use aya::programs::{
    ProgramError, TcAttachType, XdpMode, tc::SchedClassifierLinkId, xdp::XdpLinkId,
};
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

/// One program on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// As named in the object.
    pub program: &'static str,
    /// The interface.
    pub interface: Device,
    /// `xdp-native`, `tcx-ingress` or `tcx-egress`.
    pub kind: &'static str,
}

/// An interface as it is now: made anew under its old name it is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Interface index.
    pub index: u32,
    /// Interface name.
    pub name: String,
}

/// What is attached, and to which interfaces. They come and go while a node lives: a mode
/// changes, a link is mended.
#[derive(Debug, Default)]
pub struct Attachments {
    chosen: Option<Chosen>,
    tc: BTreeMap<Device, Vec<(&'static str, SchedClassifierLinkId)>>,
    xdp: BTreeMap<Device, XdpLinkId>,
}

impl Attachments {
    /// The hook that was chosen; None before the first [`Attachments::agree`].
    #[must_use]
    pub const fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_ref()
    }

    /// Attaches the programs to interfaces of the calling thread's namespace, and detaches
    /// them from all others. XDP, if chosen, is for the uplinks; tc for the uplinks and the
    /// VXLAN devices, since XDP leaves to it what it cannot forward, and since only egress
    /// sees a local backend's answers.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses; what was attached is detached with the programs.
    pub fn agree(
        &mut self,
        programs: &mut Programs,
        choice: Hook,
        uplinks: &[Device],
        tunnels: &[Device],
    ) -> Result<()> {
        let is_wanted = |device: &Device| uplinks.contains(device) || tunnels.contains(device);
        let gone: Vec<_> = self.tc.extract_if(.., |device, _| !is_wanted(device)).collect();
        for (name, link) in gone.into_iter().flat_map(|(_, links)| links) {
            // Gone already where its interface is.
            let _ = programs.tc(name)?.detach(link);
        }
        let gone: Vec<_> = self.xdp.extract_if(.., |device, _| !uplinks.contains(device)).collect();
        for (_, link) in gone {
            let _ = programs.xdp()?.detach(link);
        }
        for device in uplinks.iter().chain(tunnels) {
            self.attach_tc(programs, device)?;
        }
        self.choose(programs, choice, uplinks)
    }

    /// Everything that is attached.
    #[must_use]
    pub fn list(&self) -> Vec<Attached> {
        let tc = self.tc.iter().flat_map(|(device, links)| {
            links.iter().map(|(program, _)| Attached {
                program,
                interface: device.clone(),
                kind: if *program == program::TC_EGRESS { "tcx-egress" } else { "tcx-ingress" },
            })
        });
        let xdp = self.xdp.keys().map(|device| Attached {
            program: program::XDP,
            interface: device.clone(),
            kind: "xdp-native",
        });
        tc.chain(xdp).collect()
    }

    fn attach_tc(&mut self, programs: &mut Programs, device: &Device) -> Result<()> {
        if self.tc.contains_key(device) {
            return Ok(());
        }
        let mut links: Vec<(&'static str, SchedClassifierLinkId)> = Vec::new();
        for (name, point) in [
            (program::TC_EGRESS, TcAttachType::Egress),
            (program::TC_INGRESS, TcAttachType::Ingress),
        ] {
            match programs.tc(name)?.attach(&device.name, point) {
                Ok(link) => links.push((name, link)),
                Err(source) => {
                    for (name, link) in links {
                        // The attachment that failed is what the user has to hear of.
                        let _ = programs.tc(name)?.detach(link);
                    }
                    return Err(failed(name, device, source));
                }
            }
        }
        self.tc.insert(device.clone(), links);
        Ok(())
    }

    /// The first time decides for good, so that a node does not change its ways unasked.
    fn choose(&mut self, programs: &mut Programs, choice: Hook, uplinks: &[Device]) -> Result<()> {
        let chosen = self.chosen.as_ref().map(|chosen| chosen.name);
        if choice == Hook::Tc || chosen == Some("tc") {
            self.chosen.get_or_insert(Chosen { name: "tc", reason: "tc was asked for".into() });
            return Ok(());
        }
        match self.attach_xdp(programs, uplinks) {
            Err(Error::NoXdp { interface, source }) if choice == Hook::Auto && chosen.is_none() => {
                let reason = format!("{interface} cannot run XDP in its driver: {source}");
                self.chosen = Some(Chosen { name: "tc", reason });
            }
            outcome => {
                outcome?;
                let names: Vec<_> = uplinks.iter().map(|device| device.name.as_str()).collect();
                let reason = format!("the driver of {} runs XDP", names.join(", "));
                self.chosen.get_or_insert(Chosen { name: "xdp", reason });
            }
        }
        Ok(())
    }

    /// All uplinks or none: a node whose uplinks behave differently is hard to reason about.
    fn attach_xdp(&mut self, programs: &mut Programs, uplinks: &[Device]) -> Result<()> {
        let xdp = programs.xdp()?;
        for device in uplinks {
            if self.xdp.contains_key(device) {
                continue;
            }
            match xdp.attach(&device.name, XdpMode::Driver) {
                Ok(link) => {
                    self.xdp.insert(device.clone(), link);
                }
                Err(source) => {
                    for link in std::mem::take(&mut self.xdp).into_values() {
                        // The attachment that failed is what the user has to hear of.
                        let _ = xdp.detach(link);
                    }
                    let (interface, source) = (device.name.clone(), Box::new(source));
                    return Err(Error::NoXdp { interface, source });
                }
            }
        }
        Ok(())
    }
}

fn failed(name: &str, device: &Device, source: ProgramError) -> Error {
    Error::Program {
        operation: "attach",
        subject: format!("{name} to {}", device.name),
        source: Box::new(source),
    }
}
