//! What the core decides about a packet, and why.

use core::fmt;

/// The core's answer for one packet. It is small enough for a register; the
/// translation that goes with [`Verdict::Forward`] lies in the
/// [`crate::nodeport::Room`] that the core was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not for the datapath: untouched to the stack.
    Pass(PassReason),
    /// Translate and forward.
    Forward(Forward),
    /// Answer the sender in the destination's name, and drop the packet.
    Answer(Answer),
    /// Drop.
    Drop(DropReason),
}

/// Which packet is translated, and the way on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Which packet of the connection this is.
    pub kind: Kind,
    /// The way on.
    pub route: Route,
}

/// Which packet of a connection is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// From the client, the first one.
    First,
    /// From the client.
    Original,
    /// From the backend.
    Reply,
    /// An ICMP error about a packet of the connection.
    Error,
}

impl Kind {
    /// Every one, in the order of their codes.
    pub const ALL: &'static [Self] = &[Self::First, Self::Original, Self::Reply, Self::Error];
}

/// How a translated packet goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The stack routes it: its source is not one of the node's addresses.
    Stack,
    /// The hook looks up the FIB itself and forwards past the stack.
    Fib,
}

macro_rules! reasons {
    ($(#[$meta:meta])* $type:ident { $($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal;)+ }) => {
        $(#[$meta])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[doc = $doc])+ $variant = $code,)+
        }

        impl $type {
            /// Every one, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that counters and captures show.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Cause and remedy: the text of its documentation.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+)),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

reasons! {
    /// Why a packet is left to the stack, untouched.
    PassReason {
        /// Neither IPv4 nor IPv6: ARP, LLDP, a VLAN tag.
        NotIp = 0, "not-ip";
        /// Neither TCP nor UDP nor an ICMP error: echo, ND, IGMP.
        OtherProtocol = 1, "other-protocol";
        /// A fragment. The stack reassembles it.
        Fragment = 2, "fragment";
        /// Headers that contradict each other or the packet's length. The stack counts and drops it.
        Malformed = 3, "malformed";
        /// Neither a frontend nor a known flow.
        NoFlow = 4, "no-flow";
        /// An answer is due, but IP options or IPv6 make it the stack's to give.
        StackAnswers = 5, "stack-answers";
    }
}

reasons! {
    /// The answer that a sender gets.
    Answer {
        /// TCP RST: the client fails at once with "connection refused".
        TcpReset = 0, "tcp-reset";
        /// ICMP port unreachable: the same for UDP.
        PortUnreachable = 1, "port-unreachable";
        /// ICMP time exceeded in transit.
        TimeExceeded = 2, "time-exceeded";
        /// ICMP fragmentation needed, with the MTU of the way on.
        FragmentationNeeded = 3, "fragmentation-needed";
    }
}

reasons! {
    /// Why a packet was dropped.
    DropReason {
        /// A TCP RST for a node port, without a connection that it could end. Harmless: the connection is gone already.
        NoConnection = 0, "no-connection";
        /// A packet ran out of hops and its sender cannot be told: an ICMP error must not be answered by an error, and IPv6 and IP options are not answered yet. Look for a routing loop.
        TtlExpired = 1, "ttl-expired";
        /// The Service has backends, but the chosen slot is empty: the maps disagree. Restart the agent; if it happens again, report it.
        BackendMissing = 2, "backend-missing";
        /// The backend is on another node, and no address of this node leads there. Check the route to the backend's pod network and the address of its device.
        NoMasqueradeAddress = 3, "no-masquerade-address";
        /// No free source port towards this backend after 32 tries. Widen --snat-ports, or spread the load over more backends.
        SnatPortsExhausted = 4, "snat-ports-exhausted";
        /// The conntrack map refused a new entry. Raise --conntrack-max.
        ConntrackFull = 5, "conntrack-full";
        /// No route from here for the translated packet. Check the routes to pod networks and to the client, and ip_forward.
        NoRoute = 6, "no-route";
        /// The packet ends before a field that has to be changed.
        Truncated = 7, "truncated";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_positions() {
        // Counters are indexed by code and named by position.
        assert!(PassReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
        assert!(Answer::ALL.iter().enumerate().all(|(at, answer)| *answer as usize == at));
        assert!(Kind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
        assert!(DropReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    }
}
