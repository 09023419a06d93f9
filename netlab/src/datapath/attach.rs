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

/// One program on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// As named in the object.
    pub program: &'static str,
    /// The interface.
    pub interface: String,
    /// `xdp-native`, `tcx-ingress` or `tcx-egress`.
    pub kind: &'static str,
}

/// Attaches the programs to interfaces of the calling thread's namespace: XDP, if
/// chosen, at the uplinks; tc at the uplinks and at the VXLAN device, since XDP leaves
/// to it what it cannot forward, and since only egress sees a local backend's answers.
///
/// # Errors
///
/// Where the kernel refuses; what was attached is detached with the programs.
pub fn attach(
    programs: &mut Programs,
    choice: Hook,
    uplinks: &[String],
    vxlan: Option<&str>,
) -> Result<(Chosen, Vec<Attached>)> {
    let mut attached = Vec::new();
    for interface in uplinks.iter().map(String::as_str).chain(vxlan) {
        attach_tc(programs, interface, &mut attached)?;
    }
    let hook = match choice {
        Hook::Tc => Chosen { name: "tc", reason: "tc was asked for".into() },
        Hook::Xdp | Hook::Auto => match attach_xdp(programs, uplinks, &mut attached) {
            Ok(()) => Chosen {
                name: "xdp",
                reason: format!("the driver of {} runs XDP", uplinks.join(", ")),
            },
            Err(Error::NoXdp { interface, source }) if choice == Hook::Auto => Chosen {
                name: "tc",
                reason: format!("{interface} cannot run XDP in its driver: {source}"),
            },
            Err(error) => return Err(error),
        },
    };
    Ok((hook, attached))
}

fn attach_tc(programs: &mut Programs, interface: &str, attached: &mut Vec<Attached>) -> Result<()> {
    for (name, point, kind) in [
        (program::TC_EGRESS, TcAttachType::Egress, "tcx-egress"),
        (program::TC_INGRESS, TcAttachType::Ingress, "tcx-ingress"),
    ] {
        programs.tc(name)?.attach(interface, point).map_err(|source| Error::Program {
            operation: "attach",
            subject: format!("{name} to {interface}"),
            source: Box::new(source),
        })?;
        attached.push(Attached { program: name, interface: interface.into(), kind });
    }
    Ok(())
}

/// All uplinks or none: a node whose uplinks behave differently is hard to reason about.
fn attach_xdp(
    programs: &mut Programs,
    uplinks: &[String],
    attached: &mut Vec<Attached>,
) -> Result<()> {
    let xdp = programs.xdp()?;
    let mut links = Vec::new();
    for interface in uplinks {
        match xdp.attach(interface, XdpMode::Driver) {
            Ok(link) => links.push(link),
            Err(source) => {
                for link in links {
                    // The attachment that failed is what the user has to hear of.
                    let _ = xdp.detach(link);
                }
                let (interface, source) = (interface.clone(), Box::new(source));
                return Err(Error::NoXdp { interface, source });
            }
        }
    }
    attached.extend(uplinks.iter().map(|interface| Attached {
        program: program::XDP,
        interface: interface.clone(),
        kind: "xdp-native",
    }));
    Ok(())
}
