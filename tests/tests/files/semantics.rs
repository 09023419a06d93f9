//! docs/semantics.md says what the tests prove.

use std::fs;

use netlab_tests::semantics::{page, unproven};

#[test]
fn every_row_names_the_tests_that_prove_it() {
    let unproven = unproven();
    assert!(unproven.is_empty(), "{}", unproven.join("\n"));
}

/// `NETLAB_BLESS=1` writes it.
#[test]
fn the_page_is_that_of_the_rows() {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/semantics.md");
    if std::env::var_os("NETLAB_BLESS").is_some() {
        fs::write(PATH, page()).unwrap();
    }
    let there = fs::read_to_string(PATH).unwrap_or_default();
    assert!(there == page(), "docs/semantics.md is stale; NETLAB_BLESS=1 writes it");
}
