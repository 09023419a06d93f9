//! `netlab capture` as it runs, and what it has written.

use std::{
    ffi::OsStr,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use netlab::capture::file::Reader;

use crate::{
    binary::{self, Ran},
    lab::Lab,
    poll::until,
};

/// What a capture says once it sees packets.
const READY: &str = "netlab: listening on ";

/// A capture that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    line: String,
    printed: Arc<Mutex<String>>,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// From its start until it saw packets.
    pub start: Duration,
    /// When it saw packets, in nanoseconds since 1970.
    pub since: u64,
}

/// What a capture came to.
#[derive(Debug)]
pub struct Ended {
    /// As any other run.
    pub ran: Ran,
    /// From the signal to its end.
    pub stop: Duration,
    /// When it was told to end, in nanoseconds since 1970.
    pub until: u64,
}

/// What a capture says at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Packets printed or written.
    pub captured: u64,
    /// Packets that the filter accepted.
    pub received: u64,
    /// Of these: lost.
    pub dropped: u64,
}

impl Capture {
    /// Captures in a lab, with these further arguments; returns once it sees packets.
    ///
    /// # Panics
    ///
    /// If it ends instead.
    #[must_use]
    pub fn start(lab: &Lab, args: &[impl AsRef<OsStr>]) -> Self {
        Self::begin(lab, args).ready()
    }

    /// As [`Self::start`], without waiting: for several at a time.
    ///
    /// # Panics
    ///
    /// If netlab cannot be started.
    #[must_use]
    pub fn begin(lab: &Lab, args: &[impl AsRef<OsStr>]) -> Self {
        let named = ["capture", "--name", lab.name().as_str()].map(OsStr::new);
        let args: Vec<&OsStr> = named.into_iter().chain(args.iter().map(AsRef::as_ref)).collect();
        Self::spawn(&args, true)
    }

    /// Runs netlab with these arguments; what it prints is kept if `collect`.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn spawn(args: &[impl AsRef<OsStr>], collect: bool) -> Self {
        let began = Instant::now();
        let mut command = Command::new(binary::path());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("netlab starts");
        let words: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
        let (printed, errors) = (Arc::default(), Arc::default());
        let stderr = child.stderr.take().expect("it is piped");
        let mut readers = vec![follow(stderr, Arc::clone(&errors))];
        if collect {
            let stdout = child.stdout.take().expect("it is piped");
            readers.push(follow(stdout, Arc::clone(&printed)));
        }
        Self {
            line: format!("netlab {}", words.join(" ")),
            child,
            printed,
            errors,
            readers,
            start: began.elapsed(),
            since: 0,
        }
    }

    /// Waits until it sees packets.
    ///
    /// # Panics
    ///
    /// If it ends instead.
    #[must_use]
    pub fn ready(mut self) -> Self {
        let began = Instant::now();
        // Attaching waits for the kernel's grace periods, one after another, of all captures.
        until("a capture that listens", || {
            if self.errors().contains(READY) {
                return Some(());
            }
            let ended = self.child.try_wait().expect("it is a child").is_some();
            assert!(!ended, "{}: {}", self.line, self.errors());
            None
        });
        self.start += began.elapsed();
        self.since = now();
        self
    }

    /// What it has said on standard error so far.
    ///
    /// # Panics
    ///
    /// Never: nobody panics while it is written.
    pub fn errors(&self) -> MutexGuard<'_, String> {
        self.errors.lock().expect("nobody panics with it")
    }

    /// What it has printed so far.
    ///
    /// # Panics
    ///
    /// Never: nobody panics while it is written.
    pub fn printed(&self) -> MutexGuard<'_, String> {
        self.printed.lock().expect("nobody panics with it")
    }

    /// Its standard output, if it is not collected.
    ///
    /// # Panics
    ///
    /// If it is, or has been taken.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("it is not collected")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: plain integers; the child has not been waited for, so the id is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} to {pid}");
    }

    /// Ends it as ^C does, and says what it came to.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn end(self) -> Ended {
        self.end_by(libc::SIGINT)
    }

    /// Ends it by a signal.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn end_by(self, signal: i32) -> Ended {
        let (until, began) = (now(), Instant::now());
        self.signal(signal);
        let ran = self.wait();
        Ended { ran, stop: began.elapsed(), until }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[must_use]
    pub fn wait(mut self) -> Ran {
        let status =
            until("the end of a capture", || self.child.try_wait().expect("it is a child"));
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let (stdout, stderr) = (self.printed().clone(), self.errors().clone());
        Ran { line: self.line.clone(), code: status.code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Neither does anything to a child that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The lines at its end, of a capture that ended in good order.
    ///
    /// # Panics
    ///
    /// If it failed, or one is missing.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics::of(&self.ran)
    }
}

impl Statistics {
    /// Those of a capture that ended in good order.
    ///
    /// # Panics
    ///
    /// If it failed, or one is missing.
    #[must_use]
    pub fn of(ran: &Ran) -> Self {
        let ran = ran.clone().expect(0);
        let count = |what: &str| {
            let line = ran.stderr.lines().find(|line| line.ends_with(what));
            let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
            number.unwrap_or_else(|| panic!("{}: {what}: {}", ran.line, ran.stderr))
        };
        Self {
            captured: count(" captured"),
            received: count(" received by filter"),
            dropped: count(" dropped by the ring"),
        }
    }
}

/// A packet in a capture file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// `node-1/eth0/xdp-in`.
    pub place: String,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Length on the wire.
    pub wire_len: u32,
    /// What happened there; empty where nothing did.
    pub event: String,
    /// Nanoseconds since 1970.
    pub time: u64,
}

/// Keeps what comes, line by line.
fn follow(stream: impl io::Read + Send + 'static, to: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut lines = to.lock().expect("nobody panics with it");
            *lines += &line;
            lines.push('\n');
        }
    })
}

/// The packets of a capture file.
///
/// # Panics
///
/// If it is damaged.
#[must_use]
pub fn packets(path: &Path) -> Vec<Seen> {
    let broken = |error| -> ! { panic!("{}: {error:?}", path.display()) };
    let mut reader = Reader::open(path).unwrap_or_else(|error| broken(error));
    let mut packets = Vec::new();
    while let Some(record) = reader.next().unwrap_or_else(|error| broken(error)) {
        packets.push(Seen {
            place: record.place.name.clone(),
            bytes: record.packet.bytes.to_vec(),
            wire_len: record.packet.wire_len,
            event: record.note.comments.iter().next().unwrap_or_default().into_owned(),
            time: record.packet.time,
        });
    }
    packets
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
