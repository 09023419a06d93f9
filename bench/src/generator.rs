//! An open-loop generator: one CPU sends frames at a rate, whatever becomes of them.
//!
//! Frames leave an XDP program by BPF_PROG_TEST_RUN and enter the receiving interface as if
//! from a wire. The receiver's NAPI runs on the sender's CPU, so its ring never overflows: a
//! receiver that is slow slows the sender, and what was not sent is not counted as lost.

use std::{
    fs, io,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_XDP;
use etherparse::PacketBuilder;
use netlab::netlink::Netns;
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{bpf, interrupt};

/// Length of the frames, without their checksum: small packets.
pub const FRAME: usize = 64;

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
}

/// Where packets are sent from and where they arrive.
pub struct Generator {
    program: OwnedFd,
    from: Netns,
    to: Netns,
    receiver: String,
    cpu: usize,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Frames that the receiving interface counted.
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
    /// Sends `flow` from the interface `sender`, a number in the namespace `from`, on the last
    /// CPU; `receiver` is the interface in the namespace `to` at the other end.
    pub fn new(flow: &Flow, from: &Netns, sender: u32, to: &Netns, receiver: &str) -> Result<Self> {
        let code = bpf::emit(&frame(flow)?, i32::try_from(sender)?);
        let program = bpf::load(BPF_PROG_TYPE_XDP, &code).context("cannot load the generator")?;
        let cpu = thread::available_parallelism()?.get() - 1;
        Ok(Self { program, from: from.clone(), to: to.clone(), receiver: receiver.to_owned(), cpu })
    }

    /// Sends for a time, at a rate in packets per second or, without one, as fast as it goes.
    pub fn flood(&self, rate: Option<f64>, time: Duration) -> Result<Flood> {
        interrupt::check()?;
        let before = self.arrived()?;
        let took = self.from.run(|| self.send(rate, time))?.context("cannot send")?;
        interrupt::check()?;
        let arrived = self.arrived()? - before;
        if arrived == 0 {
            bail!("no packet arrived at {} of {}", self.receiver, self.to.name());
        }
        Ok(Flood { arrived, took })
    }

    fn send(&self, rate: Option<f64>, time: Duration) -> Result<Duration> {
        let mut cpus = CpuSet::new();
        cpus.set(self.cpu)?;
        sched_setaffinity(Pid::from_raw(0), &cpus)?;
        let room = [0; FRAME];
        let started = Instant::now();
        let mut sent = 0.0;
        while started.elapsed() < time && interrupt::check().is_ok() {
            let due = rate.map_or(f64::from(MOST), |rate| {
                (rate * started.elapsed().as_secs_f64() - sent).clamp(0.0, f64::from(MOST))
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
            match bpf::send(&self.program, &room, count) {
                Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
                outcome => outcome?,
            }
            sent += f64::from(count);
        }
        Ok(started.elapsed())
    }

    /// Packets that the receiving interface has counted.
    fn arrived(&self) -> Result<u64> {
        let text = self.to.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&self.receiver));
        // NAME: bytes packets ...
        let packets = line.and_then(|rest| rest.strip_prefix(':')?.split_whitespace().nth(1));
        Ok(packets.ok_or(io::Error::from(io::ErrorKind::NotFound))?.parse()?)
    }
}

/// The frame, padded with payload to its length.
fn frame(flow: &Flow) -> Result<Vec<u8>> {
    const HEADERS: usize = 14 + 20 + 8;
    const TTL: u8 = 64;
    let Flow { macs: [source, destination], addresses: [from, to], ports } = *flow;
    let builder =
        PacketBuilder::ethernet2(source, destination).ipv4(from, to, TTL).udp(ports[0], ports[1]);
    let mut frame = Vec::with_capacity(FRAME);
    builder.write(&mut frame, &[0; FRAME - HEADERS])?;
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
        };
        let frame = frame(&flow).unwrap();
        assert_eq!(frame.len(), FRAME);
        assert_eq!(FRAME % 8, 0);
        assert_eq!(&frame[..6], &[2, 0, 0, 0, 0, 2]);
    }
}
