//! What becomes of a connection: its backend, its port, its state and its end.

mod node;

use std::collections::BTreeSet;

use netlab_common::{
    conntrack::{SECOND, State},
    flow::FlowKey,
    headers::Headers,
    host::{packets::Sketch, tables::HostTables},
    nodeport::{Point, Room, decide, take_back},
    verdict::{Answer, DropReason, Forward, Kind, PassReason, Route, Verdict},
    wire::tcp::flags::{ACK, FIN, RST, SYN},
};
use node::*;

#[test]
fn a_local_backend_sees_the_clients_own_address_and_port() {
    for packet in [syn(CLIENT, TCP_LOCAL), Sketch::udp(at(CLIENT), at(UDP_LOCAL))] {
        let (verdict, arrived) = step(&node(), &packet, NOW);
        assert_eq!(verdict, forward(Kind::First, Route::Stack));
        assert_eq!(ends(&arrived), [at(CLIENT), at(LOCAL_POD)]);
    }
}

#[test]
fn a_remote_backend_sees_the_node_and_a_port_of_the_range() {
    for packet in [syn(CLIENT, TCP_REMOTE), Sketch::udp(at(CLIENT), at(UDP_REMOTE))] {
        let (verdict, arrived) = step(&node(), &packet, NOW);
        assert_eq!(verdict, forward(Kind::First, Route::Fib));
        let [src, dst] = ends(&arrived);
        assert_eq!((src.ip(), dst), (at(NODE).ip(), at(REMOTE_POD)));
        assert!((61_000..=61_999).contains(&src.port()), "port {}", src.port());
    }
}

#[test]
fn no_two_connections_share_a_masqueraded_port_until_all_are_taken() {
    let mut tables = node();
    tables.config.snat_ports = [61_000, 61_031];
    let open = |port: u16| {
        let (verdict, arrived) = step(&tables, &syn(&format!("192.0.2.9:{port}"), TCP_REMOTE), NOW);
        (verdict, ends(&arrived)[0].port())
    };
    let ports: BTreeSet<u16> = (1..=32)
        .map(|client| {
            let (verdict, port) = open(client);
            assert_eq!(verdict, forward(Kind::First, Route::Fib));
            port
        })
        .collect();
    assert_eq!(ports, (61_000..=61_031).collect());
    assert_eq!(open(33).0, Verdict::Drop(DropReason::SnatPortsExhausted));
    assert_eq!(tables.conntrack.borrow().len(), 64);
}

#[test]
fn the_same_client_port_through_two_frontends_to_one_local_backend_is_told_apart() {
    let tables = node();
    let (_, first) = step(&tables, &syn(CLIENT, TCP_LOCAL), NOW);
    let (verdict, second) = step(&tables, &syn(CLIENT, TCP_LOCAL_TWIN), NOW);
    assert_eq!(verdict, forward(Kind::First, Route::Stack));
    assert_eq!(ends(&first)[0], at(CLIENT));
    assert_eq!(ends(&second)[0].ip(), at(CLIENT).ip());
    assert!((61_000..=61_999).contains(&ends(&second)[0].port()));
    for (arrived, dialled) in [(first, TCP_LOCAL), (second, TCP_LOCAL_TWIN)] {
        let packet = syn(CLIENT, dialled);
        let (_, answered) = step(&tables, &answer(&arrived, &packet, SYN | ACK), NOW);
        assert_eq!(ends(&answered), [at(dialled), at(CLIENT)]);
    }
}

#[test]
fn backends_are_chosen_at_random_and_all_of_them() {
    let tables = node();
    let chosen: BTreeSet<_> = (1..=200)
        .map(|port| ends(&step(&tables, &syn(&format!("192.0.2.9:{port}"), MANY), NOW).1)[1])
        .collect();
    assert_eq!(chosen.len(), 8);
}

