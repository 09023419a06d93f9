//! The kernel's own answer to "where does this packet go": bpf_fib_lookup.

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS,
        bpf_fib_lookup as Params, bpf_redir_neigh,
    },
    helpers::generated::{bpf_fib_lookup, bpf_redirect_neigh},
};
use netlab_common::{flow::FlowKey, wire::eth::Mac};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What a lookup found.
pub enum Lookup {
    /// An interface and a resolved neighbor.
    Way,
    /// An interface; the neighbor is not known yet.
    Unresolved,
    /// An interface whose MTU is too small for the packet.
    TooLarge,
    /// No way for a forwarded packet.
    NoRoute,
}

/// A lookup's question and, afterwards, its answer: 64 bytes, kept off the stack in
/// [`crate::maps::Scratch`].
#[repr(transparent)]
pub struct Fib(Params);

impl Fib {
    /// Asks for the way of a packet of `flow` with `ip_len` bytes that came in on
    /// `ifindex`. A length of 0 leaves the MTU to the socket buffer's own check.
    #[inline(always)]
    pub fn lookup<C: EbpfContext>(
        &mut self,
        ctx: &C,
        flow: &FlowKey,
        v4: bool,
        ip_len: u16,
        ifindex: u32,
    ) -> Lookup {
        let params = &mut self.0;
        // SAFETY: plain integers, for all of which zero is valid.
        *params = unsafe { core::mem::zeroed() };
        params.l4_protocol = flow.proto;
        params.sport = u16::from_ne_bytes(flow.sport);
        params.dport = u16::from_ne_bytes(flow.dport);
        params.__bindgen_anon_1.tot_len = ip_len;
        params.ifindex = ifindex;
        if v4 {
            params.family = AF_INET;
            params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(flow.src.last4());
            params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(flow.dst.last4());
        } else {
            params.family = AF_INET6;
            params.__bindgen_anon_3.ipv6_src = words(flow.src.0);
            params.__bindgen_anon_4.ipv6_dst = words(flow.dst.0);
        }
        // SAFETY: the program's context and a parameter block of the size given.
        let result = unsafe {
            bpf_fib_lookup(ctx.as_ptr(), &raw mut *params, size_of::<Params>() as i32, 0)
        };
        const SUCCESS: i64 = BPF_FIB_LKUP_RET_SUCCESS as i64;
        const NO_NEIGH: i64 = BPF_FIB_LKUP_RET_NO_NEIGH as i64;
        const FRAG_NEEDED: i64 = BPF_FIB_LKUP_RET_FRAG_NEEDED as i64;
        match result {
            SUCCESS => Lookup::Way,
            NO_NEIGH => Lookup::Unresolved,
            FRAG_NEEDED => Lookup::TooLarge,
            _ => Lookup::NoRoute,
        }
    }

    /// Interface to leave by.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        self.0.ifindex
    }

    /// That interface's MAC.
    #[inline(always)]
    pub fn source(&self) -> Mac {
        self.0.smac
    }

    /// The neighbor's MAC, after [`Lookup::Way`].
    #[inline(always)]
    pub fn destination(&self) -> Mac {
        self.0.dmac
    }

    /// The MTU, after [`Lookup::TooLarge`].
    #[inline(always)]
    pub fn mtu(&self) -> u16 {
        // SAFETY: both variants of the union are this integer.
        unsafe { self.0.__bindgen_anon_1.mtu_result }
    }

    /// Sends the socket buffer out that way; the kernel resolves the neighbor.
    #[inline(always)]
    pub fn redirect(&self) -> i32 {
        let mut next_hop = bpf_redir_neigh {
            nh_family: u32::from(self.0.family),
            // SAFETY: plain integers, for all of which zero is valid.
            __bindgen_anon_1: unsafe { core::mem::zeroed() },
        };
        // SAFETY: the family says which variant the kernel has filled in.
        unsafe {
            if self.0.family == AF_INET {
                next_hop.__bindgen_anon_1.ipv4_nh = self.0.__bindgen_anon_4.ipv4_dst;
            } else {
                next_hop.__bindgen_anon_1.ipv6_nh = self.0.__bindgen_anon_4.ipv6_dst;
            }
            bpf_redirect_neigh(
                self.0.ifindex,
                &raw mut next_hop,
                size_of::<bpf_redir_neigh>() as i32,
                0,
            ) as i32
        }
    }
}

#[inline(always)]
fn words(bytes: [u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_ne_bytes)
}
