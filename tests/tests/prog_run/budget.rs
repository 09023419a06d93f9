//! What the programs cost, so that nobody makes them dearer unseen.

use crate::node::{on_node, tables};

/// Program, instructions that the verifier may walk through, bytes of machine code. A tenth above
/// what was seen (Linux 6.18, x86-64): other kernels count a little otherwise. Whoever has to
/// raise one says why in the commit.
const BUDGET: [(&str, u32, u32); 4] = [
    ("netlab_tc_egress", 17_000, 11_000),
    ("netlab_tc_ingress", 43_000, 20_600),
    ("netlab_xdp", 25, 310),
    ("netlab_xdp_main", 64_000, 28_000),
];

#[test]
fn programs_stay_within_their_budget() {
    on_node(tables(), |datapath, _| {
        let sizes = datapath.sizes();
        let names: Vec<&str> = sizes.iter().map(|size| size.program.as_str()).collect();
        assert_eq!(names, BUDGET.map(|(name, ..)| name));
        for (size, (_, verified, compiled)) in sizes.iter().zip(BUDGET) {
            assert!(size.verified <= verified && size.compiled <= compiled, "{size:?}");
            // A budget far above what is used would not notice anything.
            assert!(size.verified > verified / 2 && size.compiled > compiled / 2, "{size:?}");
        }
    });
}
