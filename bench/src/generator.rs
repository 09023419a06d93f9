//! An open-loop generator: one CPU sends frames at a rate, whatever becomes of them.
//!
//! Frames come out of an XDP program by BPF_PROG_TEST_RUN. They are received by an interface
//! behind its XDP hook, on the sender's CPU: no queue lies between, so each that is sent
//! arrives, and a receiver that is slow slows the sender.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya_obj::generated::{bpf_attach_type::BPF_XDP, bpf_prog_type::BPF_PROG_TYPE_XDP};
use etherparse::PacketBuilder;
use netlab::netlink::Netns;
use netlab_bench::interrupt;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{bpf, schedule::hurry};

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

/// Frames for an interface.
pub struct Generator {
    program: OwnedFd,
    /// As long as the frames.
    room: Vec<u8>,
    _attached: OwnedFd,
    to: Netns,
    ifindex: u32,
    cpu: usize,
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
        let code = bpf::emit(&frame(flow)?, bpf::pass());
        let program = bpf::load(BPF_PROG_TYPE_XDP, &code).context("cannot load the generator")?;
        let place = i32::try_from(berth.ifindex)?;
        let attached = berth.netns.run(|| bpf::attach(&program, place, BPF_XDP))?;
        let attached = attached.context("cannot attach the generator")?;
        let room = vec![0; flow.length];
        Ok(Self { program, room, _attached: attached, to: to.clone(), ifindex, cpu: last_cpu()? })
    }

    /// Sends for a time, at a rate in packets per second or, without one, as fast as it goes.
    pub fn flood(&self, rate: Option<f64>, time: Duration) -> Result<Flood> {
        interrupt::check()?;
        let (arrived, took) = self.to.run(|| self.pace(rate, time))??;
        interrupt::check()?;
        if arrived == 0 {
            bail!("no packet arrived");
        }
        Ok(Flood { arrived, took })
    }

    /// How many frames were sent, and how long that took.
    fn pace(&self, rate: Option<f64>, time: Duration) -> Result<(u64, Duration)> {
        settle(self.cpu)?;
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
            bpf::send(&self.program, &self.room, self.ifindex, count).context("cannot send")?;
            sent += u64::from(count);
        }
        Ok((sent, started.elapsed()))
    }
}

/// The first CPU is the one that others prefer too.
fn last_cpu() -> io::Result<usize> {
    Ok(thread::available_parallelism()?.get() - 1)
}

/// Keeps the calling thread on a CPU, ahead of everybody else there.
fn settle(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &cpus)?;
    Ok(hurry(0)?)
}

/// Runs an XDP program on a frame that it leaves as it is, again and again for a time: as if it
/// had come to an interface, by its number, of a namespace. `count` times with nothing in
/// between, until the frame is handed over anew.
pub fn try_out(
    program: BorrowedFd<'_>,
    frame: &[u8],
    (netns, ifindex): (&Netns, u32),
    count: u32,
    time: Duration,
) -> Result<()> {
    netns.run(|| {
        settle(last_cpu()?)?;
        let started = Instant::now();
        while started.elapsed() < time {
            for _ in 0..MOST / 16 / count {
                bpf::try_out(program, frame, ifindex, count).context("cannot run the program")?;
            }
            interrupt::check()?;
        }
        Ok(())
    })?
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
