//! Streams of TCP, as fast as they go, from the client to the pod. What counts is what the pod
//! has received, and the time until it has received all of it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Instant,
};

use super::{Ends, Failure, Limits, Work, is_pause, socket};

/// What is written and read at a time.
const CHUNK: usize = 128 * 1024;

pub(super) fn run(ends: &Ends, limits: &Limits, flows: u32) -> Result<Work, Failure> {
    let listener = ends.listen()?;
    let connections: Vec<_> =
        (0..flows).map(|_| ends.connect(&listener)).collect::<Result<_, _>>()?;
    let begun = Instant::now();
    let bytes = thread::scope(|scope| {
        let mut received = Vec::new();
        let mut sent = Vec::new();
        for [client, pod] in connections {
            received.push(scope.spawn(move || receive(pod)));
            sent.push(scope.spawn(move || send(client, limits, begun)));
        }
        for sender in sent {
            sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        let mut bytes = 0;
        for receiver in received {
            bytes += receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok::<u64, Failure>(bytes)
    })?;
    Ok(Work { seconds: begun.elapsed().as_secs_f64(), bytes, ..Work::default() })
}

/// Until the time is over; then the end of the stream, when it is dropped.
fn send(mut stream: TcpStream, limits: &Limits, begun: Instant) -> Result<(), Failure> {
    let chunk = vec![0x42; CHUNK];
    while !limits.are_reached(begun) {
        stream.write_all(&chunk).map_err(socket("send"))?;
    }
    Ok(())
}

/// Until the end of the stream. Returns how many bytes there were.
fn receive(mut stream: TcpStream) -> Result<u64, Failure> {
    let (mut chunk, mut bytes) = (vec![0; CHUNK], 0);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes += length as u64,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if is_pause(&error) => {
                let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
                return Err(socket("receive")(source));
            }
            Err(source) => return Err(socket("receive")(source)),
        }
    }
}
