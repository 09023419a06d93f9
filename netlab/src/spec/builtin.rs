//! The manifest that serves where none is given.

use super::parse::{Located, Objects, read_str};

/// The built-in manifest for two nodes, commented, to start from.
pub const BUILTIN_YAML: &str = include_str!("builtin.yaml");

/// How many nodes [`BUILTIN_YAML`] has.
const WRITTEN_NODES: usize = 2;

/// The built-in cluster with this many nodes: `node-1` and so on, each with two pods of
/// Service `web` (TCP, node port 30080) and one of Service `dns` (UDP, node port 30053).
/// Addresses are left for the lab to assign.
#[must_use]
pub fn builtin(nodes: usize) -> Objects {
    let written = read_str("built-in manifest", BUILTIN_YAML)
        .expect("the built-in manifest is valid, as a test shows");
    let mut objects = Objects { services: written.services, ..Objects::default() };
    let Some(node) = written.nodes.first() else { return objects };
    let on_first = |pod: &&Located<k8s_openapi::api::core::v1::Pod>| {
        pod.object.spec.as_ref().and_then(|spec| spec.node_name.as_ref())
            == node.object.metadata.name.as_ref()
    };
    let pattern: Vec<_> = written.pods.iter().filter(on_first).collect();

    for index in 1..=nodes {
        let name = format!("node-{index}");
        for pod in &pattern {
            // web-1 and web-2 become web-3 and web-4 on the second node.
            let pod_name = pod.name().name;
            let (set, number) = pod_name.rsplit_once('-').unwrap_or((&pod_name, "1"));
            let in_set = |other: &&&Located<_>| {
                other.name().name.rsplit_once('-').is_some_and(|(of, _)| of == set)
            };
            let per_node = pattern.iter().filter(in_set).count();
            let number = number.parse().unwrap_or(1) + (index - 1) * per_node;
            let mut pod = (*pod).clone();
            pod.place.object = format!("Pod default/{set}-{number}");
            pod.object.metadata.name = Some(format!("{set}-{number}"));
            if let Some(spec) = &mut pod.object.spec {
                spec.node_name = Some(name.clone());
            }
            objects.pods.push(pod);
        }
        let mut node = node.clone();
        node.place.object = format!("Node {name}");
        node.object.metadata.name = Some(name);
        objects.nodes.push(node);
    }
    objects
}

/// [`builtin`] as one YAML text, with its comments where it has two nodes.
#[must_use]
pub fn builtin_yaml(nodes: usize) -> String {
    if nodes == WRITTEN_NODES {
        return BUILTIN_YAML.to_owned();
    }
    let by_kind = builtin(nodes).to_yaml_by_kind();
    let texts: Vec<_> = by_kind.into_iter().map(|(_, text)| text).collect();
    texts.join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generated_nodes_are_the_written_ones() {
        let mut written = read_str("built-in manifest", BUILTIN_YAML).unwrap();
        let mut generated = builtin(2);
        let names = |objects: &Objects| -> Vec<_> {
            objects.pods.iter().map(|pod| pod.place.object.clone()).collect()
        };
        assert_eq!(names(&generated), names(&written));
        for objects in [&mut written, &mut generated] {
            for pod in &mut objects.pods {
                pod.place.document = 0;
            }
            for node in &mut objects.nodes {
                node.place.document = 0;
            }
        }
        assert_eq!(generated, written);
    }

    #[test]
    fn any_number_of_nodes_reads_back() {
        for nodes in [1, 2, 3, 12] {
            let read = read_str("manifest", &builtin_yaml(nodes)).unwrap();
            assert_eq!(read.nodes.len(), nodes);
            assert_eq!(read.pods.len(), 3 * nodes);
            assert_eq!(read.services.len(), 2);
        }
    }

    #[test]
    fn addresses_are_the_labs_to_assign() {
        assert_eq!(
            builtin(2).resolve().unwrap_err().to_string(),
            "built-in manifest: document 3: Node node-1: status.addresses: is missing; \
             `netlab lab up` assigns one, an agent needs it given"
        );
    }
}
