//! Writing one capture file of either format.

mod pcap;
mod pcapng;
mod sink;

use std::{fs::File, io::Write, os::fd::AsFd as _, path::Path};

use sink::Sink;

use super::{Error, Interface, Note, Precision, STANDARD_STREAM};
use crate::capture::{LinkType, Packet};

/// Which format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pcap, as tcpdump writes it: packets of one link type, and nothing but packets.
    Pcap(Precision),
    /// pcapng: several interfaces, which way packets went, comments, statistics; nanoseconds.
    Pcapng,
}

/// What a pcapng file says at its end about what one interface has seen. pcap has no place
/// for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When capturing began: nanoseconds since 1970-01-01 00:00 UTC. Where this and the end are
    /// 0 nobody knows, and the times of the packets written stand for it.
    pub start: u64,
    /// When it ended, likewise.
    pub end: u64,
    /// Packets that came by (isb_ifrecv).
    pub received: Option<u64>,
    /// Packets lost for lack of room (isb_ifdrop, which Wireshark shows as dropped). Of a file
    /// that is read, those that the system lost besides (isb_osdrop) are among them.
    pub dropped: Option<u64>,
    /// Packets that the filter let through (isb_filteraccept).
    pub accepted: Option<u64>,
}

/// Opens a file to write a capture into, empty, or standard output for `-`.
///
/// # Errors
///
/// If it cannot be made.
pub fn create(path: &Path) -> Result<(File, String), Error> {
    if path.as_os_str() == STANDARD_STREAM {
        let file = "standard output".to_owned();
        // Past std's own buffer, which looks for ends of lines.
        return match std::io::stdout().as_fd().try_clone_to_owned() {
            Ok(output) => Ok((File::from(output), file)),
            Err(cause) => Err(Error::Create { file, cause }),
        };
    }
    let file = path.display().to_string();
    match File::create(path) {
        Ok(output) => Ok((output, file)),
        Err(cause) => Err(Error::Create { file, cause }),
    }
}

/// A capture file that is being written, in the byte order of this machine.
///
/// It is complete after [`Writer::finish`]. Dropped before, it lacks its statistics at most.
///
/// libpcap, and so tcpdump, reads a pcapng file only if all its interfaces have one link type
/// and one `snaplen`; Wireshark takes any.
pub struct Writer {
    sink: Sink,
    kind: Kind,
}

enum Kind {
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
}

impl Writer {
    /// Begins a file of either format; `link` and `snaplen` are those of a pcap file. Errors
    /// call it `name`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn new(
        format: Format,
        output: impl Write + Send + 'static,
        name: String,
        link: LinkType,
        snaplen: u32,
    ) -> Result<Self, Error> {
        match format {
            Format::Pcap(precision) => Self::pcap(output, name, link, snaplen, precision),
            Format::Pcapng => Self::pcapng(output, name),
        }
    }

    /// Begins a pcap file. Of a packet it keeps `snaplen` bytes; 0 means [`super::MAX_SNAPLEN`].
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn pcap(
        output: impl Write + Send + 'static,
        name: String,
        link: LinkType,
        snaplen: u32,
        precision: Precision,
    ) -> Result<Self, Error> {
        let mut sink = Sink::new(output, name);
        let pcap = pcap::Pcap::begin(&mut sink, link, snaplen, precision)?;
        Ok(Self { sink, kind: Kind::Pcap(pcap) })
    }

    /// Begins a pcapng file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn pcapng(output: impl Write + Send + 'static, name: String) -> Result<Self, Error> {
        let mut sink = Sink::new(output, name);
        let pcapng = pcapng::Pcapng::begin(&mut sink)?;
        Ok(Self { sink, kind: Kind::Pcapng(pcapng) })
    }

    /// Adds an interface, at any time before its first packet. Its number is 0 for the first
    /// of a pcapng file, then 1, and so on; in a pcap file always 0.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or has another link type than the pcap file.
    pub fn add_interface(&mut self, interface: &Interface) -> Result<usize, Error> {
        match &mut self.kind {
            Kind::Pcap(pcap) => pcap.check(&self.sink, interface.link).map(|()| 0),
            Kind::Pcapng(pcapng) => pcapng.add_interface(&mut self.sink, interface),
        }
    }

    /// Writes a packet of an interface. What exceeds the interface's `snaplen` is cut off; in
    /// pcap, so is the note.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or the packet's link type is not the interface's.
    pub fn packet(
        &mut self,
        interface: usize,
        packet: &Packet<'_>,
        note: &Note<'_>,
    ) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Pcap(pcap) => pcap.packet(&mut self.sink, packet),
            Kind::Pcapng(pcapng) => pcapng.packet(&mut self.sink, interface, packet, note),
        }
    }

    /// Says what the file shall say at its end about an interface; said again, the last
    /// counts. Without it the file gives the number of packets in it and their times.
    ///
    /// # Errors
    ///
    /// If there is no such interface.
    pub fn statistics(&mut self, interface: usize, statistics: Statistics) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Pcap(_) => Ok(()),
            Kind::Pcapng(pcapng) => pcapng.statistics(&self.sink, interface, statistics),
        }
    }

    /// How many bytes have been written, those still in memory included.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.sink.position()
    }

    /// Hands everything written so far to the system.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.sink.flush()
    }

    /// Writes what belongs at the end, and hands everything to the system.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(), Error> {
        if let Kind::Pcapng(pcapng) = &mut self.kind {
            pcapng.finish(&mut self.sink)?;
        }
        self.sink.flush()
    }
}
