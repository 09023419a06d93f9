//! The maps, and the core's view of them.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::generated::bpf_get_prandom_u32,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray},
    programs::{TcContext, XdpContext},
};
use netlab_common::{
    abi::{
        Backend, BackendKey, Config, CtEntry, Frontend, FrontendKey, Vtep, VtepKey,
        hook::COUNT as HOOKS,
    },
    counters::Counters,
    event::{Trace, stage},
    flow::{Addr, FlowKey},
    headers::Headers,
    nodeport::{Claim, Room, Tables},
    verdict::Verdict,
};

use crate::{fib::Fib, vxlan::Outer};

// Sizes here are defaults; the agent sets them when it loads the programs.

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
static FRONTENDS: HashMap<FrontendKey, Frontend> = HashMap::with_max_entries(65_536, NO_PREALLOC);
#[map]
static BACKENDS: HashMap<BackendKey, Backend> = HashMap::with_max_entries(262_144, NO_PREALLOC);
#[map]
static NODE_ADDRESSES: HashMap<Addr, u32> = HashMap::with_max_entries(256, 0);
#[map]
static CONNTRACK: LruHashMap<FlowKey, CtEntry> = LruHashMap::with_max_entries(262_144, 0);
#[map]
static VTEPS: HashMap<VtepKey, Vtep> = HashMap::with_max_entries(4_096, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(HOOKS, 0);

/// What became of the last packet, for a capture to read when the program has ended.
#[map]
static TRACE: PerCpuArray<Trace> = PerCpuArray::with_max_entries(HOOKS, 0);

/// Room for captures before and after XDP, and XDP's own program between them.
#[map]
static XDP_STAGES: ProgramArray = ProgramArray::with_max_entries(stage::COUNT, 0);
/// Room for captures after the programs at tc.
#[map]
static TC_STAGES: ProgramArray = ProgramArray::with_max_entries(stage::COUNT, 0);
/// Which captures are in that room. The programs have no need of it.
#[map]
static TENANTS: HashMap<u32, u32> = HashMap::with_max_entries(stage::CAPTURES, 0);

/// What does not fit on a BPF stack, one a hook.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(HOOKS, 0);

/// Working memory of one run of a program.
pub struct Scratch {
    /// Of the packet at hand.
    pub headers: Headers,
    /// For the core.
    pub room: Room,
    /// The packet's way on.
    pub way: Fib,
    /// The way of its encapsulation.
    pub outer_way: Fib,
    /// The headers of its encapsulation.
    pub outer: Outer,
}

impl Scratch {
    /// This CPU's own. A hook's programs do not interrupt each other on one CPU, and
    /// each is its only borrower.
    #[inline(always)]
    pub fn borrow(hook: u32) -> Option<&'static mut Self> {
        // SAFETY: see above; the memory is the map's and outlives the program.
        SCRATCH.get_ptr_mut(hook).map(|scratch| unsafe { &mut *scratch })
    }
}

/// Memory for Services that exist, not for those that may come.
const NO_PREALLOC: u32 = aya_ebpf::bindings::BPF_F_NO_PREALLOC;

/// The core's tables, in BPF maps.
pub struct KernelTables {
    config: &'static Config,
}

impl KernelTables {
    /// `None` until the agent has configured the node.
    #[inline(always)]
    pub fn open() -> Option<Self> {
        let config: &Config = CONFIG.get(0)?;
        if config.version != netlab_common::abi::VERSION {
            return None;
        }
        Some(Self { config })
    }

    /// Where the FDB sends a MAC.
    #[inline(always)]
    pub fn vtep(&self, key: &VtepKey) -> Option<Vtep> {
        // SAFETY: the value is copied out at once; an entry that is replaced
        // meanwhile yields one of two valid addresses.
        unsafe { VTEPS.get(key) }.copied()
    }
}

impl Tables for KernelTables {
    #[inline(always)]
    fn config(&self) -> &Config {
        self.config
    }

    #[inline(always)]
    fn conntrack<R>(&self, key: &FlowKey, f: impl FnOnce(&mut CtEntry) -> R) -> Option<R> {
        let entry = CONNTRACK.get_ptr_mut(key)?;
        // SAFETY: the pointer is into the map, valid until the program ends. Two CPUs
        // may write one entry: every field is a plain word whose last writer wins.
        Some(f(unsafe { &mut *entry }))
    }

