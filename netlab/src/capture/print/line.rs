//! The line that is being written, and what all protocols share.

use std::fmt::{Arguments, Write as _};

use super::{names::Names, numbers::Table, tcp_sequences::Sequences};

/// How packets are printed: tcpdump's options of the same letters.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent switches")]
pub struct Options {
    /// `-t`, `-tt`, ...: what is said of a packet's time.
    pub time: TimeFormat,
    /// `--nano`: times with nine digits after the point instead of six.
    pub nanoseconds: bool,
    /// `-#`: the packet's number at the beginning of its line.
    pub numbers: bool,
    /// `-e`: the link-layer header.
    pub link_layer: bool,
    /// `-v`, `-vv`, `-vvv`: how often it was given.
    pub verbose: u8,
    /// `-q`: less about the protocol.
    pub quick: bool,
    /// `-K`: nothing about checksums of IPv4, TCP and UDP. tcpdump says of the others all the
    /// same whether they are right.
    pub unverified: bool,
    /// `-S`: TCP sequence numbers as they are, not relative to the first.
    pub absolute_sequence: bool,
    /// Whether addresses, ports and protocols stay numbers. On unless `-N` asks for names,
    /// which for tcpdump means something else: names without their domain.
    pub numeric: bool,
    /// UDP ports that carry VXLAN, beside 4789. At first 8472, which is Linux' own.
    pub vxlan_ports: Vec<u16>,
    /// `-x`, `-X`, `-A`: the packet's bytes after its line.
    pub dump: Option<Dump>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: TimeFormat::default(),
            nanoseconds: false,
            numbers: false,
            link_layer: false,
            verbose: 0,
            quick: false,
            unverified: false,
            absolute_sequence: false,
            numeric: true,
            vxlan_ports: vec![super::vxlan::LINUX_PORT],
            dump: None,
        }
    }
}

/// What is said of a packet's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// The hour of the day, in the local time zone.
    #[default]
    Clock,
    /// `-t`: nothing.
    None,
    /// `-tt`: seconds since 1970-01-01 00:00 UTC.
    Unix,
    /// `-ttt`: since the previous packet.
    SincePrevious,
    /// `-tttt`: date and hour, in the local time zone.
    Date,
    /// `-ttttt`: since the first packet.
    SinceFirst,
}

/// The packet's bytes after its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// How the bytes are written.
    pub form: DumpForm,
    /// `-xx`, `-XX`, `-AA`: from the link-layer header on, not from what follows it.
    pub link_layer: bool,
}

/// How a packet's bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpForm {
    /// `-x`: hexadecimal.
    Hex,
    /// `-X`: hexadecimal and ASCII.
    HexAscii,
    /// `-A`: ASCII.
    Ascii,
}

/// The packet ends before a field that had to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncated;

/// How much ends where bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The protocol's own part; what stands around it goes on.
    Part,
    /// The line, as with [`Truncated`].
    Line,
}

impl From<Truncated> for Cut {
    fn from(Truncated: Truncated) -> Self {
        Self::Line
    }
}

/// Whether a protocol could print its part. One that could not leaves its name in
/// [`State::protocol`], and the line ends with it: `[|tcp]`.
pub(super) type Printed = Result<(), Truncated>;

/// How many IP headers one packet may nest: far more than any tunnel does, and few enough
/// for the stack.
const MAX_DEPTH: u8 = 32;

/// What outlives a packet, and what its layers tell each other.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The protocol that is being printed, as truncation marks name it.
    pub protocol: &'static str,
    /// Bytes of the link-layer header.
    pub link_len: usize,
    /// First sequence numbers of TCP connections.
    pub sequences: Sequences,
    /// Names that were resolved.
    pub names: Names,
    /// Where in the text the bytes of an unknown protocol begin.
    pub dump_at: Option<usize>,
    depth: u8,
}

impl State {
    /// Forgets the last packet.
    pub fn begin(&mut self) {
        self.protocol = "";
        self.link_len = 0;
        self.dump_at = None;
        self.depth = 0;
    }
}

/// The text of one packet, while it grows.
pub(super) struct Line<'a> {
    /// Where the text goes.
    pub out: &'a mut String,
    /// How.
    pub options: &'a Options,
    /// What the layers share.
    pub state: &'a mut State,
}

