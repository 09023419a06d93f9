//! A fixture for every drop reason.

mod node;

use netlab_common::{
    headers::Headers,
    host::packets::{ErrorSketch, Sketch},
    rewrite::Rewrite,
    verdict::{DropReason, Verdict},
    wire::tcp::flags::RST,
};
use node::*;

#[test]
fn every_drop_reason_can_be_provoked() {
    for reason in DropReason::ALL {
        if let Some(verdict) = provoke(*reason) {
            assert_eq!(verdict, Verdict::Drop(*reason));
        }
    }
}

/// What the core says in a situation that should be dropped for `reason`; `None` where
/// a hook decides it. A new reason needs an arm here.
fn provoke(reason: DropReason) -> Option<Verdict> {
    let mut tables = node();
    let packet = match reason {
        DropReason::NoConnection => Sketch::tcp(at(CLIENT), at(TCP_LOCAL), RST).bytes(),
        DropReason::TtlExpired => {
            let (_, arrived) = step(&tables, &syn(CLIENT, TCP_REMOTE), NOW);
            let error = ErrorSketch::about(&arrived, 8, [3, 3], [10, 244, 2, 5], [172, 18, 0, 2]);
            ErrorSketch { ttl: 1, ..error }.bytes()
        }
        DropReason::BackendMissing => {
            tables.backends.clear();
            syn(CLIENT, TCP_LOCAL).bytes()
        }
        DropReason::NoMasqueradeAddress => {
            for backend in tables.backends.values_mut() {
                backend.masquerade = Default::default();
            }
            syn(CLIENT, TCP_REMOTE).bytes()
        }
        DropReason::SnatPortsExhausted => {
            tables.config.snat_ports = [61_000, 61_000];
            step(&tables, &syn(CLIENT, TCP_REMOTE), NOW);
            syn("192.0.2.9:40001", TCP_REMOTE).bytes()
        }
        DropReason::ConntrackFull => {
            // Room for the reply's entry only, which must not stay behind.
            tables.conntrack_max = 1;
            let (verdict, _) = step(&tables, &syn(CLIENT, TCP_REMOTE), NOW);
            assert!(tables.conntrack.borrow().is_empty());
            return Some(verdict);
        }
        // The hook asks the FIB: a fixture of the kernel programs' tests.
        DropReason::NoRoute => return None,
        DropReason::Truncated => {
            let mut bytes = syn(CLIENT, TCP_LOCAL).bytes();
            let mut headers = Headers::default();
            headers.read(bytes.as_slice(), 0).expect("TCP or UDP");
            bytes.truncate(headers.l4() + 4);
            let to = headers.flow.reverse();
            let before = bytes.clone();
            let outcome = Rewrite { headers: &headers, to: &to }.apply(bytes.as_mut_slice());
            assert_eq!(bytes, before, "not half changed");
            return outcome.err().map(Verdict::Drop);
        }
    };
    Some(step_bytes(&tables, packet, NOW).0)
}
