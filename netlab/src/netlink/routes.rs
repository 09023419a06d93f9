//! Routes of the main table, and route lookup.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol,
        RouteScope, RouteType, RouteVia,
    },
};
use rtnetlink::RouteMessageBuilder;

use super::{Cause, Connection, Error, Result};

/// A unicast route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination network.
    pub destination: IpNet,
    /// Next hop; None where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Index of the link; None only for multipath routes, whose hops are not listed.
    pub device: Option<u32>,
    /// The gateway counts as on the link even where no address says so.
    pub onlink: bool,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Made by the kernel for an address, not by hand.
    pub kernel: bool,
}

/// Where a packet to a destination would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Index of the link that it leaves through.
    pub device: u32,
    /// Next hop; None where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Source address that a local socket would get.
    pub source: Option<IpAddr>,
    /// The destination is an address of this namespace.
    pub local: bool,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        Ok(())
    }
}

impl Connection {
    /// Unicast routes of the main table, both families.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        let messages = self.route_messages().await?;
        Ok(messages.iter().filter_map(Route::from_message).collect())
    }

    /// Sets a route, in place of one to the same destination. Its `kernel` field counts for
    /// nothing: a route set is one made by hand, as `ip route` makes them.
    ///
    /// # Errors
    ///
    /// ENETUNREACH or EHOSTUNREACH where the gateway is not on the link.
    pub async fn replace_route(&self, route: &Route) -> Result<()> {
        let message = self.route_message(route, "set the route")?;
        self.handle
            .route()
            .add(message)
            .replace()
            .execute()
            .await
            .map_err(|e| self.failed("set the route", route, e))
    }

    /// Takes a route away.
    ///
    /// # Errors
    ///
    /// [`Error::is_absent`] where there is none.
    pub async fn remove_route(&self, route: &Route) -> Result<()> {
        let message = self.route_message(route, "remove the route")?;
        self.handle
            .route()
            .del(message)
            .execute()
            .await
            .map_err(|e| self.failed("remove the route", route, e))
    }

    /// Asks the kernel where a packet from this namespace would go (`ip route get`).
    ///
    /// # Errors
    ///
    /// ENETUNREACH, EHOSTUNREACH or EACCES where no route leads there.
    pub async fn route_get(&self, destination: IpAddr) -> Result<Path> {
        let failed = |cause: Cause| self.failed("find a route to", destination, cause);
        let length = if destination.is_ipv4() { 32 } else { 128 };
        let query = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination, length)
            .map_err(|_| failed(Cause::Unfit("the prefix does not fit the family")))?
            .build();
        let answer = self
            .handle
            .route()
            .get(query)
            .execute()
            .try_next()
            .await
            .map_err(|e| failed(e.into()))?
            .ok_or_else(|| failed(Cause::Absent))?;
        let parts = Parts::of(&answer);
        Ok(Path {
            device: parts.device.ok_or_else(|| failed(Cause::Absent))?,
            gateway: parts.gateway,
            source: parts.source,
            local: answer.header.kind == RouteType::Local,
        })
    }

    fn route_message(&self, route: &Route, operation: &'static str) -> Result<RouteMessage> {
        let unfit = |_| -> Error {
            let cause = Cause::Unfit("destination, gateway and source differ in family");
            self.failed(operation, route, cause)
        };
        let net = route.destination;
        let mut builder = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(net.network(), net.prefix_len())
            .map_err(unfit)?
            .protocol(RouteProtocol::Boot);
        if let Some(gateway) = route.gateway {
            builder = builder.gateway(gateway).map_err(unfit)?;
        } else if net.addr().is_ipv4() {
            builder = builder.scope(RouteScope::Link);
        }
        if let Some(device) = route.device {
            builder = builder.output_interface(device);
        }
        if let Some(source) = route.source {
            builder = builder.pref_source(source).map_err(unfit)?;
        }
        if route.onlink {
            builder = builder.onlink();
        }
        Ok(builder.build())
    }
}

impl Route {
    fn from_message(message: &RouteMessage) -> Option<Self> {
        let parts = Parts::of(message);
        let header = &message.header;
        let unicast = header.kind == RouteType::Unicast
            && parts.table == u32::from(RouteHeader::RT_TABLE_MAIN);
        // The destination's attribute is absent for a default route.
        let network = parts.destination.or(match header.address_family {
            AddressFamily::Inet => Some(Ipv4Addr::UNSPECIFIED.into()),
            AddressFamily::Inet6 => Some(Ipv6Addr::UNSPECIFIED.into()),
            _ => None,
        })?;
        let destination = IpNet::new(network, header.destination_prefix_length).ok()?;
        unicast.then_some(Self {
            destination,
            gateway: parts.gateway,
            device: parts.device,
            onlink: header.flags.contains(RouteFlags::Onlink),
            source: parts.source,
            kernel: header.protocol == RouteProtocol::Kernel,
        })
    }
}

/// The attributes of a route message that matter here.
struct Parts {
    table: u32,
    destination: Option<IpAddr>,
    gateway: Option<IpAddr>,
    device: Option<u32>,
    source: Option<IpAddr>,
}

impl Parts {
    fn of(message: &RouteMessage) -> Self {
        let mut parts = Self {
            table: message.header.table.into(),
            destination: None,
            gateway: None,
            device: None,
            source: None,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Table(table) => parts.table = *table,
                RouteAttribute::Destination(address) => parts.destination = ip(address),
                RouteAttribute::Gateway(address) => parts.gateway = ip(address),
                RouteAttribute::Via(RouteVia::Inet(v4)) => parts.gateway = Some((*v4).into()),
                RouteAttribute::Via(RouteVia::Inet6(v6)) => parts.gateway = Some((*v6).into()),
                RouteAttribute::Oif(index) => parts.device = Some(*index),
                RouteAttribute::PrefSource(address) => parts.source = ip(address),
                _ => {}
            }
        }
        parts
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}
