//! Capture files put together by hand, in either byte order, independent of the writer.

use super::super::{Precision, order::Order};

/// A file under construction.
pub(super) struct Bytes {
    pub(super) order: Order,
    pub(super) bytes: Vec<u8>,
}

impl Bytes {
    pub(super) fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    /// A pcap file header of version 2.`minor`.
    pub(super) fn pcap(&mut self, precision: Precision, minor: u16, link: u32) -> &mut Self {
        let magic = match precision {
            Precision::Micro => 0xa1b2_c3d4,
            Precision::Nano => 0xa1b2_3c4d,
        };
        self.u32(magic).u16(2).u16(minor).u32(0).u32(0).u32(65_535).u32(link)
    }

    /// Another snapshot length in the header of a pcap file.
    pub(super) fn pcap_snaplen(&mut self, snaplen: u32) -> &mut Self {
        let order = self.order;
        let value =
            if order == Order::Little { snaplen.to_le_bytes() } else { snaplen.to_be_bytes() };
        self.bytes[16..20].copy_from_slice(&value);
        self
    }

    pub(super) fn pcap_packet(
        &mut self,
        (seconds, fraction): (u32, u32),
        (kept, wire): (u32, u32),
        packet: &[u8],
    ) -> &mut Self {
        self.u32(seconds).u32(fraction).u32(kept).u32(wire).raw(packet)
    }

    /// A pcapng block, its content padded.
    pub(super) fn block(&mut self, kind: u32, content: impl FnOnce(&mut Self)) -> &mut Self {
        let begin = self.bytes.len();
        self.u32(kind).u32(0);
        content(self);
        self.pad();
        let length = u32::try_from(self.bytes.len() - begin + 4).unwrap();
        self.u32(length);
        let length = match self.order {
            Order::Little => length.to_le_bytes(),
            Order::Big => length.to_be_bytes(),
        };
        self.bytes[begin + 4..begin + 8].copy_from_slice(&length);
        self
    }

    pub(super) fn section(&mut self) -> &mut Self {
        self.block(0x0a0d_0d0a, |content| {
            content.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX);
        })
    }

    pub(super) fn interface(
        &mut self,
        link: u16,
        snaplen: u32,
        options: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.block(1, |content| {
            content.u16(link).u16(0).u32(snaplen);
            options(content);
        })
    }

    pub(super) fn enhanced(
        &mut self,
        interface: u32,
        count: u64,
        packet: &[u8],
        options: impl FnOnce(&mut Self),
    ) -> &mut Self {
        let length = u32::try_from(packet.len()).unwrap();
        self.block(6, |content| {
            content.u32(interface).stamp(count).u32(length).u32(length + 10).raw(packet).pad();
            options(content);
        })
    }

    pub(super) fn stamp(&mut self, count: u64) -> &mut Self {
        self.u32(u32::try_from(count >> 32).unwrap())
            .u32(u32::try_from(count & 0xffff_ffff).unwrap())
    }

    pub(super) fn option(&mut self, code: u16, value: &[u8]) -> &mut Self {
        self.u16(code).u16(u16::try_from(value.len()).unwrap()).raw(value).pad()
    }

    pub(super) fn pad(&mut self) -> &mut Self {
        let padding = self.bytes.len().wrapping_neg() % 4;
        self.raw(&[0; 3][..padding])
    }
}
