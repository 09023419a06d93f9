//! Requests and responses, one after the other over one TCP connection: a closed loop, so a
//! slow answer delays the next question, and no question is left out.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use super::{Ends, Failure, Limits, MESSAGE, Work, server, socket};
use crate::compare::histogram::Histogram;

pub(super) fn run(ends: &Ends, limits: &Limits) -> Result<Work, Failure> {
    let listener = ends.listen()?;
    let [client, pod] = ends.connect(&listener)?;
    server::beside(move |_| echo(pod), move || ask(client, limits))
}

/// Until the client has gone, or is silent for too long.
fn echo(mut stream: TcpStream) {
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).and_then(|()| stream.write_all(&message)).is_ok() {}
}

fn ask(mut stream: TcpStream, limits: &Limits) -> Result<Work, Failure> {
    let (question, mut answer) = ([0x51; MESSAGE], [0; MESSAGE]);
    let (mut latencies, mut work) = (Histogram::new(), Work::default());
    let begun = Instant::now();
    while !limits.are_reached(begun) {
        let asked = Instant::now();
        stream.write_all(&question).map_err(socket("ask"))?;
        stream.read_exact(&mut answer).map_err(socket("receive the answer"))?;
        latencies.record(asked.elapsed());
        work.operations += 1;
    }
    work.seconds = begun.elapsed().as_secs_f64();
    work.bytes = work.operations * MESSAGE as u64;
    Ok(Work { latencies: latencies.summary(), ..work })
}
