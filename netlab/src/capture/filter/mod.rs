//! Which packets: the pcap-filter language, in user space and in the kernel.
//!
//! libpcap compiles an expression to classic BPF (`classic`). In user space that is
//! interpreted; for the kernel it becomes eBPF (`ebpf`), one function for the whole filter.
//! An expression with the word `vxlan`, which libpcap 1.10 does not know, is taken apart
//! (`apart`) into programs that run on the outer frame or on one inside (`vxlan`).
//!
//! Nothing here touches the kernel, or prints.
//!
//! # Errors
//!
//! [`Error`]: what is wrong with an expression and where, or why a filter cannot run in the
//! kernel.

mod analysis;
mod apart;
mod assembler;
mod classic;
mod compile;
mod dump;
mod ebpf;
mod expression;
mod place;
mod token;
mod tree;
mod vxlan;

use std::fmt;

pub use assembler::Instruction;
use classic::Frame;
pub use dump::Listing;
use tree::Node;

use super::{LinkType, Packet};

/// Where it is not known how far a filter looks into a frame, it may look this far.
pub const MAX_REACH: u32 = 65_535;

/// UDP ports of VXLAN: IANA's (RFC 7348, section 5), and Linux' before it.
pub const VXLAN_PORTS: [u16; 2] = [4789, 8472];

/// What an expression is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the packets begin with.
    pub link: LinkType,
    /// UDP destination ports that mean VXLAN.
    pub vxlan_ports: Vec<u16>,
    /// Whether libpcap improves what it has compiled. It means the same without.
    pub optimize: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { link: LinkType::ETHERNET, vxlan_ports: VXLAN_PORTS.to_vec(), optimize: true }
    }
}

/// Which packets: a boolean tree over classic programs, each for the outer frame or for one
/// inside.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Node,
    /// Of the outer frame.
    options: Options,
}

impl Filter {
    /// Every packet.
    #[must_use]
    pub fn all() -> Self {
        Self { root: Node::Constant(true), options: Options::default() }
    }

    /// What an expression means.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] where libpcap refuses it.
    pub fn parse(expression: &str, options: &Options) -> Result<Self, Error> {
        let root = compile::expression(expression, options)?;
        Ok(Self { root, options: options.clone() })
    }

    /// What an expression means for the frame inside a VXLAN packet of any VNI. The options
    /// are those of the outer frame.
    ///
    /// # Errors
    ///
    /// As [`Filter::parse`].
    pub fn parse_inside(expression: &str, options: &Options) -> Result<Self, Error> {
        vxlan::Link::of(options.link)?;
        let of_inner = Options { link: LinkType::ETHERNET, ..options.clone() };
        let inside = Self::parse(expression, &of_inner)?.inside();
        Ok(Self { options: options.clone(), ..inside })
    }

    /// What an expression means for a frame, and for the one inside it where it is a VXLAN packet.
    ///
    /// # Errors
    ///
    /// As [`Filter::parse`].
    pub fn parse_anywhere(expression: &str, options: &Options) -> Result<Self, Error> {
        let plain = Self::parse(expression, options)?;
        Ok(plain.or(Self::parse_inside(expression, options)?))
    }

    /// What is accepted for the frame inside a VXLAN packet of any VNI. The filter must be one
    /// for Ethernet; so is then the outer frame (see [`Filter::parse_inside`]).
    #[must_use]
    pub fn inside(self) -> Self {
        let is_vxlan = Node::Vxlan { level: 0, vni: None };
        Self { root: Node::all(vec![is_vxlan, self.root.inside()]), ..self }
    }

