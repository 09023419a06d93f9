//! Debian's packages.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{as_root, find, output, run, say};

/// Whether this is a machine with apt.
pub fn is_there() -> bool {
    find("apt-get").is_some()
}

/// Whether a package can be installed; the package lists are fetched if need be.
///
/// # Errors
///
/// The lists cannot be fetched for want of root and sudo.
pub fn knows(package: &str) -> Result<bool> {
    if has_candidate(package) {
        return Ok(true);
    }
    update()?;
    Ok(has_candidate(package))
}

/// Installs packages, saying which and why.
///
/// # Errors
///
/// apt cannot install them.
pub fn install(packages: &[&str], why: &str) -> Result<()> {
    if !packages.iter().all(|package| has_candidate(package)) {
        update()?;
    }
    let names = packages.join(" ");
    say(format_args!("installing Debian's {names} ({why})"));
    if install_once(packages, why).is_ok() {
        return Ok(());
    }
    // Stale lists name packages that the mirror has replaced since.
    update()?;
    install_once(packages, why)
        .with_context(|| format!("failed to install {names}; try: apt-get install {names}"))
}

fn install_once(packages: &[&str], why: &str) -> Result<()> {
    // --no-remove: nobody's packages go away for the sake of these.
    let fixed = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--quiet=2"];
    let flags = ["--yes", "--no-remove", "--no-install-recommends"];
    run(&mut as_root("env", &[&fixed[..], &flags, packages].concat(), why)?)
}

fn update() -> Result<()> {
    say("fetching Debian's package lists");
    let mut command = as_root("apt-get", &["update", "--quiet=2"], "fetches the package lists")?;
    if run(&mut command).is_err() {
        say("some package lists could not be fetched; going on with those there are");
    }
    Ok(())
}

fn has_candidate(package: &str) -> bool {
    output(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"))
        .is_some_and(|policy| policy.lines().any(|line| has_version(line.trim())))
}

fn has_version(line: &str) -> bool {
    line.strip_prefix("Candidate:").is_some_and(|version| version.trim() != "(none)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_without_a_candidate_cannot_be_installed() {
        assert!(has_version("Candidate: 1.96.0+dfsg1-1~deb12u2"));
        assert!(!has_version("Candidate: (none)"));
        assert!(!has_version("Installed: 1.96.0"));
    }
}
