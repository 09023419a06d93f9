//! Packets by the million: a sender, a receiver that counts, and a forwarder that does the least.
//!
//! All three are XDP programs. The sender's is run with live frames (BPF_PROG_TEST_RUN): the
//! kernel hands it frames of its own, and what the program redirects travels. So one core makes
//! more packets than any path through a node takes, and the sender is the same for all.

use std::{
    io,
    time::{Duration, Instant},
};

use aya::{
    Ebpf, include_bytes_aligned,
    maps::{Array, MapData, PerCpuArray},
    programs::{ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, xdp::XdpMode},
};
use etherparse::PacketBuilder;
use netlab_common::traffic::{self, HEAD, Taken, map, program};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    datapath::{Error, Result, load::broken},
    netlink::{self, Connection, Netns, VethEnd},
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netlab-traffic"));

/// Frames that the kernel makes at a time: what a driver hands over in one poll.
const BATCH: u32 = 64;
/// Frames of one system call; the time is looked at in between.
const TURN: u32 = 4_096;
/// Hops that a datagram may take.
const TTL: u8 = 64;

/// Datagrams of IPv4, all alike but for their source ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// Ethernet addresses of source and destination.
    pub macs: [[u8; 6]; 2],
    /// IPv4 addresses of source and destination.
    pub addresses: [[u8; 4]; 2],
    /// UDP's destination port.
    pub port: u16,
    /// Source ports, beginning with [`Flood::FIRST_PORT`]; 1 to [`Flood::MOST`].
    pub flows: u16,
    /// A source port at random for each, rather than one after the other.
    pub random: bool,
    /// Length of the frame, in bytes, without the checksum; [`Flood::SHORTEST`] to
    /// [`Flood::LONGEST`].
    pub length: usize,
}

impl Flood {
    /// The least source port: those below are for servers (RFC 6335).
    pub const FIRST_PORT: u16 = 1024;
    /// Most flows.
    pub const MOST: u16 = u16::MAX - Self::FIRST_PORT;
    /// Length of the shortest frame: all that is written anew for each.
    pub const SHORTEST: usize = HEAD;
    /// Length of the longest: a frame's page has to hold headroom and the kernel's notes too.
    pub const LONGEST: usize = 3_072;
    /// Bytes of Ethernet, IPv4 and UDP before the payload.
    pub const HEADERS: usize = 14 + 20 + 8;

    /// The start of each frame, with the first source port. No checksum of UDP (RFC 768).
    fn head(&self) -> io::Result<[u8; HEAD]> {
        let [source, destination] = self.macs;
        let [from, to] = self.addresses;
        let builder = PacketBuilder::ethernet2(source, destination)
            .ipv4(from, to, TTL)
            .udp(Self::FIRST_PORT, self.port);
        let mut frame = Vec::with_capacity(self.length);
        let payload = vec![0; self.length.saturating_sub(Self::HEADERS)];
        builder.write(&mut frame, &payload).map_err(io::Error::other)?;
        let mut head = *frame.first_chunk().ok_or(io::ErrorKind::InvalidInput)?;
        [head[Self::HEADERS - 2], head[Self::HEADERS - 1]] = [0, 0];
        Ok(head)
    }
}

/// One of the programs, attached to an interface for as long as this lives.
struct Attached {
    ebpf: Ebpf,
    name: &'static str,
}

impl Attached {
    /// At XDP of an interface, by its number, of a namespace.
    fn new(name: &'static str, netns: &Netns, ifindex: u32) -> Result<Self> {
        let ebpf = Ebpf::load(OBJECT).map_err(|error| Error::Load(Box::new(error)))?;
        let mut attached = Self { ebpf, name };
        let program = attached.program_mut()?;
        program.load().map_err(failed("load", name))?;
        let attach = || program.attach_to_if_index(ifindex, XdpMode::Driver).map(drop);
        let entered =
            netns.run(attach).map_err(|error| ProgramError::IOError(io::Error::other(error)));
        entered.flatten().map_err(failed("attach", name))?;
        Ok(attached)
    }