    /// What both accept. They must have been parsed with the same options.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let options = self.common_options(&other);
        Self { root: Node::all(vec![self.root, other.root]), options }
    }

    /// What either accepts. They must have been parsed with the same options.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::any_of(vec![self, other])
    }

    /// What any of them accepts: nothing, if there are none. They must have been parsed with
    /// the same options.
    #[must_use]
    pub fn any_of(filters: Vec<Self>) -> Self {
        let nothing = Self { root: Node::Constant(false), options: Options::default() };
        filters.into_iter().fold(nothing, |left, right| {
            let options = left.common_options(&right);
            Self { root: Node::any(vec![left.root, right.root]), options }
        })
    }

    /// A filter without a program does not depend on its options.
    fn common_options(&self, other: &Self) -> Options {
        let chosen = if matches!(self.root, Node::Constant(_)) { other } else { self };
        chosen.options.clone()
    }

    /// Whether the packet is one of them, as libpcap decides about packets in a file: what
    /// was not captured cannot be looked at, and an expression that must look there rejects.
    /// The packet must be of the link type that the options named.
    #[must_use]
    pub fn accepts(&self, packet: &Packet<'_>) -> bool {
        let frame = Frame { bytes: packet.bytes, wire_len: packet.wire_len };
        self.root.accepts(frame, &self.options)
    }

    /// How many bytes from the start of the frame the filter may look at, at most. A packet
    /// of which that much was captured is judged like the whole packet.
    #[must_use]
    pub fn reach(&self) -> u32 {
        u32::try_from(self.root.reach(&self.options)).unwrap_or(MAX_REACH).min(MAX_REACH)
    }

    /// The filter's program as `tcpdump -dd` and `-ddd` print it; None where it is several.
    #[must_use]
    pub fn listing(&self, form: Listing) -> Option<String> {
        dump::listing(&self.root, form)
    }

    /// The filter as a BPF function: r1 points to the input that
    /// [`netlab_common::filter_input`] describes, in a map value; r0 becomes 1 for a packet
    /// that it accepts, else 0.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::TooDeep`], [`Error::Loop`].
    pub fn instructions(&self) -> Result<Vec<Instruction>, Error> {
        ebpf::compile(&self.root, &self.options)
    }
}

/// The programs, as `tcpdump -d` prints one, and how they are joined if there are several.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dump::write(f, &self.root)
    }
}

/// Why there is no filter, or none for the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An expression is wrong. Displays as libpcap's message, the expression, and a caret
    /// under the place.
    #[error("{message}\n{expression}\n{}^", Blank(expression, *.at))]
    Syntax {
        /// What libpcap says.
        message: String,
        /// The whole expression.
        expression: String,
        /// The place: a byte offset, or the expression's length for its end.
        at: usize,
    },
    /// libpcap knows no filters for the link type.
    #[error("packets of link type {} cannot be filtered: {message}; leave the filter out", link.0)]
    Link {
        /// The link type.
        link: LinkType,
        /// What libpcap says.
        message: String,
    },
    /// The code is so long that its jumps cannot span it.
    #[error(
        "the filter is too large for the kernel ({instructions} instructions): \
         shorten the expression, or filter a file with it"
    )]
    TooLarge {
        /// How long.
        instructions: usize,
    },
    /// The word `vxlan` nests deeper than the kernel's stack allows.
    #[error(
        "vxlan nests too deep for the kernel: use it 8 times at most, or filter a file with it"
    )]
    TooDeep,
    /// The kernel runs no loops whose end it cannot prove.
    #[error(
        "protochain follows a chain of headers in a loop, which cannot run in the kernel: \
         use proto, or filter a file with it"
    )]
    Loop,
    /// libpcap gave an instruction that is not known here.
    #[error("libpcap's instruction {at} ({code:#06x}) is not known: report the expression")]
    Instruction {
        /// Where in the program.
        at: usize,
        /// Its code.
        code: u16,
    },
}

/// As many columns of space as the first bytes of a text take, tabs kept.
struct Blank<'a>(&'a str, usize);

impl fmt::Display for Blank<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.0.get(..self.1).unwrap_or(self.0);
        before.chars().try_for_each(|c| f.write_str(if c == '\t' { "\t" } else { " " }))
    }
}

#[cfg(test)]
mod tests;
