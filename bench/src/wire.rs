//! Two namespaces and a wire between them, and nothing else: what arrives is dropped, since
//! it is for another Ethernet address.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use aya_obj::generated::{bpf_attach_type::BPF_XDP, bpf_prog_type::BPF_PROG_TYPE_XDP};
use netlab::netlink::{Connection, Netns, VethEnd, sysctl};

use crate::{
    bpf,
    generator::{Berth, Flow, Generator},
};

const FROM: &str = "nlbench-from";
const TO: &str = "nlbench-to";
const MTU: u32 = 1500;

/// Neither address is any interface's.
const FLOW: Flow = Flow {
    macs: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
    addresses: [[192, 0, 2, 1], [192, 0, 2, 2]],
    ports: [4000, 4001],
    length: 64,
};

/// The wire; its namespaces go with it.
pub struct Wire {
    /// Where packets arrive.
    pub to: Netns,
    /// Its other end.
    pub berth: Berth,
    /// Index of the interface at which they arrive.
    pub receiver: u32,
    /// A program at XDP, which lets everything pass: only so can frames be injected.
    _pass: OwnedFd,
}

impl Wire {
    /// Name of the interface at which packets arrive.
    pub const RECEIVER: &str = "wire1";
    const SENDER: &str = "wire0";

    /// Makes it, in place of one that an earlier run left behind.
    pub async fn up() -> Result<Self> {
        remove();
        let made = Self::make().await;
        if made.is_err() {
            remove();
        }
        made.context("cannot set up the wire")
    }

    async fn make() -> Result<Self> {
        let (from, to) = (Netns::create(FROM)?, Netns::create(TO)?);
        for netns in [&from, &to] {
            // No router solicitations among the packets.
            sysctl::write(netns, "ipv6/conf/default/disable_ipv6", "1")?;
        }
        let (near, far) = (Connection::open(&from)?, Connection::open(&to)?);
        let end = |name| VethEnd { name, mac: None, mtu: MTU };
        near.create_veth(&end(Self::SENDER), &end(Self::RECEIVER), &to).await?;
        let sender = near.link(Self::SENDER).await?.index;
        let receiver = far.link(Self::RECEIVER).await?.index;
        near.set_up(sender).await?;
        far.set_up(receiver).await?;
        let pass = bpf::load(BPF_PROG_TYPE_XDP, &bpf::pass())?;
        let ifindex = i32::try_from(receiver)?;
        let pass = to.run(|| bpf::attach(&pass, ifindex, BPF_XDP))??;
        let berth = Berth { netns: from, ifindex: sender };
        Ok(Self { to, berth, receiver, _pass: pass })
    }

    /// Floods its end with frames of a length.
    pub fn generator(&self, length: usize) -> Result<Generator> {
        let flow = Flow { length, ..FLOW };
        Generator::inject(&flow, &self.berth, &self.to, self.receiver)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    for name in [FROM, TO] {
        if let Err(error) = Netns::delete(name)
            && !error.is_absent()
        {
            eprintln!("{error}");
        }
    }
}
