//! All that the kernel tells about links, addresses, routes and the rest, as it tells it: for
//! those who keep everything.

use std::net::{Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use netlink_packet_route::{
    AddressFamily, address::AddressMessage, link::LinkMessage, neighbour::NeighbourMessage,
    route::RouteMessage, rule::RuleMessage, tc::TcMessage,
};
use rtnetlink::{IpVersion, RouteMessageBuilder};

use super::{Connection, Result};

impl Connection {
    pub(crate) async fn link_messages(&self) -> Result<Vec<LinkMessage>> {
        let answers = self.handle.link().get().execute();
        answers.try_collect().await.map_err(|e| self.failed("list", "the links", e))
    }

    pub(crate) async fn address_messages(&self) -> Result<Vec<AddressMessage>> {
        let answers = self.handle.address().get().execute();
        answers.try_collect().await.map_err(|e| self.failed("list", "the addresses", e))
    }

    /// Of all tables, both families.
    pub(crate) async fn route_messages(&self) -> Result<Vec<RouteMessage>> {
        let mut messages = Vec::new();
        let queries = [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ];
        for query in queries {
            let answers = self.handle.route().get(query).execute();
            let answers: Vec<RouteMessage> =
                answers.try_collect().await.map_err(|e| self.failed("list", "the routes", e))?;
            messages.extend(answers);
        }
        Ok(messages)
    }

    /// Policy routing of one family.
    pub(crate) async fn rule_messages(&self, v4: bool) -> Result<Vec<RuleMessage>> {
        let version = if v4 { IpVersion::V4 } else { IpVersion::V6 };
        let answers = self.handle.rule().get(version).execute();
        answers.try_collect().await.map_err(|e| self.failed("list", "the rules", e))
    }

    /// Neighbors of a family; FDB entries of [`AddressFamily::Bridge`].
    pub(crate) async fn neighbor_messages(
        &self,
        family: AddressFamily,
    ) -> Result<Vec<NeighbourMessage>> {
        let answers = self.handle.neighbours().get().set_address_family(family).execute();
        answers.try_collect().await.map_err(|e| self.failed("list", "the neighbors", e))
    }

    /// Queueing disciplines of all links.
    pub(crate) async fn qdisc_messages(&self) -> Result<Vec<TcMessage>> {
        let answers = self.handle.qdisc().get().execute();
        answers.try_collect().await.map_err(|e| self.failed("list", "the qdiscs", e))
    }

    /// Filters at a link's clsact, ingress or egress.
    pub(crate) async fn filter_messages(&self, link: u32, ingress: bool) -> Result<Vec<TcMessage>> {
        let mut filters = self.handle.traffic_filter(link.cast_signed());
        let query = if ingress { filters.get().ingress() } else { filters.get().egress() };
        let answers = query.execute();
        answers.try_collect().await.map_err(|e| self.failed("list", "the filters", e))
    }
}
