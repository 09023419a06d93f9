//! Running a program in the calling thread's namespace: bounded in time and in what it says.

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt as _, process::Command, time};

/// nft needs a second and more for the rules of some thousand Services.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rules of ten thousand Services take a quarter of this.
const MOST: u64 = 128 << 20;

/// Where programs are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    directories: Vec<PathBuf>,
}

impl Programs {
    /// Where they usually are: in the PATH, and where they are for root.
    #[must_use]
    pub fn installed() -> Self {
        Self { directories: crate::proxy::program_directories() }
    }

    /// In these directories and nowhere else.
    #[must_use]
    pub fn in_directories(directories: Vec<PathBuf>) -> Self {
        Self { directories }
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        self.directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())
    }

    /// What a program prints.
    ///
    /// # Errors
    ///
    /// Why it prints nothing, in words that stand behind a colon.
    pub(super) async fn run(&self, name: &str, args: &[&str]) -> Result<String, String> {
        let Some(path) = self.find(name) else { return Err(format!("{name} is not installed")) };
        let mut command = Command::new(path);
        command.args(args).env("LC_ALL", "C").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match time::timeout(PATIENCE, output(&mut command)).await {
            Ok(Ok(outcome)) => outcome.map_err(|complaint| format!("{name} says {complaint:?}")),
            Ok(Err(error)) => Err(format!("{name} cannot be run: {error}")),
            Err(_) => Err(format!("{name} did not finish within {} s", PATIENCE.as_secs())),
        }
    }
}

/// What it prints, or what it complains about.
async fn output(command: &mut Command) -> io::Result<Result<String, String>> {
    let mut child = command.spawn()?;
    let (mut printed, mut complaint) = (Vec::new(), Vec::new());
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let print = async {
        match stdout {
            Some(stdout) => stdout.take(MOST).read_to_end(&mut printed).await,
            None => Ok(0),
        }
    };
    let complain = async {
        match stderr {
            Some(stderr) => stderr.take(4096).read_to_end(&mut complaint).await,
            None => Ok(0),
        }
    };
    tokio::try_join!(print, complain)?;
    if u64::try_from(printed.len()).is_ok_and(|length| length >= MOST) {
        return Ok(Err(format!("more than {} MiB", MOST >> 20)));
    }
    let status = child.wait().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if status.success() {
        return Ok(Ok(text(printed)));
    }
    let complaint = text(complaint);
    let first = complaint.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(Err(first.map_or_else(|| status.to_string(), str::to_owned)))
}
