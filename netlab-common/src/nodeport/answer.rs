//! What the datapath says itself, in a destination's name.

use crate::{
    headers::Headers,
    verdict::{Answer, DropReason, PassReason, Verdict},
    wire::tcp,
};

/// How a client learns at once that nobody serves it.
#[inline(always)]
pub(super) const fn refusal(proto: u8) -> Answer {
    if proto == tcp::PROTOCOL { Answer::TcpReset } else { Answer::PortUnreachable }
}

#[inline(always)]
pub(super) const fn answer(headers: &Headers, answer: Answer) -> Verdict {
    match answer {
        _ if headers.is_answerable() => Verdict::Answer(answer),
        // The stack would take the packet for its own, and refuse it.
        Answer::TimeExceeded => Verdict::Drop(DropReason::TtlExpired),
        _ => Verdict::Pass(PassReason::StackAnswers),
    }
}
