//! The catalogue as a whole.

use std::collections::BTreeSet;

use super::*;
use crate::lab::{Options, Proxy};

/// Rows of the catalogue of causes.
const ROWS: u8 = 36;

#[test]
fn every_row_has_a_fault_and_every_name_is_one() {
    let rows: BTreeSet<u8> = all().iter().flat_map(|fault| fault.rows).copied().collect();
    assert_eq!(rows, (1..=ROWS).collect());
    let mut names = BTreeSet::new();
    for fault in all() {
        assert!(names.insert(fault.name), "{} twice", fault.name);
        assert!(!fault.shows.is_empty() && !fault.modes.is_empty() && !fault.proxies.is_empty());
        let everywhere = fault.applies() == "all / all";
        assert_eq!(everywhere, fault.limits.is_empty(), "{}", fault.name);
        assert!(find(fault.name).is_some_and(|found| found.name == fault.name));
    }
}

#[test]
fn a_lab_without_a_proxy_shows_nothing() {
    let mut options = Options::new("t".parse().unwrap());
    assert!(all().iter().any(|fault| fault.unfit(&options).is_none()));
    options.proxy = Proxy::None;
    assert!(all().iter().all(|fault| fault.unfit(&options).is_some()));
}

#[test]
fn the_page_has_the_catalogue() {
    let page = include_str!("../../../../docs/faults.md");
    assert!(page.contains(&table()), "docs/faults.md should have:\n{}", table());
}
