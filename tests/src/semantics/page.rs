//! docs/semantics.md, and whether what it names is there.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use super::{ROWS, Row, State};

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for row in &ROWS {
        let state = match row.state {
            State::Done => "yes",
            State::Part(_) => "in part",
            State::NotYet => "not yet",
        };
        let tests: Vec<String> =
            row.tests.iter().map(|(file, name)| format!("`{}`", path(file, name))).collect();
        let tests = if tests.is_empty() { "-".to_owned() } else { tests.join(" ") };
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| {} | **{}**: {} | {state} | {} | {tests} |",
            row.number, row.name, row.behaviour, row.holds
        );
    }
    section(&mut page, "What is missing", |row| match row.state {
        State::Part(missing) => Some(missing),
        _ => None,
    });
    section(&mut page, "Where a row does not apply", |row| Some(row.limits));
    section(&mut page, "What differs from kube-proxy", |row| Some(row.kube_proxy));
    page
}

/// What the rows promise and the sources do not keep, a sentence each.
#[must_use]
pub fn unproven() -> Vec<String> {
    let mut found = Vec::new();
    for (row, number) in ROWS.iter().zip(1..) {
        if row.number != number {
            found.push(format!("row {} stands where {number} should", row.number));
        }
        if row.state != State::NotYet && row.tests.is_empty() {
            found.push(format!("row {number} is said to hold, and no test proves it"));
        }
        for (file, name) in row.tests {
            if !is_test(file, name) {
                found.push(format!("row {number}: {file} has no test {name} that is run"));
            }
        }
    }
    let named: BTreeSet<_> = ROWS.iter().flat_map(|row| row.tests).collect();
    for (file, name, number) in tests_of_rows() {
        let known = named.contains(&(file.as_str(), name.as_str()));
        if !known {
            found.push(format!("{file}: {name} is named by no row, and should be by {number}"));
        }
    }
    found
}

/// As its test binary calls it, so that the name can be handed to `cargo test`.
fn path(file: &str, name: &str) -> String {
    let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    match parts.as_slice() {
        ["tests", "tests", _, module] => format!("{module}::{name}"),
        [_, "tests", _] => name.to_owned(),
        [.., folder, module] => format!("{folder}::{module}::{name}"),
        _ => name.to_owned(),
    }
}

fn section(page: &mut String, title: &str, text: impl Fn(&Row) -> Option<&'static str>) {
    let rows = ROWS.iter().filter_map(|row| Some((row, text(row)?)));
    let mut rows = rows.filter(|(_, text)| !text.is_empty()).peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = writeln!(page, "\n## {title}\n");
    for (row, text) in rows {
        let _ = writeln!(page, "- Row {}, {}: {text}", row.number, row.name);
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Whether the function is there, as a test that is not ignored, in a file that is compiled.
fn is_test(file: &str, name: &str) -> bool {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap_or_default();
    let is_there = tests(&read(file)).any(|test| test == name);
    is_there
        && match file.trim_end_matches(".rs").split('/').collect::<Vec<_>>().as_slice() {
            ["tests", "tests", binary, module] => {
                read(&format!("tests/tests/{binary}/main.rs")).contains(&format!("mod {module};"))
            }
            _ => true,
        }
}

/// The tests of a source file: functions with the attribute on the line above.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    source.lines().zip(source.lines().skip(1)).filter_map(|(above, line)| {
        let is_marked = above.trim() == "#[test]" || above.trim().starts_with("#[tokio::test");
        let line = line.trim().trim_start_matches("async ");
        line.strip_prefix("fn ")?.split('(').next().filter(|_| is_marked)
    })
}

/// Tests whose names say that they prove a row.
fn tests_of_rows() -> Vec<(String, String, u8)> {
    let mut found = Vec::new();
    for folder in
        ["tests/tests/prog_run", "tests/tests/netns", "tests/tests/model", "netlab-common/tests"]
    {
        let Ok(entries) = fs::read_dir(root().join(folder)) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let Ok(source) = fs::read_to_string(entry.path()) else { continue };
            let file = format!("{folder}/{}", entry.file_name().to_string_lossy());
            for test in tests(&source) {
                let number = test.strip_prefix("row_").and_then(|rest| rest.get(..2)?.parse().ok());
                if let Some(number) = number {
                    found.push((file.clone(), test.to_owned(), number));
                }
            }
        }
    }
    found
}

const HEAD: &str = "\
# What a node port does

The rows of Kubernetes' Service behaviour, as kube-proxy and Cilium have it, and what netlab's own
datapath does of each. The same rows are run against `--proxy nftables` and `--proxy iptables`
where kube-proxy has them. A test makes this page from the tests that it names and fails where one
is not there; `cargo xtask test semantics` runs them all.

| # | behaviour | there | where | proved by |
| --- | --- | --- | --- | --- |
";
