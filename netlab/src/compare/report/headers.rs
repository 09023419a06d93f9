//! A captured frame, header by header and field by field. Pure.
//!
//! Where headers begin and end is etherparse's word; the fields' lengths are those of the
//! formats: Ethernet II, IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768), TCP (RFC 9293), VXLAN
//! (RFC 7348). Law: the fields of all layers, one after the other, are the frame, byte by byte.

use etherparse::{
    EtherType, IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, LaxNetSlice, LaxSlicedPacket,
    TcpHeaderSlice, TransportSlice,
};

use crate::capture::filter::VXLAN_PORTS;

/// Which header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ethernet,
    Ipv4,
    Ipv6,
    Udp,
    Tcp,
    Vxlan,
    /// What is behind the last header.
    Payload,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub kind: Kind,
    /// It is around another frame.
    pub outer: bool,
    pub fields: Vec<Field>,
}

/// A part of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// As people write it.
    pub value: String,
}

impl Kind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Vxlan => "VXLAN",
            Self::Payload => "Payload",
        }
    }
}

impl Layer {
    /// Its bytes.
    pub fn len(&self) -> usize {
        self.fields.iter().map(|field| field.bytes.len()).sum()
    }

    /// A field's value; empty where there is no such field.
    pub fn value(&self, name: &str) -> &str {
        self.fields.iter().find(|field| field.name == name).map_or("", |field| &field.value)
    }
}

/// Bytes from hexadecimal digits; nothing of anything else.
#[must_use]
pub(super) fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    digits.as_bytes().chunks(2).map(pair).collect()
}

/// The headers of a frame, the outermost first.
#[must_use]
pub(super) fn layers(frame: &[u8]) -> Vec<Layer> {
    let mut layers = Vec::new();
    read(frame, &mut layers);
    let known: usize = layers.iter().map(Layer::len).sum();
    let rest = frame.get(known..).unwrap_or_default();
    if !rest.is_empty() {
        layers.push(payload(rest));
    }
    layers
}

/// Reads one frame's headers as far as they are known, and those of the frame in it.
fn read(frame: &[u8], layers: &mut Vec<Layer>) -> Option<()> {
    let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (header, rest) = frame.split_at_checked(14)?;
    let first = layers.len();
    layers.push(ethernet(header));
    // With a tag or an extension header in between, the next header is not where it is looked
    // for here.
    let direct = matches!(EtherType(short(&header[12..])), EtherType::IPV4 | EtherType::IPV6);
    let length = match sliced.net.filter(|_| direct)? {
        LaxNetSlice::Ipv4(ip) => {
            layers.push(ipv4(&ip.header()));
            ip.header().slice().len()
        }
        LaxNetSlice::Ipv6(ip) if ip.extensions().is_empty() => {
            layers.push(ipv6(&ip.header()));
            ip.header().slice().len()
        }
        _ => return None,
    };
    let rest = rest.get(length..)?;
    match sliced.transport? {
        TransportSlice::Udp(header) => {
            let (bytes, inside) = rest.split_at_checked(8)?;
            layers.push(udp(bytes));
            if VXLAN_PORTS.contains(&header.destination_port()) {
                let (bytes, inside) = inside.split_at_checked(8)?;
                layers.push(vxlan(bytes));
                layers[first..].iter_mut().for_each(|layer| layer.outer = true);
                read(inside, layers)?;
            }
        }
        TransportSlice::Tcp(_) => layers.push(tcp(&TcpHeaderSlice::from_slice(rest).ok()?)),
        _ => {}
    }
    Some(())
}

fn ethernet(bytes: &[u8]) -> Layer {
    let names = |value: u16| match EtherType(value) {
        EtherType::IPV4 => "IPv4".to_owned(),
        EtherType::IPV6 => "IPv6".to_owned(),
        other => format!("{:#06x}", other.0),
    };
    let mut parts = Parts::of(Kind::Ethernet, bytes);
    parts.take("destination", 6, mac).take("source", 6, mac);
    parts.take("type", 2, |bytes| names(short(bytes))).done()
}

