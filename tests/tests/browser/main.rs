//! The report of a comparison in a real browser: on a desk, on a phone and on paper.

#![expect(clippy::unwrap_used, reason = "what a test calls may panic as the test may")]

mod chromium;
mod command;
mod fixture;
mod plots;
mod words;
