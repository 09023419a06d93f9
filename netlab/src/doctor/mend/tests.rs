//! How commands are typed, which are run, and where a mend stops.

use super::*;
use crate::{
    doctor::{facts::fixture, finding::Code},
    lab::{Mode, Proxy},
};

fn fix(host: Option<&str>, command: &[&str]) -> Fix {
    let finding = Finding::broken(Code::ForwardingOff, host, "");
    finding.mended(command.to_vec(), "").fixes.remove(0)
}

fn lab() -> Facts {
    fixture::lab(Mode::Vxlan, Proxy::Nftables)
}

#[test]
fn a_command_is_typed_with_what_leads_into_its_host() {
    let mut facts = lab();
    let in_node = fix(Some("node-1"), &["sysctl", "-w", "net/ipv4/ip_forward=1"]);
    let typed = |fix: &Fix, facts: &Facts| typed(fix.host.as_deref(), &fix.command, facts);
    assert_eq!(typed(&in_node, &facts), "ip netns exec lab-node-1 sysctl -w net/ipv4/ip_forward=1");
    let pod = fixture::host(&mut facts, "web-1");
    (pod.name, pod.netns) = ("pid:77".to_owned(), None);
    let in_pod = fix(Some("pid:77"), &["ip", "route"]);
    assert_eq!(typed(&in_pod, &facts), "nsenter --net --target 77 ip route");
    fixture::host(&mut facts, "node-1").netns = None;
    assert_eq!(typed(&in_node, &facts), "sysctl -w net/ipv4/ip_forward=1");
    assert_eq!(typed(&fix(None, &[]), &facts), "");
}

#[test]
fn of_a_lab_nothing_is_run_outside_of_its_namespaces() {
    let mut facts = lab();
    let sysctl = ["sysctl", "-w", "net/ipv4/ip_forward=1"];
    assert_eq!(unfit(&fix(Some("node-1"), &sysctl), &facts), None);
    let is_refused = |fix: &Fix, facts: &Facts| matches!(unfit(fix, facts), Some(Unfit::NoHost(_)));
    assert!(is_refused(&fix(None, &sysctl), &facts));
    assert!(is_refused(&fix(Some("node-9"), &sysctl), &facts));
    let of_api = fix(None, &["kubectl", "patch", "service", "web"]);
    assert!(matches!(unfit(&of_api, &facts), Some(Unfit::NoApiServer { .. })));
    fixture::host(&mut facts, "node-1").netns = None;
    assert!(is_refused(&fix(Some("node-1"), &sysctl), &facts));
    facts.lab = None;
    assert_eq!(unfit(&fix(Some("node-1"), &sysctl), &facts), None);
}

#[test]
fn kubectl_is_run_against_no_other_api_server_than_the_one_that_was_asked() {
    let mut facts = lab();
    facts.lab = None;
    let command = ["kubectl", "patch", "service", "web"];
    assert_eq!(unfit(&fix(None, &command), &facts), Some(Unfit::OtherObjects));
    let plain = || Finding::broken(Code::NoEndpoints, None, "").mended(command, "");
    let typed = |facts: &Facts| {
        let mut findings = [plain()];
        type_out(&mut findings, facts);
        type_out(&mut findings, facts);
        findings[0].fixes[0].typed.clone()
    };
    assert_eq!(typed(&facts), "kubectl patch service web");
    let asked = "kubectl get nodes,pods,services,endpointslices";
    facts.manifests[0].origin = asked.to_owned();
    assert_eq!(unfit(&fix(None, &command), &facts), None);
    assert_eq!(typed(&facts), "kubectl patch service web");
    facts.manifests[0].origin = format!("{asked} --kubeconfig /etc/kubernetes/admin.conf");
    assert_eq!(unfit(&fix(None, &command), &facts), None);
    let there = "kubectl patch service web --kubeconfig /etc/kubernetes/admin.conf";
    assert_eq!(typed(&facts), there);
}

#[tokio::test]
async fn a_mend_stops_at_the_first_command_that_fails_and_says_how_far_it_came() {
    let mut facts = lab();
    facts.lab = None;
    let of = |commands: &[&[&str]]| {
        let mut all = commands.iter().map(|command| command.to_vec());
        let first = all.next().unwrap_or_default();
        let finding = Finding::broken(Code::LinkDown, None, "").mended(first, "");
        all.fold(finding, |finding, command| finding.then(command, "")).fixes.remove(0)
    };
    let all = of(&[&["true"], &["true"]]);
    assert_eq!(run(&all, &facts).await.unwrap(), "");
    let stopped = run(&of(&[&["true"], &["false"], &["true"]]), &facts).await.unwrap_err();
    assert!(matches!(stopped.error, MendError::Failed { .. }), "{stopped}");
    assert_eq!(stopped.done, 1);
    // It is known before anything is done.
    let missing = of(&[&["true"], &["no-such-program-of-anybody"]]);
    let stopped = run(&missing, &facts).await.unwrap_err();
    assert!(matches!(stopped.error, MendError::Missing(_)), "{stopped}");
    assert_eq!(stopped.done, 0);
}

#[test]
fn commands_of_netlab_s_own_name_the_lab_where_it_is_another_than_theirs() {
    let typed = |lab: &str| {
        let mut facts = self::lab();
        facts.lab.as_mut().unwrap().name = lab.parse().unwrap();
        let mut findings = vec![
            Finding::broken(Code::Unexplained, Some("node-1"), "")
                .looked_into(["netlab", "capture", "--drops", "port", "30080"], "")
                .advised("Start it (netlab lab up)"),
        ];
        type_out(&mut findings, &facts);
        let fixes = &findings[0].fixes;
        (fixes[0].typed.clone(), fixes[1].words.clone())
    };
    let (typed_other, words) = typed("other");
    assert!(typed_other.ends_with("netlab capture --name other --drops port 30080"));
    assert_eq!(words, "Start it (netlab lab up --name other)");
    let (typed_lab, words) = typed("lab");
    assert!(typed_lab.ends_with("netlab capture --drops port 30080"), "{typed_lab}");
    assert_eq!(words, "Start it (netlab lab up)");
}

#[test]
fn what_only_looks_or_only_says_is_not_run() {
    let facts = lab();
    let finding = Finding::broken(Code::Unexplained, Some("node-1"), "")
        .looked_into(["netlab", "capture"], "")
        .advised("");
    let unfit: Vec<_> = finding.fixes.iter().map(|fix| unfit(fix, &facts)).collect();
    assert_eq!(unfit, [Some(Unfit::Looks), Some(Unfit::Advice)]);
}
