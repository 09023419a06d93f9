//! What is done in a cell, one file a workload: real sockets, or datagrams by the million.
//!
//! Client and server are threads of this process, with sockets made in the client's and in the
//! pod's namespace; floods (`pps`) need none. Law: a turn ends by itself, after its duration or
//! at the first failure, and soon after someone asks for it.

mod bulk;
mod connect;
mod datagram;
mod first_byte;
mod pps;
mod request;
mod server;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use serde::{Deserialize, Serialize};

use super::{histogram::Latencies, lane::Lane, options::Options, stop::Stop};
use crate::{
    datapath,
    netlink::{self, Netns},
};

/// Bytes of a request and of its response.
const MESSAGE: usize = 64;
/// Flows of a flood from source ports at random. All have one backend behind one masquerade
/// address, where each needs a port of its own: netlab's agent has 28,976 of them, kube-proxy's
/// rules 64,512. A proxy that finds none drops, and one that has to search long is measured at
/// searching, so these are a good half of the lesser number.
pub const RANDOM_FLOWS: u32 = 16_384;
/// An answer that takes longer than this is none.
const PATIENCE: Duration = Duration::from_secs(1);
/// Connecting may take longer: a first packet that was lost is sent again after a second, and
/// that belongs to the latencies, and to the segments sent again.
const CONNECT_PATIENCE: Duration = Duration::from_secs(4);
/// How long a thread waits before it looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Requests and responses, one after the other over one TCP connection.
    Request,
    /// A TCP connection, a request, its response and the end, one after the other.
    Connect,
    /// Requests and responses, one after the other by UDP, from one port.
    Datagram,
    /// A stream of TCP, as fast as it goes, from the client to the pod.
    Bulk,
    /// Four streams of TCP beside each other.
    #[serde(rename = "bulk-4")]
    Bulk4,
    /// From a connection's first packet to the first byte of the answer, with pauses between
    /// connections.
    FirstByte,
    /// Datagrams one way, as many as one core makes, of the least length; source ports in turn.
    Pps,
    /// The same, of the largest length that the pod network takes whole.
    PpsMtu,
    /// As [`Self::Pps`], with a source port at random for each.
    PpsRandom,
}

impl Workload {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 9] = [
        Self::Request,
        Self::Connect,
        Self::Datagram,
        Self::Bulk,
        Self::Bulk4,
        Self::FirstByte,
        Self::Pps,
        Self::PpsMtu,
        Self::PpsRandom,
    ];

    /// Connections beside each other: TCP's, or UDP's flows, of which floods from source ports
    /// in turn have as many as asked for.
    #[must_use]
    pub const fn flows(self, of_floods: u32) -> u32 {
        match self {
            Self::Bulk4 => 4,
            Self::Pps | Self::PpsMtu => of_floods,
            Self::PpsRandom => RANDOM_FLOWS,
            _ => 1,
        }
    }

    /// Whether it is UDP, of which nothing is sent again, so that it can be lost.
    #[must_use]
    pub const fn is_udp(self) -> bool {
        self.is_flood() || matches!(self, Self::Datagram)
    }

    /// Whether it counts datagrams that are sent one way without sockets.
    #[must_use]
    pub const fn is_flood(self) -> bool {
        matches!(self, Self::Pps | Self::PpsMtu | Self::PpsRandom)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Connect => "connect",
            Self::Datagram => "datagram",
            Self::Bulk => "bulk",
            Self::Bulk4 => "bulk-4",
            Self::FirstByte => "first-byte",
            Self::Pps => "pps",
            Self::PpsMtu => "pps-mtu",
            Self::PpsRandom => "pps-random",
        })
    }
}

/// Where a workload runs.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The client's namespace.
    pub client: Netns,
    /// The pod's.
    pub server: Netns,
    /// What the client dials over TCP.
    pub tcp: SocketAddr,
    /// And over UDP.
    pub udp: SocketAddr,
    /// The pod's port of TCP.
    pub tcp_port: u16,
    /// And of UDP.
    pub udp_port: u16,
    /// Where floods go.
    pub lane: Lane,
}

/// How long a turn may take, and what a flood is made of.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The measured time.
    pub duration: Duration,
    /// Whoever may end it before.
    pub stop: Stop,
    /// Flows of a flood from source ports in turn.
    pub flows: u32,
    /// Largest L3 packet that every pod network compared takes whole, in octets.
    pub mtu: u32,
}

/// What was done in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Requests that were answered, connections, or a flood's datagrams that came.
    pub operations: u64,
    /// Bytes of payload that the server received.
    pub bytes: u64,
    /// Datagrams without an answer, or a flood's that did not come.
    pub lost: u64,
    /// Of the operations, where they are timed.
    pub latencies: Option<Latencies>,
}