#[test]
fn a_retransmitted_syn_keeps_its_backend() {
    let tables = node();
    let (_, first) = step(&tables, &syn(CLIENT, MANY), NOW);
    for again in 1..20 {
        let (verdict, bytes) = step(&tables, &syn(CLIENT, MANY), NOW + again);
        assert_eq!(verdict, forward(Kind::Original, Route::Stack));
        assert_eq!(bytes, first);
    }
    assert_eq!(tables.conntrack.borrow().len(), 2);
}

#[test]
fn a_slot_that_was_just_taken_away_leads_to_the_first_one() {
    let mut tables = node();
    let service = tables.frontends[&node_port(MANY, 6)].service;
    tables.backends.retain(|key, _| key.service != service || key.slot == 0);
    for port in 1..=20 {
        let (_, arrived) = step(&tables, &syn(&format!("192.0.2.9:{port}"), MANY), NOW);
        assert_eq!(ends(&arrived)[1], at("10.244.1.1:8080"));
    }
}

#[test]
fn both_directions_share_the_state() {
    let tables = node();
    let open = Connection::open(&tables, NOW);
    assert_eq!(open.states(), [State::ESTABLISHED; 2]);
    open.client(FIN | ACK, NOW);
    assert_eq!(open.states(), [State::FIN_ORIGINAL; 2]);
    open.backend(FIN | ACK, NOW);
    assert_eq!(open.states(), [State::CLOSING; 2]);
}

#[test]
fn each_direction_counts_its_own_packets_and_bytes() {
    let tables = node();
    let open = Connection::open(&tables, NOW);
    let original = tables.entry(&open.packet.flow()).unwrap();
    let reply = tables.entry(&original.to.reverse()).unwrap();
    assert_eq!((original.packets, original.bytes), (2, 80));
    assert_eq!((reply.packets, reply.bytes), (1, 40));
}

#[test]
fn a_packet_that_is_left_to_another_hook_is_counted_there() {
    let tables = node();
    let packet = syn(CLIENT, TCP_REMOTE);
    let chosen = leave(&tables, &packet);
    let (verdict, _) = step(&tables, &packet, NOW);
    assert_eq!(verdict, forward(Kind::First, Route::Fib));
    let entry = tables.entry(&packet.flow()).unwrap();
    assert_eq!((entry.to, entry.packets, entry.bytes), (chosen, 1, 40));

    let tables = node();
    let open = Connection::open(&tables, NOW);
    let before = tables.conntrack.borrow().clone();
    leave(&tables, &Sketch { flags: ACK, ..open.packet.clone() });
    assert_eq!(*tables.conntrack.borrow(), before);
}

/// What a hook does that decides about a packet and cannot send it: the translation.
fn leave(tables: &HostTables, packet: &Sketch) -> FlowKey {
    let (mut headers, mut room) = (Headers::default(), Room::default());
    headers.read(packet.bytes().as_slice(), 0).expect("a whole packet");
    let verdict = decide(&headers, Point::Ingress, NOW, tables, &mut room);
    let Verdict::Forward(Forward { kind, .. }) = verdict else { panic!("{verdict:?}") };
    take_back(&headers, kind, tables);
    *room.translation()
}

#[test]
fn a_syn_on_an_ended_connection_starts_afresh() {
    for end in [RST, FIN] {
        let tables = node();
        let open = Connection::open(&tables, NOW);
        let before = tables.entry(&open.packet.flow()).unwrap();
        open.client(end | ACK, NOW);
        open.backend(FIN | ACK, NOW);
        let (verdict, _) = step(&tables, &open.packet, NOW + 1);
        assert_eq!(verdict, forward(Kind::First, Route::Fib));
        assert_eq!(open.states(), [State::SYN_SENT; 2]);
        let after = tables.entry(&open.packet.flow()).unwrap();
        assert_eq!((before.created, after.created), (NOW, NOW + 1));
        assert_eq!(tables.conntrack.borrow().len(), 2, "nothing of the old one stays");
    }
}

