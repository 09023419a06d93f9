//! Packets by the million: a sender, a receiver that counts, and a forwarder that does the least.
//!
//! All three are XDP programs. The sender's is run with live frames (BPF_PROG_TEST_RUN): the
//! kernel hands it frames of its own, and what the program redirects travels. So one core makes
//! more packets than any path through a node takes, and the sender is the same for all.

use std::{
    io, thread,
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
    sched::{CpuSet, sched_setaffinity},
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
    /// Length of the frame, in bytes, without the checksum; at least 64.
    pub length: usize,
}

impl Flood {
    /// The least source port: those below are for servers (RFC 6335).
    pub const FIRST_PORT: u16 = 1024;
    /// Most flows.
    pub const MOST: u16 = u16::MAX - Self::FIRST_PORT;

    /// The start of each frame, with the first source port. No checksum of UDP (RFC 768).
    fn head(&self) -> io::Result<[u8; HEAD]> {
        const HEADERS: usize = 14 + 20 + 8;
        let [source, destination] = self.macs;
        let [from, to] = self.addresses;
        let builder = PacketBuilder::ethernet2(source, destination)
            .ipv4(from, to, TTL)
            .udp(Self::FIRST_PORT, self.port);
        let mut frame = Vec::with_capacity(self.length);
        let payload = vec![0; self.length.saturating_sub(HEADERS)];
        builder.write(&mut frame, &payload).map_err(io::Error::other)?;
        let mut head = *frame.first_chunk().ok_or(io::ErrorKind::InvalidInput)?;
        [head[HEADERS - 2], head[HEADERS - 1]] = [0, 0];
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
    from: Netns,
    length: usize,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
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
        let mut program = Attached::new(program::SEND, &berth.netns, berth.ifindex)?;
        let head = flood.head().map_err(ProgramError::IOError);
        let told = traffic::Flood {
            head: head.map_err(failed("prepare", program::SEND))?,
            ifindex,
            first_port: Flood::FIRST_PORT.into(),
            flows: flood.flows.clamp(1, Flood::MOST).into(),
            random: flood.random.into(),
        };
        let map = program.ebpf.map_mut(map::FLOOD).ok_or(Error::Missing(map::FLOOD))?;
        let mut map: Array<&mut MapData, traffic::Flood> =
            map.try_into().map_err(broken("use", map::FLOOD))?;
        map.set(0, told, 0).map_err(broken("write", map::FLOOD))?;
        Ok(Self { program, from: from.clone(), length: flood.length })
    }

    /// Sends as fast as one core can, for a time, on the last core.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn send(&self, time: Duration) -> Result<Sent> {
        let sent = self.from.run(|| self.work(time));
        sent.map_err(|error| ProgramError::IOError(io::Error::other(error)))
            .map_err(failed("run", program::SEND))?
    }

    /// On a thread of its own.
    fn work(&self, time: Duration) -> Result<Sent> {
        settle().map_err(ProgramError::IOError).map_err(failed("run", program::SEND))?;
        let program = self.program.program()?;
        let room = vec![0; self.length];
        let started = Instant::now();
        let mut frames = 0;
        while started.elapsed() < time {
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
            frames += u64::from(TURN);
        }
        Ok(Sent { frames, took: started.elapsed() })
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

/// Keeps the calling thread on the last CPU: the first is the one that others prefer too.
fn settle() -> io::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(thread::available_parallelism()?.get() - 1)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
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
