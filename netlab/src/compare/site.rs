//! The labs that a comparison is made in, one a cell, all at the same time since their rounds
//! take turns. They are gone when [`Sites`] is dropped.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    thread::available_parallelism,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use ipnet::IpNet;
use tokio::runtime::Runtime;

use super::{
    CompareError,
    labs::{self, Labs},
    lane::{Lane, Memory, Stations},
    offloads,
    options::{Options, Proxy, filler_port},
    plan::Cell,
    result::CellConditions,
    softirq::Hosts,
    stop::Stop,
    traffic::Berth,
    usage::{BpfTime, bpf_time},
    wire,
    workload::Ends,
};
use crate::{
    lab::{
        Host, LabDir, LabName, Topology, UPLINK,
        options::DEFAULT_MTU,
        up::{Request, up},
    },
    netlink::{Connection, Netns, Route, sysctl},
    spec::{self, Objects},
};

/// What the client dials, and what the pod serves.
pub(super) const TCP_PORTS: [u16; 2] = [30080, 8080];
const UDP_PORTS: [u16; 2] = [30053, 5353];

/// The node that is dialled, with its pod, and the other one's pod.
const NODE: &str = "node-1";
pub(super) const NODES: [&str; 2] = ["node-1", "node-2"];
/// Beside the pod, the hosts through which all packets go, and the client.
const HOSTS: [&str; 4] = ["client", "fabric", NODE, NODES[1]];
const NEAR: &str = "near";
const FAR: &str = "far";

/// The labs, until this is dropped.
#[derive(Debug)]
pub struct Sites<'r> {
    labs: Labs<'r>,
    objects: Objects,
    sites: Vec<Site>,
    berth: Arc<Berth>,
    wire: Ends,
}

/// One cell's lab.
#[derive(Debug)]
pub struct Site {
    /// The cell.
    pub cell: Cell,
    /// Client and pod.
    pub ends: Ends,
    /// What it is made of.
    pub conditions: CellConditions,
    /// Whose CPU time is told: `client`, `fabric`, both nodes, and `pod`, which is the one
    /// that serves.
    pub hosts: Hosts,
    /// Processes of netlab's own agents; none for other proxies.
    agents: Vec<u32>,
    /// Where its objects are, and what its agents say.
    pub(super) dir: LabDir,
}

impl<'r> Sites<'r> {
    /// None yet, but the load's own wire.
    ///
    /// # Errors
    ///
    /// Where the objects cannot be made: a bug, since the options are checked. Where the kernel
    /// refuses a namespace or a wire.
    pub fn new(runtime: &'r Runtime, options: &Options) -> Result<Self, CompareError> {
        let objects = objects(options, options.services)?;
        let (berth, wire) = runtime.block_on(async {
            let berth = Arc::new(Berth::new().await?);
            let wire = wire::join(TCP_PORTS[1], UDP_PORTS[1], options.mtu, &berth).await?;
            Ok::<_, CompareError>((berth, wire))
        })?;
        Ok(Self { labs: Labs::new(runtime), objects, sites: Vec::new(), berth, wire })
    }

    /// Brings the labs of some cells up, as many at a time as there are processors: agents take
    /// turns at those where there are many Services. `begun` hears which cell is begun with, and
    /// how many are up by then.
    ///
    /// # Errors
    ///
    /// [`CompareError::Interrupted`] soon after someone asks to stop; what a lab fails with.
    pub fn build(
        &mut self,
        cells: &[Cell],
        options: &Options,
        stop: &Stop,
        mut begun: impl FnMut(Cell, usize),
    ) -> Result<(), CompareError> {
        let mut named = Vec::new();
        for cell in cells {
            let name = labs::name(cell.mode, cell.proxy).ok_or(CompareError::Gone(*cell))?;
            self.labs.write_down(&name);
            named.push((*cell, name));
        }
        let Self { labs, objects, sites, berth, .. } = self;
        let at_once = available_parallelism().map_or(1, NonZeroUsize::get);
        labs.until_stopped(stop, async {
            let (mut to_begin, mut building) = (named.into_iter(), FuturesUnordered::new());
            loop {
                while building.len() < at_once
                    && let Some((cell, name)) = to_begin.next()
                {
                    begun(cell, sites.len());
                    building.push(bring_up(cell, name, objects, options, berth));
                }
                match building.next().await {
                    Some(site) => sites.push(site?),
                    None => return Ok(()),
                }
            }
        })
    }

