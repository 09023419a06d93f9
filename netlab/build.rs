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
    let programs = aya_build::Package {
        name: "netlab-ebpf",
        root_dir: "../netlab-ebpf",
        ..aya_build::Package::default()
    };
    aya_build::build_ebpf([programs], aya_build::Toolchain::Custom(toolchain.name()))
}