fn ipv4(header: &Ipv4HeaderSlice<'_>) -> Layer {
    let fragment = || {
        let flags = match (header.dont_fragment(), header.more_fragments()) {
            (true, false) => "don't fragment",
            (_, true) => "more fragments",
            (false, false) => "may be fragmented",
        };
        format!("{flags}, offset {}", header.fragments_offset().value())
    };
    let mut parts = Parts::of(Kind::Ipv4, header.slice());
    parts
        .take("version, length", 1, |_| format!("4, {} bytes", usize::from(header.ihl()) * 4))
        .take("DSCP, ECN", 1, |_| format!("{}, {}", header.dcp().value(), header.ecn().value()))
        .take("total length", 2, decimal)
        .take("identification", 2, decimal)
        .take("flags, offset", 2, |_| fragment())
        .take("TTL", 1, |_| header.ttl().to_string())
        .take("protocol", 1, |_| protocol(header.protocol()))
        .take("checksum", 2, hex)
        .take("source", 4, |_| header.source_addr().to_string())
        .take("destination", 4, |_| header.destination_addr().to_string())
        .done()
}

fn ipv6(header: &Ipv6HeaderSlice<'_>) -> Layer {
    let mut parts = Parts::of(Kind::Ipv6, header.slice());
    let flow = header.flow_label().value();
    parts
        .take("version, class, flow", 4, |_| format!("6, {}, {flow}", header.traffic_class()))
        .take("payload length", 2, decimal)
        .take("next header", 1, |_| protocol(header.next_header()))
        .take("hop limit", 1, |_| header.hop_limit().to_string())
        .take("source", 16, |_| header.source_addr().to_string())
        .take("destination", 16, |_| header.destination_addr().to_string())
        .done()
}

fn udp(bytes: &[u8]) -> Layer {
    let checksum = |bytes: &[u8]| match short(bytes) {
        0 => "none".to_owned(),
        _ => hex(bytes),
    };
    let mut parts = Parts::of(Kind::Udp, bytes);
    parts.take("source port", 2, decimal).take("destination port", 2, decimal);
    parts.take("length", 2, decimal).take("checksum", 2, checksum).done()
}

fn tcp(header: &TcpHeaderSlice<'_>) -> Layer {
    let flags = [
        (header.syn(), "SYN"),
        (header.fin(), "FIN"),
        (header.rst(), "RST"),
        (header.psh(), "PSH"),
        (header.ack(), "ACK"),
        (header.urg(), "URG"),
    ];
    let set: Vec<_> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    let mut parts = Parts::of(Kind::Tcp, header.slice());
    parts
        .take("source port", 2, decimal)
        .take("destination port", 2, decimal)
        .take("sequence", 4, |_| header.sequence_number().to_string())
        .take("acknowledgement", 4, |_| header.acknowledgment_number().to_string())
        .take("length, flags", 2, |_| {
            format!("{} bytes, {}", usize::from(header.data_offset()) * 4, set.join(" "))
        })
        .take("window", 2, decimal)
        .take("checksum", 2, hex)
        .take("urgent", 2, decimal)
        .done()
}

fn vxlan(bytes: &[u8]) -> Layer {
    let vni = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    let valid = |bytes: &[u8]| {
        let valid = bytes.first().is_some_and(|flags| flags & 0x08 != 0);
        if valid { "VNI is valid".to_owned() } else { "no VNI".to_owned() }
    };
    let mut parts = Parts::of(Kind::Vxlan, bytes);
    parts.take("flags", 1, valid).take("reserved", 3, hex);
    parts.take("VNI", 3, |bytes| vni(bytes).to_string()).take("reserved ", 1, hex).done()
}

fn payload(bytes: &[u8]) -> Layer {
    let value = match bytes.len() {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    };
    let field = Field { name: "data", bytes: bytes.to_vec(), value };
    Layer { kind: Kind::Payload, outer: false, fields: vec![field] }
}

