//! What a test needs from the machine: where it is missing the test is skipped, and says so.

use std::io::Write as _;

/// Set to 1, it turns a skip into a failure.
const REQUIRE: &str = "NETLAB_REQUIRE_PRIVILEGE";

/// Whether this process is root. If not, says that the test is skipped, and why.
///
/// # Panics
///
/// If not, and `NETLAB_REQUIRE_PRIVILEGE=1`.
#[must_use]
pub fn require_root(purpose: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(&format!("{purpose} needs root"));
    }
    root
}

/// Says that a test is skipped, past the capture of the test harness.
///
/// # Panics
///
/// If `NETLAB_REQUIRE_PRIVILEGE=1`.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
        "{REQUIRE} is set, but {reason}"
    );
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Nothing is to be done where stderr is gone.
    let _ = writeln!(std::io::stderr(), "SKIP {reason}: {test}");
}
