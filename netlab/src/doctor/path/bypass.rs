//! An answer that nobody has translated back.

use super::{
    Hop, Stage,
    walk::{End, Walker},
};
use crate::doctor::{
    facts::Source,
    finding::{Code, Finding},
};

/// Looks at the answer that has got to the client. Where the walk has skipped something, that it
/// was not translated says nothing.
pub(super) fn judge(walker: &mut Walker<'_>, there: &[Hop], end: &End<'_>) {
    let End::At(host, packet) = end else { return };
    if there.iter().chain(&walker.hops).any(|hop| hop.stage == Stage::Resume) {
        return;
    }
    let dialled = walker.case.dialled;
    if host.name != walker.case.client || packet.source == dialled {
        return;
    }
    let (entry, from) = (walker.case.node.clone(), packet.source);
    let at = walker.unmarked.as_ref().map_or(entry.as_str(), |(at, _)| at.as_str());
    let cause = format!(
        "the answer gets to {} from {from} instead of {dialled}: {entry} does not masquerade, so \
         it does not come back through {entry}",
        host.name
    );
    let finding = Finding::broken(Code::ReplyBypassesEntry, Some(at), cause);
    let finding = match &walker.unmarked {
        Some((_, place)) => place.blamed(finding),
        None => finding.shown(Source::Nft, "no rule masquerades the connection"),
    };
    walker.find(finding);
}
