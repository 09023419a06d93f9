//! What a test needs to run at all, and what happens where that is missing.

use std::{collections::BTreeSet, fs, io::Write as _};

/// The variable that turns a skipped test into a failed one when it is `1`.
pub const REQUIRE: &str = "NETLAB_REQUIRE_PRIVILEGE";

/// Something that not every user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Load BPF programs and run them: CAP_BPF and CAP_NET_ADMIN, or root.
    Bpf,
    /// Make network namespaces and configure them: CAP_SYS_ADMIN and CAP_NET_ADMIN, or root.
    Namespaces,
}

/// Whether the caller may go on. Where not, says why on stderr, as `SKIP ...`.
///
/// # Panics
///
/// Where something is missing although `NETLAB_REQUIRE_PRIVILEGE=1` demands it.
#[must_use]
pub fn require(what: &[Privilege]) -> bool {
    let effective = effective_capabilities();
    let missing: BTreeSet<&str> = what
        .iter()
        .flat_map(|privilege| privilege.capabilities())
        .filter(|capability| !capability.is_in(effective))
        .map(|capability| capability.name)
        .collect();
    if missing.is_empty() {
        return true;
    }
    skip(&format!("this process lacks {}", Vec::from_iter(missing).join(", ")));
    false
}

/// Whether a lab can be built here.
///
/// # Panics
///
/// As [`require`].
#[must_use]
pub fn require_lab() -> bool {
    require(&[Privilege::Bpf, Privilege::Namespaces])
}

/// Says on stderr that a test is skipped, and why.
///
/// # Panics
///
/// If `NETLAB_REQUIRE_PRIVILEGE=1` demands that nothing is.
pub fn skip(reason: &str) {
    let demanded = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
    assert!(!demanded, "{REQUIRE}=1, and {reason}");
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    // Not by eprintln, which the test harness would swallow.
    let _ = writeln!(std::io::stderr(), "SKIP {test}: {reason}");
}

struct Capability {
    name: &'static str,
    /// Numbers (linux/capability.h), of which one suffices.
    any_of: &'static [u8],
}

impl Capability {
    fn is_in(&self, effective: u64) -> bool {
        self.any_of.iter().any(|number| effective >> number & 1 == 1)
    }
}

const NET_ADMIN: Capability = Capability { name: "CAP_NET_ADMIN", any_of: &[12] };
const SYS_ADMIN: Capability = Capability { name: "CAP_SYS_ADMIN", any_of: &[21] };
/// Split off CAP_SYS_ADMIN, which still includes it (kernel 5.8, commit a17b53c4a4b5).
const BPF: Capability = Capability { name: "CAP_BPF", any_of: &[39, 21] };

impl Privilege {
    const fn capabilities(self) -> &'static [Capability] {
        match self {
            Self::Bpf => &[BPF, NET_ADMIN],
            Self::Namespaces => &[SYS_ADMIN, NET_ADMIN],
        }
    }
}

/// None where /proc does not tell.
fn effective_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_includes_bpf_but_not_net_admin() {
        assert!(BPF.is_in(1 << 21));
        assert!(BPF.is_in(1 << 39));
        assert!(!NET_ADMIN.is_in(1 << 21));
    }

    #[test]
    fn nothing_is_always_allowed() {
        assert!(require(&[]));
    }
}
