//! That the plots are there with all that they have to show, and that nothing is cut off or lies
//! over something else.

use std::{collections::BTreeMap, sync::OnceLock};

use netlab::compare::{
    report,
    result::{Comparison, Measure, Round, Series},
};
use serde_json::{Value, json};

use crate::{
    chromium::{Chromium, Found},
    fixture,
};

const DESK: [u32; 2] = [1280, 900];
const PHONE: [u32; 2] = [360, 740];
/// What is left of the width of A4 between the page's margins, 180 mm, in CSS pixels.
const PAPER: [u32; 2] = [680, 1000];

/// What was seen of all pages, in one run of the browser.
struct Seen {
    desk: Found,
    phone: Found,
    paper: Found,
    bare: Found,
}

/// None, with a word why, where there is no browser.
fn seen() -> Option<&'static Seen> {
    static SEEN: OnceLock<Option<Seen>> = OnceLock::new();
    let look = || {
        let chromium = Chromium::find()?;
        let page = report::html(fixture::full());
        // The style of paper on a screen, where it can be looked at.
        let paper = page.replacen("@media print", "@media all", 1);
        assert_ne!(paper, page);
        let bare = report::html(&fixture::bare());
        let pages = [(page.clone(), DESK), (page, PHONE), (paper, PAPER), (bare, PHONE)];
        let [desk, phone, paper, bare] = chromium.look(&pages).try_into().unwrap();
        Some(Seen { desk, phone, paper, bare })
    };
    SEEN.get_or_init(look).as_ref()
}

#[test]
fn on_a_desk_every_plot_shows_every_value_and_nothing_overflows() {
    let Some(seen) = seen() else { return };
    is_in_order(&seen.desk, DESK, fixture::full());
}

#[test]
fn on_a_phone_nothing_has_to_be_pushed_aside() {
    let Some(seen) = seen() else { return };
    is_in_order(&seen.phone, PHONE, fixture::full());
    for (id, plot) in seen.phone.value["plots"].as_object().unwrap() {
        let letters = plot["letters"].as_f64().unwrap();
        assert!(letters > 9.5, "{id}: letters of {letters} pixels");
    }
}

#[test]
fn on_paper_it_is_as_whole_as_on_a_screen() {
    let Some(seen) = seen() else { return };
    is_in_order(&seen.paper, PAPER, fixture::full());
}

#[test]
fn it_can_be_printed() {
    let Some(chromium) = Chromium::find() else { return };
    let pdf = chromium.print(&report::html(fixture::full()));
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 50_000, "{} bytes", pdf.len());
}

#[test]
fn what_was_not_measured_is_left_out() {
    let Some(seen) = seen() else { return };
    is_in_order(&seen.bare, PHONE, &fixture::bare());
    let ids: Vec<_> =
        seen.bare.value["ids"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for absent in ["encapsulation", "services", "path", "packet", "mtu", "nodes", "routed"] {
        assert!(!ids.contains(&absent), "{absent} in {ids:?}");
    }
    for present in ["translation", "rates", "numbers", "conditions", "raw"] {
        assert!(ids.contains(&present), "{present} not in {ids:?}");
    }
}

fn is_in_order(found: &Found, [width, _]: [u32; 2], comparison: &Comparison) {
    let value = &found.value;
    assert_eq!(value["width"], width);
    assert_eq!(value["scroll"], 0, "the page is wider than its window: {}", value["beyond"]);
    for complaint in ["beyond", "spilt", "outside", "overlapping", "errors", "requests"] {
        assert_eq!(value[complaint], json!([]), "{complaint}");
    }
    assert_eq!(found.marks, expected(comparison));
    for (id, plot) in value["plots"].as_object().unwrap() {
        assert_eq!(plot["marks"], plot["named"], "{id}: marks that are not to be seen");
        assert_eq!(plot["told"], true, "{id}: title, description and caption");
    }
    stacks_are_whole(value, comparison);
    // Two scripts of its own and two that look; the hostile text has made none.
    assert_eq!(value["scripts"], 4);
    let saved = &value["saved"];
    assert_eq!(saved["type"], "application/json", "{saved}");
    assert_eq!(saved["name"], "netlab-compare.json", "{saved}");
    assert!(saved["size"].as_u64() >= value["json"].as_u64(), "{saved}");
}

/// Marks by plot, counted from the data.
fn expected(comparison: &Comparison) -> BTreeMap<String, u64> {
    let mut marks = BTreeMap::new();
    let mut add = |id: String, count: u64| {
        if count > 0 {
            *marks.entry(id).or_default() += count;
        }
    };
    for series in &comparison.series {
        let (proxy, workload, main) = (series.cell.proxy, series.workload, series.measures[0]);
        add(format!("vxlan-{proxy}"), main.to_host_gw.is_some().into());
        add(format!("proxy-{proxy}"), main.to_none.is_some().into());
        if matches!(main.measure, Measure::Rate | Measure::Throughput) {
            add(format!("rate-{workload}"), main.estimate.is_some().into());
        }
        add(format!("latency-{workload}-{}", series.cell.mode), marked(series));
    }
    for step in &comparison.scaling {
        add("services-first-byte".into(), step.first_byte.is_some().into());
        add("services-programming".into(), 1);
    }
    for network in &comparison.networks {
        let sizes = network.properties.state.as_ref().unwrap().growth.len() as u64;
        add("nodes-entries".into(), sizes);
        add("nodes-time".into(), sizes);
    }
    marks
}

/// Of 50%, 90%, 99% and 99.9%: those beyond which every round has an operation.
fn marked(series: &Series) -> u64 {
    let count = |round: &Round| match round {
        Round::Done { work, .. } => work.latencies.map(|latencies| latencies.count),
        Round::Failed { .. } => None,
    };
    let fewest = series.rounds.iter().filter_map(count).min().unwrap_or(0);
    [2, 10, 100, 1_000].into_iter().filter(|one_in| fewest >= *one_in).count() as u64
}

/// The bytes that are shown are those that were captured, in their order.
fn stacks_are_whole(value: &Value, comparison: &Comparison) {
    let stacks = value["stacks"].as_array().unwrap();
    assert_eq!(stacks.len(), comparison.networks.len());
    for (stack, network) in stacks.iter().zip(&comparison.networks) {
        let captured = &network.properties.overhead.as_ref().unwrap().example.underlay;
        assert_eq!(stack[0].as_u64(), Some(captured.len() as u64 / 2));
        assert_eq!(stack[1].as_str().map(|digits| digits.replace(' ', "")), Some(captured.clone()));
    }
}
