//! A directory of manifests, followed with inotify.
//!
//! Law: the watch is set before the first reading, so no change is missed; a burst of
//! changes is read once, when it has been quiet for `QUIET` or has lasted for
//! `LIMIT`; nothing is emitted twice.
//!
//! # Errors
//!
//! The stream ends with a [`SourceError`] when the directory can no longer be followed.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchMask};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::Update;
use crate::spec::{
    Spec, SpecError,
    parse::{is_manifest, read_directory},
};

/// A burst is over after this long without a change.
const QUIET: Duration = Duration::from_millis(10);
/// A burst is read at the latest after this long, even if it goes on.
const LIMIT: Duration = Duration::from_millis(50);
/// Room for some hundred events with names; the kernel keeps those that do not fit.
const BUFFER: usize = 16 * 1024;

/// Why a directory cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The directory cannot be watched, or not read.
    #[error("{}: cannot be watched: {cause}", directory.display())]
    Watch {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The directory has been deleted, moved away or unmounted.
    #[error("{}: the directory of manifests is gone", directory.display())]
    Gone {
        /// The directory.
        directory: PathBuf,
    },
}

/// Specs from the `*.yaml`, `*.yml` and `*.json` files directly in a directory. Files
/// of editors (hidden, backup and swap files) do not count.
pub struct Directory {
    path: PathBuf,
    events: EventStream<Vec<u8>>,
    pending: Pending,
    /// Under way, also while nobody waits for it: begun anew by every call, it would never end
    /// where manifests take longer to read than the caller waits.
    reading: Option<JoinHandle<Result<Spec, SpecError>>>,
    emitted: Emitted,
}

/// Changes that have not been read yet.
#[derive(Clone, Copy)]
enum Pending {
    /// Everything: the directory has never been read.
    All,
    Nothing,
    Since(Instant),
}

/// What the consumer knows, so that nothing is told twice.
#[derive(PartialEq)]
enum Emitted {
    Nothing,
    Spec(String),
    Broken(String),
}

impl Directory {
    /// Starts to watch. Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// The path is no directory, or inotify is out of watches or instances.
    pub fn watch(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let path = path.into();
        let events = event_stream(&path)
            .map_err(|cause| SourceError::Watch { directory: path.clone(), cause })?;
        Ok(Self { path, events, pending: Pending::All, reading: None, emitted: Emitted::Nothing })
    }

    /// The next state of the directory: the present one at once, then each that differs
    /// from the one before. Safe to cancel: what was about to be told is told next time.
    ///
    /// # Errors
    ///
    /// The directory is gone, or inotify failed. Nothing more will come.
    pub async fn next(&mut self) -> Result<Update, SourceError> {
        loop {
            if self.reading.is_none() {
                self.settle().await?;
                // What changes from here on may not be in what is read.
                self.pending = Pending::Nothing;
            }
            let path = self.path.clone();
            let read = self.reading.get_or_insert_with(|| {
                tokio::task::spawn_blocking(move || read_directory(&path)?.resolve())
            });
            let result = read.await;
            self.reading = None;
            let result = result.map_err(|error| self.failed(io::Error::other(error)))?;
            if !self.path.is_dir() {
                return Err(self.gone());
            }
            if let Some(update) = self.news(result) {
                return Ok(update);
            }
        }
    }

    /// Waits for a change, and for its burst to end.
    async fn settle(&mut self) -> Result<(), SourceError> {
        loop {
            let event = match self.pending {
                Pending::All => return Ok(()),
                Pending::Nothing => self.events.next().await,
                // Events without end are always ready, and would outrun the timeout.
                Pending::Since(first) if first.elapsed() >= LIMIT => return Ok(()),
                Pending::Since(first) => {
                    let deadline = (Instant::now() + QUIET).min(first + LIMIT);
                    match timeout_at(deadline, self.events.next()).await {
                        Ok(event) => event,
                        Err(_elapsed) => return Ok(()),
                    }
                }
            };
            let event = event
                .unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
                .map_err(|error| self.failed(error))?;
            match effect(&self.path, &event) {
                Effect::None => {}
                Effect::Gone => return Err(self.gone()),
                Effect::Changed => {
                    if let Pending::Nothing = self.pending {
                        self.pending = Pending::Since(Instant::now());
                    }
                }
            }
        }
    }

