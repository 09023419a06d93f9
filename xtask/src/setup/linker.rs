//! bpf-linker, built against an LLVM that reads what the compiler writes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::apt;
use crate::{
    process::{cargo, cargo_home, find, output, run, rustup_run, say},
    toolchain::BpfToolchain,
};

const VERSION: &str = "0.13.0";

/// The LLVM releases that this bpf-linker can be built against.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// Makes sure that a bpf-linker for the toolchain is there.
///
/// # Errors
///
/// It cannot be installed.
pub fn ensure(toolchain: BpfToolchain) -> Result<()> {
    let Some(complaint) = complaint(toolchain) else {
        return Ok(());
    };
    let llvm = compiler_llvm(toolchain)
        .with_context(|| format!("toolchain `{}` does not tell its LLVM", toolchain.name()))?;
    if !LLVM.contains(&llvm) {
        bail!(
            "{complaint}; bpf-linker {VERSION} knows LLVM {} to {}, and toolchain `{}` uses LLVM \
             {llvm}: install a bpf-linker that matches it by hand",
            LLVM.start(),
            LLVM.end(),
            toolchain.name()
        );
    }
    let prefix = llvm_prefix(toolchain, llvm)?;
    say(format_args!(
        "installing bpf-linker {VERSION} for LLVM {llvm} with cargo, about a minute ({complaint})"
    ));
    let feature = format!("llvm-{llvm}");
    run(cargo()
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force"])
        .args(["--no-default-features", "--features", &feature])
        .env("LLVM_PREFIX", prefix))
    .context("failed to install bpf-linker")
}

/// What is wrong with the bpf-linker that is there, if anything.
pub fn complaint(toolchain: BpfToolchain) -> Option<String> {
    let Some(linker) = find("bpf-linker") else {
        return Some("bpf-linker: there is none to link the kernel programs".to_owned());
    };
    if output(Command::new(&linker).arg("--version")).is_none() {
        return Some(format!("bpf-linker: {} does not start", linker.display()));
    }
    // One that is linked statically does not show its LLVM, and gets the benefit of the doubt.
    let own = output(Command::new("ldd").arg(&linker)).and_then(|libs| linked_llvm(&libs))?;
    let needed = compiler_llvm(toolchain)?;
    (own < needed).then(|| {
        format!(
            "bpf-linker: {} is built for LLVM {own} and cannot read what toolchain `{}` writes, LLVM {needed}",
            linker.display(),
            toolchain.name()
        )
    })
}

fn compiler_llvm(toolchain: BpfToolchain) -> Option<u32> {
    let version = output(rustup_run(toolchain.name(), "rustc").arg("--version").arg("--verbose"))?;
    major(version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?)
}

fn linked_llvm(libs: &str) -> Option<u32> {
    libs.lines().find_map(|line| major(line.trim().strip_prefix("libLLVM.so.")?))
}

fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The directory whose `lib` holds libLLVM.
fn llvm_prefix(toolchain: BpfToolchain, llvm: u32) -> Result<PathBuf> {
    let system = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    if toolchain == BpfToolchain::Linked {
        let packages = [format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")];
        if !system.join("lib/libLLVM.so").exists() {
            apt::install(&packages.each_ref().map(String::as_str), "bpf-linker is built on it")?;
        }
        return Ok(system);
    }
    if system.join("lib/libLLVM.so").exists() {
        return Ok(system);
    }
    nightly_llvm(toolchain)
}

/// nightly's own libLLVM, under the name that a linker looks for.
///
/// The links dangle when nightly is updated; bpf-linker then does not start, which
/// [`complaint`] notices, and is built anew.
fn nightly_llvm(toolchain: BpfToolchain) -> Result<PathBuf> {
    let sysroot = output(rustup_run(toolchain.name(), "rustc").args(["--print", "sysroot"]))
        .context("nightly's rustc does not tell its sysroot")?;
    let lib = Path::new(sysroot.trim()).join("lib");
    let library = fs::read_dir(&lib)
        .with_context(|| format!("failed to read {}", lib.display()))?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with("libLLVM.so."))
        .with_context(|| format!("no libLLVM.so.* in {}", lib.display()))?;
    let prefix = cargo_home().join("bpf-linker-llvm");
    let links = prefix.join("lib");
    if links.exists() {
        fs::remove_dir_all(&links)
            .with_context(|| format!("failed to remove {}", links.display()))?;
    }
    fs::create_dir_all(&links).with_context(|| format!("failed to create {}", links.display()))?;
    for name in ["libLLVM.so".into(), library.file_name()] {
        let link = links.join(name);
        std::os::unix::fs::symlink(library.path(), &link)
            .with_context(|| format!("failed to link {}", link.display()))?;
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_of_a_linker_is_read_from_its_libraries() {
        let libs = "\tlinux-vdso.so.1 (0x00007f41)\n\
                    \tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x00007f41)\n";
        assert_eq!(linked_llvm(libs), Some(22));
        assert_eq!(linked_llvm("\tlibc.so.6 => /lib/libc.so.6 (0x0)\n"), None);
    }

    #[test]
    fn major_versions() {
        assert_eq!(major("23.1-rust-1.101.0-nightly => /lib"), Some(23));
        assert_eq!(major("22.1.8"), Some(22));
        assert_eq!(major("unknown"), None);
    }
}
