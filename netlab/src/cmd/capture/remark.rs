//! What a live line says behind tcpdump's own fields: where, and what happened there.

use netlab::trace::{Event, Sighting};

/// SGR codes: dim, red, green, off.
const PLACE: &str = "\x1b[2m";
const DROP: &str = "\x1b[31m";
const CHANGE: &str = "\x1b[32m";
const OFF: &str = "\x1b[0m";

/// `| node-1 eth0 xdp-out | dnat 172.18.0.2:30080 -> 10.244.1.2:8080`.
pub(super) fn remark(sighting: &Sighting<'_>, color: bool) -> String {
    let place = format!("| {}", place(sighting));
    let place = if color { format!("{PLACE}{place}{OFF}") } else { place };
    let Some(event) = &sighting.event else { return place };
    let (on, off) = match (color, is_drop(event)) {
        (false, _) => ("", ""),
        (true, true) => (DROP, OFF),
        (true, false) => (CHANGE, OFF),
    };
    format!("{place} {on}| {event}{off}")
}

/// Host, interface and hook, as far as there are any.
fn place(sighting: &Sighting<'_>) -> String {
    let words = [sighting.host, sighting.interface, sighting.hook.name()];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Whether the packet ended there.
const fn is_drop(event: &Event) -> bool {
    matches!(event, Event::Drop(..) | Event::KernelDrop { .. })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use netlab::trace::Hook;

    use super::*;

    fn dropped() -> Sighting<'static> {
        Sighting {
            time: 0,
            host: "",
            interface: "eth0",
            hook: Hook::Drop,
            event: Some(Event::KernelDrop {
                reason: Arc::from("NETFILTER_DROP"),
                function: Arc::from("nf_hook_slow+0x1f"),
            }),
            wire_len: 0,
            bytes: &[],
        }
    }

    #[test]
    fn a_drop_is_told_with_its_place_reason_and_function() {
        assert_eq!(
            remark(&dropped(), false),
            "| eth0 drop | DROP NETFILTER_DROP (nf_hook_slow+0x1f)"
        );
    }

    #[test]
    fn colours_end_where_they_began() {
        let remark = remark(&dropped(), true);
        assert_eq!(remark.matches(OFF).count(), 2);
        assert!(remark.contains(DROP), "{remark:?}");
    }
}
