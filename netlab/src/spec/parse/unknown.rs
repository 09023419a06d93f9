//! Fields that the typed object has no place for.
//!
//! The Kubernetes types drop what they do not know, so a typo such as `nodeport` would
//! be silence. What reading and writing loses is what nobody understood.

use serde_json::Value;

/// Path of the first value in `written` that is absent from `understood`. Empty values
/// do not count: writing leaves them out, and they say nothing.
pub(super) fn first_lost(written: &Value, understood: &Value) -> Option<String> {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            written.iter().find_map(|(key, value)| {
                let below = match understood.get(key) {
                    Some(same) => first_lost(value, same)?,
                    None if is_empty(value) => return None,
                    None => String::new(),
                };
                Some(if below.is_empty() || below.starts_with('[') {
                    format!("{key}{below}")
                } else {
                    format!("{key}.{below}")
                })
            })
        }
        (Value::Array(written), Value::Array(understood)) => {
            written.iter().zip(understood).enumerate().find_map(|(index, (value, same))| {
                let below = first_lost(value, same)?;
                Some(match below.starts_with('[') {
                    true => format!("[{index}]{below}"),
                    false => format!("[{index}].{below}"),
                })
            })
        }
        _ => None,
    }
}

/// The known field most like the last part of `path`.
pub(super) fn suggestion(path: &str) -> Option<&'static str> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let distance =
        |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    KNOWN
        .iter()
        .map(|known| (distance(known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 2 && *distance < name.len() / 2)
        .map(|(_, known)| known)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The fields that netlab reads, which are those worth suggesting.
const KNOWN: &[&str] = &[
    "address",
    "addressType",
    "addresses",
    "annotations",
    "apiVersion",
    "clientIP",
    "clusterIP",
    "clusterIPs",
    "conditions",
    "containerPort",
    "containers",
    "endpoints",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "kind",
    "labels",
    "loadBalancerSourceRanges",
    "metadata",
    "name",
    "namespace",
    "nodeName",
    "nodePort",
    "podCIDR",
    "podCIDRs",
    "podIP",
    "podIPs",
    "port",
    "ports",
    "protocol",
    "publishNotReadyAddresses",
    "ready",
    "selector",
    "serving",
    "sessionAffinity",
    "sessionAffinityConfig",
    "spec",
    "status",
    "targetPort",
    "targetRef",
    "terminating",
    "timeoutSeconds",
    "type",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lost_value_is_found_at_its_path() {
        let written = json!({"spec": {"ports": [{"port": 1}, {"nodeport": 2, "port": 3}]}});
        let understood = json!({"spec": {"ports": [{"port": 1}, {"port": 3}]}});
        assert_eq!(first_lost(&written, &understood).unwrap(), "spec.ports[1].nodeport");
        assert_eq!(first_lost(&understood, &written), None);
        let empty = json!({"status": {}, "spec": {"ports": [], "x": null}});
        assert_eq!(first_lost(&empty, &json!({"spec": {}})), None);
    }

    #[test]
    fn only_similar_names_are_suggested() {
        assert_eq!(suggestion("spec.ports[1].nodeport"), Some("nodePort"));
        assert_eq!(suggestion("spec.podCidr"), Some("podCIDR"));
        assert_eq!(suggestion("metadata.lables"), Some("labels"));
        assert_eq!(suggestion("spec.replicas"), None);
    }
}
