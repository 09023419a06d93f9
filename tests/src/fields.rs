//! Fields of JSON, to hold what a program prints against the page that describes it.

use std::collections::BTreeSet;

use serde_json::Value;

/// Where each field stands: `series[].measures[].estimate`. Members of objects called one of
/// `by_name` are names of somebody, and stand as `*`; those called one of `leaves` are not looked
/// into.
#[must_use]
pub fn paths(value: &Value, by_name: &[&str], leaves: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(value, "", &Names { by_name, leaves }, &mut found);
    found
}

/// Names of all fields, wherever they stand.
#[must_use]
pub fn names(value: &Value, by_name: &[&str]) -> BTreeSet<String> {
    let last = |path: String| {
        let name = path.trim_end_matches("[]").rsplit('.').next().unwrap_or_default();
        name.to_owned()
    };
    let names = paths(value, by_name, &[]).into_iter().map(last);
    names.filter(|name| !name.is_empty() && name != "*").collect()
}

struct Names<'n> {
    by_name: &'n [&'n str],
    leaves: &'n [&'n str],
}

fn walk(value: &Value, at: &str, names: &Names<'_>, found: &mut BTreeSet<String>) {
    let name = at.trim_end_matches("[]").rsplit('.').next().unwrap_or_default();
    if names.leaves.contains(&name) {
        return;
    }
    match value {
        Value::Object(members) => {
            for (member, inner) in members {
                let member = if names.by_name.contains(&name) { "*" } else { member };
                let path = if at.is_empty() { member.to_owned() } else { format!("{at}.{member}") };
                found.insert(path.clone());
                walk(inner, &path, names, found);
            }
        }
        Value::Array(list) => {
            list.iter().for_each(|inner| walk(inner, &format!("{at}[]"), names, found));
        }
        _ => {}
    }
}
