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

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, bail};
use netlab::capture::{
    LinkType,
    file::{Reader, STANDARD_STREAM},
    filter::Listing,
};

use self::cluster::Cluster;
use super::{Outcome, output::print};
use crate::cli::CaptureArgs;

/// Captures, or reads a capture.
///
/// # Errors
///
/// A filter that is none; a place that is not there; a kernel that refuses; a damaged file.
pub fn run(args: &CaptureArgs, color: bool) -> anyhow::Result<Outcome> {
    if let Some(refused) = &args.tcpdump.refused {
        bail!(refused.clone());
    }
    if let Some(text) = args.tcpdump.prints {
        return print(text);
    }
    if is_stream(args) && io::stdout().is_terminal() {
        bail!(
            "-w -: a capture file cannot be shown on a terminal; send it on, as in \
             netlab capture -w - | tshark -r -"
        );
    }
    if args.choice.dump > 0 {
        return dump(args);
    }
    if args.place.list {
        return place::list(args);
    }
    match &args.file.read {
        Some(file) => read::run(args, file, color),
        None => runtime()?.block_on(live::run(args, color)),
    }
}

/// Whether packets are to be written to standard output.
fn is_stream(args: &CaptureArgs) -> bool {
    args.file.write.as_ref().is_some_and(|path| path.as_os_str() == STANDARD_STREAM)
}

/// Shows what the filter is compiled to, for the packets that it is meant for.
fn dump(args: &CaptureArgs) -> anyhow::Result<Outcome> {
    let link = match &args.file.read {
        Some(file) => Reader::open(file)?.link(),
        None => None,
    };
    let cluster = Cluster::of(args)?;
    let link = link.unwrap_or(LinkType::ETHERNET);
    let filter = expression::filter(args, cluster.as_ref(), link)?;
    let form = match args.choice.dump {
        1 => return print(&format!("{}\n", filter.to_string().trim_end())),
        2 => Listing::C,
        _ => Listing::Decimal,
    };
    let listing = filter.listing(form).context(
        "-dd and -ddd: with `vxlan`, --inner or --service a filter is several programs; \
         -d shows them all",
    )?;
    print(&listing)
}

/// One thread: packets come one after another.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")
}
