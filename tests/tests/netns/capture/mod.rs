//! `netlab capture`, live: what it sees of real traffic, and what it leaves behind.

mod command;
mod drops;
mod every_hook;
mod files;
mod filters;
mod hooks;
mod interfaces;
mod journeys;
mod lifetime;
mod lines;
mod loss;
mod printed;
mod wire;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command},
};

use netlab::spec::model::Protocol;
use netlab_tests::{
    lab::{Lab, NODES, WEB},
    poll::until,
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

/// tcpdump, once it listens.
fn listens(mut tcpdump: Child) -> Child {
    let mut stderr = BufReader::new(tcpdump.stderr.take().unwrap());
    let mut line = String::new();
    until("tcpdump", || {
        line.clear();
        stderr.read_line(&mut line).unwrap();
        line.contains("listening on").then_some(())
    });
    tcpdump.stderr = Some(stderr.into_inner());
    tcpdump
}
