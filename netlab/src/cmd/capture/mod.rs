//! `netlab capture`.
//!
//! What was typed becomes a filter ([`expression`]), places ([`place`]) and outputs
//! ([`output`]); packets then come from the kernel ([`live`]) or from a file ([`read`]).

mod archive;
mod cluster;
mod expression;
mod follow;
mod live;
mod output;
mod place;
mod read;
mod remark;
mod signals;
mod sink;

use anyhow::Context as _;
use netlab::capture::LinkType;

use super::{Outcome, output::print};
use crate::cli::CaptureArgs;

/// Captures, or reads a capture.
///
/// # Errors
///
/// A filter that is none; a place that is not there; a kernel that refuses; a damaged file.
pub fn run(args: &CaptureArgs, color: bool) -> anyhow::Result<Outcome> {
    if args.choice.dump {
        let filter = expression::filter(args, LinkType::ETHERNET)?;
        return print(&format!("{}\n", filter.to_string().trim_end()));
    }
    if args.place.list {
        return place::list(args);
    }
    match &args.file.read {
        Some(file) => read::run(args, file, color),
        None => runtime()?.block_on(live::run(args, color)),
    }
}

/// One thread: packets come one after another.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")
}