impl Line<'_> {
    /// Appends text: `line.push(format_args!(…))`.
    pub fn push(&mut self, text: Arguments<'_>) {
        // A String takes everything.
        let _ = self.out.write_fmt(text);
    }

    /// Appends text without arguments.
    pub fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Whether `-v` was given.
    pub fn verbose(&self) -> bool {
        self.options.verbose > 0
    }

    /// Says which protocol comes now.
    pub fn protocol(&mut self, name: &'static str) {
        self.state.protocol = name;
    }

    /// Marks the current protocol as truncated: ` [|tcp]`. For protocols that print their
    /// own mark and are done; the others return [`Truncated`].
    pub fn mark(&mut self) {
        let protocol = self.state.protocol;
        self.push(format_args!(" [|{protocol}]"));
    }

    /// tcpdump's verdict over what cannot be: ` (invalid)`.
    pub fn invalid(&mut self) {
        self.text(" (invalid)");
    }

    /// Prints a part that may be cut short for itself, and marks it then. Nothing where it was.
    pub fn part<T>(
        &mut self,
        print: impl FnOnce(&mut Self) -> Result<T, Cut>,
    ) -> Result<Option<T>, Truncated> {
        match print(self) {
            Ok(value) => Ok(Some(value)),
            Err(Cut::Line) => Err(Truncated),
            Err(Cut::Part) => {
                self.mark();
                Ok(None)
            }
        }
    }

    /// Appends all that `print` prints, or nothing where it fails.
    pub fn all_or_nothing<E>(
        &mut self,
        print: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = self.out.len();
        let printed = print(self);
        if printed.is_err() {
            self.out.truncate(begin);
        }
        printed
    }

    /// Prints one more IP header, unless there have been too many.
    pub fn nested(&mut self, print: impl FnOnce(&mut Self) -> Printed) -> Printed {
        if self.state.depth == MAX_DEPTH {
            self.text("[nested too deeply]");
            return Ok(());
        }
        self.state.depth += 1;
        let printed = print(self);
        self.state.depth -= 1;
        printed
    }

    /// The bytes of a protocol that nobody here knows, unless they are not wanted (`-q`) or
    /// come anyway (`-x`, `-X`).
    pub fn unknown(&mut self, bytes: &[u8]) {
        let come = self.options.dump.is_some_and(|dump| dump.form != DumpForm::Ascii);
        if !self.options.quick && !come {
            self.undecoded(bytes);
        }
    }

    /// The bytes of what cannot be decoded, in any case.
    pub fn undecoded(&mut self, bytes: &[u8]) {
        self.state.dump_at.get_or_insert(self.out.len());
        super::hex::hex_and_ascii(self.out, bytes);
    }

    /// The names of the bits that are set in `value`, with `separator` between them.
    pub fn bits(&mut self, names: Table<u16>, value: u16, separator: &str) {
        let mut set = names.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name);
        self.text(set.next().unwrap_or("none"));
        for name in set {
            self.text(separator);
            self.text(name);
        }
    }

    /// A MAC address.
    pub fn mac(&mut self, mac: [u8; 6]) {
        let [a, b, c, d, e, f] = mac;
        self.push(format_args!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
    }
}

/// The `N` bytes at `at`.
pub(super) fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Truncated> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Truncated)
}

/// The byte at `at`.
pub(super) fn u8_at(bytes: &[u8], at: usize) -> Result<u8, Truncated> {
    bytes.get(at).copied().ok_or(Truncated)
}

/// The two bytes at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Truncated> {
    take(bytes, at).map(u16::from_be_bytes)
}

/// The four bytes at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Truncated> {
    take(bytes, at).map(u32::from_be_bytes)
}

/// The eight bytes at `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Truncated> {
    take(bytes, at).map(u64::from_be_bytes)
}

/// What follows the first `count` bytes: nothing where there are not as many.
pub(super) fn after(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(count..).unwrap_or_default()
}

/// The first `count` bytes, or as many as there are.
pub(super) fn first(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

/// `a - b` as tcpdump prints it where `b` is greater: in 32 bits, wrapped around.
#[expect(clippy::cast_possible_truncation, reason = "tcpdump's lengths have 32 bits")]
pub(super) const fn difference(a: usize, b: usize) -> u32 {
    a.wrapping_sub(b) as u32
}