    /// The update to emit, if the consumer does not know it yet.
    fn news(&mut self, result: Result<Spec, SpecError>) -> Option<Update> {
        let emitted = match &result {
            Ok(spec) => Emitted::Spec(spec.digest()),
            Err(error) => Emitted::Broken(error.to_string()),
        };
        if emitted == self.emitted {
            return None;
        }
        self.emitted = emitted;
        Some(match result {
            Ok(spec) => Update::Spec(spec),
            Err(error) => Update::Broken(error),
        })
    }

    fn failed(&self, cause: io::Error) -> SourceError {
        SourceError::Watch { directory: self.path.clone(), cause }
    }

    fn gone(&self) -> SourceError {
        SourceError::Gone { directory: self.path.clone() }
    }
}

fn event_stream(path: &Path) -> io::Result<EventStream<Vec<u8>>> {
    let inotify = Inotify::init()?;
    inotify.watches().add(
        path,
        WatchMask::CLOSE_WRITE
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR,
    )?;
    inotify.into_event_stream(vec![0; BUFFER])
}

enum Effect {
    None,
    Changed,
    Gone,
}

fn effect(directory: &Path, event: &EventOwned) -> Effect {
    let lost =
        EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT | EventMask::IGNORED;
    if event.mask.intersects(lost) {
        return Effect::Gone;
    }
    if event.mask.contains(EventMask::Q_OVERFLOW) {
        return Effect::Changed;
    }
    let Some(name) = &event.name else { return Effect::None };
    // A mounted ConfigMap changes all its files by renaming this one symbolic link.
    if !is_manifest(Path::new(name)) && name != OsStr::new("..data") {
        return Effect::None;
    }
    // A new file is not written yet, its CLOSE_WRITE will come; a new link is complete.
    if event.mask.contains(EventMask::CREATE) && !is_link(&directory.join(name)) {
        return Effect::None;
    }
    Effect::Changed
}

