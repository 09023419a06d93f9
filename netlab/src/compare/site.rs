//! The labs that a comparison is made in, one a cell, all at the same time since their rounds
//! take turns. They are gone when [`Sites`] is dropped.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::runtime::Runtime;

use super::{
    CompareError,
    labs::{self, Labs},
    options::{Options, Proxy},
    plan::Cell,
    result::CellConditions,
    stop::Stop,
    usage::{BpfTime, bpf_time},
    workload::Ends,
};
use crate::{
    lab::{
        Host, LabDir, Topology, UPLINK,
        options::DEFAULT_MTU,
        up::{Request, up},
    },
    netlink::{
        Connection, Netns, Route,
        ethtool::{self, Offload},
        sysctl,
    },
    spec::{self, Objects},
};

/// What the client dials, and what the pod serves.
const TCP_PORTS: [u16; 2] = [30080, 8080];
const UDP_PORTS: [u16; 2] = [30053, 5353];
/// Node ports of the Services that nobody dials.
const FIRST_FILLER: u32 = 30_100;

/// The node that is dialled, with its pod, and the other one's pod.
const NODE: &str = "node-1";
pub(super) const NODES: [&str; 2] = ["node-1", "node-2"];
const NEAR: &str = "near";
const FAR: &str = "far";

/// The labs, until this is dropped.
#[derive(Debug)]
pub struct Sites<'r> {
    labs: Labs<'r>,
    objects: Objects,
    sites: Vec<Site>,
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
    /// Processes of netlab's own agents; none for other proxies.
    agents: Vec<u32>,
    /// Where its objects are, and what its agents say.
    pub(super) dir: LabDir,
}

impl<'r> Sites<'r> {
    /// None yet.
    ///
    /// # Errors
    ///
    /// Where the objects cannot be made: a bug, since the options are checked.
    pub fn new(runtime: &'r Runtime, options: &Options) -> Result<Self, CompareError> {
        let objects = objects(options, options.services)?;
        Ok(Self { labs: Labs::new(runtime), objects, sites: Vec::new() })
    }

    /// Brings a cell's lab up.
    ///
    /// # Errors
    ///
    /// [`CompareError::Interrupted`] soon after someone asks to stop; what the lab fails with.
    pub fn add(&mut self, cell: Cell, options: &Options, stop: &Stop) -> Result<(), CompareError> {
        let name = labs::name(cell.mode, cell.proxy).ok_or(CompareError::Gone(cell))?;
        let request = Request {
            objects: Some(self.objects.clone()),
            silent: true,
            mode: Some(cell.mode),
            proxy: Some(cell.proxy.of_lab()),
            hook: cell.proxy.hook(),
            mtu: Some(options.mtu),
            ..Request::new(name.clone())
        };
        self.labs.write_down(&name);
        let site = self.labs.until_stopped(stop, async {
            let failed = |source| CompareError::Up { cell, source: Box::new(source) };
            up(&request, |_| ()).await.map_err(failed)?;
            Site::open(cell, LabDir::new(&name), options).await
        })?;
        self.sites.push(site);
        Ok(())
    }

    /// The lab of a cell, if it is up.
    #[must_use]
    pub fn site(&self, cell: Cell) -> Option<&Site> {
        self.sites.iter().find(|site| site.cell == cell)
    }

    /// All that are up.
    #[must_use]
    pub fn all(&self) -> &[Site] {
        &self.sites
    }
}

impl Site {
    async fn open(cell: Cell, dir: LabDir, options: &Options) -> Result<Self, CompareError> {
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
        let ends = Ends {
            client: Netns::open(&client.netns)?,
            server: Netns::open(&pod.netns)?,
            tcp: SocketAddr::new(dialled, TCP_PORTS[side]),
            udp: SocketAddr::new(dialled, UDP_PORTS[side]),
            tcp_port: TCP_PORTS[1],
            udp_port: UDP_PORTS[1],
        };
        // The client closes its connections, and soon needs their ports again.
        sysctl::write(&ends.client, "ipv4/tcp_tw_reuse", "1")?;
        let mut conditions = conditions(&[client, node, pod])?;
        let statuses = NODES.iter().filter_map(|node| dir.agent_status(node).ok().flatten());
        let statuses: Vec<_> = statuses.collect();
        if let Some(status) = statuses.first() {
            let what = if status.tool.is_empty() { &status.hook } else { &status.tool };
            conditions.hook.clone_from(what);
        }
        let own = cell.proxy.hook().is_some();
        let agents = statuses.iter().filter(|_| own).map(|status| status.pid).collect();
        Ok(Self { cell, ends, conditions, agents, dir })
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

fn conditions(hosts: &[&Host]) -> Result<CellConditions, CompareError> {
    let mut conditions = CellConditions { pod_mtu: DEFAULT_MTU, ..CellConditions::default() };
    for host in hosts {
        let netns = Netns::open(&host.netns)?;
        let mut on = Vec::new();
        for offload in Offload::ALL {
            if ethtool::get(&netns, UPLINK, offload)? {
                on.push(offload.letters().to_owned());
            }
        }
        conditions.offloads.insert(format!("{} {UPLINK}", host.name), on);
        if let Some(link) = host.links.iter().find(|link| link.name == UPLINK) {
            // The last one is the pod.
            conditions.pod_mtu = link.mtu;
        }
    }
    Ok(conditions)
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
    let port = |name: &str, protocol: &str, target: u16, node: u32| {
        format!(
            "  - {{name: {name}, protocol: {protocol}, port: {target}, targetPort: {target}, \
             nodePort: {node}}}\n"
        )
    };
    let service = |name: &str, ports: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
             spec:\n  type: NodePort\n  selector: {{app: {app}}}\n  ports:\n{ports}---\n"
        )
    };
    let tcp = port("tcp", "TCP", TCP_PORTS[1], TCP_PORTS[0].into());
    let udp = port("udp", "UDP", UDP_PORTS[1], UDP_PORTS[0].into());
    text.push_str(&service("measured", &(tcp + &udp)));
    for number in 1..services {
        let side = if number % 2 == 0 { "before" } else { "other" };
        let tcp = port("tcp", "TCP", TCP_PORTS[1], FIRST_FILLER + number);
        text.push_str(&service(&format!("{side}-{number}"), &tcp));
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
