//! Books the time that CPUs receive packets in softirqs to the network namespaces whose devices
//! the packets are on.
//!
//! The kernel knows softirq time of CPUs only. But in NET_RX it does one poll after the other,
//! of a device's NAPI (on veth: where XDP or GRO is on; XDP runs in it) or of the CPU's backlog
//! (veth without either), and hands one packet after the other to the stack, which routes,
//! filters, translates and sends it on, or delivers it, before it takes the next. Sending over
//! veth ends with the packet in a queue of the peer, whose poll is another's time.
//!
//! The law, in the order in which things happen on a CPU:
//!
//! 1. `softirq_entry` of NET_RX: the clock runs, for nobody yet.
//! 2. `netif_receive_skb`: what passed since the packet before was its device's; from here on it
//!    is this one's. What passed since the poll began is kept until the poll ends.
//! 3. `napi_poll`, which the kernel tells after a poll: if it was a device's, all that is not
//!    booked yet is that device's, also what was kept: XDP, GRO, and making packets of frames.
//!    Of the backlog's, what passed since the last packet is its device's. What was kept is
//!    nobody's there: it is next to nothing but freeing what sockets of anyone have read.
//! 4. `softirq_exit`: the clock stands. What passed since the last poll is nobody's.
//!
//! So it is no part of anybody's time:
//! - what a process does in its own system call, such as sending, all the way to the first
//!   queue. (Live frames of test runs are made in a system call as well; what takes them on the
//!   other end of the wire is a poll as any other.)
//! - other softirqs: TCP's timers and pacing, RCU; NET_TX, which serves devices with queues,
//!   and polls by threads and by sockets, which are off unless asked for;
//! - a node's work that is not about a packet at hand: conntrack's collector, its agent.
//!
//! And it is booked wrongly:
//! - hardware interrupts, and what a hypervisor takes away: to whomever they meet;
//! - packets that GRO still holds when a poll has used up its budget: they follow the poll, and
//!   the last of them may be booked to the next one;
//! - receiving on a device above another one, in another namespace than that (a VLAN's, say):
//!   what comes after, until the next packet, to the upper one's;
//! - these programs themselves: one run takes 50 to 210 ns by the kernel's own statistics (while
//!   those are kept), at each softirq, each poll and each packet; the least where the packet's
//!   device is that of the packet before.
//!
//! Seen in floods and in single requests over veth: 99% of the time of NET_RX where XDP runs,
//! 89 to 93% where all goes by the backlog; none of it more than once.
//!
//! With PREEMPT_RT softirqs take turns on a CPU, and none of this holds.
#![no_std]
#![no_main]

#[path = "../object.rs"]
mod object;

mod account;
mod device;
mod events;
