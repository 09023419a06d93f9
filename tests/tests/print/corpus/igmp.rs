//! IGMP: queries and reports of all versions, right and wrong.

use crate::fixtures::{Ipv4, summed};

const GROUP: [u8; 4] = [224, 0, 0, 251];

fn query(code: u8, group: [u8; 4], rest: &[u8]) -> Vec<u8> {
    [&[0x11, code, 0, 0][..], &group, rest].concat()
}

fn report(groups: u8, records: &[u8]) -> Vec<u8> {
    [&[0x22, 0, 0, 0, 0, 0, 0, groups][..], records].concat()
}

fn record(kind: u8, sources: u8) -> Vec<u8> {
    let sources = (0..sources).flat_map(|host| [10, 0, 0, host]);
    let count = u8::try_from(sources.clone().count() / 4).expect("few sources");
    [kind, 0, 0, count].into_iter().chain(GROUP).chain(sources).collect()
}

pub fn packets() -> Vec<Vec<u8>> {
    let mut messages = vec![
        query(0, [0; 4], &[]),
        query(100, [0; 4], &[]),
        query(10, GROUP, &[]),
        query(10, GROUP, &[0]),
        query(100, [0; 4], &[2, 125, 0, 0]),
        query(100, GROUP, &[2, 125, 0, 0]),
        query(20, GROUP, &[2, 125, 0, 2, 10, 0, 0, 1, 10, 0, 0, 2]),
        query(20, GROUP, &[2, 125, 0, 9, 10, 0, 0, 1]),
        query(20, GROUP, &[2, 125, 0, 0, 0]),
        report(1, &record(4, 0)),
        report(2, &[record(1, 3), record(6, 1)].concat()),
        report(2, &[record(2, 0), record(9, 0)].concat()),
        report(3, &record(5, 1)),
        report(1, &record(3, 4)[..12]),
        report(0, &[]),
        report(1, &record(4, 0)[..7]),
    ];
    messages.extend((0..=255).step_by(3).map(|code| query(code, [0; 4], &[2, 125, 0, 0])));
    for kind in [0x12, 0x16, 0x17, 0x1e, 0x1f, 0x99] {
        messages.push([&[kind, 0, 0, 0][..], &GROUP].concat());
        let trace = [&[kind, 0, 0, 0][..], &GROUP, &[10, 0, 0, 1, 10, 0, 0, 2]].concat();
        messages.push([&trace[..], &GROUP, &[9, 1, 2, 3]].concat());
        messages.push([&trace[..], &[10, 0, 0, 3, 9, 1, 2, 3]].concat());
    }
    let ip = Ipv4 { ttl: 1, options: vec![148, 4, 0, 0], destination: GROUP, ..Ipv4::new(2) };
    let right = messages.iter().map(|message| ip.frame(&summed(message.clone(), 2)));
    let wrong = messages.iter().map(|message| ip.frame(message));
    right.chain(wrong).collect()
}
