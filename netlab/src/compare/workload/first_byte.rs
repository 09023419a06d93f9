//! From a connection's first packet to the first byte of the answer, which is what a new
//! connection pays for looking its Service up. With pauses between connections, so that none
//! waits for the one before.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{Ends, Failure, Limits, Work, dial, prepare, server, socket};
use crate::compare::histogram::Histogram;

/// Between connections.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) fn run(ends: &Ends, limits: &Limits) -> Result<Work, Failure> {
    let listener = ends.listen()?;
    server::beside(
        |done| server::accept(&listener, done, greet),
        || ends.client.run(|| ask(ends.tcp, limits))?,
    )
}

fn greet(mut stream: TcpStream) {
    if prepare(&stream).is_ok() {
        // The client says what is missing, and then it is the first to close.
        let _ = stream.write_all(&[0x41]).and_then(|()| stream.read(&mut [0]));
    }
}

fn ask(to: SocketAddr, limits: &Limits) -> Result<Work, Failure> {
    let (mut latencies, mut work) = (Histogram::new(), Work::default());
    let begun = Instant::now();
    while !limits.are_reached(begun) {
        let asked = Instant::now();
        let mut stream = dial(to)?;
        prepare(&stream)?;
        stream.read_exact(&mut [0]).map_err(socket("receive the first byte"))?;
        latencies.record(asked.elapsed());
        work.operations += 1;
        drop(stream);
        thread::sleep(PAUSE);
    }
    work.seconds = begun.elapsed().as_secs_f64();
    Ok(Work { latencies: latencies.summary(), ..work })
}