    fn program_mut(&mut self) -> Result<&mut Xdp> {
        let program = self.ebpf.program_mut(self.name).ok_or(Error::Missing(self.name))?;
        program.try_into().map_err(failed("use", self.name))
    }

    fn program(&self) -> Result<&Xdp> {
        let program = self.ebpf.program(self.name).ok_or(Error::Missing(self.name))?;
        program.try_into().map_err(failed("use", self.name))
    }
}

/// An interface that receives nothing, in a namespace of its own, which goes with it.
///
/// The kernel calls XDP programs through a dispatcher, and patches that for every test run of a
/// program that is attached nowhere, which takes it milliseconds on all cores. So a sender's
/// program is attached here.
#[derive(Debug)]
pub struct Berth {
    netns: Netns,
    ifindex: u32,
}

impl Berth {
    /// A new one.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub async fn new() -> netlink::Result<Self> {
        const MTU: u32 = 1500;
        let netns = Netns::unnamed()?;
        let connection = Connection::open(&netns)?;
        let end = |name| VethEnd { name, mac: None, mtu: MTU };
        connection.create_veth(&end("berth0"), &end("berth1"), &netns).await?;
        let ifindex = connection.link("berth0").await?.index;
        Ok(Self { netns, ifindex })
    }
}

/// Sends a flood.
pub struct Sender {
    program: Attached,
    from: (Netns, u32),
    length: usize,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Frames made. Those for which a queue had no room are among them.
    pub frames: u64,
    /// How long that took.
    pub took: Duration,
}

impl Sender {
    /// Sends from an interface, by its number, of the namespace `from`.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn new(flood: &Flood, (from, ifindex): (&Netns, u32), berth: &Berth) -> Result<Self> {
        let program = Attached::new(program::SEND, &berth.netns, berth.ifindex)?;
        let mut sender = Self { program, from: (from.clone(), ifindex), length: flood.length };
        sender.change(flood)?;
        Ok(sender)
    }

    /// Sends another flood from now on, from the same interface.
    ///
    /// # Errors
    ///
    /// Where the map cannot be written.
    pub fn change(&mut self, flood: &Flood) -> Result<()> {
        let head = flood.head().map_err(ProgramError::IOError);
        let told = traffic::Flood {
            head: head.map_err(failed("prepare", program::SEND))?,
            ifindex: self.from.1,
            first_port: Flood::FIRST_PORT.into(),
            flows: flood.flows.clamp(1, Flood::MOST).into(),
            random: flood.random.into(),
        };
        let map = self.program.ebpf.map_mut(map::FLOOD).ok_or(Error::Missing(map::FLOOD))?;
        let mut map: Array<&mut MapData, traffic::Flood> =
            map.try_into().map_err(broken("use", map::FLOOD))?;
        map.set(0, told, 0).map_err(broken("write", map::FLOOD))?;
        self.length = flood.length;
        Ok(())
    }

    /// Sends as fast as one core can, for a time, on the last core.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn send(&self, time: Duration) -> Result<Sent> {
        self.send_while(|sent| sent.took < time)
    }

    /// The same, as long as it is wanted, which is asked every few thousand frames.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn send_while(&self, wanted: impl Fn(&Sent) -> bool + Send) -> Result<Sent> {
        let sent = self.from.0.run(|| self.work(wanted));
        sent.map_err(|error| ProgramError::IOError(io::Error::other(error)))
            .map_err(failed("run", program::SEND))?
    }

    /// On a thread of its own.
    fn work(&self, wanted: impl Fn(&Sent) -> bool) -> Result<Sent> {
        settle().map_err(ProgramError::IOError).map_err(failed("run", program::SEND))?;
        let program = self.program.program()?;
        let room = vec![0; self.length];
        let started = Instant::now();
        let mut sent = Sent::default();
        while wanted(&sent) {
            let options = TestRunOptions {
                data_in: Some(&room),
                repeat: TURN,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            };
            match program.test_run(options) {
                Ok(_) => {}
                // A queue is full. The others go on.
                Err(ProgramError::SyscallError(error))
                    if error.io_error.raw_os_error() == Some(libc::ENOSPC) => {}
                Err(error) => return Err(failed("run", program::SEND)(error)),
            }
            sent = Sent { frames: sent.frames + u64::from(TURN), took: started.elapsed() };
        }
        Ok(sent)
    }
}

