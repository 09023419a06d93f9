//! Capture files, beside tcpdump and Wireshark's tools: what they write can be read, what is
//! written they read without complaint, and series of files are called what tcpdump calls
//! them.

#![expect(clippy::unwrap_used, reason = "what a test calls may panic as the test may")]

mod losses;
mod read;
mod rotation;
mod semantics;
mod tools;
mod written;
