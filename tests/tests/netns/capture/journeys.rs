//! `--follow` and `--service`: one packet, many hops.

use netlab_tests::{
    capture::Capture,
    lab::{CELLS, Lab},
    privilege::require_lab,
};
use serde_json::Value;

use super::dial;

/// Dials enough for chance to reach pods of both nodes.
const DIALS: usize = 16;

#[test]
fn a_syn_is_followed_to_its_pod_and_its_answer_back_to_the_client() {
    if !require_lab() {
        return;
    }
    for (mode, hook) in CELLS {
        let lab = Lab::up(mode, hook);
        let args = ["--node", "all", "--follow", "--json", "--service", "web"];
        let capture = Capture::start(&lab, &args);
        dial(&lab, DIALS);
        let ended = capture.end();
        assert_eq!(ended.statistics().dropped, 0, "{}", ended.ran.line);
        let journeys: Vec<Value> =
            ended.ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let syns: Vec<&Value> =
            journeys.iter().filter(|journey| journey["packet"] == "TCP SYN").collect();
        assert_eq!(syns.len(), DIALS, "{mode} {hook}");
        for syn in syns {
            assert_eq!(syn["service"], "default/web");
            assert_eq!(syn["hops"][0]["host"], "client", "{syn:#}");
            let reply = &syn["reply"];
            assert_eq!(reply["packet"], "TCP SYN-ACK", "{syn:#}");
            // Where the answer comes from is where the question went.
            let pod = reply["hops"][0]["host"].as_str().unwrap();
            assert!(pod.starts_with("web-"), "{syn:#}");
            let arrived = |hop: &Value| hop["host"] == pod && hop["hook"] == "tc-in";
            assert!(syn["hops"].as_array().unwrap().iter().any(arrived), "{syn:#}");
            let back = reply["hops"].as_array().unwrap().last().unwrap();
            assert_eq!(back["host"], "client", "{syn:#}");
        }
    }
}
