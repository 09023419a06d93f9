//! What can be typed after `netlab lab fault`.

use clap::{Args, Subcommand};

use super::{NameArgs, Output};

/// Verbs of `netlab lab fault`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the faults: what each imitates, where it shows, and whether it is injected.
    #[command(after_help = "\
Examples:
  netlab lab fault list
  netlab lab fault list -o json | jq '.faults[] | select(.injected != null)'")]
    List(ListArgs),
    /// Break the lab in one way, as it happens in the field.
    #[command(after_help = "\
Examples:
  netlab lab fault inject fdb-wrong-vtep --node node-1
  netlab lab fault inject listen-loopback --pod web-3
  netlab lab fault inject no-endpoints --service dns --name second
  netlab lab fault inject rp-filter-strict --dry-run")]
    Inject(InjectArgs),
    /// Undo a fault, or all of them.
    #[command(after_help = "\
Examples:
  netlab lab fault clear
  netlab lab fault clear fdb-wrong-vtep")]
    Clear(ClearArgs),
}

/// Flags of `lab fault list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
    /// Format.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
}

/// Flags of `lab fault inject`.
#[derive(Debug, Args)]
pub struct InjectArgs {
    /// The fault, as `netlab lab fault list` names it.
    #[arg(value_name = "FAULT")]
    pub fault: String,
    /// The node that is broken [default: the first, or the pod's].
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// The pod that is broken [default: the Service's first on the node].
    #[arg(long, value_name = "POD")]
    pub pod: Option<String>,
    /// The Service that is broken [default: the first with a node port, TCP before UDP].
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// Only print what would be done.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
}

/// Flags of `lab fault clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// The fault [default: all].
    #[arg(value_name = "FAULT")]
    pub fault: Option<String>,
    #[command(flatten)]
    /// Which lab.
    pub name: NameArgs,
}