    #[inline(always)]
    fn conntrack_claim(&self, key: &FlowKey, entry: &CtEntry) -> Claim {
        stored(CONNTRACK.insert(key, entry, u64::from(BPF_NOEXIST)))
    }

    #[inline(always)]
    fn conntrack_put(&self, key: &FlowKey, entry: &CtEntry) -> Claim {
        stored(CONNTRACK.insert(key, entry, u64::from(BPF_ANY)))
    }

    #[inline(always)]
    fn conntrack_remove(&self, key: &FlowKey) {
        // It may be gone already: evicted, or collected by the agent.
        let _ = CONNTRACK.remove(key);
    }

    #[inline(always)]
    fn frontend(&self, key: &FrontendKey) -> Option<Frontend> {
        // SAFETY: copied out at once; entries are replaced whole.
        unsafe { FRONTENDS.get(key) }.copied()
    }

    #[inline(always)]
    fn is_node_address(&self, address: &Addr) -> bool {
        NODE_ADDRESSES.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn backend(&self, key: &BackendKey) -> Option<Backend> {
        // SAFETY: copied out at once; entries are replaced whole.
        unsafe { BACKENDS.get(key) }.copied()
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: takes nothing and returns a number.
        unsafe { bpf_get_prandom_u32() }
    }
}

#[inline(always)]
fn stored(result: Result<(), i32>) -> Claim {
    const EEXIST: i32 = -17;
    match result {
        Ok(()) => Claim::Stored,
        Err(EEXIST) => Claim::Taken,
        Err(_) => Claim::Full,
    }
}

/// Counts at a hook, see [`netlab_common::abi::hook`].
#[inline(always)]
pub fn count(hook: u32, f: impl FnOnce(&mut Counters)) {
    if let Some(counters) = COUNTERS.get_ptr_mut(hook) {
        // SAFETY: this CPU's own slot; programs are not preempted by one of their hook.
        f(unsafe { &mut *counters });
    }
}

/// Leaves word of what became of the packet in `scratch`: the verdict, of [`Trace`]'s bits how
/// it was carried out, and the action that comes of it.
#[inline(always)]
pub fn note(hook: u32, scratch: &Scratch, verdict: &Verdict, flags: u8, action: u32) {
    if let Some(trace) = TRACE.get_ptr_mut(hook) {
        let (from, to) = (&scratch.headers.flow, scratch.room.translation());
        // SAFETY: as in `count`.
        unsafe {
            (*trace).note(verdict, flags, from, to);
            (*trace).action = action;
        }
    }
}

/// Hands an XDP frame that has just come to the captures there are, and then to the program.
/// Returns only where there is no program: before the agent has set it.
#[inline(always)]
pub fn begin_xdp(ctx: &XdpContext) {
    call_captures(&XDP_STAGES, ctx, stage::IN);
    // SAFETY: nothing here has to be dropped.
    unsafe { XDP_STAGES.tail_call(ctx, stage::MAIN) };
}

/// Shows an XDP frame, as it goes, to the captures there are.
#[inline(always)]
pub fn end_xdp(ctx: &XdpContext) {
    call_captures(&XDP_STAGES, ctx, stage::OUT);
}

/// Shows a packet, as tc leaves it, to the captures there are; `first` is [`stage::IN`] for
/// ingress and [`stage::OUT`] for egress.
#[inline(always)]
pub fn end_tc(ctx: &TcContext, first: u32) {
    call_captures(&TC_STAGES, ctx, first);
}

/// The kernel makes jumps of calls with a constant index, and nothing of those to empty slots.
#[inline(always)]
fn call_captures(stages: &ProgramArray, ctx: &impl EbpfContext, first: u32) {
    // SAFETY: nothing here has to be dropped.
    unsafe {
        stages.tail_call(ctx, first);
        stages.tail_call(ctx, first + 1);
        stages.tail_call(ctx, first + 2);
        stages.tail_call(ctx, first + 3);
    }
    const { assert!(stage::CAPTURES == 4) };
}
