//! Running programs: as the user, and as root with a word about why.

use std::{
    ffi::OsStr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Says what happens next, apart from the output of the programs that do it.
pub fn say(words: impl std::fmt::Display) {
    eprintln!("==> {words}");
}

/// Runs a program to its end and hands back how it ended.
///
/// # Errors
///
/// The program cannot be started.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().with_context(|| format!("failed to start: {}", render(command)))
}

/// The exit code of a program that has ended: its own, or a failure's after a signal.
pub fn code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Runs a program that has to succeed.
///
/// # Errors
///
/// The program cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("{status}: {}", render(command));
    }
    Ok(())
}

/// The standard output of a program that succeeds; `None` if it does not, or is not there.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The cargo that runs this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A program of a rustup toolchain, whatever toolchain and cargo this program runs under.
pub fn rustup_run(toolchain: &str, program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, program]).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    command
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A command that runs as root, announced with its reason when that takes sudo.
///
/// # Errors
///
/// Not root, and there is no sudo.
pub fn as_root(program: impl AsRef<OsStr>, args: &[&str], why: &str) -> Result<Command> {
    let command = as_root_announced(program, args).context(why.to_owned())?;
    if !is_root() {
        say(format_args!("{}  ({why})", render(&command)));
    }
    Ok(command)
}

/// A command that runs as root, for a reason that was given before.
///
/// # Errors
///
/// As [`as_root`].
pub fn as_root_announced(program: impl AsRef<OsStr>, args: &[&str]) -> Result<Command> {
    let mut plain = Command::new(&program);
    plain.args(args);
    if is_root() {
        return Ok(plain);
    }
    if find("sudo").is_none() {
        bail!("this needs root, and sudo is not installed; run as root: {}", render(&plain));
    }
    let mut command = Command::new("sudo");
    // The tests' and the agent's settings (NETLAB_*, RUST_*) travel along.
    command.arg("--preserve-env").arg(program).args(args);
    Ok(command)
}

/// Looks for a program where users, root and cargo keep theirs.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let dirs = std::env::split_paths(&path).chain(extra).chain([cargo_home().join("bin")]);
    let dirs = std::env::join_paths(dirs).ok()?;
    which::which_in(program, Some(dirs), "/").ok()
}

/// Where cargo keeps what it installs.
pub fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    )
}

/// The top of the work tree.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A command as a person would type it.
pub fn render(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if word.is_empty() || word.contains([' ', '"', '\'', '$']) {
                format!("'{}'", word.replace('\'', r"'\''"))
            } else {
                word.into_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_commands_can_be_pasted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'a'", ""]);
        assert_eq!(render(&command), r"sh -c 'echo '\''a'\''' ''");
    }

    #[test]
    fn missing_programs_have_no_output() {
        assert_eq!(output(&mut Command::new("/nonexistent")), None);
        assert_eq!(output(&mut Command::new("false")), None);
    }
}
