//! A lab that stands, broken and mended and looked at by way of the netlab command.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use netlab::lab::{
    LabDir, LabName, Role,
    fault::{At, Injected, injected},
};

use super::{
    answer::Answer,
    trial::{Given, Hit},
};
use crate::command::{run, succeed};

/// How long the agents may take to follow, and a little more.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a diagnosis may take before it is ended: far longer than it should.
const LIMIT: Duration = Duration::from_secs(60);

/// The lab.
#[derive(Debug)]
pub struct Patient<'a> {
    netlab: &'a Path,
    name: &'a LabName,
}

impl<'a> Patient<'a> {
    /// The lab of this name, which stands, by way of this netlab binary.
    #[must_use]
    pub const fn new(netlab: &'a Path, name: &'a LabName) -> Self {
        Self { netlab, name }
    }

    /// Injects a fault.
    ///
    /// # Errors
    ///
    /// netlab refuses, or what it has written down cannot be read.
    pub fn inject(&self, given: &Given) -> Result<Hit> {
        let fault = given.fault;
        let node = given.node.as_deref().map_or(Vec::new(), |node| vec!["--node", node]);
        let words = [&["lab", "fault", "inject", fault.name, "--name", self.name.as_str()], &*node];
        succeed(self.netlab, &words.concat(), PATIENCE)?;
        let all = injected(self.name).context("cannot read what is injected")?;
        let last = all.iter().rfind(|one| one.name == fault.name);
        let injected = last.with_context(|| format!("{} is not written down", fault.name))?;
        Ok(Hit {
            fault: fault.name,
            rows: fault.rows,
            place: injected.place().to_owned(),
            hosts: if is_anywhere(fault.at) { BTreeSet::new() } else { self.hosts(injected)? },
        })
    }

    /// The hosts that something was done to, and the pods of the node that is broken.
    fn hosts(&self, injected: &Injected) -> Result<BTreeSet<String>> {
        let topology = LabDir::new(self.name).topology()?.context("the lab has no topology")?;
        let is_hit = |name: &str, netns: &str| {
            let done = format!("{netns}: ");
            injected.done.iter().any(|step| step.starts_with(&done))
                || [&injected.node, &injected.pod].into_iter().flatten().any(|hit| hit == name)
        };
        let of_node = |role: &Role| match role {
            Role::Pod { node, .. } => {
                injected.pod.is_none() && injected.node.as_ref() == Some(node)
            }
            _ => false,
        };
        let hosts = topology.hosts.iter();
        let hit = hosts.filter(|host| is_hit(&host.name, &host.netns) || of_node(&host.role));
        Ok(hit.map(|host| host.name.clone()).collect())
    }

    /// Clears all faults.
    ///
    /// # Errors
    ///
    /// netlab refuses.
    pub fn clear(&self) -> Result<()> {
        let words = ["lab", "fault", "clear", "--name", self.name.as_str()];
        succeed(self.netlab, &words, PATIENCE).map(drop)
    }

    /// Asks the doctor about everything.
    ///
    /// # Errors
    ///
    /// It does not start, end, or say anything that can be read.
    pub fn diagnose(&self) -> Result<Answer> {
        let words = ["doctor", "--name", self.name.as_str(), "-o", "json"];
        Answer::of(run(self.netlab, &words, LIMIT)?)
    }
}

/// Whether the fault is of no host in particular.
const fn is_anywhere(at: At) -> bool {
    matches!(at, At::Service | At::Client)
}
