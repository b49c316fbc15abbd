//! A file whose time says when the node was last alive: the latest moment at which a call that died with it can have
//! ended. Only its time is written, so that a full disk does not stop it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use tandem_core::time::WallTime;

use crate::time::wall;

/// See the module.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    file: File,
    /// Last beat of the process before this one.
    previous: Option<WallTime>,
}

impl Heartbeat {
    /// Takes over the file of an earlier process. Its time stays until the first beat.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("heartbeat");
        let previous = std::fs::metadata(&path).and_then(|it| it.modified()).ok().map(wall);
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { file, previous })
    }

    pub(crate) fn beat(&self) {
        if let Err(error) = self.file.set_modified(SystemTime::now()) {
            tracing::warn!(%error, "heartbeat was not written");
        }
    }

    pub(crate) fn previous(&self) -> Option<WallTime> {
        self.previous
    }
}
