//! A capturing program at work: started, listened to, stopped, and asked for its counts.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    sys::{
        prctl::set_pdeathsig,
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use crate::schedule::hurry;

/// How long a program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A capture that has said that it listens.
pub struct Running {
    child: Child,
    words: JoinHandle<String>,
    started: Duration,
    /// Processor time that this took.
    starting: Duration,
}

/// What a program said at its end, and how long it took to begin and to end.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Packets that came to its filter and passed.
    pub received: u64,
    /// Of these, lost for lack of room.
    pub dropped: u64,
    /// From exec to the word that it listens.
    pub start: Duration,
    /// From SIGINT to the end of its process.
    pub stop: Duration,
    /// Processor time that its process took, from when it listened to its end.
    pub processor: Duration,
}

impl Running {
    /// Starts a capture and waits until it listens.
    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // SAFETY: between fork and exec, one system call that allocates nothing.
        unsafe {
            command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
        }
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let errors = child.stderr.take().context("no standard error")?;
        let (tell, told) = mpsc::channel();
        let words = thread::spawn(move || listen(errors, &tell));
        let listening = told.recv_timeout(PATIENCE);
        let started = begun.elapsed();
        let starting = processor_time(child.id()).unwrap_or_default();
        let running = Self { child, words, started, starting };
        if listening.is_err() {
            let words = running.end(Signal::SIGKILL).map(|(words, ..)| words);
            bail!("{command:?} does not listen: {}", words.unwrap_or_default().trim());
        }
        Ok(running)
    }

    /// Ahead of what else runs on the machine.
    pub fn hurry(self) -> Result<Self> {
        hurry(i32::try_from(self.child.id())?)?;
        Ok(self)
    }

    /// Most memory that its process ever had resident, in KiB.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmHWM")?.parse()?)
    }

    /// Tells it to end and reads its counts.
    pub fn stop(self) -> Result<Outcome> {
        let (start, starting) = (self.started, self.starting);
        let (words, stop, processor) = self.end(Signal::SIGINT)?;
        let count = |what: &str| {
            words
                .lines()
                .find(|line| line.contains(what))
                .and_then(|line| line.split_whitespace().next()?.parse().ok())
                .ok_or_else(|| anyhow!("nothing about {what} in: {words}"))
        };
        Ok(Outcome {
            received: count("received by filter")?,
            // "by kernel" of tcpdump, "by the ring" of netlab.
            dropped: count("dropped by")?,
            start,
            stop,
            processor: processor.saturating_sub(starting),
        })
    }

    fn end(self, signal: Signal) -> Result<(String, Duration, Duration)> {
        let process = i32::try_from(self.child.id())?;
        let told = Instant::now();
        kill(Pid::from_raw(process), signal)?;
        let mut signalled = false;
        let processor = loop {
            if let Some(processor) = reap(process)? {
                break processor;
            }
            if !signalled && told.elapsed() > PATIENCE {
                kill(Pid::from_raw(process), Signal::SIGKILL)?;
                signalled = true;
            }
            thread::sleep(Duration::from_millis(1));
        };
        if signalled {
            bail!("a capture did not end when told to");
        }
        let took = told.elapsed();
        let words = self.words.join().map_err(|_| anyhow!("nobody listened"))?;
        Ok((words, took, processor))
    }
}

/// The processor time of a process with one thread.
fn processor_time(process: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
    // Nanoseconds on a processor, nanoseconds waiting for one, time slices.
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

/// The processor time of a child that has ended; none of one that has not.
fn reap(process: i32) -> io::Result<Option<Duration>> {
    // SAFETY: plain numbers, of which zero is one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes the structure.
    match unsafe { libc::wait4(process, std::ptr::null_mut(), libc::WNOHANG, &raw mut usage) } {
        0 => Ok(None),
        ended if ended < 0 => Err(io::Error::last_os_error()),
        _ => {
            let time = |time: libc::timeval| {
                let micros = time.tv_sec * 1_000_000 + time.tv_usec;
                Duration::from_micros(u64::try_from(micros).unwrap_or(0))
            };
            Ok(Some(time(usage.ru_utime) + time(usage.ru_stime)))
        }
    }
}

/// Reads all, and tells when it listens.
fn listen(errors: ChildStderr, tell: &mpsc::Sender<()>) -> String {
    let mut all = String::new();
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        if line.contains("listening on") {
            // Who does not wait any more does not want to know.
            let _ = tell.send(());
        }
        all.push_str(&line);
        all.push('\n');
    }
    all
}
