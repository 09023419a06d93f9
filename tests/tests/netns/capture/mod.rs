//! `netlab capture`, live: what it sees of real traffic, and what it leaves behind.

mod command;
mod drops;
mod files;
mod filters;
mod hooks;
mod interfaces;
mod journeys;
mod lifetime;
mod loss;
mod wire;

use std::process::Command;

use netlab::spec::model::Protocol;
use netlab_tests::{
    lab::{Lab, NODES, WEB},
    privilege::skip,
};

/// Whether a tool is installed. Where not, says so.
fn have(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        skip(&format!("{tool} is not installed"));
    }
    found
}

/// Dials of the TCP service at node-1; all have to be answered.
fn dial(lab: &Lab, count: usize) {
    let _ = lab.dials(Protocol::Tcp, (NODES[0].1, WEB), 64, count);
}