#[test]
fn a_syn_on_a_living_connection_goes_to_its_backend() {
    // RFC 5961: the backend challenges it, and the client resets or goes on.
    let tables = node();
    let open = Connection::open(&tables, NOW);
    let (verdict, _) = step(&tables, &open.packet, NOW);
    assert_eq!(verdict, forward(Kind::Original, Route::Fib));
    assert_eq!(open.states(), [State::ESTABLISHED; 2]);
}

#[test]
fn a_connection_ends_when_both_directions_were_silent_for_its_timeout() {
    let tables = node();
    let open = Connection::open(&tables, NOW);
    let limit = tables.config.timeouts.established;
    let ack = Sketch { flags: ACK, ..open.packet.clone() };

    // The client was silent for too long, the backend was not.
    open.backend(ACK, NOW + limit);
    let (verdict, _) = step(&tables, &ack, NOW + limit + 1);
    assert_eq!(verdict, forward(Kind::Original, Route::Fib));
    // And the other way round.
    let late = NOW + limit + 1 + limit;
    assert_eq!(open.backend(ACK, late), forward(Kind::Reply, Route::Fib));

    let (verdict, _) = step(&tables, &ack, late + limit + 1);
    assert_eq!(verdict, Verdict::Answer(Answer::TcpReset));
    assert!(tables.conntrack.borrow().is_empty());
}

#[test]
fn a_udp_flow_without_an_answer_ends_sooner_than_with_one() {
    let packet = Sketch::udp(at(CLIENT), at(UDP_REMOTE));
    let tables = node();
    let (_, arrived) = step(&tables, &packet, NOW);
    assert_eq!(step(&tables, &packet, NOW + 31 * SECOND).0, forward(Kind::First, Route::Fib));

    let tables_with_answer = node();
    step(&tables_with_answer, &packet, NOW);
    step(&tables_with_answer, &answer(&arrived, &packet, 0), NOW);
    let (verdict, _) = step(&tables_with_answer, &packet, NOW + 31 * SECOND);
    assert_eq!(verdict, forward(Kind::Original, Route::Fib));
}

#[test]
fn a_late_reply_of_a_dead_connection_is_not_translated() {
    let tables = node();
    let open = Connection::open(&tables, NOW);
    let late = NOW + tables.config.timeouts.established + 1;
    assert_eq!(open.backend(ACK, late), Verdict::Pass(PassReason::NoFlow));
}

#[test]
fn a_node_port_of_the_other_family_is_nobodys() {
    let packet = syn(CLIENT_V6, "[fd00:18::2]:30080");
    let (verdict, bytes) = step(&node(), &packet, NOW);
    assert_eq!(verdict, Verdict::Pass(PassReason::NoFlow));
    assert_eq!(bytes, packet.bytes());
}

/// An established connection to the remote backend.
struct Connection<'a> {
    tables: &'a HostTables,
    packet: Sketch,
    arrived: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(tables: &'a HostTables, now: u64) -> Self {
        let packet = syn(CLIENT, TCP_REMOTE);
        let (_, arrived) = step(tables, &packet, now);
        let connection = Self { tables, packet, arrived };
        connection.backend(SYN | ACK, now);
        assert_eq!(connection.states(), [State::SYN_RECEIVED; 2]);
        connection.client(ACK, now);
        connection
    }

    fn client(&self, flags: u8, now: u64) -> Verdict {
        step(self.tables, &Sketch { flags, ..self.packet.clone() }, now).0
    }

    fn backend(&self, flags: u8, now: u64) -> Verdict {
        step(self.tables, &answer(&self.arrived, &self.packet, flags), now).0
    }

    fn states(&self) -> [State; 2] {
        let original = self.tables.entry(&self.packet.flow()).expect("the connection is known");
        let reply = self.tables.entry(&original.to.reverse()).expect("the connection is known");
        [original.state, reply.state]
    }
}
