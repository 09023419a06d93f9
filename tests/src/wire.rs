//! Packets as they are on a link, and whether their checksums are right.

use std::{
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use etherparse::{Icmpv4Slice, Ipv4Slice, NetSlice, SlicedPacket, TransportSlice};

use crate::lab::Lab;

/// UDP port of VXLAN.
const VXLAN_PORT: u16 = 8472;
/// Octets of a VXLAN header, RFC 7348, 5.
const VXLAN_HEADER: usize = 8;

/// Room for a packet that offloads have not cut.
const MAX_FRAME: usize = 128 * 1024;

/// A link that is listened on. The kernel keeps the packets until they are taken.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
    place: String,
}

/// A packet on a link.
#[derive(Clone, Debug)]
pub struct Frame {
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Its checksum is not there yet: it comes from a local socket, or is several packets
    /// that the receiver has merged.
    pub partial: bool,
}

/// How many checksums were found right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// IPv4 headers.
    pub ip: usize,
    /// TCP segments.
    pub tcp: usize,
    /// UDP datagrams that have one.
    pub udp: usize,
    /// ICMP messages.
    pub icmp: usize,
    /// Of the IPv4 headers: inside VXLAN.
    pub inner: usize,
}

impl Tap {
    /// Listens on a link of a lab's host.
    ///
    /// # Panics
    ///
    /// If there is no such link.
    #[must_use]
    pub fn open(lab: &Lab, host: &str, link: &str) -> Self {
        let place = format!("{link} of {host}");
        let socket = lab.inside(host, || open(link)).unwrap_or_else(|e| panic!("{place}: {e}"));
        Self { socket, place }
    }

    /// The packets that have passed by.
    ///
    /// # Panics
    ///
    /// If the kernel refuses.
    #[must_use]
    pub fn take(&self) -> Vec<Frame> {
        let mut buffer = vec![0; MAX_FRAME];
        let mut frames = Vec::new();
        while let Some(frame) =
            receive(&self.socket, &mut buffer).unwrap_or_else(|e| panic!("{}: {e}", self.place))
        {
            frames.push(frame);
        }
        frames
    }

    /// Verifies the checksums of the packets that have passed by.
    ///
    /// # Panics
    ///
    /// If one is wrong.
    #[must_use]
    pub fn verify(&self) -> Verified {
        let mut verified = Verified::default();
        for frame in self.take().iter().filter(|frame| !frame.partial) {
            if let Err(wrong) = verify(&frame.bytes, &mut verified) {
                panic!("{}: {wrong}: {:02x?}", self.place, frame.bytes);
            }
        }
        verified
    }
}

/// Sends a frame out of a link of the calling thread's namespace, as it is.
///
/// # Errors
///
/// If the kernel refuses.
pub fn send(link: &str, frame: &[u8]) -> io::Result<()> {
    let socket = open(link)?;
    // SAFETY: bytes of the length given.
    let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    check(sent as i64).map(|_| ())
}

/// Verifies all checksums of an Ethernet frame, and of one that VXLAN carries in it.
///
/// # Errors
///
/// Which one is wrong.
pub fn verify(frame: &[u8], verified: &mut Verified) -> Result<(), String> {
    let sliced = SlicedPacket::from_ethernet(frame).map_err(|error| error.to_string())?;
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else { return Ok(()) };
    let (is, should) = (ip.header().header_checksum(), ip.header().to_header());
    equal("IPv4", is, should.calc_header_checksum())?;
    verified.ip += 1;
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let [from, to] = ends(ip);
            equal("TCP", tcp.checksum(), wide(tcp.calc_checksum_ipv4(from, to))?)?;
            verified.tcp += 1;
        }
        Some(TransportSlice::Udp(udp)) => {
            if udp.checksum() != 0 {
                let [from, to] = ends(ip);
                let header = udp.to_header();
                let should = wide(header.calc_checksum_ipv4_raw(from, to, udp.payload()))?;
                equal("UDP", udp.checksum(), should)?;
                verified.udp += 1;
            }
            if udp.destination_port() == VXLAN_PORT {
                let inner = udp.payload().get(VXLAN_HEADER..).ok_or("VXLAN is cut off")?;
                let before = verified.ip;
                verify(inner, verified).map_err(|wrong| format!("in VXLAN: {wrong}"))?;
                verified.inner += verified.ip - before;
            }
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            verify_icmp(icmp)?;
            verified.icmp += 1;
        }
        _ => {}
    }
    Ok(())
}

