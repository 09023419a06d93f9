//! Finds the inner frames, before anything else: where each begins is kept on the stack.
//!
//! It is the search of `vxlan.rs`, and gives up at the first sign that a frame is no VXLAN
//! packet: for most, that is after the IP protocol.

use netlab_common::filter_input::{AT_BYTES, AT_CAPTURED};

use super::{Exits, capacity, offset};
use crate::capture::filter::{
    Error, Options,
    assembler::{Alu, Assembler, Jump, Label, Operand, Reg, Size},
    classic::SCRATCH,
    vxlan::{
        ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4_LEN, IPV6_LEN, Link, MAX_TAGS, PROTOCOL_UDP, TAG_LEN,
        TAGS, UDP_VXLAN_LEN, VNI_VALID,
    },
};

const VALUE: Reg = Reg::R0;
const LENGTH: Reg = Reg::R1;
const END: Reg = Reg::R2;
const POINTER: Reg = Reg::R3;
const INPUT: Reg = Reg::R6;
const CAPTURED: Reg = Reg::R7;
/// Where the header at hand begins.
const START: Reg = Reg::R8;

/// How deep frames may lie in each other: the stack is small.
pub const MAX_LEVELS: usize = 8;

/// Finds the frames at levels 1 to `levels`. Where there is none, its start is 0.
///
/// # Errors
///
/// [`Error::TooDeep`]; [`Error::Link`] where VXLAN is not known on the link.
pub fn find(assembler: &mut Assembler, options: &Options, levels: usize) -> Result<(), Error> {
    if levels == 0 {
        return Ok(());
    }
    if levels > MAX_LEVELS {
        return Err(Error::TooDeep);
    }
    let done = assembler.label();
    for level in 1..=levels {
        assembler.store(Size::Half, Reg::R10, slot(level), Operand::Imm(0));
    }
    assembler.alu64(Alu::Mov, START, Operand::Imm(0));
    let mut link = Link::of(options.link)?;
    for level in 1..=levels {
        let (ipv4, ipv6) = (assembler.label(), assembler.label());
        let mut search = Search { assembler, none: done };
        search.link_layer(link, ipv4, ipv6);
        search.ip(ipv4, ipv6);
        search.udp(&options.vxlan_ports);
        assembler.store(Size::Half, Reg::R10, slot(level), Operand::Reg(START));
        if level < levels {
            forget(assembler, level);
        }
        link = Link::ETHERNET;
    }
    assembler.bind(done);
    Ok(())
}

/// Lets the verifier forget by which way a frame was found, so that it does not follow each
/// of the many ways through all the rest.
fn forget(assembler: &mut Assembler, level: usize) {
    assembler.load(Size::Half, START, Reg::R10, slot(level));
    assembler.load(Size::Word, CAPTURED, INPUT, offset(AT_CAPTURED));
}

/// Puts the start of the frame at a level into r8, or rejects.
pub fn enter(assembler: &mut Assembler, level: usize, exits: Exits) {
    assembler.load(Size::Half, START, Reg::R10, slot(level));
    assembler.jump64(Jump::Equal, START, Operand::Imm(0), exits.reject);
}

/// Whether there is a frame in the one at a level, and if a VNI is given, with that.
pub fn vxlan(assembler: &mut Assembler, level: usize, vni: Option<u32>, exits: Exits) {
    enter(assembler, level + 1, exits);
    if let Some(vni) = vni {
        // The VNI and a reserved byte are the last of the VXLAN header.
        let mut search = Search { assembler, none: exits.reject };
        search.bound(0);
        assembler.load(Size::Word, VALUE, POINTER, offset(AT_BYTES) - 4);
        assembler.swap_big_endian(VALUE, Size::Word);
        assembler.alu32(Alu::Rsh, VALUE, Operand::Imm(8));
        assembler.jump32(Jump::NotEqual, VALUE, immediate(vni), exits.reject);
    }
    assembler.jump(exits.accept);
}

struct Search<'a> {
    assembler: &'a mut Assembler,
    /// Where to go if it is no VXLAN packet.
    none: Label,
}

