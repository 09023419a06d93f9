//! The main job, shown: a NodePort answered through eBPF, over host-gw and over VXLAN.
//!
//! Whatever happens, also on Ctrl-C, the lab is taken down at the end.

mod interrupt;

use std::{
    net::Ipv4Addr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use interrupt::Interrupt;

use crate::{
    build,
    process::{as_root_announced, is_root, render, run as execute, say},
};

/// The lab's own name, so that a lab of the user's stays as it is.
const LAB: &str = "demo";

const MODES: [&str; 2] = ["host-gw", "vxlan"];

/// The nodes and node ports of the built-in manifest.
const NODES: [(&str, Ipv4Addr); 2] =
    [("node-1", Ipv4Addr::new(172, 18, 0, 2)), ("node-2", Ipv4Addr::new(172, 18, 0, 3))];
const NODE_PORTS: [(&str, u16); 2] = [("tcp", 30080), ("udp", 30053)];

/// Connections to each node port: enough for every backend to have its turn.
const DIALS: &str = "8";

/// `cargo xtask demo`
///
/// # Errors
///
/// Something is missing, the lab does not come up, or a node port does not answer.
pub fn run() -> Result<ExitCode> {
    let netlab = build::release()?;
    if !is_root() {
        say("netlab runs through sudo: network namespaces and eBPF programs need root");
    }
    let interrupt = Interrupt::catch()?;
    let started = std::time::Instant::now();
    for mode in MODES {
        demonstrate(&netlab, mode, &interrupt)
            .with_context(|| format!("{mode}: the demo failed"))?;
    }
    heading("All node ports answered, in both pod networks.");
    println!("{} s, and nothing is left behind. What to try next:\n", started.elapsed().as_secs());
    println!("{}", next_steps(&netlab));
    Ok(ExitCode::SUCCESS)
}

fn demonstrate(netlab: &Path, mode: &str, interrupt: &Interrupt) -> Result<()> {
    let lab = Lab { netlab, interrupt };
    // What an earlier demo left when it was killed may be of the other mode.
    lab.down()?;
    let shown = lab.show(mode);
    let gone = lab.down();
    shown?;
    gone
}

/// The demo's lab, by way of the netlab command.
struct Lab<'a> {
    netlab: &'a Path,
    interrupt: &'a Interrupt,
}

impl Lab<'_> {
    fn show(&self, mode: &str) -> Result<()> {
        heading(format_args!("{mode}: a client, two nodes and their pods"));
        self.step(&["lab", "up", "--name", LAB, "--mode", mode])?;
        self.step(&["lab", "status", "--name", LAB])?;

        heading(format_args!("{mode}: the client dials each node port of each node"));
        let mut silent = Vec::new();
        for (node, address) in NODES {
            for (protocol, port) in NODE_PORTS {
                if let Err(error) = self.dial(protocol, address, port) {
                    self.interrupt.check()?;
                    eprintln!("{error:#}");
                    silent.push(format!("{protocol} {address}:{port} ({node})"));
                }
            }
        }

        heading(format_args!("{mode}: how the nodes translated it"));
        for (node, _) in NODES {
            self.step(&["show", "conntrack", "--name", LAB, "--node", node])?;
            self.step(&["show", "counters", "--name", LAB, "--node", node])?;
        }
        if !silent.is_empty() {
            bail!("not every connection was answered: {}", silent.join(", "));
        }
        Ok(())
    }

    fn dial(&self, protocol: &str, address: Ipv4Addr, port: u16) -> Result<()> {
        let netlab = self.netlab.to_str().context("the path to netlab is not UTF-8")?;
        let frontend = format!("{address}:{port}");
        let dial = [netlab, "dial", protocol, &frontend, "--count", DIALS];
        self.step(&[&["lab", "exec", "--name", LAB, "client", "--"], &dial[..]].concat())
    }

    /// Runs netlab as the user would, with the command above its output.
    fn step(&self, args: &[&str]) -> Result<()> {
        self.interrupt.check()?;
        println!("\n$ netlab {}", render_short(self.netlab, args));
        let outcome = execute(&mut as_root_announced(self.netlab, args)?);
        self.interrupt.check()?;
        outcome
    }

    fn down(&self) -> Result<()> {
        let mut command = as_root_announced(self.netlab, &["lab", "down", "--name", LAB])?;
        if is_root() {
            // Out of reach of the terminal's Ctrl-C; sudo, though, may have to ask there.
            command.process_group(0);
        }
        execute(&mut command).context("the lab could not be taken down")
    }
}

fn heading(words: impl std::fmt::Display) {
    println!("\n=== {words}");
}

/// The arguments as typed by someone with netlab on the PATH.
fn render_short(netlab: &Path, args: &[&str]) -> String {
    let mut command = Command::new("netlab");
    command.args(args.iter().map(|&word| if Path::new(word) == netlab { "netlab" } else { word }));
    render(&command).replacen("netlab ", "", 1)
}

fn next_steps(netlab: &Path) -> String {
    let netlab = current_relative(netlab);
    let netlab = netlab.display();
    let sudo = if is_root() { "" } else { "sudo " };
    let dial = format!("lab exec client -- {netlab} dial tcp 172.18.0.2:30080");
    [
        ("stand up a lab of your own, called `lab`", "lab up --mode vxlan"),
        ("look at it", "lab status"),
        ("dial a node port from the client", &dial),
        ("see the translation", "show conntrack --node node-1"),
        ("get its manifest, to edit and pass to `lab up -f`", "lab manifest"),
        ("take it down", "lab down"),
    ]
    .map(|(what, command)| format!("  # {what}\n  {sudo}{netlab} {command}"))
    .join("\n")
}

fn current_relative(path: &Path) -> PathBuf {
    std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf))
        .unwrap_or_else(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_without_the_path_to_netlab() {
        let netlab = Path::new("/x/netlab");
        let shown = render_short(netlab, &["lab", "exec", "client", "--", "/x/netlab", "dial"]);
        assert_eq!(shown, "lab exec client -- netlab dial");
    }
}
