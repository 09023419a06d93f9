//! Clearing faults.

use std::collections::BTreeSet;

use super::{
    FaultError, Request, inject,
    journal::{self, Injected},
};
use crate::{
    lab::{LabDir, LabName, lock::Lock},
    netlink,
};

/// What was cleared.
#[derive(Clone, Debug, Default)]
pub struct Cleared {
    /// Faults that are not in the lab any more, the last injected first.
    pub faults: Vec<Injected>,
    /// Others that lay above, and had to be taken off and put back.
    pub put_back: Vec<Injected>,
}

/// Clears the faults of this name, or all.
///
/// # Errors
///
/// [`FaultError::NotInjected`] where there is none of this name; [`FaultError::Left`] where
/// something could not be undone: the rest is, and the faults are forgotten;
/// [`FaultError::NotPutBack`] where that is all that went wrong.
pub async fn clear(lab: &LabName, name: Option<&str>) -> Result<Cleared, FaultError> {
    let dir = LabDir::new(lab);
    let missing = netlink::missing_privileges()?;
    if !missing.is_empty() {
        return Err(FaultError::Privileges(missing));
    }
    let Some(record) = dir.record()? else { return Err(FaultError::NoLab(lab.clone())) };
    let topology = dir.topology()?.ok_or_else(|| FaultError::NoLab(lab.clone()))?;
    let mut cleared = Cleared::default();
    // Until what lay above is back too: nobody is to see the lab without it.
    let _lock = Lock::take(lab).await?;
    let mut all = journal::read(&dir)?;
    let is_doomed = |fault: &Injected| name.is_none_or(|name| fault.name == name);
    if let Some(name) = name.filter(|_| !all.iter().any(is_doomed)) {
        return Err(FaultError::NotInjected(name.to_owned()));
    }
    let mut left = Vec::new();
    for fault in in_the_way(&all, is_doomed) {
        left.extend(take_back(&dir, &mut all, &fault).await?);
        if is_doomed(&fault) {
            cleared.faults.push(fault)
        } else {
            cleared.put_back.insert(0, fault)
        }
    }
    inject::settle(&dir, &topology, &record.options).await?;
    // Each by itself, so that one that fails keeps no other away.
    let mut failed = None;
    for fault in &cleared.put_back {
        if let Err(error) = put_back(lab, &dir, fault).await {
            failed = failed.or(Some(error));
        }
    }
    match failed {
        _ if !left.is_empty() => Err(FaultError::Left(left)),
        Some(error) => Err(error),
        None => Ok(cleared),
    }
}

async fn put_back(lab: &LabName, dir: &LabDir, fault: &Injected) -> Result<(), FaultError> {
    let request = Request {
        node: fault.node.clone(),
        pod: fault.pod.clone(),
        service: Some(fault.service.clone()),
        ..Request::new(lab.clone(), &fault.name)
    };
    let of_fault =
        |source| FaultError::NotPutBack { fault: fault.to_string(), source: Box::new(source) };
    let named = inject::named(&fault.name).map_err(of_fault)?;
    inject::inject_locked(&request, named, dir).await.map_err(of_fault)?;
    Ok(())
}

/// Those that are to go, and those above them that touch the same, the last injected first.
fn in_the_way(all: &[Injected], is_doomed: impl Fn(&Injected) -> bool) -> Vec<Injected> {
    let mut touched = BTreeSet::new();
    let mut chosen = Vec::new();
    for fault in all {
        let subjects: Vec<_> = fault.undo.iter().map(super::undo::Undo::subject).collect();
        if is_doomed(fault) || subjects.iter().any(|subject| touched.contains(subject)) {
            touched.extend(subjects);
            chosen.insert(0, fault.clone());
        }
    }
    chosen
}

/// Undoes a fault and forgets it. Returns what could not be undone, a sentence each.
pub(super) async fn take_back(
    dir: &LabDir,
    all: &mut Vec<Injected>,
    fault: &Injected,
) -> Result<Vec<String>, FaultError> {
    let mut left = Vec::new();
    for undo in fault.undo.iter().rev() {
        if let Err(error) = undo.take(dir).await {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            left.push(format!("{}: {error}{}", fault.name, cause.unwrap_or_default()));
        }
    }
    all.retain(|other| !other.is_twin(fault));
    journal::write(dir, all)?;
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fault::undo::Undo;

    fn fault(name: &str, keys: &[&str]) -> Injected {
        let undo = keys.iter().map(|key| Undo::Sysctl {
            netns: "lab-node-1".to_owned(),
            key: (*key).to_owned(),
            value: "1".to_owned(),
        });
        Injected {
            name: name.to_owned(),
            node: None,
            pod: None,
            service: "default/web".to_owned(),
            done: Vec::new(),
            undo: undo.collect(),
        }
    }

    #[test]
    fn a_fault_in_another_pod_of_the_node_is_not_the_same() {
        let of = |name: &str, node: Option<&str>, pod: Option<&str>| Injected {
            node: node.map(str::to_owned),
            pod: pod.map(str::to_owned),
            ..fault(name, &[])
        };
        let one = of("a", Some("node-1"), Some("web-1"));
        assert!(one.is_twin(&one.clone()));
        assert!(!one.is_twin(&of("a", Some("node-1"), Some("web-2"))));
        assert!(!one.is_twin(&of("a", Some("node-2"), Some("web-1"))));
        assert!(!one.is_twin(&of("b", Some("node-1"), Some("web-1"))));
    }

    #[test]
    fn only_later_faults_that_touch_the_same_are_in_the_way() {
        let all = [
            fault("a", &["x"]),
            fault("b", &["x", "y"]),
            fault("c", &["z"]),
            fault("d", &["y"]),
            fault("e", &["w"]),
        ];
        let names = |doomed: &str| -> Vec<String> {
            let way = in_the_way(&all, |fault| fault.name == doomed);
            way.into_iter().map(|fault| fault.name).collect()
        };
        assert_eq!(names("a"), ["d", "b", "a"]);
        assert_eq!(names("b"), ["d", "b"]);
        assert_eq!(names("c"), ["c"]);
        assert_eq!(names("nobody"), [""; 0]);
    }
}
