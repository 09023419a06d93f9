//! What a turn costs besides time: CPU time of the whole machine, TCP's retransmissions, and
//! what the datapath's programs run for.
//!
//! CPU time is counted for the machine and not for threads, since most of a packet's way is
//! softirq time, which is booked to whichever thread it interrupts. So what else runs on the
//! machine is in it; rounds take turns, and their ratios tell how much that blurs. Most kernels
//! sample it by their ticks, which is off by a third now and then where softirqs are short;
//! [`super::softirq`] times them by the clock, host by host, at a price.

use std::{collections::BTreeMap, fs, io, time::Duration};

use aya::sys::{Stats, enable_stats};
use serde::{Deserialize, Serialize};

use crate::netlink::{self, Netns};

/// What a turn costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Seconds that CPUs of the machine were not idle, softirqs included.
    pub cpu_seconds: f64,
    /// Of these, in softirqs.
    pub softirq_seconds: f64,
    /// Segments that the client and the pod sent again.
    pub retransmits: u64,
}

/// What the datapath's programs ran for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BpfTime {
    /// How often they ran.
    pub runs: u64,
    /// For how long altogether, in seconds.
    pub seconds: f64,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    cpu: Cpu,
    retransmits: u64,
}

/// Time since the machine has started, in ticks of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cpu {
    busy: u64,
    softirq: u64,
}

impl Meter {
    /// As it is now, with the segments of these namespaces.
    ///
    /// # Errors
    ///
    /// Where /proc cannot be read.
    pub fn read(namespaces: &[&Netns]) -> Result<Self, UsageError> {
        let text = fs::read_to_string("/proc/stat")
            .map_err(|source| UsageError { what: "/proc/stat", source })?;
        let unknown = |what| UsageError { what, source: io::ErrorKind::InvalidData.into() };
        let cpu = cpu(&text).ok_or_else(|| unknown("/proc/stat"))?;
        let mut retransmits = 0;
        for netns in namespaces {
            // Of the thread that is in the namespace; /proc/net would be the process's.
            const PATH: &str = "/proc/thread-self/net/snmp";
            let read = || fs::read_to_string(PATH);
            let failed = |source| UsageError { what: PATH, source };
            let text = netns.run(read).map_err(namespace)?.map_err(failed)?;
            retransmits += retransmitted(&text).ok_or_else(|| unknown(PATH))?;
        }
        Ok(Self { cpu, retransmits })
    }

    /// What was used since an earlier moment.
    #[must_use]
    pub fn since(&self, before: &Self) -> Usage {
        Usage {
            cpu_seconds: seconds(self.cpu.busy.saturating_sub(before.cpu.busy)),
            softirq_seconds: seconds(self.cpu.softirq.saturating_sub(before.cpu.softirq)),
            retransmits: self.retransmits.saturating_sub(before.retransmits),
        }
    }
}

/// A counter of the kernel's could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what}")]
pub struct UsageError {
    /// The file.
    pub what: &'static str,
    /// Why.
    pub source: io::Error,
}

fn namespace(error: netlink::Error) -> UsageError {
    UsageError { what: "a namespace's counters", source: io::Error::other(error) }
}

/// Of the line `cpu  user nice system idle iowait irq softirq steal guest guest_nice`, where the
/// guests' time is in user's and nice's already (proc_stat(5)).
fn cpu(stat: &str) -> Option<Cpu> {
    const COUNTED: [usize; 5] = [0, 1, 2, 5, 6];
    const SOFTIRQ: usize = 6;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let busy = COUNTED.iter().map(|at| ticks.get(*at)).sum::<Option<u64>>()?;
    Some(Cpu { busy, softirq: *ticks.get(SOFTIRQ)? })
}

/// `RetransSegs` of the two lines that begin with `Tcp:`.
fn retransmitted(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == "RetransSegs")?;
    values.split_whitespace().nth(at)?.parse().ok()
}

fn seconds(ticks: u64) -> f64 {
    // SAFETY: plain integers.
    let rate = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    #[expect(clippy::cast_precision_loss, reason = "ticks of one turn")]
    let seconds = ticks as f64 / rate.max(1) as f64;
    seconds
}

/// Has the kernel time BPF programs as long as this is there. That costs each run of a program
/// two readings of the clock, so it is not for turns that count.
#[derive(Debug)]
pub struct BpfClock {
    _statistics: std::os::fd::OwnedFd,
}

impl BpfClock {
    /// Starts; None where the kernel does not do it.
    #[must_use]
    pub fn start() -> Option<Self> {
        let statistics = enable_stats(Stats::RunTime);
        Some(Self { _statistics: statistics.ok()? })
    }
}

/// What the programs of these processes have run for, from the moment that anyone began to time
/// them.
#[must_use]
pub fn bpf_time(processes: &[u32]) -> BpfTime {
    let mut programs: BTreeMap<u64, BpfTime> = BTreeMap::new();
    for pid in processes {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            programs.extend(program(&text));
        }
    }
    programs.values().fold(BpfTime::default(), |sum, one| BpfTime {
        runs: sum.runs + one.runs,
        seconds: sum.seconds + one.seconds,
    })
}

impl BpfTime {
    /// What was added since an earlier moment.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            runs: self.runs.saturating_sub(before.runs),
            seconds: (self.seconds - before.seconds).max(0.0),
        }
    }
}

/// The number and the time of a program, from what the kernel tells about its descriptor.
fn program(fdinfo: &str) -> Option<(u64, BpfTime)> {
    let field = |name: &str| -> Option<u64> {
        let line = fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line?.trim().parse().ok()
    };
    let time = Duration::from_nanos(field("run_time_ns")?);
    Some((field("prog_id")?, BpfTime { runs: field("run_cnt")?, seconds: time.as_secs_f64() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_waiting_stolen_and_guests_time_is_not_busy_time() {
        let stat = "cpu  1 20 300 4000 50000 600000 7000000 80000000 9 9\ncpu0 1 1 1 1 1 1 1 1\n";
        assert_eq!(cpu(stat), Some(Cpu { busy: 7_600_321, softirq: 7_000_000 }));
        assert_eq!(cpu("cpu0 1 2 3"), None);
        assert_eq!(cpu("cpu  1 2 3"), None);
    }

    #[test]
    fn retransmissions_are_found_by_name() {
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm RetransSegs InErrs\nTcp: 1 42 7\n";
        assert_eq!(retransmitted(snmp), Some(42));
        assert_eq!(retransmitted("Tcp: RtoAlgorithm\nTcp: 1\n"), None);
    }

    #[test]
    fn a_program_is_one_whatever_the_number_of_its_descriptors() {
        let text = "pos:\t0\nprog_type:\t6\nprog_id:\t77\nrun_time_ns:\t1500000000\nrun_cnt:\t3\n";
        let time = BpfTime { runs: 3, seconds: 1.5 };
        assert_eq!(program(text), Some((77, time)));
        // A link's descriptor names its program, and has no time of its own.
        assert_eq!(program("link_type:\tnetkit\nprog_id:\t77\n"), None);
    }
}