    /// The lab of a cell, if it is up.
    #[must_use]
    pub fn site(&self, cell: Cell) -> Option<&Site> {
        self.sites.iter().find(|site| site.cell == cell)
    }

    /// The ends of a wire without a lab.
    #[must_use]
    pub const fn wire(&self) -> &Ends {
        &self.wire
    }

    /// All that are up.
    #[must_use]
    pub fn all(&self) -> &[Site] {
        &self.sites
    }
}

async fn bring_up(
    cell: Cell,
    name: LabName,
    objects: &Objects,
    options: &Options,
    berth: &Arc<Berth>,
) -> Result<Site, CompareError> {
    let request = Request {
        objects: Some(objects.clone()),
        silent: true,
        mode: Some(cell.mode),
        proxy: Some(cell.proxy.of_lab()),
        hook: cell.proxy.hook(),
        mtu: Some(options.mtu),
        ..Request::new(name.clone())
    };
    let failed = |source| CompareError::Up { cell, source: Box::new(source) };
    up(&request, |_| ()).await.map_err(failed)?;
    Site::open(cell, LabDir::new(&name), options, berth).await
}

impl Site {
    async fn open(
        cell: Cell,
        dir: LabDir,
        options: &Options,
        berth: &Arc<Berth>,
    ) -> Result<Self, CompareError> {
        let topology = dir.topology()?.ok_or(CompareError::Gone(cell))?;
        let host = |name| topology.host(name).ok_or(CompareError::Gone(cell));
        let (client, node) = (host("client")?, host(NODE)?);
        let pod = host(if options.local { NEAR } else { FAR })?;
        let address = |host: &Host| address(host).ok_or(CompareError::Gone(cell));
        let direct = cell.proxy == Proxy::None;
        if direct {
            lead_through_node(&topology, address(client)?, address(node)?, address(pod)?).await?;
        }
        let (dialled, side) = if direct { (address(pod)?, 1) } else { (address(node)?, 0) };
        let udp = SocketAddr::new(dialled, UDP_PORTS[side]);
        let memories = NODES.map(|name| Ok(Memory::of_node(&host(name)?.netns, &dir, name)?));
        let memories: Vec<_> = memories.into_iter().collect::<Result<_, CompareError>>()?;
        let (near, far) = (Netns::open(&client.netns)?, Netns::open(&pod.netns)?);
        let stations = Stations {
            client: (&near, address(client)?),
            fabric: &Netns::open(&host("fabric")?.netns)?,
            node: &Netns::open(&node.netns)?,
            pod: &far,
        };
        let lane = Lane::of_lab(stations, udp, memories, berth).await?;
        let ends = Ends {
            client: near,
            server: far,
            tcp: SocketAddr::new(dialled, TCP_PORTS[side]),
            udp,
            tcp_port: TCP_PORTS[1],
            udp_port: UDP_PORTS[1],
            lane,
        };
        // The client closes its connections, and soon needs their ports again.
        sysctl::write(&ends.client, "ipv4/tcp_tw_reuse", "1")?;
        let uplink = pod.links.iter().find(|link| link.name == UPLINK);
        let mut conditions = CellConditions {
            hook: String::new(),
            pod_mtu: uplink.map_or(DEFAULT_MTU, |link| link.mtu),
            offloads: offloads::read(&topology, &[client, node, host(NODES[1])?, pod])?,
        };
        let statuses = NODES.iter().filter_map(|node| dir.agent_status(node).ok().flatten());
        let statuses: Vec<_> = statuses.collect();
        if let Some(status) = statuses.first() {
            let what = if status.tool.is_empty() { &status.hook } else { &status.tool };
            conditions.hook.clone_from(what);
        }
        let own = cell.proxy.hook().is_some();
        let agents = statuses.iter().filter(|_| own).map(|status| status.pid).collect();
        let mut hosts = Hosts::new();
        for (name, host) in
            HOSTS.map(|name| (name, host(name))).into_iter().chain([("pod", Ok(pod))])
        {
            hosts.insert(name.to_owned(), inode(host?)?);
        }
        Ok(Self { cell, ends, conditions, hosts, agents, dir })
    }

