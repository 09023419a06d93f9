//! `--report` and `--from`: no lab is built, so that anyone may do it.

use std::fs;

use netlab::compare::result::VERSION;
use netlab_tests::binary::netlab;

use crate::fixture;

#[test]
fn a_page_is_made_of_an_earlier_run_and_replaces_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (run, page) = (folder.path().join("run.json"), folder.path().join("page.html"));
    fs::write(&run, fixture::RUN).unwrap();
    fs::write(&page, "yesterday's").unwrap();
    let args = [
        "compare".as_ref(),
        "--from".as_ref(),
        run.as_os_str(),
        "--report".as_ref(),
        page.as_os_str(),
    ];
    let ran = netlab(&args).expect(0);
    assert!(ran.stdout.starts_with(&fixture::run().finding), "{}", ran.stdout);
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>"), "whole");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn what_cannot_be_shown_or_written_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("run.json"), fixture::RUN).unwrap();
    let version = format!("\"version\":{VERSION}");
    assert!(fixture::RUN.contains(&version), "the fixture is of this version");
    fs::write(path("old.json"), fixture::RUN.replacen(&version, "\"version\":1", 1)).unwrap();
    fs::write(path("other.json"), "{\"a\": [").unwrap();
    let (run, page) = (path("run.json"), path("page.html"));
    for (from, report, words) in [
        (&run, &path("none/page.html"), "none/page.html: cannot create it"),
        (&run, &"/dev/null".to_owned(), "/dev/null: this is there, and no file"),
        (&path("old.json"), &page, "version 1 of the JSON, and this netlab reads version"),
        (&path("other.json"), &page, "is not what `netlab compare -o json` prints"),
        (&path("missing.json"), &page, "cannot read the comparison"),
    ] {
        let refused = netlab(&["compare", "--from", from, "--report", report]).expect(2);
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    }
    // Before anything is measured, also where there is nothing to show yet.
    let refused = netlab(&["compare", "--report", &path("none/page.html")]).expect(2);
    assert!(refused.stderr.contains("cannot create it"), "{}", refused.stderr);
    let refused = netlab(&["compare", "--from", &run, "--rounds", "9"]).expect(2);
    assert!(refused.stderr.contains("cannot be used with"), "{}", refused.stderr);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing half-done is left");
}