/// Takes floods at an interface: counts them, and lets everything else pass.
pub struct Taker(Attached);

impl Taker {
    /// At an interface, by its number, of a namespace.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, also because another XDP program is there.
    pub fn new(netns: &Netns, ifindex: u32) -> Result<Self> {
        Attached::new(program::TAKE, netns, ifindex).map(Self)
    }

    /// What came so far.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn taken(&self) -> Result<Taken> {
        let map = self.0.ebpf.map(map::TAKEN).ok_or(Error::Missing(map::TAKEN))?;
        let map: PerCpuArray<&MapData, Taken> =
            map.try_into().map_err(broken("use", map::TAKEN))?;
        let cpus = map.get(&0, 0).map_err(broken("read", map::TAKEN))?;
        let sum = |sum: Taken, cpu: &Taken| Taken {
            packets: sum.packets + cpu.packets,
            bytes: sum.bytes + cpu.bytes,
        };
        Ok(cpus.iter().fold(Taken::default(), sum))
    }
}

/// Forwards IPv4 by the kernel's tables and does nothing else, at XDP of an interface.
pub struct Forwarder(#[expect(dead_code, reason = "held to be dropped")] Attached);

impl Forwarder {
    /// At an interface, by its number, of a namespace.
    ///
    /// # Errors
    ///
    /// As [`Taker::new`].
    pub fn new(netns: &Netns, ifindex: u32) -> Result<Self> {
        Attached::new(program::FORWARD, netns, ifindex).map(Self)
    }
}

/// Keeps the calling thread on the last CPU that it may use: the first is the one that others
/// prefer too.
fn settle() -> io::Result<()> {
    let this = Pid::from_raw(0);
    let mut only = CpuSet::new();
    only.set(last(&sched_getaffinity(this)?).ok_or(Errno::EINVAL)?)?;
    Ok(sched_setaffinity(this, &only)?)
}

/// The highest CPU of a set. Numbers have holes where a cpuset leaves some out.
fn last(cpus: &CpuSet) -> Option<usize> {
    (0..CpuSet::count()).rev().find(|cpu| cpus.is_set(*cpu).unwrap_or(false))
}

pub(super) fn failed(
    operation: &'static str,
    program: &'static str,
) -> impl Fn(ProgramError) -> Error {
    move |source| Error::Program {
        operation,
        subject: program.to_owned(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cpu_is_the_highest_that_is_allowed() {
        let mut cpus = CpuSet::new();
        assert_eq!(last(&cpus), None);
        for cpu in [1, 4] {
            cpus.set(cpu).unwrap();
        }
        assert_eq!(last(&cpus), Some(4));
    }

    #[test]
    fn a_flood_begins_with_headers_of_its_length_and_has_no_checksum() {
        let flood = Flood {
            macs: [[2; 6], [4; 6]],
            addresses: [[192, 0, 2, 1], [192, 0, 2, 2]],
            port: 9,
            flows: 1,
            random: false,
            length: Flood::SHORTEST,
        };
        let total = |length| {
            let head = Flood { length, ..flood }.head().unwrap();
            assert_eq!(head[40..42], [0, 0]);
            usize::from(u16::from_be_bytes([head[16], head[17]]))
        };
        assert_eq!(total(Flood::SHORTEST), 46);
        assert_eq!(total(1464), 1450);
    }
}