    /// What the programs of both nodes have run for; nothing where there are none.
    #[must_use]
    pub fn bpf_time(&self) -> Option<BpfTime> {
        (!self.agents.is_empty()).then(|| bpf_time(&self.agents))
    }
}

/// What a lab is made of, with so many Services.
///
/// # Errors
///
/// Where the objects are refused: a bug, since the options are checked.
pub(super) fn objects(options: &Options, services: u32) -> Result<Objects, CompareError> {
    Ok(spec::read_str("the comparison's objects", &manifest(options, services))?)
}

/// That of its network namespace, which the kernel keeps in 32 bits.
fn inode(host: &Host) -> Result<u32, CompareError> {
    let inode = Netns::open(&host.netns)?.inode()?;
    Ok(u32::try_from(inode).unwrap_or(0))
}

fn address(host: &Host) -> Option<IpAddr> {
    let mut on_uplink = host.addresses.iter().filter(|address| address.device == UPLINK);
    on_uplink.find(|address| address.net.addr().is_ipv4()).map(|address| address.net.addr())
}

/// Where no proxy answers, the client dials the pod itself, by way of the node that it dials
/// otherwise; and the pod's answers come back that way, as they do where the node masquerades.
async fn lead_through_node(
    topology: &Topology,
    client: IpAddr,
    node: IpAddr,
    pod: IpAddr,
) -> Result<(), CompareError> {
    let open = |name: &str| {
        let host = topology.host(name).map(|host| host.netns.as_str()).unwrap_or_default();
        Ok::<_, CompareError>(Connection::open(&Netns::open(host)?)?)
    };
    let connection = open("client")?;
    let device = Some(connection.link(UPLINK).await?.index);
    let route = Route {
        destination: IpNet::from(pod),
        gateway: Some(node),
        device,
        onlink: false,
        source: None,
        kernel: false,
    };
    connection.replace_route(&route).await?;
    for name in NODES {
        // On a switch, a router tells a sender of a shorter way, which is not to be taken here.
        for scope in ["all", UPLINK] {
            let netns = open(name)?;
            sysctl::write(netns.netns(), &format!("ipv4/conf/{scope}/send_redirects"), "0")?;
        }
    }
    let home = topology.hosts.iter().find(|host| address(host) == Some(pod));
    let is_near = home.is_some_and(|host| host.name == NEAR);
    if is_near {
        return Ok(());
    }
    // Back as to a pod of the dialled node: through the tunnel, if there is one.
    let near = topology.host(NEAR).and_then(address);
    let (connection, near) = (open(NODES[1])?, near.unwrap_or(node));
    let path = connection.route_get(near).await?;
    let back = Route {
        destination: IpNet::from(client),
        gateway: path.gateway,
        device: Some(path.device),
        onlink: true,
        source: None,
        kernel: false,
    };
    connection.replace_route(&back).await?;
    Ok(())
}

