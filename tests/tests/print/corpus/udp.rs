//! UDP: lengths, checksums, and what its neighbors below say.

use crate::fixtures::{Ipv4, udp, udp_frame};

pub fn packets() -> Vec<Vec<u8>> {
    let ip = Ipv4::new(17);
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = ip.summed(udp(40000, 30053, b"some payload"), 6);
        bytes[at..at + value.len()].copy_from_slice(value);
        ip.frame(&bytes)
    };
    vec![
        udp_frame(40000, 30053, b"some payload"),
        udp_frame(40000, 30053, b"odd"),
        udp_frame(40000, 30053, b""),
        ip.frame(&udp(40000, 30053, b"without a checksum")),
        changed(6, &[0xbe, 0xef]),
        changed(8, b"other"),
        changed(4, &[0, 0]),
        changed(4, &[0, 7]),
        changed(4, &[0, 8]),
        changed(4, &[0, 10]),
        changed(4, &[0, 21]),
        changed(4, &[4, 0]),
        ip.frame(&[]),
        ip.frame(&[1, 2, 3]),
        ip.frame(&[1, 2, 3, 4]),
        ip.frame(&[1, 2, 3, 4, 0, 12]),
        ip.frame(&[1, 2, 3, 4, 0, 12, 0]),
        ip.frame(&[1, 2, 3, 4, 0, 12, 0, 0]),
    ]
}
