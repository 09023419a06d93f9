//! Into and out of VXLAN: the neighbor behind the device, its FDB entry, and the way of the
//! datagram.

use std::net::{IpAddr, SocketAddr};

use super::{
    Stage, fib, mend,
    netfilter::Hook,
    packet::{DEFAULT_TTL, Inner, Packet, UDP},
    route::Way,
    walk::{End, Walker},
};
use crate::{
    doctor::{
        facts::{
            HostFacts, Source,
            link::{Link, Vxlan},
            route::{NeighborState, Route},
        },
        finding::{Code, Finding},
    },
    netlink::Mac,
};

/// Outer source port, which stands for whichever the flow's hash gives.
const OUTER_PORT: u16 = 49152;
/// VNI and port of flannel, which the lab lays out.
const USUAL: (u32, u16) = (1, 8472);

/// The device that packets for a VTEP should come out of.
#[derive(Clone, Copy)]
struct Peer<'f> {
    host: &'f HostFacts,
    link: &'f Link,
    vxlan: &'f Vxlan,
    mac: Mac,
    address: IpAddr,
}

impl<'f> Walker<'f> {
    pub fn encapsulate(
        &mut self,
        host: &'f HostFacts,
        link: &'f Link,
        next: IpAddr,
        packet: Packet,
    ) -> End<'f> {
        let Some(own) = link.vxlan().filter(|own| !own.external) else { return End::Beyond };
        let (Some(local), Some(peer)) = (own.local, self.peer_vtep(own, next)) else {
            return End::Beyond;
        };
        self.hop(
            host,
            Some(&link.name),
            Stage::Neighbor,
            &packet,
            format!("{next} on {}", link.name),
        );
        if let Some(finding) = self.wrong_neighbor(host, link, next, peer) {
            self.find(finding);
        }
        if let Some(finding) = self.wrong_fdb(host, link, peer) {
            self.find(finding);
        }
        let fdb = host.fdb.iter().find(|fdb| fdb.device == link.index && fdb.mac == peer.mac);
        let vni = fdb.and_then(|fdb| fdb.vni).unwrap_or(own.vni);
        let port = fdb.and_then(|fdb| fdb.port).unwrap_or(own.port);
        let inner = Inner { packet, vni, mac: peer.mac, spoilt: false };
        let ttl = if own.ttl == 0 { DEFAULT_TTL } else { own.ttl };
        let (from, to) = (SocketAddr::new(local, OUTER_PORT), SocketAddr::new(peer.address, port));
        let outer = Packet { inner: Some(Box::new(inner)), ..Packet::new(from, to, UDP, ttl) };
        let words = format!("VNI {vni}, to {to}");
        self.hop(host, Some(&link.name), Stage::Encapsulate, &outer, words);
        if (vni, port) != (peer.vxlan.vni, peer.vxlan.port) {
            let finding = self.mismatch(host, link, own, peer);
            self.find(finding);
        }
        self.send_outer(host, outer)
    }

    /// The datagram's own way: past netfilter where XDP has made it.
    fn send_outer(&mut self, host: &'f HostFacts, outer: Packet) -> End<'f> {
        let by_xdp = std::mem::take(&mut self.by_xdp);
        let (device, next) = match self.way(host, None, &outer) {
            Way::Out { device, next } => (device, next),
            Way::Own => return self.deliver(host, outer),
            Way::End(end) => return end,
        };
        let output = host.link_name(device);
        let mut outer = outer;
        if !by_xdp {
            for hook in [Hook::Output, Hook::Postrouting] {
                let view = self.view(host, outer, None, Some(&output), false);
                let passage = self.netfilter(hook, view);
                outer = passage.packet;
                if let (Some(place), Some(inner)) = (passage.spoilt, &mut outer.inner) {
                    inner.spoilt = true;
                    self.spoilt = Some((host.name.clone(), place));
                }
            }
        }
        self.transmit(host, device, next, outer, false)
    }

    /// Out of the tunnel, at the host whose datagram it is.
    pub fn decapsulate(&mut self, host: &'f HostFacts, outer: Packet) -> End<'f> {
        let Some(inner) = outer.inner.clone() else { return End::Lost };
        let fits = |link: &&Link| {
            link.vxlan()
                .is_some_and(|own| (own.vni, own.port) == (inner.vni, outer.destination.port()))
        };
        let mut links = host.vteps(outer.is_v4());
        // A mismatch has been found where it was put in.
        let Some(link) = links.clone().find(fits).or_else(|| links.next()) else {
            return End::Lost;
        };
        let words = format!("VNI {} is {}", inner.vni, link.name);
        self.hop(host, Some(&link.name), Stage::Decapsulate, &inner.packet, words);
        if !link.up {
            self.find(mend::down(self.facts, host, link));
        }
        if inner.spoilt {
            let finding = self.spoilt_checksum(host);
            self.find(finding);
        }
        let packet = Packet { mark: 0, ..inner.packet };
        self.receive(host, link.index, packet)
    }

    fn spoilt_checksum(&self, host: &HostFacts) -> Finding {
        let (at, place) = match &self.spoilt {
            Some((at, place)) => (at.as_str(), Some(place)),
            None => (host.name.as_str(), None),
        };
        let cause = format!(
            "{} discards VXLAN datagrams for their outer UDP checksum, which a rule on {at} spoils",
            host.name
        );
        let finding = Finding::broken(Code::OuterChecksum, Some(at), cause);
        match place {
            Some(place) => place.blamed(finding),
            None => finding,
        }
    }

    fn peer_vtep(&self, own: &Vxlan, next: IpAddr) -> Option<Peer<'f>> {
        let v4 = own.local?.is_ipv4();
        let by_address = self.facts.owners(next).find(|(_, link)| link.vxlan().is_some());
        let by_net = || {
            let node = self.facts.node(&self.node_of(next)?.name)?;
            Some((node, node.vtep(v4)?))
        };
        let (host, link) = by_address.or_else(by_net)?;
        let vxlan = link.vxlan()?;
        Some(Peer { host, link, vxlan, mac: link.mac?, address: vxlan.local? })
    }

    /// Frames to unknown addresses go somewhere, so requests for them may be answered.
    fn floods(host: &HostFacts, link: &Link) -> bool {
        let own = link.vxlan();
        own.is_some_and(|own| own.group.is_some() || own.learning)
            || host.fdb.iter().any(|fdb| fdb.device == link.index && fdb.mac == Mac([0; 6]))
    }

    fn wrong_neighbor(
        &self,
        host: &HostFacts,
        link: &Link,
        next: IpAddr,
        peer: Peer<'_>,
    ) -> Option<Finding> {
        let entry = host.neighbors.iter().find(|entry| {
            entry.device == link.index && entry.address == next && entry.state.is_valid()
        });
        let device = &link.name;
        let (cause, shown) = match entry.map(|entry| entry.mac) {
            Some(Some(mac)) if mac == peer.mac => return None,
            Some(Some(mac)) => (
                format!(
                    "{} takes {next}, the VTEP of {}, for {mac}, but its {} is {}",
                    host.name, peer.host.name, peer.link.name, peer.mac
                ),
                format!("{next} dev {device} lladdr {mac}"),
            ),
            _ if Self::floods(host, link) => return None,
            _ => (
                format!(
                    "{} has no neighbor entry for {next}, the VTEP of {}",
                    host.name, peer.host.name
                ),
                format!("nothing on {device} for {next}"),
            ),
        };
        let command =
            format!("ip neigh replace {next} lladdr {} dev {device} nud permanent", peer.mac);
        let finding = Finding::broken(Code::VtepNeighborWrong, Some(&host.name), cause)
            .shown(Source::Neighbors, shown)
            .mended(command.split(' '), "Make the entry.");
        self.unless_blind(finding, &host.name, Source::Neighbors)
    }

    fn wrong_fdb(&self, host: &HostFacts, link: &Link, peer: Peer<'_>) -> Option<Finding> {
        let mut entries = host.fdb.iter().filter(|fdb| {
            fdb.device == link.index && fdb.mac == peer.mac && fdb.destination.is_some()
        });
        let (device, mac, address) = (&link.name, peer.mac, peer.address);
        let first = entries.clone().next();
        if entries.any(|fdb| fdb.destination == Some(address)) {
            return None;
        }
        let (cause, shown) = match first.and_then(|fdb| fdb.destination) {
            Some(wrong) => (
                format!(
                    "{} sends the packets for {} to {wrong} instead of {address}",
                    host.name, peer.host.name
                ),
                format!("{mac} dev {device} dst {wrong} self"),
            ),
            None if Self::floods(host, link) => return None,
            None => (
                format!(
                    "{} does not know where the VTEP of {} is: its FDB has no entry for {mac}",
                    host.name, peer.host.name
                ),
                format!("nothing on {device} for {mac}"),
            ),
        };
        let command = format!("bridge fdb replace {mac} dev {device} dst {address} self permanent");
        let finding = Finding::broken(Code::FdbWrong, Some(&host.name), cause)
            .shown(Source::Fdb, shown)
            .mended(command.split(' '), "Make the entry.");
        self.unless_blind(finding, &host.name, Source::Fdb)
    }

    /// Which of two nodes differs from all others; with two alone, from what is usual.
    fn mismatch(&self, host: &HostFacts, link: &Link, own: &Vxlan, peer: Peer<'_>) -> Finding {
        let like = |vxlan: &Vxlan| {
            let devices = self.facts.nodes().flat_map(|(of, _)| &of.links).filter_map(Link::vxlan);
            devices.filter(|of| (of.vni, of.port) == (vxlan.vni, vxlan.port)).count()
        };
        let is_usual = |vxlan: &Vxlan| (vxlan.vni, vxlan.port) == USUAL;
        let is_own = (like(own), is_usual(own)) < (like(peer.vxlan), is_usual(peer.vxlan));
        let (odd, odd_link, wrong, right) = if is_own {
            (host, link, own, peer.vxlan)
        } else {
            (peer.host, peer.link, peer.vxlan, own)
        };
        let other = if is_own { peer.host } else { host };
        let (has, should) = differing(wrong, right);
        let cause = format!(
            "{} on {} has {has}, where {} has {should}",
            odd_link.name, odd.name, other.name
        );
        let shown = |vxlan: &Vxlan| format!("vxlan id {} dstport {}", vxlan.vni, vxlan.port);
        let finding = Finding::broken(Code::VxlanMismatch, Some(&odd.name), cause)
            .shown(Source::Links, format!("{}: {}", odd_link.name, shown(wrong)))
            .shown_at(&other.name, Source::Links, shown(right));
        let command = ["ip", "link", "del", "dev", &odd_link.name];
        let words = "Take the device away, for it takes no other VNI or port.";
        let finding = finding.mended(command, words);
        let anew = anew(odd, odd_link, wrong, (right.vni, right.port)).into_iter();
        anew.fold(finding, |finding, (line, words)| finding.then(line.split(' '), words))
    }
}

