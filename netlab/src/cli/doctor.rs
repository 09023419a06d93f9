//! Flags of `netlab doctor`.

use std::path::PathBuf;

use clap::Args;
use netlab::{doctor::finding::Code, lab::LabName};

/// Shown after the help.
pub const EXAMPLES: &str = "\
Examples:
  netlab doctor                              all node ports of the lab
  netlab doctor web                          one Service
  netlab doctor 172.18.0.2:30080             one address and port
  netlab doctor --no-probe                   send nothing: judge what is there
  netlab doctor web --paths                  every packet's expected path, from end to end
  netlab doctor --fix                        mend what it finds, asking before each command
  netlab doctor --dry-run                    print these commands, and run none
  netlab doctor --passive=30                 send nothing: watch what others dial for 30 s
  netlab doctor web -o json | jq '.findings[0]'
  netlab doctor 10.0.0.5:30080 --here        this host, not a lab
  netlab doctor --here -f objects.yaml       the same, with what should be
  netlab doctor --here --kubernetes          the same, with the objects of its cluster
  netlab doctor --save-facts facts.json      to be judged elsewhere,
  netlab doctor --facts facts.json           without privilege
  netlab doctor --explain                    all that it can find
  netlab doctor --explain forward-dropped    what one means, and how it is mended
Exit status: 0 all is well, 1 findings, 2 the doctor itself failed, or does not know.";

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The Service to ask about, as NAME or NAMESPACE/NAME; or ADDRESS:PORT [default: all].
    #[arg(value_name = "SERVICE|ADDRESS:PORT")]
    pub subject: Option<String>,
    /// The lab [default: lab; this host where there is no lab at all].
    #[arg(long, value_name = "LAB")]
    pub name: Option<LabName>,
    /// Look at this host and the namespaces in it, not at a lab.
    #[arg(long, conflicts_with = "name")]
    pub here: bool,
    /// Kubernetes objects of this host's cluster, as files or directories; repeatable.
    #[arg(short, long = "file", value_name = "FILE", requires = "here")]
    pub files: Vec<PathBuf>,
    /// Ask the API server of this host's cluster for the objects, with kubectl.
    #[arg(long, requires = "here")]
    pub kubernetes: bool,
    /// Send no probes.
    #[arg(long)]
    pub no_probe: bool,
    /// Send no probes, but watch what others dial, for so long.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10",
        value_parser = clap::value_parser!(u32).range(1..=3600),
        conflicts_with_all = ["no_probe", "facts", "save_facts"]
    )]
    pub passive: Option<u32>,
    /// Write what was observed into this file and judge nothing; - for stdout.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["facts", "no_probe"])]
    pub save_facts: Option<PathBuf>,
    /// Judge facts of this file; nothing is looked at, and nothing sent.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subject", "name", "here", "files", "kubernetes"])]
    pub facts: Option<PathBuf>,
    /// Show the expected path of every connection, not of one for the verdict.
    #[arg(short = 'v', long, conflicts_with_all = ["save_facts", "fix"])]
    pub paths: bool,
    /// Mend: show the command of each finding, ask, run it, and look whether that has helped.
    #[arg(long, conflicts_with_all = ["facts", "save_facts", "no_probe", "passive", "output"])]
    pub fix: bool,
    /// With --fix: do not ask. What is merely possible is left alone.
    #[arg(short, long, requires = "fix", conflicts_with = "dry_run")]
    pub yes: bool,
    /// Print the commands that --fix would run, one a line, and change nothing.
    #[arg(long, conflicts_with_all = ["save_facts", "passive", "output"])]
    pub dry_run: bool,
    /// Say what a finding means, how the doctor knows, and how it is mended; without a code, list
    /// all.
    #[arg(long, value_name = "CODE", num_args = 0..=1, exclusive = true)]
    pub explain: Option<Option<Code>>,
    /// Format.
    #[arg(short, long, default_value = "table")]
    pub output: super::Output,
}
