//! A TCP connection, a request, its response and the end, one after the other.
//!
//! The client closes first. Otherwise the pod would keep every connection for a minute, under a
//! source port that a node chose; and where the node chooses it again for another connection,
//! whose timestamps may be older, the pod refuses the new one for a second (RFC 7323, 5.3).

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use super::{Ends, Failure, Limits, MESSAGE, Work, dial, prepare, server, socket};
use crate::compare::histogram::Histogram;

/// The most connections of one turn: more would come back to ports of the client too soon, and
/// fill the kernel's conntrack table.
const MOST: u64 = 20_000;

pub(super) fn run(ends: &Ends, limits: &Limits) -> Result<Work, Failure> {
    let listener = ends.listen()?;
    server::beside(
        |done| server::accept(&listener, done, answer),
        || ends.client.run(|| ask(ends.tcp, limits))?,
    )
}

fn answer(mut stream: TcpStream) {
    let mut message = [0; MESSAGE];
    if prepare(&stream).is_ok() && stream.read_exact(&mut message).is_ok() {
        // The client says what is missing, and then it is the first to close.
        let _ = stream.write_all(&message).and_then(|()| stream.read(&mut message));
    }
}

fn ask(to: SocketAddr, limits: &Limits) -> Result<Work, Failure> {
    let (mut latencies, mut work) = (Histogram::new(), Work::default());
    let begun = Instant::now();
    while !limits.are_reached(begun) && work.operations < MOST {
        let asked = Instant::now();
        once(to)?;
        latencies.record(asked.elapsed());
        work.operations += 1;
    }
    work.seconds = begun.elapsed().as_secs_f64();
    work.bytes = work.operations * MESSAGE as u64;
    Ok(Work { latencies: latencies.summary(), ..work })
}

/// Until the answer is there.
fn once(to: SocketAddr) -> Result<(), Failure> {
    let mut answer = [0; MESSAGE];
    let mut stream = dial(to)?;
    prepare(&stream)?;
    stream.write_all(&[0x51; MESSAGE]).map_err(socket("ask"))?;
    stream.read_exact(&mut answer).map_err(socket("receive the answer"))
}
