//! The state of a connection; the clock is an argument.
//!
//! Read first: RFC 9293, section 3.3.2 (TCP's states), and RFC 5382 (how long a NAT
//! keeps them). Both directions of a connection share one [`State`].

use core::fmt;

use crate::{
    abi::CtEntry,
    wire::tcp::flags::{ACK, FIN, RST, SYN},
};

/// State of a connection, as one byte.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State(pub u8);

impl State {
    /// TCP: the client's SYN was seen.
    pub const SYN_SENT: Self = Self(1);
    /// TCP: the backend's SYN-ACK was seen.
    pub const SYN_RECEIVED: Self = Self(2);
    /// TCP: the client acknowledged it.
    pub const ESTABLISHED: Self = Self(3);
    /// TCP: the client has sent its FIN.
    pub const FIN_ORIGINAL: Self = Self(4);
    /// TCP: the backend has sent its FIN.
    pub const FIN_REPLY: Self = Self(5);
    /// TCP: both have sent a FIN.
    pub const CLOSING: Self = Self(6);
    /// TCP: either has sent a RST.
    pub const RESET: Self = Self(7);
    /// UDP: only the client has spoken.
    pub const UDP_NEW: Self = Self(8);
    /// UDP: the backend has answered.
    pub const UDP_ASSURED: Self = Self(9);

    /// The state after a packet of `direction` with these TCP `flags` (0 for UDP).
    #[inline(always)]
    #[must_use]
    pub const fn next(self, direction: u8, flags: u8) -> Self {
        let original = direction == CtEntry::ORIGINAL;
        if self.0 >= Self::UDP_NEW.0 {
            return if original { self } else { Self::UDP_ASSURED };
        }
        if flags & RST != 0 {
            return Self::RESET;
        }
        if flags & FIN != 0 {
            return self.after_fin(original);
        }
        match self {
            Self::SYN_SENT if !original && flags & (SYN | ACK) == SYN | ACK => Self::SYN_RECEIVED,
            // The SYN-ACK may have gone another way or been lost to us: the data says enough.
            Self::SYN_SENT | Self::SYN_RECEIVED if flags & (SYN | ACK) == ACK => Self::ESTABLISHED,
            _ => self,
        }
    }

    const fn after_fin(self, original: bool) -> Self {
        match (self, original) {
            (Self::RESET | Self::CLOSING, _) => self,
            (Self::FIN_REPLY, true) | (Self::FIN_ORIGINAL, false) => Self::CLOSING,
            (_, true) => Self::FIN_ORIGINAL,
            (_, false) => Self::FIN_REPLY,
        }
    }

    /// Whether a client's new SYN starts afresh here rather than being a retransmission.
    #[inline(always)]
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::CLOSING | Self::RESET)
    }

    /// Name, in the words of conntrack -L.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SYN_SENT => "SYN_SENT",
            Self::SYN_RECEIVED => "SYN_RECV",
            Self::ESTABLISHED => "ESTABLISHED",
            Self::FIN_ORIGINAL => "FIN_WAIT",
            Self::FIN_REPLY => "CLOSE_WAIT",
            Self::CLOSING => "CLOSING",
            Self::RESET => "RESET",
            Self::UDP_NEW => "UNREPLIED",
            Self::UDP_ASSURED => "ASSURED",
            _ => "UNKNOWN",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long a silent connection is kept, in nanoseconds. 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Before the handshake is complete.
    pub syn: u64,
    /// Established TCP.
    pub established: u64,
    /// One side has sent its FIN.
    pub half_closed: u64,
    /// Both sides have, or one has reset.
    pub closing: u64,
    /// UDP without an answer.
    pub udp_new: u64,
    /// UDP with an answer.
    pub udp_assured: u64,
    /// Zero.
    pub reserved: [u64; 2],
}

