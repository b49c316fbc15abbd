//! One file of the journal, named by its number.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::frame::{self, HEAD, LONGEST, NoFrame};

const SUFFIX: &str = ".journal";

/// What is known of a file without reading it again.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Bytes of whole frames.
    pub(super) len: u64,
    /// Something in it could not be read: it is put aside for a human, not deleted.
    pub(super) is_damaged: bool,
}

/// What [`Segment::scan`] found.
pub(super) struct Scanned {
    pub(super) segment: Segment,
    pub(super) frames: usize,
}

impl Segment {
    pub(super) fn new(number: u64) -> Self {
        Self { number, len: 0, is_damaged: false }
    }

    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{:012}{SUFFIX}", self.number))
    }

    /// Opens its file to be appended to. Nobody else's to read: it says who calls whom.
    pub(super) fn open(&self, folder: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(self.path(folder))
    }

    /// Bytes from `offset` on: whole frames, and perhaps a part of one more behind them.
    pub(super) fn read(&self, folder: &Path, offset: u64) -> io::Result<Vec<u8>> {
        let length = self.len.saturating_sub(offset).min((HEAD + LONGEST) as u64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        File::open(self.path(folder))?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Takes a file over from a process that died: counts its frames, and cuts off one that it did not finish.
    pub(super) fn scan(folder: &Path, number: u64) -> io::Result<Scanned> {
        let mut segment = Self::new(number);
        let file = OpenOptions::new().read(true).write(true).open(segment.path(folder))?;
        let mut bytes = Vec::new();
        (&file).take(file.metadata()?.len()).read_to_end(&mut bytes)?;
        let (mut rest, mut frames) = (bytes.as_slice(), 0);
        let stopped = loop {
            match frame::first(rest) {
                Ok((_, behind)) => (rest, frames) = (behind, frames + 1),
                Err(why) => break why,
            }
        };
        segment.len = (bytes.len() - rest.len()) as u64;
        let lost_bytes = rest.len();
        match stopped {
            NoFrame::End => {}
            NoFrame::Torn => {
                tracing::warn!(segment = number, lost_bytes, "journal ends in a torn entry, cut off");
                file.set_len(segment.len)?;
            }
            NoFrame::Damaged => {
                tracing::error!(
                    segment = number,
                    lost_bytes,
                    "journal is damaged, the rest of the segment is kept aside"
                );
                segment.is_damaged = true;
            }
        }
        Ok(Scanned { segment, frames })
    }

    /// Deletes the file, or puts it aside.
    pub(super) fn remove(&self, folder: &Path) {
        let path = self.path(folder);
        let done = if self.is_damaged {
            std::fs::rename(&path, path.with_extension("damaged"))
        } else {
            std::fs::remove_file(&path)
        };
        if let Err(error) = done {
            tracing::warn!(segment = self.number, %error, "journal segment stays, and is replayed at the next start");
        }
    }
}

/// Numbers of all segments in the folder, the oldest first.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name();
        numbers.extend(name.to_str().and_then(|it| it.strip_suffix(SUFFIX)).and_then(|it| it.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
