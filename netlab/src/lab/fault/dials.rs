//! What to dial to see a fault.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::Serialize;

use super::{
    FaultError, Request,
    catalogue::{self, At, Dialled, Shows},
    limits::STALE_PORT,
    site::Site,
};
use crate::{
    lab::{
        UPLINK,
        dial::{self, Answer, DialError},
    },
    spec::model::Protocol,
};

/// Octets to have echoed where large segments are needed.
const BULK: usize = 200_000;
const FEW: usize = 64;

/// One thing to dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dial {
    /// Host of the lab to dial from.
    pub from: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Address and port.
    pub to: SocketAddr,
    /// Source port; None: any.
    pub source_port: Option<u16>,
    /// Octets to have echoed.
    pub bytes: usize,
}

/// What to dial to see a fault that this would inject: with several backends more than once, as
/// some may not be affected.
///
/// # Errors
///
/// As [`inject`](super::inject()), which this changes nothing of.
pub fn dials(request: &Request) -> Result<Vec<Dial>, FaultError> {
    let Some(fault) = catalogue::find(&request.fault) else {
        return Err(FaultError::Unknown { name: request.fault.clone(), near: None });
    };
    let site = Site::new(fault, request)?;
    let port = site.node_port();
    let here = site.v4(&site.node)?;
    let there = || site.peer().and_then(|peer| site.v4(peer));
    let all = || Ok::<_, FaultError>(vec![here, there().unwrap_or(here)]);
    let from = |host: &str, to: IpAddr, port: u16, bytes: usize| Dial {
        from: host.to_owned(),
        protocol: site.port.protocol,
        to: (to, port).into(),
        source_port: None,
        bytes,
    };
    let client = |nodes: Vec<Ipv4Addr>, bytes: usize| {
        nodes.into_iter().map(|node| from("client", node.into(), port, bytes)).collect()
    };
    Ok(match fault.dialled {
        Dialled::AtNode => client(vec![here], FEW),
        Dialled::AtPeer => client(vec![there()?], FEW),
        Dialled::Anywhere => client(all()?, FEW),
        Dialled::Bulk => client(all()?, BULK),
        Dialled::AtNodeV6 => {
            let of_uplink = site.node.addresses.iter().filter(|address| address.device == UPLINK);
            let v6 = of_uplink.map(|address| address.net.addr()).find(IpAddr::is_ipv6);
            match v6 {
                Some(v6) => vec![from("client", v6, port, FEW)],
                None => return site.unfit("the node has no IPv6 address"),
            }
        }
        Dialled::UdpFlow => vec![udp_flow(&site, here)?],
        Dialled::PodToService => {
            let host = match fault.at {
                // Itself, where the fault is one of the pod's own port.
                At::Pod => site.pod()?,
                _ => site.neighbor()?,
            };
            let cluster = site.service.cluster_addresses.iter().find(|a| a.is_ipv4());
            match cluster {
                Some(address) => vec![from(&host.name, *address, site.port.port.get(), FEW)],
                None => return site.unfit("the Service has no cluster address"),
            }
        }
        Dialled::Loopback => {
            vec![from(&site.node.name, Ipv4Addr::LOCALHOST.into(), port, FEW)]
        }
    })
}

fn udp_flow(site: &Site, node: Ipv4Addr) -> Result<Dial, FaultError> {
    let (_, port) = site.udp_port()?;
    Ok(Dial {
        from: "client".to_owned(),
        protocol: Protocol::Udp,
        to: (node, port.get()).into(),
        source_port: Some(STALE_PORT),
        bytes: FEW,
    })
}

impl Dial {
    /// Dials once from the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// As [`dial::tcp`] and [`dial::udp`].
    pub async fn once(&self, limit: Duration) -> Result<Answer, DialError> {
        let from = self.source_port.unwrap_or(0);
        match self.protocol {
            Protocol::Tcp => dial::tcp_from(from, self.to, self.bytes, limit).await,
            Protocol::Udp => dial::udp_from(from, self.to, self.bytes, limit).await,
        }
    }

    /// What somebody who dialled met; None where it was the Service, as it should be. `pods` are
    /// the host names of the Service's pods.
    #[must_use]
    pub fn met(&self, outcome: &Result<Answer, DialError>, pods: &[&str]) -> Option<Shows> {
        match outcome {
            Ok(answer) if pods.contains(&answer.pod.as_str()) => None,
            Ok(_) | Err(DialError::Stranger(_) | DialError::Changed { .. }) => {
                Some(Shows::Stranger)
            }
            Err(DialError::Silence(_)) if self.bytes > FEW => Some(Shows::Stalls),
            Err(DialError::Silence(_)) => Some(Shows::Silence),
            Err(DialError::Io(error)) => Some(match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Shows::Refused,
                ErrorKind::TimedOut => Shows::Silence,
                _ => Shows::Unreachable,
            }),
        }
    }
}
