//! A client of the echo server: dials, reads who answered, and has bytes echoed.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, UdpSocket},
    time::timeout,
};

use super::echo::{Identity, MAX_DATAGRAM};

/// Who answered, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Address and port that the client dialled from.
    pub from: SocketAddr,
    /// The pod's host name in the lab.
    pub pod: String,
    /// The node that it runs on.
    pub node: String,
    /// The client as the pod saw it: differs from `from` where a node masqueraded.
    pub seen_as: SocketAddr,
    /// Time from dialling to the answer, in microseconds.
    pub micros: u64,
    /// Bytes that came back as they were sent.
    pub echoed: usize,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Silence(Duration),
    /// The kernel's answer: refused, unreachable, reset.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else answers there.
    #[error("not an echo server of the lab: it says {0:?}")]
    Stranger(String),
    /// The echo differs from what was sent.
    #[error("byte {at} of {len} came back changed, or not at all")]
    Changed {
        /// Position of the first wrong byte.
        at: usize,
        /// Bytes sent.
        len: usize,
    },
}

/// Opens one TCP connection and has `bytes` bytes echoed through it.
///
/// # Errors
///
/// Where the connection, the answer or the echo fails, or takes longer than `limit`.
pub async fn tcp(to: SocketAddr, bytes: usize, limit: Duration) -> Result<Answer, DialError> {
    tcp_from(0, to, bytes, limit).await
}

/// The same from one port of this host; 0: from any.
///
/// # Errors
///
/// As for [`tcp`], and where the port is taken.
pub async fn tcp_from(
    port: u16,
    to: SocketAddr,
    bytes: usize,
    limit: Duration,
) -> Result<Answer, DialError> {
    timeout(limit, async {
        let start = Instant::now();
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if port != 0 {
            socket.set_reuseaddr(true)?;
            socket.bind(any(to, port))?;
        }
        let mut stream = socket.connect(to).await?;
        let from = stream.local_addr()?;
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::new(reader);
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let micros = micros_since(start);
        let sent = pattern(bytes);
        let mut received = Vec::with_capacity(bytes);
        let (written, read) = tokio::join!(
            async {
                writer.write_all(&sent).await?;
                writer.shutdown().await
            },
            reader.read_to_end(&mut received)
        );
        written?;
        read?;
        compare(&sent, &received)?;
        answer(&line, from, micros, bytes)
    })
    .await
    .map_err(|_| DialError::Silence(limit))?
}

/// Sends one UDP datagram of `bytes` bytes and waits for its answer.
///
/// # Errors
///
/// As for [`tcp`].
pub async fn udp(to: SocketAddr, bytes: usize, limit: Duration) -> Result<Answer, DialError> {
    udp_from(0, to, bytes, limit).await
}

/// The same from one port of this host; 0: from any.
///
/// # Errors
///
/// As for [`udp`], and where the port is taken.
pub async fn udp_from(
    port: u16,
    to: SocketAddr,
    bytes: usize,
    limit: Duration,
) -> Result<Answer, DialError> {
    timeout(limit, async {
        let socket = UdpSocket::bind(any(to, port)).await?;
        // Connected, so that ICMP errors and only this peer's datagrams get here.
        socket.connect(to).await?;
        let sent = pattern(bytes.max(1));
        let start = Instant::now();
        socket.send(&sent).await?;
        let mut buffer = vec![0; MAX_DATAGRAM];
        let len = socket.recv(&mut buffer).await?;
        let micros = micros_since(start);
        let received = &buffer[..len];
        let end = received.iter().position(|byte| *byte == b'\n').map_or(len, |at| at + 1);
        let line = String::from_utf8_lossy(&received[..end]);
        compare(&sent, &received[end..])?;
        answer(&line, socket.local_addr()?, micros, sent.len())
    })
    .await
    .map_err(|_| DialError::Silence(limit))?
}

/// Any address of the family, and this port.
fn any(to: SocketAddr, port: u16) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

/// Bytes without a short period, so that a displaced echo is noticed.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31) ^ (at >> 8)).to_le_bytes()[0]).collect()
}

fn compare(sent: &[u8], received: &[u8]) -> Result<(), DialError> {
    if sent == received {
        return Ok(());
    }
    let same = sent.iter().zip(received).take_while(|(a, b)| a == b).count();
    Err(DialError::Changed { at: same, len: sent.len() })
}

fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Reads the server's line.
fn answer(line: &str, from: SocketAddr, micros: u64, echoed: usize) -> Result<Answer, DialError> {
    let (Identity { pod, node }, seen_as) = Identity::of_greeting(line)
        .ok_or_else(|| DialError::Stranger(line.trim_end().to_owned()))?;
    Ok(Answer { from, pod, node, seen_as, micros, echoed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_from_the_servers_line() {
        let from = "10.0.0.1:5".parse().unwrap();
        let line = "pod=web-1 node=node-2 client=172.18.0.2:1024\n";
        let answer = answer(line, from, 7, 0).unwrap();
        assert_eq!((answer.pod.as_str(), answer.node.as_str()), ("web-1", "node-2"));
        assert_eq!(answer.seen_as, "172.18.0.2:1024".parse().unwrap());
    }

    #[test]
    fn a_stranger_and_a_changed_byte_are_told() {
        let from = "10.0.0.1:5".parse().unwrap();
        assert!(matches!(answer("HTTP/1.1 400", from, 0, 0), Err(DialError::Stranger(_))));
        let sent = pattern(1000);
        let mut received = sent.clone();
        received[500] ^= 1;
        assert!(matches!(compare(&sent, &received), Err(DialError::Changed { at: 500, .. })));
    }
}
