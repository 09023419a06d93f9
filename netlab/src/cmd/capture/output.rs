//! Where packets go: lines on standard output, a file, or nowhere but a count.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use netlab::capture::{
    LinkType, Packet,
    file::{Format, Interface, Note, Precision, Progress, Rotating, Rotation, STANDARD_STREAM},
    print::{Dump, DumpForm, Options, Printer, TimeFormat},
};

use super::expression::vxlan_ports;
use crate::cli::{CaptureArgs, capture::FileFormat};

/// Lines on standard output.
pub(super) struct Lines {
    printer: Printer,
    text: String,
    at_once: bool,
    /// Nothing behind tcpdump's own fields.
    plain: bool,
}

impl Lines {
    /// None where packets are written and not asked to be printed too.
    pub fn new(args: &CaptureArgs) -> Option<Self> {
        if args.file.write.is_some() && !args.file.print {
            return None;
        }
        let at_once = args.print.line_buffered || args.file.packet_buffered;
        let at_once = at_once || io::stdout().is_terminal();
        let (printer, plain) = (Printer::new(options(args)), args.print.plain);
        Some(Self { printer, text: String::new(), at_once, plain })
    }

    /// Prints a packet, sooner or later, with a remark where one is wanted.
    pub fn packet(
        &mut self,
        packet: &Packet<'_>,
        remark: impl FnOnce() -> Option<String>,
    ) -> anyhow::Result<()> {
        const ENOUGH: usize = 1 << 16;
        let remark = if self.plain { None } else { remark() };
        self.printer.print(packet, remark.as_deref(), &mut self.text);
        if self.at_once || self.text.len() >= ENOUGH { self.flush() } else { Ok(()) }
    }

    /// Prints what has not been yet.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        write(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

/// Writes text to standard output at once.
pub(super) fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot print")
}

/// Tells people something beside the packets. Nobody listening is no reason to end.
pub(super) fn tell(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn options(args: &CaptureArgs) -> Options {
    let print = &args.print;
    let dump = [
        (DumpForm::HexAscii, print.hex_ascii),
        (DumpForm::Hex, print.hex),
        (DumpForm::Ascii, print.ascii),
    ];
    let dump = dump.into_iter().find(|(_, times)| *times > 0);
    Options {
        time: match print.time {
            0 => TimeFormat::Clock,
            1 => TimeFormat::None,
            2 => TimeFormat::Unix,
            3 => TimeFormat::SincePrevious,
            4 => TimeFormat::Date,
            _ => TimeFormat::SinceFirst,
        },
        nanoseconds: print.is_nano(),
        numbers: print.number,
        link_layer: print.link_layer,
        verbose: print.verbose,
        quick: print.quick,
        unverified: print.unverified,
        absolute_sequence: print.absolute_sequence,
        numeric: !print.names,
        vxlan_ports: vxlan_ports(args),
        dump: dump.map(|(form, times)| Dump { form, link_layer: times > 1 }),
    }
}

/// A file, or a series of them.
pub(super) struct Files {
    rotating: Rotating,
    pub format: Format,
    is_stream: bool,
    /// Whether files end with time, which then has to be asked for with each packet.
    timed: bool,
}

impl Files {
    /// None where packets are not to be written.
    pub fn new(args: &CaptureArgs, link: LinkType, snaplen: u32) -> anyhow::Result<Option<Self>> {
        let Some(path) = &args.file.write else { return Ok(None) };
        let format = format(args, path);
        let size = match args.file.size {
            Some(millions) => Some(
                millions
                    .checked_mul(Rotation::MILLION.try_into()?)
                    .context("-C: so large a file cannot be")?,
            ),
            None => None,
        };
        let rotation = Rotation {
            path: path.clone(),
            size,
            every: args.file.every,
            count: args.file.files,
            command: args.file.command.clone(),
            packet_buffered: args.file.packet_buffered,
            zone: TimeZone::system(),
        };
        let rotating = Rotating::create(rotation, format, link, snaplen, seconds())?;
        let is_stream = path.as_os_str() == STANDARD_STREAM;
        Ok(Some(Self { rotating, format, is_stream, timed: args.file.every.is_some() }))
    }

    /// Adds an interface; its number.
    pub fn interface(&mut self, interface: &Interface) -> anyhow::Result<usize> {
        Ok(self.rotating.add_interface(interface)?)
    }

    /// Writes a packet. False where no more are wanted.
    pub fn packet(
        &mut self,
        interface: usize,
        packet: &Packet<'_>,
        note: &Note<'_>,
    ) -> anyhow::Result<bool> {
        let now = if self.timed { seconds() } else { 0 };
        Ok(self.rotating.packet(now, interface, packet, note)? == Progress::Written)
    }

    /// There is time: whoever reads standard output gets what has been held back.
    pub fn idle(&mut self) -> anyhow::Result<()> {
        if self.is_stream { Ok(self.rotating.flush()?) } else { Ok(()) }
    }

    /// The series itself, for its end.
    pub fn rotating(&mut self) -> &mut Rotating {
        &mut self.rotating
    }

    /// Completes the last file.
    pub fn finish(self) -> anyhow::Result<()> {
        Ok(self.rotating.finish()?)
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
fn seconds() -> u64 {
    now() / 1_000_000_000
}

fn format(args: &CaptureArgs, path: &Path) -> Format {
    let is_pcap = match args.file.format {
        Some(format) => format == FileFormat::Pcap,
        None => path.extension().is_some_and(|extension| extension == "pcap"),
    };
    match (is_pcap, args.print.is_nano()) {
        (false, _) => Format::Pcapng,
        (true, true) => Format::Pcap(Precision::Nano),
        (true, false) => Format::Pcap(Precision::Micro),
    }
}

/// `1 packet`, `2 packets`.
pub(super) fn packets(count: u64) -> String {
    counted(count, "packet")
}

/// So many of something.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
