//! Bounds, and anything at all.

use proptest::prelude::*;

use super::*;

#[test]
fn journeys_that_never_end_take_bounded_memory() {
    let options = Options { max_sightings: 100, max_connections: 50, ..Options::default() };
    let mut follower = Follower::new(options);
    let mut seen = 0;
    for number in 0..5000_u16 {
        let client = format!("172.18.255.10:{}", number + 1);
        let frame = udp(&client, FRONTEND, b"flood").id(number + 1).frame();
        let sighting = Sighting {
            time: START + u64::from(number),
            host: "client",
            interface: "eth0",
            hook: Hook::TcOut,
            event: None,
            wire_len: 47,
            bytes: &frame,
        };
        seen += follower.see(&sighting).len();
        assert!(follower.held <= 100, "{}", follower.held);
        assert!(follower.open.len() + follower.waiting.len() <= 100);
        assert!(follower.prints.len() <= 100);
        assert!(follower.last.len() <= 100);
        assert!(follower.flows.len() <= 50 + 100, "{}", follower.flows.len());
    }
    assert_eq!(seen + follower.finish().len(), 5000);
}

#[test]
fn what_is_complete_is_handed_out_when_time_has_passed() {
    let mut scene = Scene::new();
    scene.see(0, "client eth0 tc-out", &udp(CLIENT, FRONTEND, b"?").id(1).frame());
    let wait = 250_000_000 + 20_000_000;
    assert_eq!(scene.follower.advance(START + wait - 1), []);
    assert_eq!(scene.follower.advance(START + wait).len(), 1);
    assert_eq!(scene.follower.held, 0);
    assert!(scene.follower.open.is_empty() && scene.follower.prints.len() == 0);
}

#[test]
fn a_question_waits_for_its_answers_way_back() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, FRONTEND, b"?").id(1);
    scene.see(0, "client eth0 tc-out", &request.frame());
    let answer = request.between(FRONTEND, CLIENT).id(8);
    scene.see(200_000, "node-1 eth0 tc-out", &answer.frame());
    scene.see(400_000, "client eth0 tc-in", &answer.frame());
    assert_eq!(scene.journeys, []);
    assert_eq!(shape(&scene.end()), [(1, 2)]);
}

/// Frames that resemble each other, and others.
fn frames() -> impl Strategy<Value = (Vec<u8>, Option<Event>)> {
    let ends = [CLIENT, FRONTEND, MASQUERADE, REMOTE];
    let built = (0..4_usize, 0..4_usize, 0..4_u16, 0..6_u32, 0..400_usize, 0..3_u8);
    let frame = built.prop_map(move |(from, to, id, seq, len, kind)| {
        let (from, to) = (ends[from], ends[to]);
        let build = match kind {
            0 => tcp(from, to, "A", 0, 0).bytes(seq * 100, len),
            1 => tcp(from, to, ["S", "SA", "RA", "A", "FA", ""][seq as usize], seq, 1),
            _ => udp(from, to, &[1; 9][..seq as usize]),
        };
        build.id(id)
    });
    (frame, 0..8_u8, 0..4_usize, any::<proptest::sample::Index>()).prop_map(
        move |(build, kind, end, cut)| {
            let other = build.between(ends[end], ends[(end + 1) % 4]);
            let frame = build.frame();
            match kind {
                0 => (vxlan(NODE_1, NODE_2, &frame), None),
                1 => (frame[..cut.index(frame.len())].to_vec(), None),
                2 => (frame, Some(translated(Kind::First, &other, &build))),
                3 => {
                    let outer = vxlan(NODE_1, NODE_2, &frame);
                    (outer, Some(encapsulated(Kind::Reply, &other, &build, NODE_2)))
                }
                4 => (icmp_error(NODE_1, NODE_2, (3, 1), &frame), None),
                5 => {
                    let answer = netlab_common::verdict::Answer::TcpReset;
                    (frame, Some(Event::Answer(answer, other.flow())))
                }
                _ => (frame, None),
            }
        },
    )
}

/// Time, host, hook, frame and event.
type Any = (u64, u8, u8, Vec<u8>, Option<Event>);

fn sightings() -> impl Strategy<Value = Vec<Any>> {
    let time = prop_oneof![6 => 0..2000_u64, 3 => 0..1_000_000_000_u64, 1 => any::<u64>()];
    let noise = proptest::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| (bytes, None));
    let frame = prop_oneof![8 => frames(), 1 => noise];
    let one = (time, 0..3_u8, 0..7_u8, frame)
        .prop_map(|(time, host, hook, (frame, event))| (time, host, hook, frame, event));
    proptest::collection::vec(one, 0..60)
}

proptest! {
    #[test]
    fn every_sighting_is_in_exactly_one_journey(sightings in sightings(), max in 1..80_usize) {
        let options = Options { max_sightings: max, max_connections: 5, ..Options::default() };
        let mut follower = Follower::new(options);
        let mut journeys = Vec::new();
        for (number, (time, host, hook, bytes, event)) in sightings.iter().enumerate() {
            // Its length tells which one it is.
            let sighting = Sighting {
                time: *time,
                host: ["client", "node-1", ""][usize::from(*host)],
                interface: "eth0",
                hook: Hook::from_number(*hook).unwrap(),
                event: event.clone(),
                wire_len: u32::try_from(number).unwrap() + 2000,
                bytes,
            };
            journeys.extend(follower.see(&sighting));
            prop_assert!(follower.held <= max);
            let held: usize = follower.open.values().map(|open| open.hops.len()).sum();
            prop_assert_eq!(follower.held, held + follower.waiting.len());
            prop_assert!(follower.last.len() <= follower.open.len());
        }
        journeys.extend(follower.finish());
        let mut ids = Vec::new();
        let mut numbers = Vec::new();
        for journey in &journeys {
            for one in std::iter::once(journey).chain(journey.reply.as_deref()) {
                ids.push(one.id);
                numbers.extend(one.hops.iter().map(|hop| hop.length as usize - 2000));
                prop_assert!(one.hops.is_sorted_by_key(|hop| (hop.time, hop.hook)));
                prop_assert!(!one.hops.is_empty());
            }
            let style = super::super::Style { color: true, zone: jiff::tz::TimeZone::UTC };
            prop_assert!(!super::super::render(journey, &style).is_empty());
            prop_assert!(serde_json::to_string(journey).is_ok());
        }
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (0..sightings.len()).collect::<Vec<_>>());
        ids.sort_unstable();
        let (first, count) = (ids.first().copied().unwrap_or(1), ids.len() as u64);
        prop_assert_eq!(ids, (first..first + count).collect::<Vec<_>>());
    }
}
