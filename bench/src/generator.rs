//! An open-loop generator: one CPU sends frames at a rate, whatever becomes of them.
//!
//! Frames come out of an XDP program by BPF_PROG_TEST_RUN. Over a wire, they enter the
//! interface at its other end. Without one, they are received by an interface behind its XDP
//! hook, on the sender's CPU: no queue lies between, so each that is sent arrives, and a
//! receiver that is slow slows the sender.

use std::{
    fs, io,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya_obj::generated::{bpf_attach_type::BPF_XDP, bpf_insn, bpf_prog_type::BPF_PROG_TYPE_XDP};
use etherparse::PacketBuilder;
use netlab::netlink::Netns;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{bpf, interrupt, schedule::hurry};

/// How long to rest when no frame is due.
const TICK: Duration = Duration::from_micros(50);

/// Most frames for one system call: the interrupt is looked for in between.
const MOST: u32 = 16_384;

/// Which frame to send.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Ethernet source and destination.
    pub macs: [[u8; 6]; 2],
    /// IPv4 source and destination.
    pub addresses: [[u8; 4]; 2],
    /// UDP source and destination.
    pub ports: [u16; 2],
    /// Length, without the checksum: a multiple of eight.
    pub length: usize,
}

/// An interface that receives nothing, for the generator's program to be attached to.
///
/// Law: a generator's program is attached somewhere. The kernel calls XDP programs through a
/// dispatcher, which it patches for every test run of a program that is not in it yet, and that
/// takes it milliseconds on all cores.
#[derive(Clone, Debug)]
pub struct Berth {
    /// Its namespace.
    pub netns: Netns,
    /// Its number there.
    pub ifindex: u32,
}

/// A way for frames.
pub struct Generator {
    program: OwnedFd,
    /// As long as the frames.
    room: Vec<u8>,
    _attached: OwnedFd,
    way: Way,
    cpu: usize,
}

enum Way {
    /// Received by an interface, by its number, of a namespace.
    Injected { to: Netns, ifindex: u32 },
    /// Sent in one namespace, received by an interface, by its name, of another.
    Sent { from: Netns, to: Netns, receiver: String },
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Frames that arrived.
    pub arrived: u64,
    /// How long sending took.
    pub took: Duration,
}

impl Flood {
    /// Frames that arrived, per second.
    pub fn rate(&self) -> f64 {
        self.arrived as f64 / self.took.as_secs_f64()
    }
}

impl Generator {
    /// Lets an interface, by its number, receive `flow`. It has to run an XDP program, which
    /// these frames do not see.
    pub fn inject(flow: &Flow, berth: &Berth, to: &Netns, ifindex: u32) -> Result<Self> {
        Self::new(flow, berth, bpf::pass(), Way::Injected { to: to.clone(), ifindex })
    }

    /// Sends `flow` from the interface `sender`, a number in the namespace `from`, to the
    /// interface `receiver` in the namespace `to` at the other end of its wire.
    pub fn send(
        flow: &Flow,
        berth: &Berth,
        (from, sender): (&Netns, u32),
        (to, receiver): (&Netns, &str),
    ) -> Result<Self> {
        let (from, to, receiver) = (from.clone(), to.clone(), receiver.to_owned());
        Self::new(
            flow,
            berth,
            bpf::redirect(i32::try_from(sender)?),
            Way::Sent { from, to, receiver },
        )
    }

    fn new(flow: &Flow, berth: &Berth, then: Vec<bpf_insn>, way: Way) -> Result<Self> {
        let code = bpf::emit(&frame(flow)?, then);
        let program = bpf::load(BPF_PROG_TYPE_XDP, &code).context("cannot load the generator")?;
        let ifindex = i32::try_from(berth.ifindex)?;
        let attached = berth.netns.run(|| bpf::attach(&program, ifindex, BPF_XDP))?;
        let attached = attached.context("cannot attach the generator")?;
        // The last CPU: the first is the one that others prefer too.
        let cpu = thread::available_parallelism()?.get() - 1;
        let room = vec![0; flow.length];
        Ok(Self { program, room, _attached: attached, way, cpu })
    }

    /// Sends for a time, at a rate in packets per second or, without one, as fast as it goes.
    pub fn flood(&self, rate: Option<f64>, time: Duration) -> Result<Flood> {
        interrupt::check()?;
        let (arrived, took) = match &self.way {
            Way::Injected { to, ifindex } => to.run(|| self.pace(rate, time, Some(*ifindex)))??,
            Way::Sent { from, to, receiver } => {
                let before = received(to, receiver)?;
                let (_, took) = from.run(|| self.pace(rate, time, None))??;
                (received(to, receiver)? - before, took)
            }
        };
        interrupt::check()?;
        if arrived == 0 {
            bail!("no packet arrived");
        }
        Ok(Flood { arrived, took })
    }

    /// How many frames were sent, and how long that took.
    fn pace(
        &self,
        rate: Option<f64>,
        time: Duration,
        ifindex: Option<u32>,
    ) -> Result<(u64, Duration)> {
        let mut cpus = CpuSet::new();
        cpus.set(self.cpu)?;
        sched_setaffinity(Pid::from_raw(0), &cpus)?;
        hurry(0)?;
        let started = Instant::now();
        let mut sent = 0_u64;
        while started.elapsed() < time && interrupt::check().is_ok() {
            let due = rate.map_or(f64::from(MOST), |rate| {
                (rate * started.elapsed().as_secs_f64() - sent as f64).clamp(0.0, f64::from(MOST))
            });
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within 0 and MOST"
            )]
            let count = due as u32;
            if count == 0 {
                thread::sleep(TICK);
                continue;
            }
            match bpf::send(&self.program, &self.room, ifindex, count) {
                // The wire's queue is full: some of these will not arrive.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {}
                outcome => outcome.context("cannot send")?,
            }
            sent += u64::from(count);
        }
        Ok((sent, started.elapsed()))
    }
}

/// Packets that an interface has counted.
fn received(netns: &Netns, interface: &str) -> Result<u64> {
    let text = netns.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
    let line = text.lines().find_map(|line| line.trim().strip_prefix(interface));
    // NAME: bytes packets ...
    let packets = line.and_then(|rest| rest.strip_prefix(':')?.split_whitespace().nth(1));
    Ok(packets.ok_or(io::Error::from(io::ErrorKind::NotFound))?.parse()?)
}

/// The frame, padded with payload to its length.
fn frame(flow: &Flow) -> Result<Vec<u8>> {
    const HEADERS: usize = 14 + 20 + 8;
    const TTL: u8 = 64;
    let Flow { macs: [source, destination], addresses: [from, to], ports, length } = *flow;
    let builder =
        PacketBuilder::ethernet2(source, destination).ipv4(from, to, TTL).udp(ports[0], ports[1]);
    let mut frame = Vec::with_capacity(length);
    builder.write(&mut frame, &vec![0; length.saturating_sub(HEADERS)])?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_has_the_length_that_the_program_writes() {
        let flow = Flow {
            macs: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
            addresses: [[10, 0, 0, 1], [10, 0, 0, 2]],
            ports: [1, 2],
            length: 64,
        };
        let frame = frame(&flow).unwrap();
        assert_eq!(frame.len(), flow.length);
        assert_eq!(&frame[..6], &[2, 0, 0, 0, 0, 2]);
    }
}
