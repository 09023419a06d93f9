//! pcap, version 2.4 (draft-ietf-opsawg-pcap, sections 4 and 5).

use super::{super::MAX_SNAPLEN, Error, Precision, Sink};
use crate::capture::{LinkType, Packet};

const SECOND: u64 = 1_000_000_000;

pub(super) struct Pcap {
    link: LinkType,
    snaplen: usize,
    precision: Precision,
}

impl Pcap {
    pub(super) fn begin(
        sink: &mut Sink,
        link: LinkType,
        snaplen: u32,
        precision: Precision,
    ) -> Result<Self, Error> {
        let magic: u32 = match precision {
            Precision::Micro => 0xa1b2_c3d4,
            Precision::Nano => 0xa1b2_3c4d,
        };
        // libpcap refuses longer packets, and takes 0 for this.
        let snaplen = if snaplen == 0 { MAX_SNAPLEN } else { snaplen.min(MAX_SNAPLEN) };
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&magic.to_ne_bytes());
        header[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        header[6..8].copy_from_slice(&4_u16.to_ne_bytes());
        header[16..20].copy_from_slice(&snaplen.to_ne_bytes());
        header[20..24].copy_from_slice(&u32::from(link.0).to_ne_bytes());
        sink.put(&header)?;
        Ok(Self { link, snaplen: snaplen as usize, precision })
    }

    pub(super) fn check(&self, sink: &Sink, packet: LinkType) -> Result<(), Error> {
        if packet == self.link {
            return Ok(());
        }
        Err(Error::Link { file: sink.name(), packet, expected: self.link })
    }

    pub(super) fn packet(&self, sink: &mut Sink, packet: &Packet<'_>) -> Result<(), Error> {
        self.check(sink, packet.link)?;
        let (seconds, rest) = (packet.time / SECOND, packet.time % SECOND);
        let Ok(whole) = u32::try_from(seconds) else {
            return Err(Error::Time { file: sink.name(), seconds });
        };
        let fraction = match self.precision {
            Precision::Micro => rest / 1000,
            Precision::Nano => rest,
        };
        let bytes = &packet.bytes[..packet.bytes.len().min(self.snaplen)];
        let mut header = [0; 16];
        header[0..4].copy_from_slice(&whole.to_ne_bytes());
        header[4..8].copy_from_slice(&word(fraction).to_ne_bytes());
        header[8..12].copy_from_slice(&word(bytes.len() as u64).to_ne_bytes());
        header[12..16].copy_from_slice(&packet.wire_len.to_ne_bytes());
        sink.put(&header)?;
        sink.put(bytes)
    }
}

/// Of what is known to fit.
fn word(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
