//! From manifests to a [`Spec`]: files, documents, typed objects, checks.
//!
//! Two steps, because the lab fills in addresses between them. [`read_files`] turns
//! YAML or JSON into raw Kubernetes [`Objects`], refusing unknown kinds and fields.
//! [`Objects::resolve`] checks every reference, address and port, attaches endpoints
//! to Services, and gives the [`Spec`] that the rest of netlab relies on.
//! [`read_running`] takes both steps at once and leaves out what it cannot take.
//!
//! # Errors
//!
//! The first thing wrong is reported as a [`SpecError`], with file, document, object
//! and field.

mod documents;
mod endpoints;
mod error;
mod field;
mod node;
mod pod;
mod resolve;
mod running;
mod service;
mod slice;
#[cfg(test)]
mod tests;
mod unknown;

use k8s_openapi::{
    Metadata, Resource,
    api::{
        core::v1::{Node, Pod, Service},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Serialize;

pub(crate) use documents::is_manifest;
pub use documents::{read_directory, read_files, read_str};
pub use error::{Place, Reason, SpecError, Unsupported};
pub(crate) use pod::has_ended;
pub use running::{Running, read_running};

use super::model::{ObjectName, Spec};

/// A Kubernetes object and where it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// File, document and name, for error messages.
    pub place: Place,
    /// The object as written; the lab fills in what is missing.
    pub object: T,
}

impl<T: Metadata<Ty = ObjectMeta>> Located<T> {
    /// Namespace (`default` where none is given; meaningless for a Node) and name.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        let metadata = self.object.metadata();
        ObjectName {
            namespace: metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// Kubernetes objects as written, in the order read. Not yet checked against each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// Kind Node, v1.
    pub nodes: Vec<Located<Node>>,
    /// Kind Pod, v1.
    pub pods: Vec<Located<Pod>>,
    /// Kind Service, v1.
    pub services: Vec<Located<Service>>,
    /// Kind EndpointSlice, discovery.k8s.io/v1.
    pub slices: Vec<Located<EndpointSlice>>,
}

impl Objects {
    /// Adds the objects of `other` behind these.
    pub fn append(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.pods.extend(other.pods);
        self.services.extend(other.services);
        self.slices.extend(other.slices);
    }

    /// True where there is not one object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
            && self.pods.is_empty()
            && self.services.is_empty()
            && self.slices.is_empty()
    }

    /// Checks everything and attaches endpoints to Services.
    ///
    /// Pods of phase Succeeded or Failed are left out: their addresses are free again.
    /// Node ports outside 30000-32767 are taken, as with an API server set up so.
    ///
    /// # Errors
    ///
    /// The first object, in the order nodes, pods, EndpointSlices, Services, that breaks
    /// a law of [`super::model`], or that lacks an address that an agent needs.
    pub fn resolve(&self) -> Result<Spec, SpecError> {
        resolve::resolve(self)
    }

    /// File names and YAML that [`read_files`] turns into the same objects again:
    /// `nodes.yaml`, `pods.yaml`, `services.yaml`, `endpointslices.yaml`, without those
    /// that would be empty.
    #[must_use]
    pub fn to_yaml_by_kind(&self) -> Vec<(&'static str, String)> {
        [
            ("nodes.yaml", to_yaml(&self.nodes)),
            ("pods.yaml", to_yaml(&self.pods)),
            ("services.yaml", to_yaml(&self.services)),
            ("endpointslices.yaml", to_yaml(&self.slices)),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect()
    }
}

fn to_yaml<T: Resource + Serialize>(objects: &[Located<T>]) -> String {
    let objects: Vec<&T> = objects.iter().map(|located| &located.object).collect();
    serde_saphyr::to_string_multiple(&objects)
        .expect("Kubernetes objects have string keys and finite numbers only")
}
