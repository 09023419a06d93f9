//! Two namespaces and a wire between them, and nothing else: what arrives is dropped, since
//! it is for another Ethernet address.

use anyhow::{Context as _, Result};
use netlab::netlink::{Connection, Netns, VethEnd, ethtool, sysctl};

use crate::generator::{Flow, Generator};

const FROM: &str = "nlbench-from";
const TO: &str = "nlbench-to";
const MTU: u32 = 1500;

/// Neither address is any interface's.
const FLOW: Flow = Flow {
    macs: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
    addresses: [[192, 0, 2, 1], [192, 0, 2, 2]],
    ports: [4000, 4001],
};

/// The wire; its namespaces go with it.
pub struct Wire {
    from: Netns,
    /// Where packets arrive.
    pub to: Netns,
    sender: u32,
    /// Index of the interface at which they arrive.
    pub receiver: u32,
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
        // Without NAPI, a veth takes no frames from XDP.
        ethtool::set(&to, Self::RECEIVER, ethtool::Offload::Gro, true)?;
        let sender = near.link(Self::SENDER).await?.index;
        let receiver = far.link(Self::RECEIVER).await?.index;
        near.set_up(sender).await?;
        far.set_up(receiver).await?;
        Ok(Self { from, to, sender, receiver })
    }

    /// Sends over it.
    pub fn generator(&self) -> Result<Generator> {
        Generator::new(&FLOW, &self.from, self.sender, &self.to, Self::RECEIVER)
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
