//! The loaded programs and their maps, and one run of one of them.

use aya::{
    maps::PerCpuValues,
    programs::{TestRun as _, TestRunOptions, xdp::XdpMode},
    util::nr_cpus,
};
use netlab::datapath::{
    conntrack,
    load::{Maps, Programs, Size, load, program},
};
use netlab_common::{
    abi::{CtEntry, Vtep, VtepKey, hook},
    counters::Counters,
    flow::{Addr, FlowKey},
    host::tables::HostTables,
};
use nix::net::if_::if_nametoindex;

use crate::node::{FLANNEL, UPLINK, VTEP_MAC, VXLAN_PEER};

/// Entries of the conntrack table: so many that nothing is evicted.
const CONNTRACK_MAX: u32 = 65_536;

/// Where a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Xdp,
    TcIngress,
    TcEgress,
}

impl Hook {
    /// Its index in the counters.
    pub const fn index(self) -> usize {
        (match self {
            Self::Xdp => hook::XDP,
            Self::TcIngress => hook::TC_INGRESS,
            Self::TcEgress => hook::TC_EGRESS,
        }) as usize
    }
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The kernel's return code.
    pub action: u32,
    /// The packet afterwards.
    pub bytes: Vec<u8>,
}

/// Loaded programs with full tables.
pub struct Datapath {
    programs: Programs,
    maps: Maps,
    uplink: u32,
    flannel: u32,
    /// The kernel lends a device's receive queue to a test run of XDP only where a
    /// program is attached. These are others, so that what comes in by itself
    /// (neighbor discovery) is not counted here.
    _attached: Programs,
}

impl Datapath {
    /// Loads the programs and fills their maps; the interfaces of the calling thread's
    /// namespace go into the configuration.
    pub fn load(tables: &HostTables) -> Self {
        let (mut attached, _) = load(None, 16).expect("the programs load");
        let xdp = attached.xdp().expect("it is in the object");
        xdp.attach(UPLINK, XdpMode::Driver).expect("veth runs XDP");
        let (programs, mut maps) = load(None, CONNTRACK_MAX).expect("the programs load");
        let index = |name| if_nametoindex(name).expect("the link exists");
        let (uplink, flannel) = (index(UPLINK), index(FLANNEL));
        let mut config = tables.config;
        config.vxlan_ifindex = flannel;
        maps.config.set(0, config, 0).expect("the map is writable");
        for (key, frontend) in &tables.frontends {
            maps.frontends.insert(key, frontend, 0).expect("the map has room");
        }
        for (key, backend) in &tables.backends {
            maps.backends.insert(key, backend, 0).expect("the map has room");
        }
        for address in &tables.node_addresses {
            maps.node_addresses.insert(address, 0, 0).expect("the map has room");
        }
        let key = VtepKey { mac: VTEP_MAC, reserved: [0; 2] };
        let vtep = Vtep { addr: Addr::v4(VXLAN_PEER), ..Vtep::default() };
        maps.vteps.insert(key, vtep, 0).expect("the map has room");
        Self { programs, maps, uplink, flannel, _attached: attached }
    }

    /// Runs the program of a hook at the uplink on one packet.
    pub fn run(&mut self, hook: Hook, packet: &[u8]) -> Outcome {
        self.run_on(hook, packet, self.uplink, 0)
    }

    /// Runs the program of a hook at the VXLAN device on one packet.
    pub fn run_at_flannel(&mut self, hook: Hook, packet: &[u8]) -> Outcome {
        self.run_on(hook, packet, self.flannel, 0)
    }

    /// As [`Self::run`], for a packet that the kernel will cut into segments of
    /// `gso_size` bytes.
    pub fn run_segmented(&mut self, hook: Hook, packet: &[u8], gso_size: u32) -> Outcome {
        self.run_on(hook, packet, self.uplink, gso_size)
    }

    fn run_on(&mut self, hook: Hook, packet: &[u8], ifindex: u32, gso_size: u32) -> Outcome {
        let mut out = vec![0; 4096];
        let ctx = match hook {
            Hook::Xdp => xdp_context(packet.len(), ifindex),
            _ => skb_context(ifindex, gso_size),
        };
        let options = TestRunOptions {
            data_in: Some(packet),
            data_out: Some(&mut out),
            ctx_in: Some(&ctx),
            ..TestRunOptions::new()
        };
        let result = match hook {
            Hook::Xdp => self.programs.xdp().expect("it is loaded").test_run(options),
            Hook::TcIngress => self.tc(program::TC_INGRESS).test_run(options),
            Hook::TcEgress => self.tc(program::TC_EGRESS).test_run(options),
        };
        let result = result.unwrap_or_else(|error| {
            panic!("the kernel does not run {hook:?} on {} bytes: {error:?}", packet.len())
        });
        out.truncate(result.data_size_out as usize);
        Outcome { action: result.return_value, bytes: out }
    }

    fn tc(&mut self, name: &'static str) -> &mut aya::programs::SchedClassifier {
        self.programs.tc(name).expect("it is loaded")
    }

    /// What the verifier and the compiler made of each program.
    pub fn sizes(&self) -> Vec<Size> {
        self.programs.sizes().expect("the kernel tells")
    }

    /// Forgets every connection and every count.
    pub fn reset(&mut self) {
        for flow in self.conntrack().keys() {
            self.maps.conntrack.remove(flow).expect("it was there");
        }
        self.reset_counters();
    }

    /// Forgets every count.
    pub fn reset_counters(&mut self) {
        let cpus = nr_cpus().expect("/sys is mounted");
        for index in 0..hook::COUNT {
            let zero = PerCpuValues::try_from(vec![Counters::default(); cpus]);
            self.maps.counters.set(index, zero.expect("one a CPU"), 0).expect("it is writable");
        }
    }

    /// All counters, in the order of [`Hook::index`].
    pub fn counters(&self) -> [Counters; hook::COUNT as usize] {
        self.maps.counters().expect("the map is readable")
    }

    /// The entry of one flow.
    pub fn entry(&self, flow: &FlowKey) -> Option<CtEntry> {
        self.maps.conntrack.get(flow, 0).ok()
    }

    /// All connections.
    pub fn conntrack(&self) -> std::collections::BTreeMap<FlowKey, CtEntry> {
        conntrack::read(&self.maps).expect("the map is readable")
    }
}

/// `struct xdp_md`: data_end must be the packet's length.
fn xdp_context(len: usize, ifindex: u32) -> Vec<u8> {
    let len = u32::try_from(len).expect("a packet");
    [0, len, 0, ifindex, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `struct __sk_buff` with its ifindex and gso_size.
fn skb_context(ifindex: u32, gso_size: u32) -> Vec<u8> {
    const AT_IFINDEX: usize = 40;
    const AT_GSO_SIZE: usize = 176;
    let mut skb = vec![0; 192];
    skb[AT_IFINDEX..][..4].copy_from_slice(&ifindex.to_ne_bytes());
    skb[AT_GSO_SIZE..][..4].copy_from_slice(&gso_size.to_ne_bytes());
    skb
}