/// Why a turn does not count.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Someone asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// A namespace cannot be entered.
    #[error("{0}: {cause}", cause = .0.source)]
    Netns(#[from] netlink::Error),
    /// A socket fails.
    #[error("cannot {operation}: {source}")]
    Socket {
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A path that drops is not fast.
    #[error("{lost} of {sent} datagrams were not answered")]
    Lossy {
        /// Without an answer.
        lost: u64,
        /// All.
        sent: u64,
    },
    /// Nothing was done in all the time.
    #[error("nothing was answered, or came")]
    Nothing,
    /// A flood cannot be made or counted.
    #[error("{}", with_causes(.0))]
    Traffic(#[from] datapath::Error),
    /// The path is too slow to see all flows before the measurement.
    #[error("only {seen} datagrams of {flows} flows were sent in {} s", .after.as_secs())]
    LeadIn {
        /// Datagrams to send, one a flow.
        flows: u64,
        /// Sent until then.
        seen: u64,
        /// How long was waited.
        after: Duration,
    },
}

/// A workload that may begin.
pub struct Ready<'a> {
    workload: Workload,
    ends: &'a Ends,
    limits: &'a Limits,
    flood: Option<pps::Ready<'a>>,
}

impl<'a> Ready<'a> {
    /// Does what has to be done before the clock runs.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub fn new(workload: Workload, ends: &'a Ends, limits: &'a Limits) -> Result<Self, Failure> {
        let prepare = || pps::prepare(workload, &ends.lane, limits);
        let flood = workload.is_flood().then(prepare).transpose()?;
        Ok(Self { workload, ends, limits, flood })
    }

    /// Does it once.
    ///
    /// # Errors
    ///
    /// See [`Failure`]; what was done until then does not count.
    pub fn run(&self) -> Result<Work, Failure> {
        let Self { workload, ends, limits, .. } = *self;
        let work = match (&self.flood, workload) {
            (Some(flood), _) => flood.run(),
            (None, Workload::Request) => request::run(ends, limits),
            (None, Workload::Connect) => connect::run(ends, limits),
            (None, Workload::Datagram) => datagram::run(ends, limits),
            (None, Workload::FirstByte) => first_byte::run(ends, limits),
            (None, _) => bulk::run(ends, limits, workload.flows(limits.flows)),
        }?;
        if limits.stop.is_asked() {
            return Err(Failure::Interrupted);
        }
        if work.operations == 0 && work.bytes == 0 { Err(Failure::Nothing) } else { Ok(work) }
    }
}

impl Ends {
    /// Listens in the pod. To accept takes [`LOOK`] at most.
    fn listen(&self) -> Result<TcpListener, Failure> {
        let failed = socket("listen in the pod");
        let listen = || TcpListener::bind(("0.0.0.0", self.tcp_port));
        let listener = self.server.run(listen)?.map_err(failed)?;
        time_out(&listener, LOOK)?;
        Ok(listener)
    }

    /// A connection from the client to the pod, both ends of it.
    fn connect(&self, listener: &TcpListener) -> Result<[TcpStream; 2], Failure> {
        let dial = || dial(self.tcp);
        let client = self.client.run(dial)??;
        let deadline = Instant::now() + PATIENCE;
        let server = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if is_pause(&error) && Instant::now() < deadline => {}
                Err(source) => return Err(socket("accept the connection")(source)),
            }
        };
        for stream in [&client, &server] {
            prepare(stream)?;
        }
        Ok([client, server])
    }
}

impl Limits {
    /// As asked for, where every pod network takes packets of `mtu` octets whole.
    #[must_use]
    pub fn new(options: &Options, mtu: u32, stop: &Stop) -> Self {
        Self { duration: options.duration, stop: stop.clone(), flows: options.flows, mtu }
    }

    /// Whether the time is over that began at `begun`.
    fn are_reached(&self, begun: Instant) -> bool {
        begun.elapsed() >= self.duration || self.stop.is_asked()
    }
}

/// Dials from the calling thread's namespace.
fn dial(to: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect_timeout(&to, CONNECT_PATIENCE).map_err(socket("connect"))
}

/// Messages leave at once, and nothing waits for ever.
fn prepare(stream: &TcpStream) -> Result<(), Failure> {
    stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(socket("prepare the connection"))
}

/// How long a listener waits for a connection.
fn time_out(listener: &TcpListener, after: Duration) -> Result<(), Failure> {
    let after = nix::sys::time::TimeVal::new(0, i64::from(after.subsec_micros()));
    setsockopt(listener, ReceiveTimeout, &after)
        .map_err(|errno| socket("prepare the listener")(errno.into()))
}

/// Nothing has come yet.
fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// An error and all that it comes from, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn socket(operation: &'static str) -> impl Fn(io::Error) -> Failure {
    move |source| Failure::Socket { operation, source }
}
