//! A series of capture files: when the next one begins, what it is called, and what is run on
//! the one before. All of it is as tcpdump 4.99 does it (`-C`, `-G`, `-W`, `-z`, `-U`).

mod account;
mod command;
mod names;

use std::{
    ffi::OsString,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
};

use account::{Account, Span};
use command::Commands;
use jiff::tz::TimeZone;

use super::{Error, Format, Interface, Note, STANDARD_STREAM, Statistics, Writer, write::create};
use crate::capture::{LinkType, Packet};

/// Where packets go, and when to the next file. Without `size` and `every`, to one file.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The file, or `-` for standard output where there is only one (`-w`). With `every`, it
    /// is a format of strftime(3) for the time at which the file was begun.
    pub path: PathBuf,
    /// Begin another file at the first packet after the file has exceeded so many bytes
    /// (`-C`, which counts in [`Rotation::MILLION`]).
    pub size: Option<NonZeroU64>,
    /// Begin another file at the first packet so many seconds after the file was begun (`-G`).
    pub every: Option<NonZeroU64>,
    /// How many files (`-W`): with `size`, the first follows the last again; with `every`,
    /// they are all there will be; with both, the first of a period follows its last again.
    pub count: Option<NonZeroU32>,
    /// What to run, with the file's name, on each file that another one follows (`-z`). It
    /// runs beside the capture, at the lowest priority, with nothing on standard input.
    pub command: Option<OsString>,
    /// Hand every packet to the system at once (`-U`).
    pub packet_buffered: bool,
    /// Where the clock is that names of files tell; [`TimeZone::system`] for people.
    pub zone: TimeZone,
}

impl Rotation {
    /// The unit of `-C`, in bytes.
    pub const MILLION: u64 = 1_000_000;

    /// One file, as it is called.
    #[must_use]
    pub fn none(path: PathBuf) -> Self {
        Self {
            path,
            size: None,
            every: None,
            count: None,
            command: None,
            packet_buffered: false,
            zone: TimeZone::system(),
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// It was written.
    Written,
    /// It was not: all the files are complete that were asked for.
    Complete,
}

/// A series of capture files that is being written. Each of them is complete: its headers,
/// all interfaces added so far, and, of a capture, statistics of what was lost meanwhile.
pub struct Rotating {
    rotation: Rotation,
    format: Format,
    link: LinkType,
    snaplen: u32,
    interfaces: Vec<(Interface, Account)>,
    /// Of the current file; None where losses are nobody's concern.
    span: Option<Span>,
    /// When the period began: seconds since 1970.
    began: u64,
    /// How many periods have ended.
    periods: u32,
    /// Of the current file within its period.
    number: u32,
    path: PathBuf,
    /// None between two files, and once the series is complete.
    writer: Option<Writer>,
    complete: bool,
    commands: Commands,
}

impl Rotating {
    /// Begins the first file; `link` and `snaplen` are those of a pcap file. `now` is in
    /// seconds since 1970.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or another one should follow standard output.
    pub fn create(
        rotation: Rotation,
        format: Format,
        link: LinkType,
        snaplen: u32,
        now: u64,
    ) -> Result<Self, Error> {
        let several = rotation.size.is_some() || rotation.every.is_some();
        if several && rotation.path.as_os_str() == STANDARD_STREAM {
            return Err(Error::RotatedStream);
        }
        let mut rotating = Self {
            rotation,
            format,
            link,
            snaplen,
            interfaces: Vec::new(),
            span: None,
            began: now,
            periods: 0,
            number: 0,
            path: PathBuf::new(),
            writer: None,
            complete: false,
            commands: Commands::default(),
        };
        rotating.begin()?;
        Ok(rotating)
    }

    /// The file that is being written, or was last.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Writer::add_interface`], for this file and all that follow.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn add_interface(&mut self, interface: &Interface) -> Result<usize, Error> {
        let number = match &mut self.writer {
            Some(writer) => writer.add_interface(interface)?,
            None => self.interfaces.len(),
        };
        self.interfaces.push((interface.clone(), Account::default()));
        Ok(number)
    }

    /// Says how many packets were lost until `now`, in nanoseconds since 1970: interfaces by
    /// number, and totals since the series was begun. Those left out have lost no more.
    ///
    /// What is new is charged to the current file, so losses have to be told from time to time
    /// where there are several. The first time, which has to be before the first packet, says
    /// when the capture began. A series that is told nothing tells nothing of losses, as becomes
    /// the copy of a file.
    pub fn lost(&mut self, now: u64, totals: impl IntoIterator<Item = (usize, u64)>) {
        self.span.get_or_insert(Span::new(now)).told(now);
        for (interface, total) in totals {
            if let Some((_, account)) = self.interfaces.get_mut(interface) {
                account.lost(total);
            }
        }
    }

    /// As [`Writer::statistics`], for the current file: what the source of a copy tells of its
    /// own. Not for a series that is told of losses, which knows better.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn statistics(&mut self, interface: usize, statistics: Statistics) -> Result<(), Error> {
        let current = self.writer.as_mut();
        current.map_or(Ok(()), |writer| writer.statistics(interface, statistics))
    }