/// Two nodes with a pod each, the Service that is dialled, and as many others as it takes. The
/// dialled one's name is in the middle of all, where rules are searched in order.
fn manifest(options: &Options, services: u32) -> String {
    let app = if options.local { NEAR } else { FAR };
    let mut text = String::new();
    for (node, pod) in NODES.iter().zip([NEAR, FAR]) {
        text.push_str(&format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n---\n\
             apiVersion: v1\nkind: Pod\n\
             metadata: {{name: {pod}, labels: {{app: {pod}}}}}\n\
             spec: {{nodeName: {node}, containers: [{{name: load}}]}}\n---\n"
        ));
    }
    let port = |name: &str, protocol: &str, target: u16, node: Option<u32>| {
        let node = node.map(|port| format!(", nodePort: {port}")).unwrap_or_default();
        format!(
            "  - {{name: {name}, protocol: {protocol}, port: {target}, targetPort: {target}{node}}}\n"
        )
    };
    let service = |name: &str, kind: &str, ports: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
             spec:\n  type: {kind}\n  selector: {{app: {app}}}\n  ports:\n{ports}---\n"
        )
    };
    let tcp = port("tcp", "TCP", TCP_PORTS[1], Some(TCP_PORTS[0].into()));
    let udp = port("udp", "UDP", UDP_PORTS[1], Some(UDP_PORTS[0].into()));
    text.push_str(&service("measured", "NodePort", &(tcp + &udp)));
    for number in 1..services {
        let side = if number % 2 == 0 { "before" } else { "other" };
        let node_port = filler_port(number);
        let kind = if node_port.is_some() { "NodePort" } else { "ClusterIP" };
        let tcp = port("tcp", "TCP", TCP_PORTS[1], node_port);
        text.push_str(&service(&format!("{side}-{number}"), kind, &tcp));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{LabName, Mode, address::complete, options::Underlay};

    fn resolved(options: &Options) -> spec::Spec {
        let mut objects = spec::read_str("test", &manifest(options, options.services)).unwrap();
        complete(&mut objects, Underlay::L2).unwrap();
        objects.resolve().unwrap()
    }

    #[test]
    fn the_dialled_service_has_the_asked_pod_and_stands_in_the_middle() {
        for (local, node) in [(false, "node-2"), (true, "node-1")] {
            let spec = resolved(&Options { services: 101, local, ..Options::default() });
            assert_eq!(spec.services.len(), 101);
            let at = spec.services.iter().position(|s| s.name.name == "measured").unwrap();
            assert_eq!(at, 50);
            for port in &spec.services[at].ports {
                assert_eq!(port.endpoints.len(), 1);
                assert_eq!(port.endpoints[0].node.as_deref(), Some(node));
            }
        }
    }

    #[test]
    fn ten_thousand_services_have_the_node_ports_that_there_are_and_the_dialled_one_in_the_middle()
    {
        let spec = resolved(&Options { services: 10_000, ..Options::default() });
        assert_eq!(spec.services.len(), 10_000);
        let at = spec.services.iter().position(|s| s.name.name == "measured").unwrap();
        assert_eq!(at, 4_999);
        // Where only node ports are searched in order, too.
        let ports = |services: &[spec::model::Service]| -> Vec<u16> {
            let ports = services.iter().flat_map(|service| &service.ports);
            ports.filter_map(|port| Some(port.node_port?.get())).collect()
        };
        let [before, behind] = [&spec.services[..at], &spec.services[at + 1..]].map(ports);
        assert_eq!([before.len(), behind.len()], [1_333, 1_334]);
        let range = [before, behind].concat();
        assert_eq!(range.iter().min(), Some(&30_101));
        assert_eq!(range.iter().max(), Some(&32_767));
        assert!(spec.services.iter().all(|service| service.cluster_addresses.len() == 1));
    }

    #[test]
    fn a_lab_can_have_the_longest_name_of_a_cell() {
        for mode in [Mode::HostGw, Mode::Vxlan] {
            let words = Proxy::ALL.map(|proxy| proxy.to_string());
            for what in words.into_iter().chain([Underlay::Routed.to_string()]) {
                // The highest process id of Linux, PID_MAX_LIMIT.
                let longest = format!("nlcmp-4194304-{mode}-{what}");
                assert!(longest.parse::<LabName>().is_ok(), "{longest}");
                assert!(labs::name(mode, what).is_some());
            }
        }
    }
}
