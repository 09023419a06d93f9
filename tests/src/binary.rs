//! The netlab command, run as a person would.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::privilege::skip;

/// What a run of the command came to.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What was typed.
    pub line: String,
    /// Exit status; -1 after a signal.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ran {
    fn new(args: &[impl AsRef<OsStr>], output: &Output) -> Self {
        let words: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
        Self {
            line: format!("netlab {}", words.join(" ")),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Itself, if it exited with `code`.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// What it printed, as JSON.
    ///
    /// # Panics
    ///
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", self.line, self.stdout))
    }
}

/// Runs netlab with these arguments.
///
/// # Panics
///
/// If it cannot be started.
pub fn netlab(args: &[impl AsRef<OsStr>]) -> Ran {
    let output = Command::new(path()).args(args).output().expect("netlab starts");
    Ran::new(args, &output)
}

/// Runs netlab with these arguments as if these programs were not installed. None, with a word
/// why, where unshare(1) is not.
#[must_use]
pub fn netlab_without(programs: &[&str], args: &[impl AsRef<OsStr>]) -> Option<Ran> {
    // Whatever /dev/null lies over is no program any more, in this mount namespace.
    let hide = programs.iter().map(|program| {
        format!("for p in $(type -ap {program}); do mount --bind /dev/null $p; done; ")
    });
    let script = hide.collect::<String>() + "exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", &script]).arg(path()).args(args);
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        skip("unshare(1) is not installed");
        return None;
    };
    Some(Ran::new(args, &output))
}

/// The command: what `NETLAB_BIN` names, or the one that cargo builds beside the tests.
/// Cargo is asked to build it each time, so that an old one is not tested; not under sudo,
/// where it would leave files of root's, and where one that is there is taken as it is.
///
/// # Panics
///
/// If it cannot be built.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = env::var_os("NETLAB_BIN") {
            return path.into();
        }
        // target/debug/deps/netns-0123456789abcdef
        let test = env::current_exe().expect("a test has a file");
        let profile = test.ancestors().nth(2).expect("it lies in deps");
        let binary = profile.join("netlab");
        if !binary.exists() || env::var_os("SUDO_UID").is_none() {
            build(profile);
        }
        binary
    })
}

fn build(profile: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--package", "netlab"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(profile.parent().expect("target has the profile"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "cargo build --package netlab: {status}");
}
