//! The source port of a new connection.

use super::{Claim, Tables};
use crate::{abi::CtEntry, flow::FlowKey, verdict::DropReason};

/// Tries to find a free source port, as many as Cilium makes.
pub const SNAT_TRIES: u32 = 32;

/// Enters the reply's entry under a destination port that no other connection to the
/// same backend has. A local backend sees the client's own port, unless the same
/// client already reaches the same backend from it through another frontend.
#[inline(always)]
pub(super) fn claim_port<T: Tables>(
    local: bool,
    tables: &T,
    reply: &mut FlowKey,
    entry: &CtEntry,
) -> Result<(), DropReason> {
    let [low, high] = tables.config().snat_ports;
    let span = u32::from(high.saturating_sub(low)) + 1;
    let first = tables.random() % span;
    for tried in 0..SNAT_TRIES {
        if !local || tried > 0 {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "below span, which is at most 65536"
            )]
            let port = low.wrapping_add(((first + tried) % span) as u16);
            reply.dport = port.to_be_bytes();
        }
        match tables.conntrack_claim(reply, entry) {
            Claim::Stored => return Ok(()),
            Claim::Full => return Err(DropReason::ConntrackFull),
            Claim::Taken => {}
        }
    }
    Err(DropReason::SnatPortsExhausted)
}
