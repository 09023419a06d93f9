//! The maps of a capture.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, PerCpuHashMap, ProgramArray, RingBuf},
};
use netlab_common::{
    abi,
    event::{Instance, InterfaceKey, LossKey, Record, Settings, Tally, Trace, hook, stage},
    filter_input::CAPACITY,
};

// Sizes here are defaults; the capture sets those of RING and BUFFERS when it loads the programs.

#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static INSTANCE: Array<Instance> = Array::with_max_entries(1, 0);
#[map]
static NAMESPACES: HashMap<u32, u32> = HashMap::with_max_entries(4_096, 0);
#[map]
static INTERFACES: HashMap<InterfaceKey, u32> = HashMap::with_max_entries(16_384, 0);
#[map]
static TALLY: PerCpuArray<Tally> = PerCpuArray::with_max_entries(hook::COUNT as u32, 0);
#[map]
static LOSSES: PerCpuHashMap<LossKey, u64> = PerCpuHashMap::with_max_entries(4_096, 0);
#[map]
static BUFFERS: Array<Buffer> = Array::with_max_entries(2, 0);
#[map]
static TRACE: PerCpuArray<Trace> = PerCpuArray::with_max_entries(abi::hook::COUNT, 0);
#[map]
pub static TC_LOOK: ProgramArray = ProgramArray::with_max_entries(1, 0);
#[map]
pub static XDP_STAGES: ProgramArray = ProgramArray::with_max_entries(stage::COUNT, 0);
#[map]
pub static TC_STAGES: ProgramArray = ProgramArray::with_max_entries(stage::COUNT, 0);

/// A packet on its way to the ring: as the ring will have it.
#[repr(C)]
pub struct Buffer {
    /// Not sent on.
    pub job: Job,
    /// Only in what is sent on if the hook knows one.
    pub trace: Trace,
    /// Its last two fields and `bytes` are what the filter is given.
    pub record: Record,
    /// The packet, from its Ethernet header on.
    pub bytes: [u8; CAPACITY],
}

/// What a program that was attached leaves to the one that looks at the packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Job {
    /// One of [`hook`].
    pub hook: u32,
    /// Not zero: the packet begins with an IP header.
    pub headerless: u32,
}

/// Which of a CPU's two buffers: a drop can be reported while a hook is at work.
#[derive(Clone, Copy)]
pub enum Use {
    /// Of the hooks, which do not interrupt each other.
    Hook,
    /// Of drops, which are reported wherever a packet is freed.
    Drop,
}

impl Buffer {
    /// This CPU's own.
    #[inline(always)]
    pub fn borrow(of: Use) -> Option<&'static mut Self> {
        // SAFETY: takes nothing and returns a number.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        // SAFETY: each use on each CPU has an element of its own, which outlives the program.
        BUFFERS.get_ptr_mut(cpu * 2 + of as u32).map(|buffer| unsafe { &mut *buffer })
    }

    /// This CPU's own, for a packet around a datapath. None where such packets, of which it said
    /// what is `known`, are of no interest.
    #[inline(always)]
    pub fn borrow_for(known: Option<&Trace>, settings: &Settings) -> Option<&'static mut Self> {
        if settings.only_drops != 0 && known.is_some_and(|trace| trace.class != Trace::DROP) {
            return None;
        }
        let namespace = instance()?.namespace;
        let buffer = Self::borrow(Use::Hook)?;
        buffer.record.namespace = namespace;
        Some(buffer)
    }
}

/// What this capture is to do; `None` before it has begun and when it is over.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0).filter(|settings| settings.running != 0)
}

/// Of this instance of the programs.
#[inline(always)]
pub fn instance() -> Option<&'static Instance> {
    INSTANCE.get(0)
}

/// The number of a network namespace that is captured in.
#[inline(always)]
pub fn namespace(inum: u32) -> Option<u32> {
    // SAFETY: copied out at once; an entry is one word.
    unsafe { NAMESPACES.get(inum) }.copied()
}

/// Whether packets of this interface are asked for.
#[inline(always)]
pub fn is_selected(settings: &Settings, namespace: u32, ifindex: u32) -> bool {
    settings.selected == 0 || INTERFACES.get_ptr(InterfaceKey { namespace, ifindex }).is_some()
}

/// What the datapath program of this hook, one of [`abi::hook`], said last on this CPU.
#[inline(always)]
pub fn trace(datapath_hook: u32) -> Option<&'static Trace> {
    TRACE.get(datapath_hook)
}

/// Counts at a hook, one of [`hook`].
#[inline(always)]
pub fn tally(hook: u8, f: impl FnOnce(&mut Tally)) {
    if let Some(tally) = TALLY.get_ptr_mut(u32::from(hook)) {
        // SAFETY: this CPU's own slot; a count that is interrupted by one of the same hook
        // loses one packet of it, and hooks do not interrupt themselves.
        f(unsafe { &mut *tally });
    }
}

/// Counts a packet that is not in the ring: at its hook, and by its interface. Where there are
/// too many interfaces, only at its hook.
#[inline(always)]
pub fn count_loss(record: &Record) {
    /// `BPF_NOEXIST` of linux/bpf.h.
    const NEW: u64 = 1;
    let interface = InterfaceKey { namespace: record.namespace, ifindex: record.ifindex };
    let key = LossKey { interface, hook: record.hook.into() };
    if LOSSES.get_ptr(key).is_none() {
        // Another CPU may have been faster.
        let _ = LOSSES.insert(key, 0, NEW);
    }
    if let Some(count) = LOSSES.get_ptr_mut(key) {
        // SAFETY: as in `tally`; nothing is ever taken out of the map.
        unsafe { *count += 1 };
    }
    tally(record.hook, |tally| tally.lost += 1);
}

/// Calls the captures in the slots behind this one's own; `first` is the first of all. Returns
/// where there is none.
#[inline(always)]
pub fn call_next(stages: &ProgramArray, ctx: &impl EbpfContext, first: u32) {
    let own = instance().map_or(stage::CAPTURES, |instance| instance.slot);
    // SAFETY: nothing here has to be dropped.
    unsafe {
        if own < 1 {
            stages.tail_call(ctx, first + 1);
        }
        if own < 2 {
            stages.tail_call(ctx, first + 2);
        }
        if own < 3 {
            stages.tail_call(ctx, first + 3);
        }
    }
    const { assert!(stage::CAPTURES == 4) };
}