impl Search<'_> {
    /// Bounds START for the verifier, and lets POINTER point there.
    fn bound(&mut self, len: u32) {
        let most = Operand::Imm(capacity() - len.cast_signed());
        self.assembler.jump64(Jump::Greater, START, most, self.none);
        self.assembler.alu64(Alu::Mov, POINTER, Operand::Reg(INPUT));
        self.assembler.alu64(Alu::Add, POINTER, Operand::Reg(START));
    }

    /// Demands a header of `len` bytes at START.
    fn header(&mut self, len: u32) {
        self.assembler.alu64(Alu::Mov, END, Operand::Reg(START));
        self.assembler.alu64(Alu::Add, END, immediate(len));
        self.assembler.jump64(Jump::Greater, END, Operand::Reg(CAPTURED), self.none);
        self.bound(len);
    }

    /// Loads a field of the header at hand.
    fn field(&mut self, size: Size, at: u32) {
        let at = i16::try_from(at).unwrap_or(0) + offset(AT_BYTES);
        self.assembler.load(size, VALUE, POINTER, at);
        self.assembler.swap_big_endian(VALUE, size);
    }

    fn advance(&mut self, len: u32) {
        self.assembler.alu64(Alu::Add, START, immediate(len));
    }

    fn link_layer(&mut self, link: Link, ipv4: Label, ipv6: Label) {
        match link {
            Link::Typed { ethertype, len } => {
                self.header(len);
                self.field(Size::Half, ethertype);
                self.advance(len);
                self.tags(ipv4, ipv6);
            }
            Link::Untyped { len } => {
                self.advance(len);
                self.header(1);
                self.field(Size::Byte, 0);
                self.assembler.alu32(Alu::Rsh, VALUE, Operand::Imm(4));
                self.assembler.jump32(Jump::Equal, VALUE, Operand::Imm(6), ipv6);
                self.assembler.jump32(Jump::NotEqual, VALUE, Operand::Imm(4), self.none);
                self.assembler.jump(ipv4);
            }
        }
    }

    /// Goes on by EtherType.
    fn tags(&mut self, ipv4: Label, ipv6: Label) {
        for tags in 0..=MAX_TAGS {
            self.assembler.jump32(Jump::Equal, VALUE, half(ETHERTYPE_IPV4), ipv4);
            self.assembler.jump32(Jump::Equal, VALUE, half(ETHERTYPE_IPV6), ipv6);
            if tags < MAX_TAGS {
                let tag = self.assembler.label();
                for ethertype in TAGS {
                    self.assembler.jump32(Jump::Equal, VALUE, half(ethertype), tag);
                }
                self.assembler.jump(self.none);
                self.assembler.bind(tag);
                self.header(TAG_LEN);
                self.field(Size::Half, 2);
                self.advance(TAG_LEN);
            }
        }
        self.assembler.jump(self.none);
    }

    /// Leaves START behind the IP header.
    fn ip(&mut self, ipv4: Label, ipv6: Label) {
        let udp = self.assembler.label();
        self.assembler.bind(ipv6);
        self.header(IPV6_LEN);
        self.field(Size::Byte, 6);
        self.assembler.jump32(Jump::NotEqual, VALUE, half(PROTOCOL_UDP.into()), self.none);
        self.advance(IPV6_LEN);
        self.assembler.jump(udp);

        self.assembler.bind(ipv4);
        self.header(IPV4_LEN);
        self.field(Size::Byte, 9);
        self.assembler.jump32(Jump::NotEqual, VALUE, half(PROTOCOL_UDP.into()), self.none);
        self.field(Size::Half, 6);
        self.assembler.jump32(Jump::AnySet, VALUE, Operand::Imm(0x1fff), self.none);
        self.field(Size::Byte, 0);
        self.assembler.alu32(Alu::Mov, LENGTH, Operand::Reg(VALUE));
        self.assembler.alu32(Alu::And, LENGTH, Operand::Imm(0xf));
        self.assembler.alu32(Alu::Lsh, LENGTH, Operand::Imm(2));
        self.assembler.jump32(Jump::Less, LENGTH, immediate(IPV4_LEN), self.none);
        self.assembler.alu64(Alu::Add, START, Operand::Reg(LENGTH));
        self.assembler.bind(udp);
    }

    /// Leaves START behind the VXLAN header.
    fn udp(&mut self, ports: &[u16]) {
        let (vxlan, valid) = (self.assembler.label(), self.assembler.label());
        self.header(UDP_VXLAN_LEN);
        self.field(Size::Half, 2);
        for port in ports {
            self.assembler.jump32(Jump::Equal, VALUE, half(*port), vxlan);
        }
        // Also where there are no ports, so that something leads to what follows.
        self.assembler.jump32(Jump::LessEqual, VALUE, half(u16::MAX), self.none);
        self.assembler.bind(vxlan);
        self.field(Size::Byte, 8);
        self.assembler.jump32(Jump::AnySet, VALUE, half(VNI_VALID.into()), valid);
        self.assembler.jump(self.none);
        self.assembler.bind(valid);
        self.advance(UDP_VXLAN_LEN);
    }
}

/// The place on the stack of the start of the frame at a level, beyond the scratch memory: 16
/// bits, which is enough for [`MAX_LEVELS`]. The verifier follows values on the stack only
/// where they begin at a multiple of 8, and these it shall not (see [`forget`]).
fn slot(level: usize) -> i16 {
    2 - offset(4 * SCRATCH + 8 * level)
}

fn half(value: u16) -> Operand {
    Operand::Imm(value.into())
}

fn immediate(value: u32) -> Operand {
    Operand::Imm(value.cast_signed())
}