/// The fields of a header, taken from its bytes one after the other.
struct Parts<'a> {
    layer: Layer,
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    const fn of(kind: Kind, rest: &'a [u8]) -> Self {
        Self { layer: Layer { kind, outer: false, fields: Vec::new() }, rest }
    }

    fn take(
        &mut self,
        name: &'static str,
        len: usize,
        value: impl FnOnce(&[u8]) -> String,
    ) -> &mut Self {
        if let Some((bytes, rest)) = self.rest.split_at_checked(len) {
            let value = value(bytes);
            self.layer.fields.push(Field { name, bytes: bytes.to_vec(), value });
            self.rest = rest;
        }
        self
    }

    /// What is left is options.
    fn done(&mut self) -> Layer {
        if !self.rest.is_empty() {
            let (bytes, value) = (self.rest.to_vec(), format!("{} bytes", self.rest.len()));
            self.layer.fields.push(Field { name: "options", bytes, value });
        }
        self.layer.clone()
    }
}

fn protocol(number: IpNumber) -> String {
    number.keyword_str().map_or_else(|| number.0.to_string(), str::to_owned)
}

fn mac(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

fn short(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

fn decimal(bytes: &[u8]) -> String {
    short(bytes).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn datagram() -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 244, 1, 2], [10, 244, 2, 2], 64)
            .udp(4000, 9)
            .write(&mut frame, b"x")
            .unwrap();
        frame
    }

    fn encapsulated(inner: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let payload = [&[8, 0, 0, 0, 0, 0, 1, 0], inner].concat();
        PacketBuilder::ethernet2([3; 6], [4; 6])
            .ipv4([172, 18, 0, 2], [172, 18, 0, 3], 64)
            .udp(50000, 8472)
            .write(&mut frame, &payload)
            .unwrap();
        frame
    }

    fn joined(layers: &[Layer]) -> Vec<u8> {
        let fields = layers.iter().flat_map(|layer| &layer.fields);
        fields.flat_map(|field| field.bytes.clone()).collect()
    }

    #[test]
    fn a_tunnelled_datagram_has_eight_layers_and_50_bytes_around_it() {
        let frame = encapsulated(&datagram());
        let layers = layers(&frame);
        let kinds: Vec<_> = layers.iter().map(|layer| layer.kind).collect();
        let inner = [Kind::Ethernet, Kind::Ipv4, Kind::Udp];
        let outer = [Kind::Ethernet, Kind::Ipv4, Kind::Udp, Kind::Vxlan];
        assert_eq!(kinds, [&outer[..], &inner, &[Kind::Payload]].concat());
        assert_eq!(layers.iter().filter(|layer| layer.outer).map(Layer::len).sum::<usize>(), 50);
        assert_eq!(layers[1].value("source"), "172.18.0.2");
        assert_eq!(layers[2].value("destination port"), "8472");
        assert_eq!(layers[3].value("VNI"), "1");
        assert_eq!(layers[5].value("destination"), "10.244.2.2");
        assert_eq!(joined(&layers), frame);
    }

    #[test]
    fn tcp_with_options_and_ipv6_are_read_whole() {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv6([0xfd; 16], [0xfe; 16], 64)
            .tcp(4000, 80, 77, 1024)
            .syn()
            .options(&[etherparse::TcpOptionElement::MaximumSegmentSize(1410)])
            .unwrap()
            .write(&mut frame, &[])
            .unwrap();
        let layers = layers(&frame);
        assert_eq!(layers[1].kind, Kind::Ipv6);
        assert_eq!(layers[2].value("length, flags"), "24 bytes, SYN");
        assert_eq!(layers[2].value("options"), "4 bytes");
        assert_eq!(joined(&layers), frame);
    }

    #[test]
    fn what_is_cut_off_is_never_lost() {
        let frame = encapsulated(&datagram());
        for len in 0..frame.len() {
            assert_eq!(joined(&layers(&frame[..len])), frame[..len], "{len}");
        }
        let mut tagged = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .single_vlan(etherparse::VlanId::try_new(7).unwrap())
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(1, 2)
            .write(&mut tagged, b"x")
            .unwrap();
        assert_eq!(joined(&layers(&tagged)), tagged);
    }

    #[test]
    fn only_digits_are_bytes() {
        assert_eq!(bytes("08ff").as_deref(), Some(&[8, 255][..]));
        assert_eq!((bytes("08f"), bytes("0g"), bytes("é")), (None, None, None));
    }
}
