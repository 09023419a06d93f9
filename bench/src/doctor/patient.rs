//! A lab that stands, broken and mended and looked at by way of the netlab command.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use netlab::{
    lab::{
        LabDir, LabName, Role,
        fault::{At, Dialled, Injected, Request, dials, injected},
    },
    spec::{self, model::Endpoint},
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

/// Rows of what listens in the pods, which is the same for all pods of a Service.
const LISTENERS: [u8; 2] = [7, 8];

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
            pod: injected.pod.clone(),
            service: injected.service.clone(),
            hosts: if is_anywhere(fault.at) { BTreeSet::new() } else { self.hosts(injected)? },
            asked: self.asked(given)?,
        })
    }

    /// An address that nobody knows of who does not dial it, if it takes that to see the fault.
    fn asked(&self, given: &Given) -> Result<Option<String>> {
        if given.fault.dialled != Dialled::AtNodeV6 {
            return Ok(None);
        }
        let request = Request::new(self.name.clone(), given.fault.name);
        let dials = dials(&Request { node: given.node.clone(), ..request })?;
        Ok(dials.first().map(|dial| dial.to.to_string()))
    }

    /// Whether no packet has to come to what a fault was done to, as another has taken the pod,
    /// or all pods, from the Service's endpoints.
    ///
    /// # Errors
    ///
    /// The manifests cannot be read.
    pub fn is_hidden(&self, hit: &Hit) -> Result<bool> {
        let directory = LabDir::new(self.name);
        let spec = spec::read_files(&[directory.manifests()])?.resolve()?;
        let services = spec.services.iter().filter(|of| of.name.to_string() == hit.service);
        let ports = services.flat_map(|service| &service.ports);
        let ready: BTreeSet<_> = ports
            .flat_map(|port| port.endpoints.iter().filter(|endpoint| endpoint.ready))
            .filter_map(|Endpoint { pod, .. }| Some(pod.as_ref()?.to_string()))
            .collect();
        let topology = directory.topology()?.context("the lab has no topology")?;
        let object = topology.hosts.iter().find_map(|host| match &host.role {
            Role::Pod { object, .. } if Some(&host.name) == hit.pod.as_ref() => Some(object),
            _ => None,
        });
        let is_of_listeners = hit.rows.iter().any(|row| LISTENERS.contains(row));
        Ok(match (object, &hit.pod) {
            (Some(object), _) => !ready.contains(object),
            (None, Some(_)) => true,
            (None, None) => is_of_listeners && ready.is_empty(),
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

    /// Asks the doctor about everything, or about an address and port.
    ///
    /// # Errors
    ///
    /// It does not start, end, or say anything that can be read.
    pub fn diagnose(&self, asked: Option<&str>) -> Result<Answer> {
        let words: Vec<_> = ["doctor"].into_iter().chain(asked).collect();
        let words = [&*words, &["--name", self.name.as_str(), "-o", "json"]].concat();
        Answer::of(run(self.netlab, &words, LIMIT)?)
    }
}

/// Whether the fault is of no host in particular.
const fn is_anywhere(at: At) -> bool {
    matches!(at, At::Service | At::Client)
}