    /// Writes a packet, to another file if that is due `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// As [`Writer::packet`], and if a file cannot be completed, or the next one not made.
    pub fn packet(
        &mut self,
        now: u64,
        interface: usize,
        packet: &Packet<'_>,
        note: &Note<'_>,
    ) -> Result<Progress, Error> {
        let at_once = self.rotation.packet_buffered;
        if let Some(span) = &mut self.span {
            span.packet(packet.time);
        }
        let Some(writer) = self.current(now)? else {
            return Ok(Progress::Complete);
        };
        writer.packet(interface, packet, note)?;
        if at_once {
            writer.flush()?;
        }
        if let Some((_, account)) = self.interfaces.get_mut(interface) {
            account.written();
        }
        Ok(Progress::Written)
    }

    /// Hands everything written so far to the system.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.writer.as_mut().map_or(Ok(()), Writer::flush)
    }

    /// Completes the last file. As with tcpdump, no command is run on that one, and those
    /// still running are not waited for.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(), Error> {
        self.commands.reap();
        if let Some(span) = &mut self.span {
            span.finish();
        }
        self.complete_file().map(|_| ())
    }

    /// The file that a packet goes to; None where the series is complete. When time and size
    /// are both exceeded, only time counts.
    fn current(&mut self, now: u64) -> Result<Option<&mut Writer>, Error> {
        if self.complete {
            return Ok(None);
        }
        let Rotation { size, every, count, .. } = self.rotation;
        // A clock that was set back delays the end of the period.
        if every.is_some_and(|every| now.saturating_sub(self.began) >= every.get()) {
            self.end()?;
            self.began = now;
            self.periods = self.periods.saturating_add(1);
            self.number = 0;
            if size.is_none() && count.is_some_and(|count| self.periods >= count.get()) {
                self.complete = true;
                return Ok(None);
            }
        }
        let position = self.writer.as_ref().map_or(0, Writer::position);
        if size.is_some_and(|size| position > size.get()) {
            self.end()?;
            self.number = match count {
                Some(count) => (self.number + 1) % count,
                None => self.number.saturating_add(1),
            };
        }
        if self.writer.is_none() {
            self.begin()?;
        }
        Ok(self.writer.as_mut())
    }

    /// Begins the file that is next.
    fn begin(&mut self) -> Result<(), Error> {
        self.path = names::name(&self.rotation, self.began, self.number);
        let (output, name) = create(&self.path)?;
        let mut writer = Writer::new(self.format, output, name, self.link, self.snaplen)?;
        for (interface, _) in &self.interfaces {
            writer.add_interface(interface)?;
        }
        if self.rotation.packet_buffered {
            writer.flush()?;
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// Completes the current file, which is not the last.
    fn end(&mut self) -> Result<(), Error> {
        if !self.complete_file()? {
            return Ok(());
        }
        self.commands.reap();
        if let Some(command) = &self.rotation.command {
            self.commands.run(command, &self.path);
        }
        Ok(())
    }

    /// Writes what belongs at the end of the current file. False where there is none.
    fn complete_file(&mut self) -> Result<bool, Error> {
        let Some(mut writer) = self.writer.take() else {
            return Ok(false);
        };
        if let Some(span) = &mut self.span {
            for (number, (_, account)) in self.interfaces.iter_mut().enumerate() {
                writer.statistics(number, account.statistics(*span))?;
                account.next();
            }
            span.next();
        }
        writer.finish()?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
