//! Flags of `netlab doctor`.

use std::path::PathBuf;

use clap::Args;
use netlab::lab::LabName;

use super::DEFAULT_LAB;

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The Service to ask about, as NAME or NAMESPACE/NAME; or ADDRESS:PORT [default: all].
    #[arg(value_name = "SERVICE|ADDRESS:PORT")]
    pub subject: Option<String>,
    /// The lab.
    #[arg(long, value_name = "LAB", default_value = DEFAULT_LAB)]
    pub name: LabName,
    /// Look at this host and the namespaces in it, not at a lab.
    #[arg(long, conflicts_with = "name")]
    pub here: bool,
    /// Kubernetes objects of this host's cluster, as files or directories; repeatable.
    #[arg(short, long = "file", value_name = "FILE", requires = "here")]
    pub files: Vec<PathBuf>,
    /// Write what was observed into this file; - for stdout.
    #[arg(long, value_name = "FILE")]
    pub save_facts: PathBuf,
}
