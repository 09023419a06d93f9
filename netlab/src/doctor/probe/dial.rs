//! One probe: a plain client in a host's namespace.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::connect::connect;
use crate::{
    lab::echo::Identity,
    netlink::Netns,
    spec::model::Protocol,
    trace::{Decision, follow::Journey},
};

/// How long a server that says nothing of itself is listened to: the lab's say it at once, and a
/// stranger owes no word.
const GREETING: Duration = Duration::from_millis(200);
/// Of a greeting, or of a datagram.
const MOST: usize = 65_507;

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Address and port to dial.
    pub to: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// Bytes to have echoed after the greeting: more than a packet takes, where the path's MTU
    /// is in question, and none where the server is a stranger, who is sent nothing.
    pub payload: usize,
    /// How long all of it may take.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Address and port that it came from; None where there was no socket.
    pub from: Option<SocketAddr>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took until then, in microseconds.
    pub micros: u64,
    /// What was seen of it in the kernels of all hosts: the first packet with its answer; then,
    /// where it failed and another packet shows where, that one. Empty where nobody watched, or
    /// nothing left the client.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub journeys: Vec<Journey>,
    /// What the kernels of these hosts decided about it, in the order of time: route lookups,
    /// refusals and sockets that took it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
}

impl Attempt {
    /// The first packet of the connection, with its answer.
    #[must_use]
    pub fn first(&self) -> Option<&Journey> {
        self.journeys.first()
    }

    /// The packet that shows where it failed; the first one where it did not.
    #[must_use]
    pub fn telling(&self) -> Option<&Journey> {
        self.journeys.last()
    }
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// An echo server of the lab has answered, and all bytes came back.
    Answered {
        /// The pod's host name in the lab.
        pod: String,
        /// The client as the pod saw it.
        seen_as: SocketAddr,
    },
    /// Somebody has answered: the connection stands, or a datagram came. What was said first is
    /// shown to people, cut to a line.
    Somebody(String),
    /// The connection stood, then nothing came in time: of so many bytes so many were echoed.
    Stalled {
        /// Bytes sent.
        sent: usize,
        /// Bytes that came back.
        echoed: usize,
    },
    /// A RST, or ICMP port unreachable.
    Refused,
    /// The connection stood, and was reset.
    Reset,
    /// The kernel knows, or was told, that there is no way: in its words.
    Unreachable(String),
    /// Nothing came in time.
    Silence,
    /// The probe itself failed: nothing can be said.
    Failed(String),
}

impl Outcome {
    /// Whether it was answered as it should be.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Answered { .. } | Self::Somebody(_))
    }
}

impl Outcome {
    /// Whether it is an answer of one of these pods.
    #[must_use]
    pub fn is_of(&self, pods: &BTreeSet<String>) -> bool {
        matches!(self, Self::Answered { pod, .. } if pods.contains(pod))
    }

    /// What is said of it where it is a failure: whoever has answered was not meant.
    #[must_use]
    pub fn in_vain(&self) -> String {
        match self {
            Self::Answered { pod, .. } => format!("answered by a stranger, {pod}"),
            outcome => outcome.to_string(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { pod, .. } => write!(f, "{pod} answers"),
            Self::Somebody(said) if said.is_empty() => f.write_str("answered by a stranger"),
            Self::Somebody(said) => write!(f, "answered by a stranger: {said}"),
            Self::Stalled { sent, echoed } => {
                write!(f, "it stalls: of {sent} bytes {echoed} come back")
            }
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Unreachable(why) => f.write_str(why),
            Self::Silence => f.write_str("no answer"),
            Self::Failed(why) => write!(f, "the probe failed: {why}"),
        }
    }
}

/// Tries it once in a namespace. The calling thread waits.
#[must_use]
pub fn dial(netns: &Netns, probe: &Probe) -> Attempt {
    let begun = Instant::now();
    let tried = netns.run(|| match probe.protocol {
        Protocol::Tcp => tcp(probe, begun),
        Protocol::Udp => udp(probe, begun),
    });
    let (from, outcome) = tried.unwrap_or_else(|error| (None, Outcome::Failed(error.to_string())));
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(0);
    Attempt { from, outcome, micros, journeys: Vec::new(), decisions: Vec::new() }
}

fn tcp(probe: &Probe, begun: Instant) -> (Option<SocketAddr>, Outcome) {
    let (from, connected) = connect(&probe.to, probe.patience);
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) => return (from, refusal(&error)),
    };
    (from, conversation(&mut stream, probe, begun).unwrap_or_else(|error| broken(&error)))
}

/// Reads the greeting and has the payload echoed.
fn conversation(stream: &mut TcpStream, probe: &Probe, begun: Instant) -> io::Result<Outcome> {
    let mut received = Vec::new();
    let wait = if probe.payload == 0 { GREETING } else { probe.patience };
    let line = loop {
        if let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let rest = received.split_off(end + 1);
            break std::mem::replace(&mut received, rest);
        }
        stream.set_read_timeout(Some(left(probe, begun).min(wait)))?;
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(Outcome::Somebody(first_line(&received))),
            Ok(len) => received.extend_from_slice(&buffer[..len]),
            // A stranger that says nothing has accepted all the same.
            Err(error) if is_timeout(&error) => {
                return Ok(Outcome::Somebody(first_line(&received)));
            }
            Err(error) => return Err(error),
        }
        if received.len() > MOST {
            return Ok(Outcome::Somebody(first_line(&received)));
        }
    };
    let Some((pod, seen_as)) = greeting(&line) else {
        return Ok(Outcome::Somebody(first_line(&line)));
    };
    stream.set_write_timeout(Some(left(probe, begun)))?;
    stream.write_all(&vec![0x6e; probe.payload])?;
    let mut echoed = received.len();
    let mut buffer = vec![0; 16 * 1024];
    while echoed < probe.payload {
        stream.set_read_timeout(Some(left(probe, begun)))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => echoed += len,
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(match echoed >= probe.payload {
        true => Outcome::Answered { pod, seen_as },
        false => Outcome::Stalled { sent: probe.payload, echoed },
    })
}

