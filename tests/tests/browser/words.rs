//! What a page says, without a browser.

use crate::fixture;
use netlab::compare::{report, result::Comparison};

#[test]
fn the_finding_is_the_heading_and_all_that_is_strange_is_escaped() {
    let mut comparison = fixture::full().clone();
    comparison.finding = fixture::HOSTILE.to_owned();
    let page = report::html(&comparison);
    assert!(page.contains("<h1>&lt;/script&gt;&lt;img src=x"), "the finding");
    assert!(!page.contains("<img"), "nothing becomes an element");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(page.contains("rounds failed"));
}

#[test]
fn the_data_in_the_page_are_the_comparison() {
    let comparison = fixture::full();
    let page = report::html(comparison);
    let begin = "<script id=\"comparison\" type=\"application/json\">";
    let (_, rest) = page.split_once(begin).unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    assert!(json.replace("\\u003c", "<") == serde_json::to_string(comparison).unwrap());
    assert_eq!(Comparison::read(json).unwrap().finding, comparison.finding);
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let page = report::html(fixture::full());
    assert!(page.contains("default-src 'none'"));
    for word in ["src=\"", "href=\"http", "url(", "@import", "<link", "http://", "https://"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn what_is_not_clear_and_what_the_load_bounds_is_marked() {
    let page = report::html(fixture::full());
    assert!(page.contains("†"), "generator-bound");
    assert!(page.contains("too noisy to tell"));
    let page = report::html(&fixture::bare());
    assert!(page.contains("too few rounds"), "marks say why they claim nothing");
    assert!(page.contains("No difference is clear here."));
    assert!(page.contains("2 of 6 rounds failed"), "failed rounds are told");
}
