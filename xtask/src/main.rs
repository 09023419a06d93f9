//! Set-up, build, tests, demo and checks of netlab: one file a verb.

fn main() {}
