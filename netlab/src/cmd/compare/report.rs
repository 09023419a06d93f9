//! The file of `--report`.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use netlab::compare::{report, result::Comparison};
use tempfile::NamedTempFile;

/// A page that will be there whole or not at all: what is written goes beside it, and takes its
/// name in the end. Dropped before that, it leaves nothing.
pub(super) struct Page {
    path: PathBuf,
    beside: NamedTempFile,
}

impl Page {
    /// Makes sure that the page can be written.
    ///
    /// # Errors
    ///
    /// Its folder is missing or may not be written to, or what has its name is no file.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("--report {}: cannot create it", path.display());
        // What a link leads to is what is replaced, and never a device.
        let path = match fs::metadata(path) {
            Ok(there) if !there.is_file() => {
                bail!("--report {}: this is there, and no file; name another", path.display())
            }
            Ok(_) => fs::canonicalize(path).with_context(failed)?,
            Err(_) => path.to_owned(),
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if path.file_name().is_none() {
            bail!("--report {}: this names no file", path.display());
        }
        let beside = tempfile::Builder::new()
            .prefix(".netlab-compare-")
            // As of any new file; the user's mask takes its part away.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .with_context(failed)?;
        Ok(Self { path, beside })
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// The disk is full, or something of its name came up meanwhile that cannot be replaced.
    pub fn write(mut self, comparison: &Comparison) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let page = report::html(comparison);
        self.beside.write_all(page.as_bytes()).with_context(failed)?;
        self.beside.as_file().sync_all().with_context(failed)?;
        self.beside.persist(&self.path).map_err(|error| error.error).with_context(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_page_that_is_not_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let page = Page::create(&folder.path().join("page.html")).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(page);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_cannot_be_a_page_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Page::create(path).err().map(|error| format!("{error:#}"));
        let missing = folder.path().join("none/page.html");
        assert!(refused(&missing).unwrap().contains("cannot create it"));
        assert!(refused(folder.path()).unwrap().contains("no file"));
        assert!(refused(Path::new("/dev/null")).unwrap().contains("no file"));
        assert!(refused(Path::new("")).is_some());
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.html"), folder.path().join("link.html"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let page = Page::create(&link).unwrap();
        assert_eq!(page.path, fs::canonicalize(&file).unwrap());
    }
}
