//! Builds the eBPF programs and leaves them in OUT_DIR, for the binary to carry.

#[path = "build/toolchain.rs"]
mod toolchain;

use anyhow::Context as _;
use toolchain::BpfToolchain;

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=../netlab-common/src");
    println!("cargo:rerun-if-changed=../Cargo.lock");
    let toolchain = BpfToolchain::find()
        .context("no Rust toolchain for the BPF target is installed; run: cargo xtask setup")?;
    // aya-build passes on each line of the nested cargo as a warning.
    // SAFETY: a build script's only thread, before anything else reads the environment.
    unsafe { std::env::set_var("CARGO_TERM_QUIET", "true") };
    let programs = aya_build::Package {
        name: "netlab-ebpf",
        root_dir: "../netlab-ebpf",
        ..aya_build::Package::default()
    };
    aya_build::build_ebpf([programs], aya_build::Toolchain::Custom(toolchain.name()))
}
