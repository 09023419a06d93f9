//! The objects of the cluster that this host belongs to, asked of its API server with kubectl.
//!
//! Law: only where somebody wished for it, since it sends packets; nothing is written, and it has a
//! time to finish in.

use std::{
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    super::{Gap, Manifest, Source},
    gaps,
    host::runtime,
    tool::Programs,
};

const KINDS: &str = "nodes,pods,services,endpointslices";
/// How the origin of what kubectl prints begins,
const ASKED: &str = "kubectl get nodes,pods,services,endpointslices";
/// and how it goes on where it was told of a kubeconfig.
const NAMED: &str = " --kubeconfig ";
/// Where nodes keep how to reach their API server: kubeadm's, k3s's.
const OF_NODES: [&str; 2] = ["/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml"];
/// Members of objects that say nothing about connections, and may be secret, or large.
const LEFT_OUT: [&str; 8] = [
    "annotations",
    "args",
    "command",
    "env",
    "envFrom",
    "managedFields",
    "volumeMounts",
    "volumes",
];

/// What kubectl prints, or why nothing.
pub(super) fn objects(programs: &Programs) -> Result<Manifest, Gap> {
    let failed = |reason: String| Gap {
        host: None,
        source: Source::Objects,
        reason,
        hides: "What should be is not known, so nothing can be missed; -f FILE gives objects."
            .to_owned(),
    };
    let Some(config) = config() else {
        return Err(failed(format!(
            "there is no kubeconfig: KUBECONFIG is not set, and neither ~/.kube/config nor {} is \
             there",
            OF_NODES.join(" nor ")
        )));
    };
    let config = config.map(|path| path.display().to_string());
    let mut args = vec!["get", KINDS, "-A", "-o", "json", "--request-timeout=5s"];
    if let Some(config) = &config {
        args.extend(["--kubeconfig", config]);
    }
    let runtime = runtime().map_err(|error| failed(gaps::chain(&error)))?;
    let text = runtime.block_on(programs.run("kubectl", &args)).map_err(failed)?;
    let of = config.map(|config| format!("{NAMED}{config}")).unwrap_or_default();
    Ok(Manifest { origin: format!("{ASKED}{of}"), text: pruned(text) })
}

/// What a command of kubectl needs to reach the API server that objects of this origin are of;
/// None where they are of none.
pub fn flags(origin: &str) -> Option<Vec<&str>> {
    let of = origin.strip_prefix(ASKED)?;
    Some(of.strip_prefix(NAMED).map(|config| vec!["--kubeconfig", config]).unwrap_or_default())
}

/// The file to name; Some(None) where kubectl finds it by itself.
fn config() -> Option<Option<PathBuf>> {
    let own = env::home_dir().map(|home| home.join(".kube/config"));
    if env::var_os("KUBECONFIG").is_some() || own.is_some_and(|path| path.is_file()) {
        return Some(None);
    }
    OF_NODES.iter().map(Path::new).find(|path| path.is_file()).map(|path| Some(path.to_owned()))
}

/// Without what nobody needs to know.
fn pruned(text: String) -> String {
    match serde_json::from_str::<Value>(&text) {
        Ok(mut value) => {
            prune(&mut value);
            value.to_string()
        }
        Err(_) => text,
    }
}

fn prune(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(prune),
        Value::Object(members) => {
            members.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
            members.values_mut().for_each(prune);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_kept() {
        let text = r#"{"kind":"List","items":[{"kind":"Pod","metadata":{"name":"a","annotations":
            {"k":"v"}},"spec":{"containers":[{"name":"c","env":[{"name":"TOKEN","value":"x"}]}]}}]}"#;
        let expected = r#"{"items":[{"kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c"}]}}],"kind":"List"}"#;
        let kept: Value = serde_json::from_str(&pruned(text.into())).unwrap();
        assert_eq!(kept, serde_json::from_str::<Value>(expected).unwrap());
        assert_eq!(pruned("apiVersion: v1".into()), "apiVersion: v1");
    }
}
