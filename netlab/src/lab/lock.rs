//! One `up` or `down` of a lab at a time.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{
    options::LabName,
    state::{RUN_DIR, StateError, failed},
};

/// How long to wait for another `up` or `down` of the same lab.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// The lock of a lab, held until dropped. The kernel releases it when its holder dies.
#[derive(Debug)]
pub(super) struct Lock {
    file: Option<Flock<File>>,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, waiting for another holder to finish.
    ///
    /// # Errors
    ///
    /// Where the file cannot be made, or its holder does not finish.
    pub(super) async fn take(name: &LabName) -> Result<Self, StateError> {
        let directory = Path::new(RUN_DIR);
        // A dot cannot be in a lab's name, so no lab's directory has this path.
        let path = directory.join(format!("{name}.lock"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            fs::create_dir_all(directory).map_err(failed("create", directory))?;
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(failed("open", &path))?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // Its last holder may have removed the file between open and lock.
                Ok(file) if is_at(&file, &path) => return Ok(Self { file: Some(file), path }),
                Ok(_) => {}
                Err((_, Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await;
                }
                Err((_, errno)) => return Err(failed("lock", &path)(errno.into())),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked: who waits for it finds that it is gone, and makes a new one.
        let _ = fs::remove_file(&self.path);
        self.file.take();
        // Not empty while any lab is there.
        let _ = fs::remove_dir(RUN_DIR);
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: io::Result<fs::Metadata>| {
        metadata.map(|metadata| (metadata.dev(), metadata.ino())).ok()
    };
    identity(file.metadata()).is_some() && identity(file.metadata()) == identity(fs::metadata(path))
}
