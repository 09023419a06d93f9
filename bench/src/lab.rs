//! A lab of two nodes, by way of the netlab command, for the hooks around a datapath.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use etherparse::PacketBuilder;
use netlab::netlink::{Connection, Link, Netns};

/// Its name, which its namespaces begin with.
pub const NAME: &str = "nlbench";

const UPLINK: &str = "eth0";

/// The client, and the node port of the built-in manifest.
const CLIENT: [u8; 4] = [172, 18, 255, 10];
const NODE: [u8; 4] = [172, 18, 0, 2];
const PORTS: [u16; 2] = [4000, 30080];
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TTL: u8 = 64;

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

    /// The node's uplink, with its XDP program.
    pub async fn uplink(&self) -> Result<Link> {
        Ok(Connection::open(&self.node()?)?.link(UPLINK).await?)
    }

    /// A reset of no connection, from the client to a node port of the first node: its program
    /// at XDP has an opinion of it, and drops it as it is.
    pub async fn stray(&self) -> Result<Vec<u8>> {
        let uplink = self.uplink().await?;
        let mac = uplink.mac.context("the uplink has no Ethernet address")?;
        let builder = PacketBuilder::ethernet2(SENDER, mac.0)
            .ipv4(CLIENT, NODE, TTL)
            .tcp(PORTS[0], PORTS[1], 0, 0)
            .rst();
        let mut frame = Vec::new();
        builder.write(&mut frame, &[])?;
        Ok(frame)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["down"]) {
            eprintln!("{error:#}");
        }
    }
}