/// What two devices have, of what they do not have alike.
fn differing(one: &Vxlan, other: &Vxlan) -> (String, String) {
    let words = |of: &Vxlan| {
        let vni = (one.vni != other.vni).then(|| format!("VNI {}", of.vni));
        let port = (one.port != other.port).then(|| format!("port {}", of.port));
        vni.into_iter().chain(port).collect::<Vec<_>>().join(" and ")
    };
    (words(one), words(other))
}

/// What makes a device anew that was taken away, with another VNI and port, under its own number:
/// the kernel changes neither of one that is there (vxlan_changelink), and all that stands on it
/// goes with it.
fn anew(
    host: &HostFacts,
    link: &Link,
    own: &Vxlan,
    (vni, port): (u32, u16),
) -> Vec<(String, &'static str)> {
    let name = &link.name;
    let mut add = format!("ip link add name {name} index {} mtu {}", link.index, link.mtu);
    if let Some(mac) = link.mac {
        add += &format!(" address {mac}");
    }
    add += &format!(" type vxlan id {vni} dstport {port}");
    if let Some(local) = own.local {
        add += &format!(" local {local}");
    }
    if let Some(device) = own.device {
        add += &format!(" dev {}", host.link_name(device));
    }
    add += if own.learning { " learning" } else { " nolearning" };
    let mut lines = vec![
        (add, "Make it anew as the others have theirs."),
        (format!("ip link set dev {name} up"), "Bring it up."),
    ];
    let addresses = host.global().filter(|of| of.device == link.index);
    lines.extend(
        addresses
            .map(|of| (format!("ip addr add {} dev {name}", of.net), "Give it back its address.")),
    );
    let neighbors = host.neighbors.iter().filter(|of| of.device == link.index);
    let neighbors = neighbors.filter(|of| of.state == NeighborState::Permanent);
    lines.extend(neighbors.filter_map(|of| {
        let line =
            format!("ip neigh replace {} lladdr {} dev {name} nud permanent", of.address, of.mac?);
        Some((line, "Give it back the neighbors that were set by hand."))
    }));
    let entries = host.fdb.iter().filter(|of| of.device == link.index && of.master.is_none());
    lines.extend(entries.filter_map(|of| {
        let line = format!(
            "bridge fdb replace {} dev {name} dst {} self permanent",
            of.mac, of.destination?
        );
        Some((line, "Give it back the entries of its FDB."))
    }));
    let leads_here = |of: &&Route| of.hops.iter().any(|hop| hop.device == link.index);
    // The kernel makes its own as the address comes.
    let routes = host.main_routes().filter(leads_here).filter(|of| of.protocol != "kernel");
    lines.extend(routes.map(|of| {
        (format!("ip route replace {}", fib::words(host, of)), "Make its routes again.")
    }));
    lines
}