impl Timeouts {
    /// As in docs/datapath.md, "States and timeouts"; half-closed as the kernel's FIN_WAIT.
    pub const DEFAULT: Self = Self {
        syn: 60 * SECOND,
        established: 8000 * SECOND,
        half_closed: 120 * SECOND,
        closing: 10 * SECOND,
        udp_new: 30 * SECOND,
        udp_assured: 120 * SECOND,
        reserved: [0; 2],
    };

    /// The timeout of `state`.
    #[inline(always)]
    #[must_use]
    pub const fn of(&self, state: State) -> u64 {
        match state {
            State::SYN_SENT | State::SYN_RECEIVED => self.syn,
            State::ESTABLISHED => self.established,
            State::FIN_ORIGINAL | State::FIN_REPLY => self.half_closed,
            State::UDP_NEW => self.udp_new,
            State::UDP_ASSURED => self.udp_assured,
            _ => self.closing,
        }
    }

    /// Whether a connection in `state`, last seen then, is over at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self, state: State, last_seen: u64, now: u64) -> bool {
        now.saturating_sub(last_seen) > self.of(state)
    }
}

/// One second in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: u8 = CtEntry::ORIGINAL;
    const REPLY: u8 = CtEntry::REPLY;

    fn run(packets: &[(u8, u8)]) -> State {
        packets
            .iter()
            .fold(State::SYN_SENT, |state, (direction, flags)| state.next(*direction, *flags))
    }

    #[test]
    fn handshake_establishes() {
        assert_eq!(run(&[(REPLY, SYN | ACK)]), State::SYN_RECEIVED);
        assert_eq!(run(&[(REPLY, SYN | ACK), (ORIGINAL, ACK)]), State::ESTABLISHED);
    }

    #[test]
    fn a_retransmitted_syn_changes_nothing() {
        assert_eq!(run(&[(ORIGINAL, SYN)]), State::SYN_SENT);
    }

    #[test]
    fn both_sides_must_close() {
        let open = [(REPLY, SYN | ACK), (ORIGINAL, ACK)];
        let client = [&open[..], &[(ORIGINAL, FIN | ACK)]].concat();
        assert_eq!(run(&client), State::FIN_ORIGINAL);
        assert_eq!(run(&[&client[..], &[(REPLY, ACK)]].concat()), State::FIN_ORIGINAL);
        assert_eq!(run(&[&client[..], &[(REPLY, FIN | ACK)]].concat()), State::CLOSING);
        let server = [&open[..], &[(REPLY, FIN | ACK)]].concat();
        assert_eq!(run(&[&server[..], &[(ORIGINAL, FIN | ACK)]].concat()), State::CLOSING);
    }

    #[test]
    fn a_reset_ends_it_from_either_side() {
        for side in [ORIGINAL, REPLY] {
            assert_eq!(run(&[(side, RST)]), State::RESET);
            assert!(State::ESTABLISHED.next(side, RST | ACK).is_ended());
        }
    }

    #[test]
    fn udp_is_assured_by_an_answer_only() {
        assert_eq!(State::UDP_NEW.next(ORIGINAL, 0), State::UDP_NEW);
        assert_eq!(State::UDP_NEW.next(REPLY, 0), State::UDP_ASSURED);
    }

    #[test]
    fn timeouts_are_those_of_the_documentation() {
        let seconds = |state| Timeouts::DEFAULT.of(state) / SECOND;
        assert_eq!(seconds(State::SYN_SENT), 60);
        assert_eq!(seconds(State::ESTABLISHED), 8000);
        assert_eq!(seconds(State::CLOSING), 10);
        assert_eq!(seconds(State::UDP_NEW), 30);
        assert_eq!(seconds(State::UDP_ASSURED), 120);
        assert!(!Timeouts::DEFAULT.is_over(State::CLOSING, 0, 10 * SECOND));
        assert!(Timeouts::DEFAULT.is_over(State::CLOSING, 0, 10 * SECOND + 1));
    }
}
