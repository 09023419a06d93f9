//! Requests and responses by UDP, one after the other, from one port of the client's.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{Ends, Failure, LOOK, Limits, MESSAGE, Work, is_pause, server, socket};
use crate::compare::histogram::Histogram;

/// An answer that takes longer than this is lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// One in so many may be lost before the turn counts as failed.
const LOSSES: u64 = 100;

pub(super) fn run(ends: &Ends, limits: &Limits) -> Result<Work, Failure> {
    let bind = |port| move || UdpSocket::bind(("0.0.0.0", port));
    let pod = ends.server.run(bind(ends.udp_port))?.map_err(socket("bind in the pod"))?;
    let client = ends.client.run(bind(0))?.map_err(socket("bind in the client"))?;
    client.connect(ends.udp).map_err(socket("connect"))?;
    for (end, patience) in [(&client, PATIENCE), (&pod, LOOK)] {
        end.set_read_timeout(Some(patience)).map_err(socket("prepare the socket"))?;
    }
    server::beside(move |done| echo(&pod, done), move || ask(&client, limits))
}

fn echo(pod: &UdpSocket, done: &AtomicBool) {
    let mut message = [0; MESSAGE];
    while !done.load(Ordering::Relaxed) {
        if let Ok((length, from)) = pod.recv_from(&mut message) {
            // An answer that cannot be sent is lost, which the client counts.
            let _ = pod.send_to(&message[..length], from);
        }
    }
}

fn ask(client: &UdpSocket, limits: &Limits) -> Result<Work, Failure> {
    let (mut latencies, mut work, mut sent) = (Histogram::new(), Work::default(), 0_u64);
    let begun = Instant::now();
    while !limits.are_reached(begun) {
        let asked = Instant::now();
        client.send(&question(sent)).map_err(socket("ask"))?;
        if is_answered(client, &question(sent))? {
            latencies.record(asked.elapsed());
            work.operations += 1;
        } else {
            work.lost += 1;
        }
        sent += 1;
    }
    if work.lost * LOSSES > sent {
        return Err(Failure::Lossy { lost: work.lost, sent });
    }
    work.seconds = begun.elapsed().as_secs_f64();
    work.bytes = work.operations * MESSAGE as u64;
    Ok(Work { latencies: latencies.summary(), ..work })
}

/// Numbered, so that a late answer is not taken for another's.
fn question(number: u64) -> [u8; MESSAGE] {
    let mut question = [0x51; MESSAGE];
    question[..8].copy_from_slice(&number.to_be_bytes());
    question
}

fn is_answered(client: &UdpSocket, question: &[u8]) -> Result<bool, Failure> {
    let mut answer = [0; MESSAGE];
    loop {
        match client.recv(&mut answer) {
            Ok(length) if answer[..length] == *question => return Ok(true),
            Ok(_) => {}
            Err(error) if is_pause(&error) => return Ok(false),
            Err(source) => return Err(socket("receive the answer")(source)),
        }
    }
}
