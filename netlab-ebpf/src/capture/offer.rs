//! From a packet to a record in the ring.

use core::slice;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use netlab_common::{
    event::{Record, Settings, Trace},
    filter_input::CAPACITY,
};

use crate::{
    maps::{Buffer, RING, count_loss, tally},
    source::{Extent, Front, Source},
};

/// Addresses of an Ethernet header, in bytes.
const ADDRESSES: u32 = 12;
/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP` of linux/bpf.h.
const NO_WAKE: u64 = 1;
const WAKE: u64 = 2;
/// `BPF_RB_AVAIL_DATA` of linux/bpf.h.
const AVAILABLE: u64 = 0;

/// Reads as much as the filter needs, and asks it. True where the packet is wanted; all of it
/// that is to be kept is then in the buffer.
#[inline(always)]
pub fn wanted(
    buffer: &mut Buffer,
    settings: &Settings,
    source: &impl Source,
    hook: u8,
    extent: Extent,
) -> bool {
    let Extent { len, readable, front } = extent;
    let readable = front.len() + readable;
    buffer.record.wire_len = front.len() + len;
    let glance = least(readable, settings.reach);
    if !read(buffer, source, front, glance) {
        tally(hook, |tally| tally.unreadable += 1);
        return false;
    }
    buffer.record.captured = glance;
    if netlab_filter((&raw const buffer.record.captured).cast()) == 0 {
        tally(hook, |tally| tally.rejected += 1);
        return false;
    }
    let kept = least(readable, settings.snaplen);
    if kept > glance && !read(buffer, source, front, kept) {
        tally(hook, |tally| tally.unreadable += 1);
        return false;
    }
    buffer.record.captured = kept;
    true
}

/// Sends what is in the buffer to the ring, with what the datapath said of it, if it did.
#[inline(always)]
pub fn send(buffer: &mut Buffer, settings: &Settings, hook: u8, known: Option<&Trace>) {
    buffer.record.tag = 0;
    buffer.record.hook = hook;
    // SAFETY: takes nothing and returns a number.
    buffer.record.time = unsafe { bpf_ktime_get_ns() };
    let Some(captured) = bounded(buffer.record.captured, CAPACITY) else {
        return;
    };
    let (start, len): (*const u8, usize) = if let Some(trace) = known {
        buffer.trace = *trace;
        ((&raw const buffer.trace).cast(), size_of::<Trace>() + size_of::<Record>())
    } else {
        ((&raw const buffer.record).cast(), size_of::<Record>())
    };
    // SAFETY: the packet lies behind the record, which lies behind the trace.
    let bytes = unsafe { slice::from_raw_parts(start, len + captured) };
    let flags = if RING.query(AVAILABLE) < u64::from(settings.wake_at) { NO_WAKE } else { WAKE };
    let sent = RING.output::<[u8]>(bytes, flags);
    tally(hook, |tally| tally.accepted += 1);
    if sent.is_err() {
        count_loss(&buffer.record);
    }
}

/// The first `len` bytes of the frame into the buffer.
#[inline(always)]
fn read(buffer: &mut Buffer, source: &impl Source, front: Front, len: u32) -> bool {
    let bytes = buffer.bytes.as_mut_ptr();
    match front {
        Front::Nothing => copy(source, 0, bytes, len),
        Front::Tag(tag) => {
            let behind = ADDRESSES as usize + tag.len();
            buffer.bytes[ADDRESSES as usize..behind].copy_from_slice(&tag);
            copy(source, 0, bytes, least(len, ADDRESSES))
                // SAFETY: within the buffer.
                && copy(source, ADDRESSES, unsafe { bytes.add(behind) }, less(len, behind as u32))
        }
        Front::Header(ethertype) => {
            let header = ADDRESSES as usize + ethertype.len();
            buffer.bytes[..ADDRESSES as usize].fill(0);
            buffer.bytes[ADDRESSES as usize..header].copy_from_slice(&ethertype);
            // SAFETY: within the buffer.
            copy(source, 0, unsafe { bytes.add(header) }, less(len, header as u32))
        }
    }
}

#[inline(always)]
fn copy(source: &impl Source, from: u32, to: *mut u8, len: u32) -> bool {
    if len == 0 {
        return true;
    }
    // SAFETY: `to` is at most `Front::MOST` bytes into a buffer of CAPACITY.
    bounded(len, CAPACITY - Front::MOST)
        .is_some_and(|len| unsafe { source.copy(from, to, len as u32) })
}

/// A length that the verifier sees to be from 1 to `most`.
///
/// The compiler would compare a copy of the number and use the original, which the verifier does
/// not connect. Through memory, there is but one.
#[inline(always)]
fn bounded(len: u32, most: usize) -> Option<usize> {
    let len = len as usize;
    // SAFETY: a local variable.
    let len = unsafe { (&raw const len).read_volatile() };
    (len != 0 && len <= most).then_some(len)
}

#[inline(always)]
const fn least(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

#[inline(always)]
const fn less(a: u32, b: u32) -> u32 {
    a.saturating_sub(b)
}

/// Whether the filter accepts the packet: not zero if so. `input` points to its captured
/// length, its length on the wire and its bytes, see [`netlab_common::filter_input`].
///
/// The code here accepts whatever is longer than nothing. The capture puts that of its filter
/// in its place before it loads the programs; `no_mangle` is what it is found by.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netlab_filter(input: *const u32) -> u32 {
    // SAFETY: points into this CPU's buffer. Volatile, so that the compiler cannot conclude
    // what the result is, and leave the call out.
    unsafe { input.read_volatile() }
}
