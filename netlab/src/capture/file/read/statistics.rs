//! What a file says of an interface as a whole (draft-ietf-opsawg-pcapng, section 4.6).

use super::{
    super::{
        MAX_BLOCK, Statistics,
        order::{self, Order},
    },
    clock::Clock,
};

/// Length of a block's content without options, in bytes: the interface, and when it was told.
pub(super) const CONTENT: u32 = 12;

/// Length of such a block as a whole, in bytes.
const LEAST: u32 = CONTENT + 12;

// Options of an interface statistics block.
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_FILTERACCEPT: u16 = 6;
const ISB_OSDROP: u16 = 7;

/// Whether a block of so many bytes can be one. Others are passed over: they cost no packet.
pub(super) const fn is_possible(length: u32) -> bool {
    LEAST <= length && length <= MAX_BLOCK
}

/// Statistics whose times are not understood yet.
pub(super) struct Told {
    statistics: Statistics,
    /// As the file counts, each where the file has it.
    times: [Option<u64>; 2],
}

/// The content of a block: the interface's number within its section, and what is told of it.
/// Options of a length that they cannot have are as if they were not there.
pub(super) fn read(content: &[u8], order: Order) -> (usize, Told) {
    let mut told = Told { statistics: Statistics::default(), times: [None; 2] };
    let Told { statistics, times: [start, end] } = &mut told;
    let options = content.get(CONTENT as usize..).unwrap_or_default();
    for option in order::options(options, order).map_while(Result::ok) {
        if option.value.len() != 8 {
            continue;
        }
        let count = order.u64(option.value, 0);
        // Times have their upper half first, whatever the byte order.
        let halves = [0, 4].map(|at| u64::from(order.u32(option.value, at)));
        let time = halves[0] << 32 | halves[1];
        match option.code {
            ISB_STARTTIME => *start = Some(time),
            ISB_ENDTIME => *end = Some(time),
            ISB_IFRECV => statistics.received = Some(count),
            // Lost by the interface, and lost between it and the capture: both are missing.
            ISB_IFDROP | ISB_OSDROP => {
                let before = statistics.dropped.unwrap_or(0);
                statistics.dropped = Some(before.saturating_add(count));
            }
            ISB_FILTERACCEPT => statistics.accepted = Some(count),
            _ => {}
        }
    }
    (order.u32(content, 0) as usize, told)
}

impl Told {
    /// Times as the interface's clock means them; none unless both are there.
    pub(super) fn in_nanoseconds(self, clock: Clock) -> Statistics {
        let [start, end] = match self.times {
            [Some(start), Some(end)] => [start, end].map(|count| clock.nanoseconds(count)),
            _ => [0; 2],
        };
        Statistics { start, end, ..self.statistics }
    }
}
