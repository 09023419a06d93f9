//! What lies in a capture's ring, read.

use netlab_common::event::{Record, Trace};

use super::{Event, Hook, Sighting, clock::Clock, places::Places, session::Names};

/// From a record to what it says. A record that does not hold together is none.
pub(super) fn sighting<'a>(
    item: &'a [u8],
    places: &'a Places,
    reasons: &mut Names,
    clock: &Clock,
) -> Option<Sighting<'a>> {
    let (trace, rest) = match item.first()? {
        0 => (None, item),
        _ => (Some(read::<Trace>(item)?), item.get(size_of::<Trace>()..)?),
    };
    let record: Record = read(rest)?;
    let bytes = rest.get(size_of::<Record>()..)?.get(..record.captured as usize)?;
    let host = places.host(record.namespace)?;
    let hook = Hook::from_number(record.hook)?;
    let event = match (hook, trace) {
        (Hook::Drop, _) => reasons.get().map(|reasons| Event::KernelDrop {
            reason: reasons.reason(record.reason),
            function: reasons.place(record.location),
        }),
        (_, Some(trace)) => Event::from_trace(&trace, bytes),
        _ => None,
    };
    Some(Sighting {
        time: clock.time_of_day(record.time),
        host,
        interface: places.interface(record.namespace, record.ifindex),
        hook,
        event,
        wire_len: record.wire_len,
        bytes,
    })
}

/// A value of the ABI at the start of some bytes.
pub(super) fn read<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: there are enough bytes, and a Pod is valid for any of them.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
