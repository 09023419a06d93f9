//! netlab's own maps on a node, cut down to what touches the subject.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::netlink::Mac;

/// The maps that an agent has pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Datapath {
    /// What the programs were told about their node.
    pub config: Config,
    /// What clients can dial.
    pub frontends: Vec<Frontend>,
    /// How many frontends are not here.
    pub frontends_left_out: usize,
    /// Addresses on which node ports answer.
    pub node_addresses: Vec<IpAddr>,
    /// MAC addresses of VTEPs, and where they are.
    pub vteps: Vec<(Mac, IpAddr)>,
    /// The conntrack table.
    pub conntrack: Conntrack,
}

/// What the programs were told about their node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The agent has configured them: until then they pass everything.
    pub configured: bool,
    /// Index of the VXLAN device; None without one.
    pub vxlan_device: Option<u32>,
    /// Its VNI.
    pub vni: u32,
    /// Its UDP port, host order.
    pub vxlan_port: u16,
    /// Source address of encapsulated packets.
    pub vtep: Option<IpAddr>,
    /// Lowest and highest port that masquerading may choose.
    pub snat_ports: (u16, u16),
    /// Seconds.
    pub timeouts: Timeouts,
}

/// When a silent connection is forgotten, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// Before the handshake is complete.
    pub syn: u64,
    /// Established TCP.
    pub established: u64,
    /// One side has sent its FIN.
    pub half_closed: u64,
    /// Both sides have, or one has reset.
    pub closing: u64,
    /// UDP without an answer.
    pub udp_new: u64,
    /// UDP with an answer.
    pub udp_assured: u64,
}

/// What a client can dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontend {
    /// Number of the Service port in the maps.
    pub service: u32,
    /// Address and port; an unspecified address stands for every node address.
    pub address: SocketAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// How many backends it promises.
    pub backend_count: u32,
    /// Those that are there, by slot.
    pub backends: Vec<Backend>,
}

/// A backend in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Position among the Service's backends, from 0.
    pub slot: u32,
    /// Pod address and port.
    pub address: SocketAddr,
    /// It runs on this node.
    pub local: bool,
    /// Source address of connections to it; None for local ones.
    pub masquerade: Option<IpAddr>,
}

/// The conntrack table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conntrack {
    /// Entries in it, two a connection.
    pub entries: usize,
    /// Entries that there is room for.
    pub capacity: usize,
    /// Connections that touch the subject.
    pub connections: Vec<Connection>,
    /// How many that touch it were left out, since there are so many.
    pub left_out: usize,
    /// Source addresses with backends, and how many ports the connections between them take of
    /// [`Config::snat_ports`]; the most first, a few of them.
    pub port_use: Vec<PortUse>,
}

/// How many ports of masquerading are taken towards one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortUse {
    /// IP protocol number.
    pub protocol: u8,
    /// Source address of masquerading.
    pub masquerade: IpAddr,
    /// The backend.
    pub backend: SocketAddr,
    /// Ports taken.
    pub ports: usize,
}

/// A connection: both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// IP protocol number.
    pub protocol: u8,
    /// State, in the words of conntrack -L.
    pub state: String,
    /// The client.
    pub client: SocketAddr,
    /// What it dialled.
    pub frontend: SocketAddr,
    /// Who the backend takes for the client.
    pub source: SocketAddr,
    /// The backend.
    pub backend: SocketAddr,
    /// Seconds until it is forgotten if it stays silent.
    pub expires_in: u64,
    /// Packets from the client.
    pub packets: u64,
    /// Packets from the backend.
    pub reply_packets: u64,
}
