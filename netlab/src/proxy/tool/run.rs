//! Running a program in a namespace, and what it complains about.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{Error, Result};
use crate::netlink::Netns;

/// Where such programs are for root, whatever the PATH says.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Where programs are looked for, in this order.
pub(crate) fn directories() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(SYSTEM.map(PathBuf::from)).collect()
}

/// A program that is installed.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
}

impl Program {
    /// None where it is not installed.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let mut candidates = directories().into_iter().map(|directory| directory.join(name));
        candidates.find(|path| path.is_file()).map(|path| Self { path })
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it, and returns what it printed.
    pub(crate) async fn run(&self, netns: &Netns, args: &[&str], input: &str) -> Result<String> {
        let program = self.name();
        let failed = |source| Error::Run { program: program.clone(), source };
        let mut command = netns.command(&self.path);
        command.args(args).env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Whoever does not wait any longer does not want it either.
        let mut child = Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let write = async {
            let Some(mut stdin) = stdin else { return };
            // One that has ended before it read everything says why itself.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output.map_err(failed)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let complaint = complaint(&String::from_utf8_lossy(&output.stderr), input);
        let complaint = if complaint.is_empty() { output.status.to_string() } else { complaint };
        Err(Error::Refused { program, complaint })
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        Path::new(name).display().to_string()
    }
}

/// The first complaint in one line, with the rule that it is about. nft quotes it below, and
/// the iptables programs give the number of its line, or name it.
fn complaint(stderr: &str, input: &str) -> String {
    let mut lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(mut first) = lines.next() else { return String::new() };
    if let Some((_, what)) = first.split_once("Error: ") {
        let rule = lines.next().unwrap_or_default();
        return format!("{what}: {rule}");
    }
    // `Warning: ...` says nothing about this rule.
    if first.starts_with('#') || first.starts_with("Warning") {
        first = lines.next().unwrap_or(first);
    }
    let number = stderr.lines().find_map(line_number);
    let rule = number.and_then(|number| input.lines().nth(number.checked_sub(1)?));
    match rule {
        Some(rule) => format!("{first}: {rule}"),
        None => first.to_owned(),
    }
}

/// `iptables-restore: line 7 failed`, `Error occurred at line: 7`.
fn line_number(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("line")?;
    let digits: String =
        rest.trim_start_matches([':', ' ']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_the_rule() {
        let nft = "/dev/stdin:12:13-35: Error: Could not process rule: Operation not supported\n\
                   add rule ip t c masquerade fully-random\n            ^^^^^^^^^^^\n";
        assert_eq!(
            complaint(nft, ""),
            "Could not process rule: Operation not supported: \
             add rule ip t c masquerade fully-random"
        );
        let input = "*nat\n:KUBE-X - [0:0]\n-A KUBE-X -m recent --name X --set\nCOMMIT\n";
        let legacy = "iptables-restore v1.8.9 (legacy): Couldn't load match `recent':No such file\n\n\
                      Error occurred at line: 3\n";
        assert_eq!(
            complaint(legacy, input),
            "iptables-restore v1.8.9 (legacy): Couldn't load match `recent':No such file: \
             -A KUBE-X -m recent --name X --set"
        );
        let restore = "iptables-restore: line 4 failed\n";
        assert_eq!(complaint(restore, input), "iptables-restore: line 4 failed: COMMIT");
        assert_eq!(complaint("", input), "");
    }
}
