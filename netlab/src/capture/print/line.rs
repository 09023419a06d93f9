//! The line that is being written, and what all protocols share.

/// How packets are printed: tcpdump's options of the same letters.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent switches")]
pub struct Options {
    /// `-e`: the link-layer header.
    pub link_layer: bool,
    /// `-v`, `-vv`, `-vvv`: how often it was given.
    pub verbose: u8,
    /// `-q`: less about the protocol.
    pub quick: bool,
    /// `-S`: TCP sequence numbers as they are, not relative to the first.
    pub absolute_sequence: bool,
    /// `-N`'s contrary: whether addresses and ports stay numbers. On unless asked otherwise.
    pub numeric: bool,
    /// UDP ports that carry VXLAN, beside 4789.
    pub vxlan_ports: Vec<u16>,
}

/// The packet ends before a field that had to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncated;

/// Whether a protocol could print all of its part.
pub(super) type Printed = Result<(), Truncated>;

/// The text of one packet, while it grows.
pub(super) struct Line<'a> {
    /// Where the text goes.
    pub out: &'a mut String,
    /// How.
    pub options: &'a Options,
}

impl Line<'_> {
    /// Appends text: `line.push(format_args!(…))`.
    pub fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = std::fmt::Write::write_fmt(self.out, text);
    }
}

/// The `N` bytes at `at`.
pub(super) fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Truncated> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Truncated)
}
