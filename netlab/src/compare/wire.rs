//! The load without a lab: two namespaces, a wire between them, and nothing else on it. What it
//! does there is the most that it does anywhere.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;

use super::{lane::Lane, traffic::Berth, workload::Ends};
use crate::{
    lab::{UPLINK, options::DEFAULT_MTU},
    netlink::{self, Address, Connection, Netns, VethEnd, sysctl},
};

/// Client and server; documentation addresses (RFC 5737).
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const PREFIX_LENGTH: u8 = 24;

/// Its ends; the server has these ports of TCP and of UDP.
///
/// # Errors
///
/// Where the kernel refuses.
pub async fn join(tcp: u16, udp: u16, mtu: u32, berth: &Arc<Berth>) -> netlink::Result<Ends> {
    let (client, server) = (Netns::unnamed()?, Netns::unnamed()?);
    let connections = [Connection::open(&client)?, Connection::open(&server)?];
    let end = VethEnd { name: UPLINK, mac: None, mtu: mtu.max(DEFAULT_MTU) };
    connections[0].create_veth(&end, &end, &server).await?;
    for (connection, address) in connections.iter().zip(ADDRESSES) {
        let link = connection.link(UPLINK).await?;
        let net = IpNet::new_assert(address.into(), PREFIX_LENGTH);
        connection.add_address(Address { device: link.index, net }).await?;
        connection.set_up(link.index).await?;
    }
    // As in a cell: the client soon needs its ports again.
    sysctl::write(&client, "ipv4/tcp_tw_reuse", "1")?;
    let [near, far] = ADDRESSES.map(IpAddr::from);
    let dialled = SocketAddr::new(far, udp);
    let lane = Lane::of_wire((&client, near), &server, dialled, berth).await?;
    Ok(Ends {
        client,
        server,
        tcp: SocketAddr::new(far, tcp),
        udp: dialled,
        tcp_port: tcp,
        udp_port: udp,
        lane,
    })
}
