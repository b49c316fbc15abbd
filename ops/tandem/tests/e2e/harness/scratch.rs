//! A test's own folder: gone after success, kept after failure.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// See the module.
pub struct Scratch(Option<TempDir>);

impl Scratch {
    /// A new empty folder.
    pub fn new(name: &str) -> Self {
        Self(Some(tempfile::Builder::new().prefix(&format!("tandem-{name}-")).tempdir().unwrap()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }

    /// A folder in it.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.0.take()
        {
            eprintln!("logs of the failed test: {}", folder.keep().display());
        }
    }
}
