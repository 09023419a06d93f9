//! Endpoints come and go under traffic, and nobody notices but those who have to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use netlab::{
    lab::{Hook, Mode},
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{By, DIAL_LIMIT, DNS, Lab, NODES, PEERS, WEB, once},
    poll::until,
    privilege::require_lab,
};

/// No agent takes this long, however busy the machine is.
const BOUND: Duration = Duration::from_secs(2);
/// New connections that have to avoid what is gone: among four backends, chance does not.
const AVOIDING: usize = 100;

#[test]
fn an_endpoint_goes_and_comes_back_under_traffic_in_host_gw_through_tc() {
    an_endpoint_goes_and_comes_back(Mode::HostGw, Hook::Tc);
}

#[test]
fn an_endpoint_goes_and_comes_back_under_traffic_in_vxlan_through_xdp() {
    an_endpoint_goes_and_comes_back(Mode::Vxlan, Hook::Xdp);
}

#[test]
fn an_endpoint_goes_and_comes_back_under_traffic_through_kube_proxys_rules() {
    for (mode, by) in PEERS {
        an_endpoint_goes_and_comes_back(mode, by);
    }
}

#[test]
fn a_udp_flow_leaves_a_removed_endpoint_with_its_next_datagram() {
    if !require_lab() {
        return;
    }
    let ours = [(Mode::HostGw, By::Ebpf(Hook::Xdp)), (Mode::Vxlan, By::Ebpf(Hook::Tc))];
    for (mode, by) in ours.into_iter().chain(PEERS) {
        let lab = Lab::up(mode, by);
        let flow = lab.inside("client", || {
            let socket = UdpSocket::bind("0.0.0.0:40053").unwrap();
            socket.connect((NODES[0].1, DNS)).unwrap();
            socket.set_read_timeout(Some(DIAL_LIMIT)).unwrap();
            socket
        });
        let before = exchange(&flow);
        assert_eq!(exchange(&flow), before, "a flow keeps its backend");
        lab.write_manifest("pods.yaml", &lab.with_unready(&[&before]));
        lab.wait_for_agents();
        let after = exchange(&flow);
        assert_ne!(after, before, "{mode} {by:?}");
        assert_eq!(lab.drops(), [""; 0]);
    }
}

fn an_endpoint_goes_and_comes_back(mode: Mode, by: impl Into<By>) {
    if !require_lab() {
        return;
    }
    const GONE: &str = "web-3";
    let by = by.into();
    let lab = Lab::up(mode, by);
    let to = SocketAddr::from((NODES[0].1, WEB));
    let whole = lab.manifest("pods.yaml");
    let mut kept = lab.inside("client", || Connection::to(GONE, to));
    let stream = Stream::default();
    thread::scope(|scope| {
        scope.spawn(|| lab.inside("client", || stream.run(to)));
        // Ends the traffic also when this closure panics.
        let _over = Over(&stream.over);
        until("answers of all", || (stream.since(None) >= AVOIDING).then_some(()));

        let renamed = Instant::now();
        lab.write_manifest("pods.yaml", &lab.with_unready(&[GONE]));
        until("connections that avoid it", || (stream.without(GONE) >= AVOIDING).then_some(()));
        let effect = stream.last_to(GONE).saturating_duration_since(renamed);
        println!("{mode} {by:?}: the last connection to {GONE} began {effect:?} after the change");
        assert!(effect < BOUND);
        kept.still_echoes();

        let renamed = Instant::now();
        lab.write_manifest("pods.yaml", &whole);
        let back = until("a connection to it", || stream.first_to(GONE, renamed));
        let effect = back.duration_since(renamed);
        println!("{mode} {by:?}: the first connection to {GONE} began {effect:?} after the change");
        assert!(effect < BOUND);
        kept.still_echoes();
    });
    assert_eq!(stream.failures(), [""; 0]);
    assert_eq!(lab.drops(), [""; 0]);
}

/// The pod that answers a datagram.
fn exchange(flow: &UdpSocket) -> String {
    let mut buffer = [0; 256];
    flow.send(b"?").unwrap();
    let len = flow.recv(&mut buffer).unwrap();
    pod_of(&String::from_utf8_lossy(&buffer[..len]))
}

fn pod_of(greeting: &str) -> String {
    let pod = greeting.split_whitespace().find_map(|word| word.strip_prefix("pod="));
    pod.unwrap_or_else(|| panic!("{greeting:?}")).to_owned()
}

/// One connection after the other, until told to stop.
#[derive(Default)]
struct Stream {
    over: AtomicBool,
    /// When each began, and who answered or why nobody did.
    dials: Mutex<Vec<(Instant, Result<String, String>)>>,
}

impl Stream {
    fn run(&self, to: SocketAddr) {
        while !self.over.load(Ordering::Relaxed) {
            let start = Instant::now();
            let outcome = once(Protocol::Tcp, to, 64);
            let outcome = outcome.map(|answer| answer.pod).map_err(|error| error.to_string());
            self.dials.lock().unwrap().push((start, outcome));
        }
    }

    /// Connections that began after an instant, or ever.
    fn since(&self, instant: Option<Instant>) -> usize {
        let dials = self.dials.lock().unwrap();
        dials.iter().filter(|(start, _)| instant.is_none_or(|instant| *start > instant)).count()
    }

    /// Connections after the last one to a pod.
    fn without(&self, pod: &str) -> usize {
        self.since(Some(self.last_to(pod)))
    }

    fn last_to(&self, pod: &str) -> Instant {
        let dials = self.dials.lock().unwrap();
        let to_it = dials.iter().rfind(|(_, outcome)| outcome.as_deref() == Ok(pod));
        to_it.expect("all have answered before").0
    }

    fn first_to(&self, pod: &str, after: Instant) -> Option<Instant> {
        let dials = self.dials.lock().unwrap();
        let to_it = |(start, outcome): &&(Instant, Result<String, String>)| {
            *start > after && outcome.as_deref() == Ok(pod)
        };
        dials.iter().find(to_it).map(|(start, _)| *start)
    }

    fn failures(&self) -> Vec<String> {
        let dials = self.dials.lock().unwrap();
        dials.iter().filter_map(|(_, outcome)| outcome.clone().err()).collect()
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An established connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Dials until this pod answers.
    fn to(pod: &str, to: SocketAddr) -> Self {
        until("an answer of that pod", || {
            let stream = TcpStream::connect(to).unwrap();
            stream.set_read_timeout(Some(DIAL_LIMIT)).unwrap();
            let mut reader = BufReader::new(stream);
            let mut greeting = String::new();
            reader.read_line(&mut greeting).unwrap();
            (pod_of(&greeting) == pod).then_some(Self(reader))
        })
    }

    fn still_echoes(&mut self) {
        let mut echoed = [0; 5];
        self.0.get_ref().write_all(b"still").unwrap();
        self.0.read_exact(&mut echoed).unwrap();
        assert_eq!(&echoed, b"still");
    }
}
