//! Mends of Kubernetes objects: by kubectl in a cluster; in a lab, which has no API server, by the
//! manifest that the agents follow.

use std::cell::OnceCell;

use crate::{
    doctor::{facts::Facts, finding::Finding},
    spec::{Objects, model::ObjectName},
};

/// Where a lab's objects are written; of a cluster nobody needs to know. Read when first asked.
pub(super) struct Written<'f> {
    facts: &'f Facts,
    objects: OnceCell<Objects>,
}

impl<'f> Written<'f> {
    pub fn of(facts: &'f Facts) -> Self {
        Self { facts, objects: OnceCell::new() }
    }

    /// The objects with their places; None where it is no lab.
    pub fn objects(&self) -> Option<&Objects> {
        self.facts.lab.as_ref()?;
        Some(self.objects.get_or_init(|| self.facts.objects().unwrap_or_default()))
    }
}

/// What is to be done about an object.
pub(super) struct Mend<'m> {
    /// `Service default/web`.
    pub object: String,
    /// What kubectl does to it.
    pub command: Vec<&'m str>,
    /// The same in an imperative sentence without a full stop.
    pub words: String,
    /// The same in a manifest: what it should say.
    pub edit: String,
    /// The command mends; false where it only looks.
    pub mends: bool,
}

/// kubectl's command that merges a patch, in JSON, into a Service.
pub(super) fn patched<'m>(service: &'m ObjectName, patch: &'m str) -> Vec<&'m str> {
    vec!["kubectl", "-n", &service.namespace, "patch", "service", &service.name, "-p", patch]
}

impl Mend<'_> {
    /// The finding with it. In a lab a command of kubectl would be for a cluster that is none of
    /// its.
    pub fn of(self, finding: Finding, written: &Written<'_>) -> Finding {
        let Self { object, command, words, edit, mends } = self;
        if let Some(objects) = written.objects() {
            let place = place(objects, &object);
            return finding.advised(format!("{words}: in {place}, {edit}."));
        }
        match mends {
            true => finding.mended(command, words),
            false => finding.looked_into(command, words),
        }
    }
}

/// The file of an object, and where in it.
fn place(objects: &Objects, object: &str) -> String {
    let places = objects.services.iter().map(|of| &of.place);
    let places = places.chain(objects.slices.iter().map(|of| &of.place));
    let mut places = places.chain(objects.pods.iter().map(|of| &of.place));
    match places.find(|place| place.object == object) {
        Some(place) => format!("{} (document {}, {object})", place.file, place.document),
        None => format!("the manifest of {object}"),
    }
}
