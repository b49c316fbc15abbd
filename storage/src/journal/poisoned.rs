//! Entries that the database refuses for what is in them: in a file of their own, one line of JSON each, until a start
//! tries them again.
//!
//! # Invariants
//! * What is kept of them, this time and before, takes no more than [`LARGEST`]: the disk is the journal's.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use serde::Deserialize;

use super::{Entry, EntryRef, Journal};
use crate::time::now;

const FILE: &str = "poisoned";

/// Bytes of all that was ever set aside and is still there. What comes then is lost, and said to be.
const LARGEST: u64 = if cfg!(test) { 4 << 10 } else { 256 << 20 };

#[derive(Deserialize)]
struct Line {
    entry: Entry,
}

impl Journal {
    /// Writes an entry down, and onto the disk. Done again, there are two lines. `false`: there is no room for it.
    pub(crate) fn set_aside(&self, entry: &Entry, why: &dyn Error) -> io::Result<bool> {
        let reason = reason(why);
        let line = serde_json::json!({ "reason": reason, "entry": entry }).to_string();
        if self.set_aside_bytes()? + line.len() as u64 > LARGEST {
            tracing::error!(reason, file = FILE, "entry that the database refuses is lost: too many were set aside");
            return Ok(false);
        }
        let path = self.folder.join(FILE);
        let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
        // A line that a full disk or a crash tore must not take this one with it.
        let begin = if is_torn(&mut file)? { "\n" } else { "" };
        file.write_all(format!("{begin}{line}\n").as_bytes())?;
        file.sync_data()?;
        tracing::error!(reason, file = FILE, "entry that the database refuses, set aside: somebody has to look");
        Ok(true)
    }

    fn set_aside_bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            if file.file_name().as_encoded_bytes().starts_with(FILE.as_bytes()) {
                bytes += file.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// Gives what was set aside another chance: a newer program, or a database that was mended, may take it. The old
    /// file stays under another name; what is refused again begins a new one.
    pub(crate) fn readmit(&self) -> io::Result<()> {
        let path = self.folder.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        let (mut tried, mut unreadable) = (0, 0);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line).map(|line: Line| line.entry) {
                Ok(Entry::Fact(fact)) => self.append(EntryRef::Fact(&fact)),
                Ok(Entry::Binding(change)) => self.append(EntryRef::Binding(&change)),
                Ok(Entry::Audit(event)) => self.append(EntryRef::Audit(&event)),
                Err(_) => {
                    unreadable += 1;
                    continue;
                }
            }
            tried += 1;
        }
        tracing::warn!(entries = tried, unreadable, "entries that the database refused are tried again");
        fs::rename(&path, self.folder.join(format!("{FILE}.{}", now().date_time().format("%Y%m%dT%H%M%S%6f"))))
    }
}

/// Whether its last line has no end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn reason(why: &dyn Error) -> String {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(source) = cause {
        text += &format!(": {source}");
        cause = source.source();
    }
    text
}