fn is_link(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink() || metadata.nlink() > 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// What a change may take until it is told; the agent's whole budget is 100 ms, and
    /// a loaded test machine needs more.
    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_initial_state_comes_at_once_and_each_change_after_it() {
        let (directory, mut source) = watched();
        assert!(spec(&mut source).await.nodes.is_empty());
        write(&directory, "nodes.yaml", &node("a", 2));
        assert_eq!(spec(&mut source).await.nodes[0].name, "a");
        write(&directory, "more.yaml", &node("b", 3));
        assert_eq!(spec(&mut source).await.nodes.len(), 2);
        fs::remove_file(directory.path().join("nodes.yaml")).unwrap();
        assert_eq!(spec(&mut source).await.nodes[0].name, "b");
    }

    #[tokio::test]
    async fn a_file_replaced_by_rename_is_a_change() {
        let (directory, mut source) = watched();
        write(&directory, "nodes.yaml", &node("a", 2));
        assert_eq!(spec(&mut source).await.nodes.len(), 1);
        write(&directory, ".nodes.yaml.new", &node("b", 2));
        fs::rename(directory.path().join(".nodes.yaml.new"), directory.path().join("nodes.yaml"))
            .unwrap();
        assert_eq!(spec(&mut source).await.nodes[0].name, "b");
    }

    #[tokio::test]
    async fn a_broken_file_is_told_once_and_so_is_its_mending() {
        let (directory, mut source) = watched();
        write(&directory, "nodes.yaml", &node("a", 2));
        let good = spec(&mut source).await;
        write(&directory, "nodes.yaml", "kind: [");
        let Update::Broken(error) = next(&mut source).await else { panic!("not broken") };
        assert!(error.to_string().contains("nodes.yaml: line "), "{error}");
        write(&directory, "nodes.yaml", "kind: [");
        silent(&mut source).await;
        write(&directory, "nodes.yaml", &node("a", 2));
        assert_eq!(spec(&mut source).await, good);
    }

    #[tokio::test]
    async fn a_caller_that_asks_again_and_again_gets_what_takes_long_to_read() {
        let (directory, mut source) = watched();
        let nodes: Vec<_> = (0..200).map(|n| node(&format!("n{n}"), n)).collect();
        write(&directory, "nodes.yaml", &nodes.join("\n---\n"));
        let deadline = Instant::now() + DEADLINE;
        let update = loop {
            assert!(Instant::now() < deadline, "the reading begins anew each time");
            let moment = Instant::now() + Duration::from_millis(1);
            if let Ok(update) = timeout_at(moment, source.next()).await {
                break update.unwrap();
            }
        };
        let Update::Spec(spec) = update else { panic!("broken") };
        assert_eq!(spec.nodes.len(), 200);
    }

    #[tokio::test]
    async fn what_changes_nothing_is_not_told() {
        let (directory, mut source) = watched();
        write(&directory, "nodes.yaml", &node("a", 2));
        spec(&mut source).await;
        write(&directory, "nodes.yaml", &format!("# a comment\n{}", node("a", 2)));
        for editors in [".nodes.yaml.swp", "nodes.yaml~", "4913", "notes.txt"] {
            write(&directory, editors, "kind: [");
        }
        silent(&mut source).await;
    }

    #[tokio::test]
    async fn a_burst_is_told_once() {
        let (directory, mut source) = watched();
        spec(&mut source).await;
        for index in 2..12 {
            write(&directory, &format!("{index}.yaml"), &node(&format!("n{index}"), index));
        }
        assert_eq!(spec(&mut source).await.nodes.len(), 10);
        silent(&mut source).await;
    }

    #[tokio::test]
    async fn a_dropped_call_loses_no_change() {
        let (directory, mut source) = watched();
        spec(&mut source).await;
        write(&directory, "nodes.yaml", &node("a", 2));
        let dropped = tokio::time::timeout(Duration::from_millis(1), source.next()).await;
        assert!(dropped.is_err());
        assert_eq!(spec(&mut source).await.nodes.len(), 1);
    }

    #[tokio::test]
    async fn a_directory_that_goes_away_ends_the_stream() {
        let (directory, mut source) = watched();
        spec(&mut source).await;
        let path = directory.path().to_owned();
        drop(directory);
        let ended = tokio::time::timeout(DEADLINE, source.next()).await.unwrap();
        assert_eq!(
            ended.unwrap_err().to_string(),
            format!("{}: the directory of manifests is gone", path.display())
        );
        assert!(matches!(Directory::watch(path), Err(SourceError::Watch { .. })));
    }

    fn watched() -> (TempDir, Directory) {
        let directory = tempfile::tempdir().unwrap();
        let source = Directory::watch(directory.path()).unwrap();
        (directory, source)
    }

    fn write(directory: &TempDir, file: &str, text: &str) {
        fs::write(directory.path().join(file), text).unwrap();
    }

    fn node(name: &str, host: u8) -> String {
        format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}, \
             status: {{addresses: [{{type: InternalIP, address: 10.0.0.{host}}}]}}}}"
        )
    }

    async fn next(source: &mut Directory) -> Update {
        tokio::time::timeout(DEADLINE, source.next()).await.unwrap().unwrap()
    }

    async fn spec(source: &mut Directory) -> Spec {
        match next(source).await {
            Update::Spec(spec) => spec,
            Update::Broken(error) => panic!("{error}"),
        }
    }

    /// Nothing is told within a multiple of the time that a burst may last.
    async fn silent(source: &mut Directory) {
        let told = tokio::time::timeout(4 * LIMIT, source.next()).await;
        assert!(told.is_err(), "{told:?}");
    }
}
