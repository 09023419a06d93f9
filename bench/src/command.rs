//! The netlab command, run to its end, within a time.

use std::{
    io::Read,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

/// How long to wait between two looks at whether it has ended: little beside what is measured.
const POLL: Duration = Duration::from_millis(2);

/// What a run came to.
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
    /// From before its start until after its end.
    pub took: Duration,
}

/// Runs netlab with these words.
///
/// # Errors
///
/// It does not start, or has not ended after `limit`, when it is killed.
pub fn run(netlab: &Path, words: &[&str], limit: Duration) -> Result<Ran> {
    let line = format!("netlab {}", words.join(" "));
    let begun = Instant::now();
    let mut command = Command::new(netlab);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A Ctrl-C is for this process, which ends what it is at before it takes the lab down.
    let mut child = command.process_group(0).spawn();
    let child = child.as_mut().map_err(|error| anyhow!("cannot start {line}: {error}"))?;
    let stdout = child.stdout.take().map(read);
    let stderr = child.stderr.take().map(read);
    let status = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("cannot wait for {line}"))? {
            break status;
        }
        if begun.elapsed() > limit {
            end(child);
            bail!("{line}: has not ended after {} s", limit.as_secs());
        }
        thread::sleep(POLL);
    };
    let took = begun.elapsed();
    let text = |reader: Option<JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    let code = status.code().unwrap_or(-1);
    Ok(Ran { line, code, stdout: text(stdout), stderr: text(stderr), took })
}

/// The same for a run that has to succeed.
///
/// # Errors
///
/// As [`run`], and where it fails: with what it complained about.
pub fn succeed(netlab: &Path, words: &[&str], limit: Duration) -> Result<Ran> {
    let ran = run(netlab, words, limit)?;
    if ran.code != 0 {
        bail!("{}: {}", ran.line, ran.stderr.trim());
    }
    Ok(ran)
}

fn read(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is worth reading too.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Kills a child; neither call does anything to one that has ended.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(300);

    #[test]
    fn a_run_tells_its_code_and_both_streams() {
        let ran = run(Path::new("sh"), &["-c", "echo out; echo err >&2; exit 3"], SOON).unwrap();
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (3, "out\n", "err\n"));
        let failed = succeed(Path::new("sh"), &["-c", "echo why >&2; exit 3"], SOON).unwrap_err();
        assert!(failed.to_string().ends_with(": why"), "{failed}");
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let error = run(Path::new("sleep"), &["60"], SOON).unwrap_err().to_string();
        assert!(error.contains("has not ended"), "{error}");
        assert!(run(Path::new("/nonexistent"), &[], SOON).is_err());
    }
}