/// The message's checksum, and that of the IPv4 header that an error quotes.
fn verify_icmp(icmp: &Icmpv4Slice<'_>) -> Result<(), String> {
    let should = icmp.icmp_type().calc_checksum(icmp.payload());
    equal("ICMP", icmp.checksum(), should)?;
    // Destination unreachable and time exceeded, RFC 792.
    if matches!(icmp.type_u8(), 3 | 11) {
        let quoted = etherparse::Ipv4HeaderSlice::from_slice(icmp.payload());
        let quoted = quoted.map_err(|error| format!("quoted: {error}"))?;
        let should = quoted.to_header().calc_header_checksum();
        equal("quoted IPv4", quoted.header_checksum(), should)?;
    }
    Ok(())
}

fn ends(ip: &Ipv4Slice<'_>) -> [[u8; 4]; 2] {
    [ip.header().source(), ip.header().destination()]
}

fn wide<E: std::fmt::Display>(checksum: Result<u16, E>) -> Result<u16, String> {
    checksum.map_err(|error| error.to_string())
}

/// Zero has two forms in one's complement; the kernel writes 0xffff for TCP too.
fn equal(what: &str, is: u16, should: u16) -> Result<(), String> {
    if is == should || (is == 0xffff && should == 0) {
        return Ok(());
    }
    Err(format!("{what} checksum is {is:#06x}, should be {should:#06x}"))
}

/// packet(7): a socket that sees everything on one link.
fn open(link: &str) -> io::Result<OwnedFd> {
    let every = u16::to_be(0x0003); // ETH_P_ALL
    // SAFETY: plain integers; the descriptor that it returns is nobody else's.
    let socket = unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let socket = check(libc::socket(libc::AF_PACKET, kind, 0).into())?;
        OwnedFd::from_raw_fd(socket)
    };
    set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20)?;
    // SAFETY: plain integers, for all of which zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
    address.sll_protocol = every;
    address.sll_ifindex = index(link)?;
    let len = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
    // SAFETY: an address of the length given.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) }.into())?;
    Ok(socket)
}

fn index(link: &str) -> io::Result<i32> {
    let index = nix::net::if_::if_nametoindex(link)?;
    i32::try_from(index).map_err(io::Error::other)
}

fn set(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or_default();
    // SAFETY: an integer of the length given.
    check(
        unsafe {
            libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len)
        }
        .into(),
    )
    .map(|_| ())
}

/// One packet, or None where there is none.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<Frame>> {
    let mut control = [0_u64; 16];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: a message whose buffers outlive the call; control is aligned as its headers are.
    let (len, message) = unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        (libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0), message)
    };
    let len = match check(len as i64) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        outcome => outcome?,
    };
    let bytes = buffer[..usize::try_from(len).unwrap_or_default()].to_vec();
    Ok(Some(Frame { bytes, partial: is_partial(&message) }))
}

fn is_partial(message: &libc::msghdr) -> bool {
    // SAFETY: the kernel has filled the control buffer, which is still there; a message of
    // this kind holds a `tpacket_auxdata`.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        if header.is_null() || (*header).cmsg_type != libc::PACKET_AUXDATA {
            return false;
        }
        let auxiliary = libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned();
        auxiliary.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0
    }
}

/// The outcome of a system call.
fn check(outcome: i64) -> io::Result<i32> {
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(outcome).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_behind_ethernet_is_noticed() {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder = builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1, 2, 3, 4);
        let mut frame = Vec::new();
        builder.write(&mut frame, b"payload").unwrap();
        let mut verified = Verified::default();
        assert_eq!(verify(&frame, &mut verified), Ok(()));
        assert_eq!(verified, Verified { ip: 1, tcp: 1, ..Verified::default() });
        for at in 14..frame.len() {
            frame[at] ^= 1;
            assert!(verify(&frame, &mut Verified::default()).is_err(), "byte {at}");
            frame[at] ^= 1;
        }
    }
}