fn udp(probe: &Probe, begun: Instant) -> (Option<SocketAddr>, Outcome) {
    let any: IpAddr = match probe.to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut from = None;
    let mut exchange = || {
        let socket = UdpSocket::bind((any, 0))?;
        // Connected, so that ICMP errors and only this peer's datagrams get here.
        socket.connect(probe.to)?;
        from = socket.local_addr().ok();
        socket.send(&vec![0x6e; probe.payload.max(1)])?;
        socket.set_read_timeout(Some(left(probe, begun)))?;
        let mut buffer = vec![0; MOST];
        let len = socket.recv(&mut buffer)?;
        Ok(match greeting(&buffer[..len]) {
            Some((pod, seen_as)) => Outcome::Answered { pod, seen_as },
            None => Outcome::Somebody(first_line(&buffer[..len])),
        })
    };
    let outcome = exchange().unwrap_or_else(|error: io::Error| refusal(&error));
    (from, outcome)
}

/// What is left of the patience; never zero, which sockets refuse.
fn left(probe: &Probe, begun: Instant) -> Duration {
    probe.patience.saturating_sub(begun.elapsed()).max(Duration::from_millis(1))
}

/// Who has greeted, if it is an echo server of the lab, and how the client is seen.
fn greeting(said: &[u8]) -> Option<(String, SocketAddr)> {
    let line = std::str::from_utf8(said.split(|byte| *byte == b'\n').next()?).ok()?;
    Identity::of_greeting(line).map(|(identity, seen_as)| (identity.pod, seen_as))
}

/// As people may be shown it: one line of printable characters.
fn first_line(said: &[u8]) -> String {
    const SHOWN: usize = 80;
    let text = String::from_utf8_lossy(said);
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect()
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What an error says where no connection stands.
fn refusal(error: &io::Error) -> Outcome {
    match error.raw_os_error().map(Errno::from_raw) {
        _ if is_timeout(error) => Outcome::Silence,
        Some(Errno::ECONNREFUSED) => Outcome::Refused,
        Some(Errno::ECONNRESET) => Outcome::Refused,
        Some(
            errno @ (Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::EACCES
            | Errno::EPERM
            | Errno::EHOSTDOWN
            | Errno::EMSGSIZE),
        ) => Outcome::Unreachable(errno.desc().to_owned()),
        _ => Outcome::Failed(error.to_string()),
    }
}

/// What it says where one has stood.
fn broken(error: &io::Error) -> Outcome {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ECONNRESET | Errno::EPIPE) => Outcome::Reset,
        _ => refusal(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn probe(to: SocketAddr, protocol: Protocol) -> Probe {
        Probe { to, protocol, payload: 0, patience: Duration::from_millis(500) }
    }

    /// In the test's own namespace, over its loopback.
    fn outcome(of: &Probe) -> Outcome {
        let begun = Instant::now();
        match of.protocol {
            Protocol::Tcp => tcp(of, begun).1,
            Protocol::Udp => udp(of, begun).1,
        }
    }

    #[test]
    fn a_pod_of_the_lab_is_known_by_its_greeting_and_has_to_echo() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for echoes in [true, false] {
                let (mut stream, client) = listener.accept().unwrap();
                writeln!(stream, "pod=web-1 node=node-1 client={client}").unwrap();
                let mut sent = vec![0; 3_000];
                stream.read_exact(&mut sent).unwrap();
                if echoes {
                    stream.write_all(&sent).unwrap();
                }
                let _ = stream.read(&mut [0]);
            }
        });
        let with_payload = Probe { payload: 3_000, ..probe(to, Protocol::Tcp) };
        assert!(matches!(outcome(&with_payload), Outcome::Answered { pod, .. } if pod == "web-1"));
        assert_eq!(outcome(&with_payload), Outcome::Stalled { sent: 3_000, echoed: 0 });
        server.join().unwrap();
    }

    #[test]
    fn whoever_accepts_and_says_nothing_is_somebody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        assert_eq!(outcome(&probe(to, Protocol::Tcp)), Outcome::Somebody(String::new()));
    }

    #[test]
    fn nobody_refuses_and_silence_is_silence() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = probe(closed, Protocol::Tcp);
        assert_eq!(outcome(&refused), Outcome::Refused);
        // So that what was sent can be found among all that was seen.
        let (from, _) = tcp(&refused, Instant::now());
        assert!(from.is_some_and(|from| from.ip().is_loopback() && from.port() != 0), "{from:?}");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();
        assert_eq!(outcome(&probe(to, Protocol::Udp)), Outcome::Silence);
        drop(socket);
        assert_eq!(outcome(&probe(to, Protocol::Udp)), Outcome::Refused);
    }

    #[test]
    fn what_strangers_say_is_shown_without_control_characters() {
        assert_eq!(first_line(b"SSH-2.0-x\x1b[31m\r\nmore"), "SSH-2.0-x[31m");
        assert_eq!(greeting(b"220 pod=x\n"), None);
    }
}
