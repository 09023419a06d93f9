//! What could not be looked at, for people.

use std::fmt::Write as _;

use netlab::doctor::facts::{Gap, Source};

use super::paint::Paint;
use crate::cmd::output;

/// Reasons that are told.
const MOST: usize = 8;
/// Hosts that are told of a reason that many have.
const MOST_HOSTS: usize = 2;

/// What could not be looked at, and what that hides; a reason that many hosts have is told once.
pub(super) fn lines(gaps: &[Gap], paint: Paint) -> String {
    let mut text = String::new();
    let mut alike = alike(gaps);
    // What is hidden of a host that is looked at matters more than hosts that are hidden.
    alike.sort_by_key(|same| same.iter().any(|gap| gap.source == Source::Namespace));
    for same in alike.iter().take(MOST) {
        let line = output::wrapped(&told(same), paint.width - 2, "    ");
        let _ = writeln!(text, "  {}", paint.strong(&line));
    }
    let more: usize = alike.iter().skip(MOST).map(Vec::len).sum();
    if more > 0 {
        let _ = writeln!(text, "  and {more} more gaps; --save-facts writes all of them");
    }
    text
}

fn told(same: &[&Gap]) -> String {
    let Some((first, others)) = same.split_first() else { return String::new() };
    let reason = first.reason.trim_end_matches('.');
    let line = format!("not seen: {}: {reason}. {}", host(first), first.hides);
    let names: Vec<&str> = others.iter().take(MOST_HOSTS).map(|gap| host(gap)).collect();
    match others.len().saturating_sub(MOST_HOSTS) {
        0 if names.is_empty() => line,
        0 => format!("{line} The same holds for {}.", names.join(" and ")),
        more => format!("{line} The same holds for {} and {more} others.", names.join(", ")),
    }
}

fn host(gap: &Gap) -> &str {
    gap.host.as_deref().unwrap_or("all hosts")
}

/// Those together that differ in nothing but the host that they name, in the order of the first.
fn alike(gaps: &[Gap]) -> Vec<Vec<&Gap>> {
    let mut groups: Vec<(_, Vec<&Gap>)> = Vec::new();
    for gap in gaps {
        let key = (gap.source, without_host(gap, &gap.reason), without_host(gap, &gap.hides));
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push(gap),
            None => groups.push((key, vec![gap])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// A text about a host without its name, which may stand there without the kind of the host.
fn without_host(gap: &Gap, text: &str) -> String {
    let Some(host) = &gap.host else { return text.to_owned() };
    let name = host.split_once(':').map_or(host.as_str(), |(_, name)| name);
    text.replace(name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(host: &str, reason: &str) -> Gap {
        Gap {
            host: Some(host.to_owned()),
            source: Source::Namespace,
            reason: reason.to_owned(),
            hides: format!("Nothing of {host} is seen."),
        }
    }

    #[test]
    fn a_reason_that_many_hosts_have_is_told_once() {
        let denied = |name: &str| gap(&format!("netns:{name}"), &format!("cannot enter {name}."));
        let gaps = [denied("a1"), gap("netns:a1", "no BTF"), denied("b2"), denied("c3")];
        let text = lines(&gaps, Paint::new(false));
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>().join(" "),
            "not seen: netns:a1: cannot enter a1. Nothing of netns:a1 is seen. The same holds for \
             netns:b2 and netns:c3. not seen: netns:a1: no BTF. Nothing of netns:a1 is seen."
        );
        let many: Vec<Gap> = ["a", "b", "c", "d", "e"].map(denied).into();
        assert!(told(&many.iter().collect::<Vec<_>>()).ends_with("netns:b, netns:c and 2 others."));
    }

    #[test]
    fn no_more_reasons_are_told_than_are_read() {
        let gaps: Vec<Gap> = (0..MOST + 3).map(|at| gap("vm", &format!("reason {at}"))).collect();
        let text = lines(&gaps, Paint::new(false));
        assert!(text.ends_with("and 3 more gaps; --save-facts writes all of them\n"), "{text}");
    }
}
