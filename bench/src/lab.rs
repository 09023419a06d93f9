//! A lab of two nodes, by way of the netlab command, for the hooks around a datapath.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use netlab::netlink::{Connection, Netns};

use crate::generator::{Berth, Flow, Generator};

/// Its name, which its namespaces begin with.
pub const NAME: &str = "nlbench";

const UPLINK: &str = "eth0";

/// The client, and the node port of the built-in manifest.
const CLIENT: [u8; 4] = [172, 18, 255, 10];
const NODE: [u8; 4] = [172, 18, 0, 2];
const PORTS: [u16; 2] = [4000, 30053];

/// The lab, until this is dropped.
pub struct Lab {
    netlab: PathBuf,
}

impl Lab {
    /// Stands it up, in place of one that an earlier run left behind.
    pub fn up(netlab: &Path) -> Result<Self> {
        let lab = Self { netlab: netlab.to_owned() };
        lab.run(&["down"])?;
        lab.run(&["up", "--hook", "xdp"])?;
        Ok(lab)
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.netlab);
        command.arg("lab").args(words).args(["--name", NAME]).stdout(Stdio::null());
        // Its words are worth reading only where it fails.
        let output = command.stderr(Stdio::piped()).output().context("netlab does not start")?;
        if !output.status.success() {
            bail!("lab {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// The first node.
    pub fn node(&self) -> Result<Netns> {
        Ok(Netns::open(&format!("{NAME}-node-1"))?)
    }

    /// The number of the program at XDP of the node's uplink.
    pub async fn xdp(&self) -> Result<u32> {
        let link = Connection::open(&self.node()?)?.link(UPLINK).await?;
        link.xdp.first().copied().context("the lab's node runs no XDP program")
    }

    /// Dials a node port of the first node as the client would.
    pub async fn generator(&self, berth: &Berth) -> Result<Generator> {
        let (node, fabric) = (self.node()?, Netns::open(&format!("{NAME}-fabric"))?);
        let uplink = Connection::open(&node)?.link(UPLINK).await?;
        let port = uplink.peer.context("the uplink has no peer")?;
        let ports = Connection::open(&fabric)?.links().await?;
        let port = ports.iter().find(|link| link.index == port).context("the uplink leads away")?;
        let mac = |link: &netlab::netlink::Link| link.mac.map(|mac| mac.0);
        let (Some(source), Some(destination)) = (mac(port), mac(&uplink)) else {
            bail!("the wire has no Ethernet addresses");
        };
        let flow = Flow {
            macs: [source, destination],
            addresses: [CLIENT, NODE],
            ports: PORTS,
            length: 64,
        };
        Generator::send(&flow, berth, (&fabric, port.index), (&node, UPLINK))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["down"]) {
            eprintln!("{error:#}");
        }
    }
}
