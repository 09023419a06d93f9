//! A lab of two nodes, by way of the netlab command.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use etherparse::PacketBuilder;
use netlab::netlink::{Connection, Link, Netns};

use crate::command::succeed;

/// The name that a lab has where nobody chooses one; its namespaces begin with it.
pub const NAME: &str = "nlbench";

/// How long the lab may take to stand, or to be gone.
const PATIENCE: Duration = Duration::from_secs(120);

const UPLINK: &str = "eth0";

/// The client, and the node port of the built-in manifest.
const CLIENT: [u8; 4] = [172, 18, 255, 10];
const NODE: [u8; 4] = [172, 18, 0, 2];
const PORTS: [u16; 2] = [4000, 30080];
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TTL: u8 = 64;

/// The lab, until this is dropped.
#[derive(Debug)]
pub struct Lab {
    netlab: PathBuf,
    name: String,
}

impl Lab {
    /// Stands it up with these arguments of `lab up`, in place of one that an earlier run left
    /// behind.
    ///
    /// # Errors
    ///
    /// netlab does not start, or refuses.
    pub fn up(netlab: &Path, name: &str, words: &[&str]) -> Result<Self> {
        // First, so that what is half-built goes too.
        let lab = Self { netlab: netlab.to_owned(), name: name.to_owned() };
        lab.run(&["down"])?;
        lab.run(&[&["up"], words].concat())?;
        Ok(lab)
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let words = [&["lab"], words, &["--name", &self.name]].concat();
        succeed(&self.netlab, &words, PATIENCE)?;
        Ok(())
    }

    /// The first node.
    ///
    /// # Errors
    ///
    /// Its namespace cannot be opened.
    pub fn node(&self) -> Result<Netns> {
        Ok(Netns::open(&format!("{}-node-1", self.name))?)
    }

    /// The node's uplink, with its XDP program.
    ///
    /// # Errors
    ///
    /// It cannot be asked for.
    pub async fn uplink(&self) -> Result<Link> {
        Ok(Connection::open(&self.node()?)?.link(UPLINK).await?)
    }

    /// A reset of no connection, from the client to a node port of the first node: its program
    /// at XDP has an opinion of it, and drops it as it is.
    ///
    /// # Errors
    ///
    /// As [`Self::uplink`].
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
