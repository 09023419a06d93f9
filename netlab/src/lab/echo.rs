//! The echo server that plays a pod's application.
//!
//! TCP: on each connection one line, `pod=NAME node=NAME client=ADDRESS:PORT`, then everything
//! comes back until the client is done. UDP: each datagram is answered by one of that line
//! followed by the datagram.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::Ipv6V6Only};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    task::JoinSet,
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// The same of an application that hangs.
const HUNG_BACKLOG: u32 = 1;
/// The largest UDP payload: 65535 less the IPv4 and UDP headers (RFC 768, RFC 791).
pub(super) const MAX_DATAGRAM: usize = 65_507;

/// Whom the server speaks for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The pod's host name in the lab.
    pub pod: String,
    /// The node that it runs on.
    pub node: String,
}

/// How the application listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listening {
    /// On this address alone; None: on all, of both families.
    pub address: Option<IpAddr>,
    /// It hangs: nothing is accepted any more, and the backlog is full.
    pub hang: bool,
}

/// A port could not be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {protocol} port {port}")]
pub struct EchoError {
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// The port.
    pub port: u16,
    /// Why.
    pub source: io::Error,
}

impl Identity {
    /// What the server says to a client. IPv4 clients are shown as such.
    #[must_use]
    pub fn greeting(&self, client: SocketAddr) -> String {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        format!("pod={} node={} client={client}\n", self.pod, self.node)
    }

    /// Who has greeted, and how the client is seen; None of any other line.
    #[must_use]
    pub fn of_greeting(line: &str) -> Option<(Self, SocketAddr)> {
        let value = |key: &str| {
            line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let identity = Self { pod: value("pod")?.to_owned(), node: value("node")?.to_owned() };
        Some((identity, value("client")?.parse().ok()?))
    }
}

/// Serves all ports until one of them breaks.
///
/// # Errors
///
/// Where a port cannot be listened on.
pub async fn serve(
    identity: Identity,
    listening: Listening,
    tcp: &[u16],
    udp: &[u16],
) -> Result<(), EchoError> {
    let identity = Arc::new(identity);
    let mut servers = JoinSet::new();
    for port in tcp.iter().copied() {
        let failed = move |source| EchoError { protocol: "TCP", port, source };
        let listener = listen(port, listening).map_err(failed)?;
        if listening.hang {
            servers.spawn(hang(listener, port));
            continue;
        }
        let identity = Arc::clone(&identity);
        servers.spawn(async move { serve_tcp(listener, identity).await });
    }
    for port in udp.iter().copied() {
        let failed = move |source| EchoError { protocol: "UDP", port, source };
        let socket = bind(port, listening).map_err(failed)?;
        let identity = Arc::clone(&identity);
        servers.spawn(async move { serve_udp(socket, identity).await });
    }
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// Connects to itself until the backlog is full, and never accepts.
async fn hang(listener: TcpListener, port: u16) {
    // One more than the backlog is taken: `sk_acceptq_is_full` of the kernel compares with >.
    let mut connections = Vec::new();
    for _ in 0..=HUNG_BACKLOG {
        connections.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await);
    }
    std::future::pending::<()>().await;
    drop((listener, connections));
}

async fn serve_tcp(listener: TcpListener, identity: Arc<Identity>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let greeting = identity.greeting(client);
                tokio::spawn(async move {
                    if let Err(error) = echo(stream, &greeting).await {
                        log::debug!("connection from {client}: {error}");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, usually; there will be some when a connection ends.
                log::warn!("cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn echo(mut stream: TcpStream, greeting: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(greeting.as_bytes()).await?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

async fn serve_udp(socket: UdpSocket, identity: Arc<Identity>) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        match socket.recv_from(&mut datagram).await {
            Ok((length, client)) => {
                let mut answer = identity.greeting(client).into_bytes();
                answer.extend_from_slice(&datagram[..length]);
                answer.truncate(MAX_DATAGRAM);
                if let Err(error) = socket.send_to(&answer, client).await {
                    log::debug!("cannot answer {client}: {error}");
                }
            }
            // An ICMP error that answered an earlier datagram.
            Err(error) => log::debug!("cannot receive: {error}"),
        }
    }
}

fn listen(port: u16, listening: Listening) -> io::Result<TcpListener> {
    let (socket, address) = match (listening.address, TcpSocket::new_v6()) {
        (Some(address @ IpAddr::V4(_)), _) => (TcpSocket::new_v4()?, address),
        (Some(address), socket) => (socket?, address),
        (None, Ok(socket)) => {
            setsockopt(&socket, Ipv6V6Only, &false)?;
            (socket, IpAddr::from(Ipv6Addr::UNSPECIFIED))
        }
        // A kernel without IPv6.
        (None, Err(_)) => (TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into()),
    };
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address, port))?;
    socket.listen(if listening.hang { HUNG_BACKLOG } else { BACKLOG })
}

fn bind(port: u16, listening: Listening) -> io::Result<UdpSocket> {
    let socket = match listening.address {
        Some(address) => std::net::UdpSocket::bind((address, port))?,
        // The standard library leaves IPV6_V6ONLY as the namespace has it, which is off.
        None => std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)))?,
    };
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn identity() -> Identity {
        Identity { pod: "web-1".into(), node: "node-1".into() }
    }

    #[test]
    fn an_ipv4_client_is_shown_as_one() {
        let client = "[::ffff:172.18.0.9]:40000".parse().unwrap();
        assert_eq!(identity().greeting(client), "pod=web-1 node=node-1 client=172.18.0.9:40000\n");
        let client = "[fd00::1]:40000".parse().unwrap();
        assert_eq!(identity().greeting(client), "pod=web-1 node=node-1 client=[fd00::1]:40000\n");
    }

    #[tokio::test]
    async fn tcp_greets_and_echoes_until_the_client_is_done() {
        let listener = listen(0, Listening::default()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(serve_tcp(listener, Arc::new(identity())));
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let own = client.local_addr().unwrap();
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, format!("pod=web-1 node=node-1 client={own}\nhello"));
        server.abort();
    }

    #[tokio::test]
    async fn udp_answers_each_datagram_with_greeting_and_payload() {
        let socket = bind(0, Listening::default()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = tokio::spawn(serve_udp(socket, Arc::new(identity())));
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        client.send_to(b"ping", (Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let mut answer = [0; 200];
        let (length, _) = client.recv_from(&mut answer).await.unwrap();
        let own = client.local_addr().unwrap();
        let expected = format!("pod=web-1 node=node-1 client={own}\nping");
        assert_eq!(&answer[..length], expected.as_bytes());
        server.abort();
    }
}
