//! Which Rust toolchain of this machine can compile for the BPF target.
//!
//! Shared by netlab's build script and xtask, so that both see the same.

use std::process::{Command, Stdio};

/// A rustup toolchain that brings `core` for the BPF target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BpfToolchain {
    /// rustup's nightly with the rust-src component: `core` is built on the way.
    Nightly,
    /// A linked toolchain named `bpf` with a prebuilt `core` (Debian's rustc-web).
    Linked,
}

impl BpfToolchain {
    /// Looks for a toolchain; nightly first, since it needs no distribution's packages.
    pub fn find() -> Option<Self> {
        if prints("nightly", &["--print", "sysroot"]).is_some_and(|root| {
            std::path::Path::new(root.trim()).join("lib/rustlib/src/rust/library/core").is_dir()
        }) {
            return Some(Self::Nightly);
        }
        prints("bpf", &["--target", "bpfel-unknown-none", "--print", "target-libdir"])
            .filter(|dir| std::path::Path::new(dir.trim()).is_dir())
            .map(|_| Self::Linked)
    }

    /// The name that `rustup run` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::Linked => "bpf",
        }
    }
}

fn prints(toolchain: &str, args: &[&str]) -> Option<String> {
    let output = Command::new("rustup")
        .args(["run", toolchain, "rustc"])
        .args(args)
        .env_remove("RUSTUP_TOOLCHAIN")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
