//! What a line says behind tcpdump's own fields: where, and what happened there. The same live
//! and from a file that netlab wrote.

use netlab::{
    capture::file::{APPLICATION, Record},
    trace::{Hook, Sighting},
};

use super::{
    archive::{SEPARATOR, SERVICE},
    place,
};

/// SGR codes: dim, red, green, off.
const PLACE: &str = "\x1b[2m";
const DROP: &str = "\x1b[31m";
const CHANGE: &str = "\x1b[32m";
const OFF: &str = "\x1b[0m";

/// `| node-1 eth0 xdp-out | dnat 172.18.0.2:30080 -> 10.244.1.2:8080`.
pub(super) fn of_sighting(sighting: &Sighting<'_>, color: bool) -> String {
    let place = place::words(sighting.host, sighting.interface, sighting.hook).join(" ");
    let event = sighting.event.as_ref().map(ToString::to_string);
    remark(&place, event.as_deref(), color)
}

/// The same for a packet of a file. None where netlab did not see the packet itself, which also
/// holds for its copies of the files of others.
pub(super) fn of_record(record: &Record<'_>, color: bool) -> Option<String> {
    let (program, _) = APPLICATION.split_once(' ')?;
    if record.application.split(' ').next() != Some(program) {
        return None;
    }
    let (name, description) = (&record.place.name, record.place.description.as_deref()?);
    let hook = name.rsplit(SEPARATOR).next()?;
    let hook = Hook::ALL.into_iter().find(|it| it.name() == hook)?;
    if hook.description() != description {
        return None;
    }
    let event = record.note.comments.iter().find(|comment| !comment.starts_with(SERVICE));
    let place = printable(&name.replace(SEPARATOR, " "));
    Some(remark(&place, event.map(|event| printable(&event)).as_deref(), color))
}

fn remark(place: &str, event: Option<&str>, color: bool) -> String {
    let place = format!("| {place}");
    let place = if color { format!("{PLACE}{place}{OFF}") } else { place };
    let Some(event) = event.filter(|event| !event.is_empty()) else { return place };
    let (on, off) = match (color, event.starts_with("DROP ")) {
        (false, _) => ("", ""),
        (true, true) => (DROP, OFF),
        (true, false) => (CHANGE, OFF),
    };
    format!("{place} {on}| {event}{off}")
}

/// A file may hold anything: nothing of it ends a line, or tells a terminal what to do.
fn printable(text: &str) -> String {
    let plain =
        |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use netlab::{
        capture::{
            LinkType, Packet,
            file::{Comments, Interface, Note},
        },
        trace::Event,
    };

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

    fn place(name: &str, description: &str) -> Interface {
        let (name, description) = (name.to_owned(), Some(description.to_owned()));
        Interface { name, description, link: LinkType::ETHERNET, snaplen: 0 }
    }

    fn record<'a>(place: &'a Interface, comments: &'a [&'a str]) -> Record<'a> {
        Record {
            packet: Packet { time: 0, link: LinkType::ETHERNET, wire_len: 0, bytes: &[] },
            interface: 0,
            place,
            note: Note { comments: Comments::new(comments), ..Note::default() },
            application: APPLICATION,
        }
    }

    #[test]
    fn a_drop_is_told_with_its_place_reason_and_function() {
        assert_eq!(
            of_sighting(&dropped(), false),
            "| eth0 drop | DROP NETFILTER_DROP (nf_hook_slow+0x1f)"
        );
    }

    #[test]
    fn colours_end_where_they_began() {
        let remark = of_sighting(&dropped(), true);
        assert_eq!(remark.matches(OFF).count(), 2);
        assert!(remark.contains(DROP), "{remark:?}");
    }

    #[test]
    fn a_file_is_told_as_what_was_written_to_it() {
        let place = place("eth0/drop", Hook::Drop.description());
        let comments = ["DROP NETFILTER_DROP (nf_hook_slow+0x1f)", "service default/web"];
        for color in [false, true] {
            let told = of_record(&record(&place, &comments), color);
            assert_eq!(told, Some(of_sighting(&dropped(), color)));
        }
        let told = of_record(&record(&place, &comments[1..]), false);
        assert_eq!(told.as_deref(), Some("| eth0 drop"), "a Service alone is no event");
    }

    #[test]
    fn what_others_saw_is_left_as_it_is() {
        let own = place("node-1/eth0/tc-in", Hook::TcIn.description());
        assert!(of_record(&record(&own, &[]), false).is_some());
        for application in ["", "Dumpcap (Wireshark) 4.0", "netlabel 1.0"] {
            assert_eq!(of_record(&Record { application, ..record(&own, &[]) }, false), None);
        }
        // Copied by netlab, but not seen by it.
        for other in [place("eth0", "a card"), place("node-1/eth0/tc-in", "a card")] {
            assert_eq!(of_record(&record(&other, &["dnat"]), false), None, "{}", other.name);
        }
    }

    #[test]
    fn a_file_does_not_reach_the_terminal() {
        let place = place("a\u{1b}[2Jb/tc-in", Hook::TcIn.description());
        let told = of_record(&record(&place, &["x\ny"]), false).unwrap();
        assert_eq!(told, "| a\u{fffd}[2Jb tc-in | x\u{fffd}y");
    }
}
