//! What this machine cannot do, found out before anything is built: in namespaces that are
//! thrown away.

use std::net::Ipv4Addr;

use super::{
    CompareError,
    options::{Options, Proxy},
};
use crate::{
    lab::Mode,
    netlink::{self, Connection, Mac, Netns, NewVxlan},
    proxy,
};

/// Tries what the options need and a kernel may lack, or a machine have no program for.
pub(super) async fn all(options: &Options) -> Result<(), CompareError> {
    for proxy in &options.proxies {
        let Some(kind) = Proxy::kube_proxy(*proxy) else { continue };
        let failed = |source| CompareError::Proxy { proxy: *proxy, source };
        proxy::probe(kind).await.map_err(failed)?;
    }
    for mode in &options.modes {
        let failed = |source| CompareError::Mode { mode: *mode, source };
        network(*mode).await.map_err(failed)?;
    }
    Ok(())
}

/// Makes the device of a mode; host-gw has none.
async fn network(mode: Mode) -> Result<(), netlink::Error> {
    match mode {
        Mode::HostGw => Ok(()),
        Mode::Vxlan => {
            let connection = Connection::open(&Netns::unnamed()?)?;
            let device = NewVxlan {
                name: "probe",
                mac: Mac([2, 0, 0, 0, 0, 1]),
                mtu: 1450,
                vni: 1,
                port: 8472,
                local: Ipv4Addr::LOCALHOST.into(),
                device: connection.link("lo").await?.index,
            };
            connection.create_vxlan(&device).await
        }
    }
}
