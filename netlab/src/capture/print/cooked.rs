//! Link layers without Ethernet: Linux' "cooked" captures, BSD's loopback, and none.

use std::ffi::CStr;

use super::{
    ethernet::{self, MAX_LENGTH},
    ip, ipv4, ipv6,
    line::{Line, Truncated, after, take, u8_at, u16_at},
    llc,
    numbers::{self, ADDRESS_FAMILIES, ETHERTYPES},
};

/// Prints a packet with a Linux cooked header, version 1 (LINKTYPE_LINUX_SLL), and tells the
/// length of that.
pub(super) fn print_v1(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<usize, Truncated> {
    line.protocol("sll");
    let header: [u8; 16] = take(bytes, 0)?;
    let header = Header {
        version: Version::One { kind: u16_at(&header, 0)? },
        address_len: u16_at(&header, 4)?,
        address: take(&header, 6)?,
        ethertype: u16_at(&header, 14)?,
    };
    if line.options.link_layer {
        header.print(line, length);
    }
    header.print_payload(line, bytes, length, 16)
}

/// Version 2 (LINKTYPE_LINUX_SLL2).
pub(super) fn print_v2(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<usize, Truncated> {
    line.protocol("sll2");
    let header: [u8; 20] = take(bytes, 0)?;
    let interface = u32::from_be_bytes(take(&header, 4)?);
    line.push(format_args!("{:<5} ", interface_name(interface)));
    line.push(format_args!("{:<3} ", direction(u8_at(&header, 10)?.into())));
    let header = Header {
        version: Version::Two { interface },
        address_len: u8_at(&header, 11)?.into(),
        address: take(&header, 12)?,
        ethertype: u16_at(&header, 0)?,
    };
    if line.options.link_layer {
        header.print(line, length);
    }
    header.print_payload(line, bytes, length, 20)
}

struct Header {
    version: Version,
    address_len: u16,
    address: [u8; 6],
    ethertype: u16,
}

/// What only one of the versions has, or prints here.
enum Version {
    One { kind: u16 },
    Two { interface: u32 },
}

/// LINUX_SLL_P_802_2: an LLC header follows.
const LLC: u16 = 4;
const VLAN: u16 = 0x8100;

impl Header {
    fn print(&self, line: &mut Line<'_>, length: usize) {
        match self.version {
            Version::One { kind } => {
                line.protocol("sll");
                line.push(format_args!("{:>3} ", direction(kind)));
            }
            Version::Two { interface } => {
                line.protocol("sll2");
                line.push(format_args!("ifindex {interface} "));
            }
        }
        if self.address_len == 6 {
            line.mac(self.address);
            line.text(" ");
        }
        if line.options.quick {
            return;
        }
        let ethertype = self.ethertype;
        match ethertype {
            1 => line.text("802.3"),
            LLC => line.text("802.2"),
            _ => {
                let known = ethertype > MAX_LENGTH;
                let name = numbers::name(ETHERTYPES, ethertype).filter(|_| known);
                let name = name.unwrap_or("Unknown");
                line.push(format_args!("ethertype {name} (0x{ethertype:04x})"));
            }
        }
        line.push(format_args!(", length {length}: "));
    }

    fn print_payload(
        &self,
        line: &mut Line<'_>,
        bytes: &[u8],
        length: usize,
        header_len: usize,
    ) -> Result<usize, Truncated> {
        let mut at = header_len;
        let mut ethertype = self.ethertype;
        while ethertype == VLAN {
            if bytes.len() < at + 4 {
                line.protocol("vlan");
                line.mark();
                return Ok(bytes.len());
            }
            if line.options.link_layer {
                ethernet::print_tag(line, u16_at(bytes, at)?);
            }
            ethertype = u16_at(bytes, at + 2)?;
            if ethertype <= MAX_LENGTH {
                ethertype = LLC;
            }
            if !line.options.quick {
                let name = numbers::name(ETHERTYPES, ethertype).unwrap_or("Unknown");
                line.push(format_args!("ethertype {name}, "));
            }
            at += 4;
        }
        let (rest, left) = (after(bytes, at), length - at);
        if ethertype == LLC {
            let header = llc::print(line, rest, left, None)?;
            if !header.known {
                line.unknown(rest);
                return Ok(at);
            }
            return Ok(at + header.length);
        }
        if ethertype <= MAX_LENGTH {
            line.unknown(rest);
        } else if !ethernet::print_payload(line, ethertype, rest, left)? {
            if !line.options.link_layer {
                self.print(line, left + header_len);
            }
            line.unknown(rest);
        }
        Ok(at)
    }
}

/// LINUX_SLL_HOST and so on.
fn direction(kind: u16) -> &'static str {
    ["In", "B", "M", "P", "Out"].get(usize::from(kind)).copied().unwrap_or("?")
}

/// The name that the interface has here and now, which for a file from elsewhere says little.
fn interface_name(index: u32) -> String {
    let mut name: [libc::c_char; libc::IF_NAMESIZE] = [0; libc::IF_NAMESIZE];
    // SAFETY: the name has room for IF_NAMESIZE characters, as if_indextoname(3) demands.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return "?".to_owned();
    }
    // SAFETY: on success the name ends with a zero.
    unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned()
}

/// Prints a packet with a BSD loopback header (LINKTYPE_NULL).
pub(super) fn print_null(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<usize, Truncated> {
    const HEADER: usize = 4;
    const IPV4: u32 = 2;
    /// NetBSD and OpenBSD, FreeBSD, macOS.
    const IPV6: [u32; 3] = [24, 28, 30];
    line.protocol("null");
    let family = u32::from_ne_bytes(take(bytes, 0)?);
    // Written by a host of the other byte order.
    let family = if family >> 16 != 0 { family.swap_bytes() } else { family };
    if line.options.link_layer {
        print_family(line, family, length);
    }
    let rest = after(bytes, HEADER);
    let left = length - HEADER;
    if family == IPV4 {
        ipv4::print(line, rest, left)?;
    } else if IPV6.contains(&family) {
        ipv6::print(line, rest, left)?;
    } else {
        if !line.options.link_layer {
            print_family(line, family, length);
        }
        line.unknown(rest);
    }
    Ok(HEADER)
}

fn print_family(line: &mut Line<'_>, family: u32, length: usize) {
    let name = numbers::name(ADDRESS_FAMILIES, family);
    match (line.options.quick, name) {
        (false, name) => {
            line.push(format_args!("AF {} ({family})", name.unwrap_or("Unknown")));
        }
        (true, Some(name)) => line.text(name),
        (true, None) => line.push(format_args!("Unknown AF {family}")),
    }
    line.push(format_args!(", length {length}: "));
}

/// Prints a packet without a link layer (LINKTYPE_RAW).
pub(super) fn print_raw(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<usize, Truncated> {
    line.protocol("raw");
    if line.options.link_layer {
        line.text("ip: ");
    }
    ip::print(line, bytes, length)?;
    Ok(0)
}
