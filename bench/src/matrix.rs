//! `netlab-bench doctor`: flags, and what is printed.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use netlab::lab::{
    LabName, Mode, Proxy,
    fault::{self, Fault},
};
use netlab_bench::doctor::{
    Cell,
    matrix::{self, Site},
    outcome::Outcome,
    plan::{Pairs, Plan, Wish},
    report,
};

/// How to hold the doctor against faults.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 all targets are met, 1 one is missed, 2 the measuring itself failed.")]
pub struct Args {
    /// The netlab binary
    #[arg(long, value_name = "FILE")]
    netlab: PathBuf,
    /// Pod networks
    #[arg(long, value_name = "MODE", value_delimiter = ',', default_value = "host-gw,vxlan",
          value_parser = mode)]
    modes: Vec<Mode>,
    /// Who answers node ports
    #[arg(long, value_name = "PROXY", value_delimiter = ',', default_value = "ebpf,nftables",
          value_parser = proxy)]
    proxies: Vec<Proxy>,
    /// Only these faults
    #[arg(long, value_name = "FAULT", value_delimiter = ',', value_parser = known)]
    faults: Vec<&'static Fault>,
    /// How often each fault in each lab
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    rounds: usize,
    /// How many pairs of faults over all labs, drawn; or all
    #[arg(long, value_name = "NUMBER|all", default_value = "40")]
    pairs: Pairs,
    /// How many runs in labs that are well, over all labs
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    healthy: usize,
    /// What nodes, pairs and the order are drawn by
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Name of the labs, one at a time
    #[arg(long, value_name = "LAB", default_value = "nlbench-doctor")]
    name: LabName,
    /// Keep what the doctor printed where it was wrong in this directory
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// Write the page with the table into this file too, if the matrix comes to its end
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Format
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// Markdown
    Table,
    /// Every trial
    Json,
}

/// Tries, and prints what came of it, also of what came before an error.
pub fn run(args: &Args) -> Result<ExitCode> {
    let wish = args.wish()?;
    let plan = Plan::draw(&wish);
    let site =
        Site { netlab: args.netlab.clone(), name: args.name.clone(), keep: args.keep.clone() };
    let conditions = report::conditions(&site.netlab)?;
    eprintln!("seed {}, {} diagnoses", wish.seed, plan.diagnoses());
    let mut outcome = Outcome::of(&wish, &plan);
    let ended = matrix::run(&plan, &site, &mut outcome, &mut |line| eprintln!("{line}"));
    match args.output {
        Output::Table => print!("{}", report::told(&outcome, &conditions)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&outcome)?),
    }
    ended?;
    if let Some(file) = &args.write {
        fs::write(file, report::page(&outcome, &conditions))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let met = outcome.targets().iter().all(|target| target.met);
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Args {
    fn wish(&self) -> Result<Wish> {
        if self.proxies.contains(&Proxy::None) {
            bail!("nobody answers node ports with the proxy none, so no fault would show");
        }
        let of_mode = |mode: &Mode| {
            let mode = *mode;
            self.proxies.iter().map(move |proxy| Cell { mode, proxy: *proxy })
        };
        let faults = if self.faults.is_empty() { fault::all() } else { self.faults.clone() };
        Ok(Wish {
            cells: self.modes.iter().flat_map(of_mode).collect(),
            faults,
            rounds: self.rounds,
            pairs: self.pairs,
            healthy: self.healthy,
            seed: self.seed,
        })
    }
}

fn mode(word: &str) -> Result<Mode, String> {
    one_of([Mode::HostGw, Mode::Vxlan], word)
}

fn proxy(word: &str) -> Result<Proxy, String> {
    one_of([Proxy::Ebpf, Proxy::Nftables, Proxy::Iptables, Proxy::None], word)
}

fn known(name: &str) -> Result<&'static Fault, String> {
    fault::find(name)
        .ok_or_else(|| "there is no such fault; netlab lab fault list names all".to_owned())
}

fn one_of<T: ToString, const N: usize>(all: [T; N], word: &str) -> Result<T, String> {
    let names = all.each_ref().map(ToString::to_string).join(", ");
    all.into_iter().find(|one| one.to_string() == word).ok_or_else(|| format!("one of {names}"))
}
