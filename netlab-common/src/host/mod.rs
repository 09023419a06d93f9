//! The core without a kernel: its tables as plain maps, and packets to try it on.
//!
//! For tests and simulation only; needs the feature `host`.

pub mod packets;
pub mod tables;

use crate::{
    headers::Headers,
    nodeport::{Point, Room, decide},
    rewrite::Rewrite,
    verdict::Verdict,
};
use tables::HostTables;

/// Reads a packet, decides about it, and translates it where it is forwarded. Nothing
/// else changes: neither TTL nor MACs.
pub fn translate(tables: &HostTables, packet: &mut [u8], at: Point, now: u64) -> Verdict {
    let mut headers = Headers::default();
    if let Err(reason) = headers.read(packet, 0) {
        return Verdict::Pass(reason);
    }
    let mut room = Room::default();
    let verdict = decide(&headers, at, now, tables, &mut room);
    if matches!(verdict, Verdict::Forward(_)) {
        let rewrite = Rewrite { headers: &headers, to: room.translation() };
        if let Err(reason) = rewrite.apply(packet) {
            return Verdict::Drop(reason);
        }
    }
    verdict
}
