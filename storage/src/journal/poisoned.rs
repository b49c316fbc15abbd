//! Entries that the database refuses for what is in them: in a file of their own, one line of JSON each, until a start
//! tries them again.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use serde::Deserialize;

use super::{Entry, EntryRef, Journal};
use crate::time::now;

const FILE: &str = "poisoned";

#[derive(Deserialize)]
struct Line {
    entry: Entry,
}

impl Journal {
    /// Writes an entry down, and onto the disk. Done again, there are two lines.
    pub(crate) fn set_aside(&self, entry: &Entry, why: &dyn Error) -> io::Result<()> {
        let reason = reason(why);
        let mut line = serde_json::to_vec(&serde_json::json!({ "reason": reason, "entry": entry }))?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(self.folder.join(FILE))?;
        file.write_all(&line)?;
        file.sync_data()?;
        tracing::error!(reason, file = FILE, "entry that the database refuses, set aside: somebody has to look");
        Ok(())
    }

    /// Gives what was set aside another chance: a newer program, or a database that was mended, may take it. The old
    /// file stays under another name; what is refused again begins a new one.
    pub(crate) fn readmit(&self) -> io::Result<()> {
        let path = self.folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        let mut tried = 0;
        for line in text.lines() {
            match serde_json::from_str(line).map(|line: Line| line.entry) {
                Ok(Entry::Fact(fact)) => self.append(EntryRef::Fact(&fact)),
                Ok(Entry::Binding(change)) => self.append(EntryRef::Binding(&change)),
                Ok(Entry::Audit(event)) => self.append(EntryRef::Audit(&event)),
                Err(_) => continue,
            }
            tried += 1;
        }
        tracing::warn!(entries = tried, "entries that the database refused are tried again");
        fs::rename(&path, self.folder.join(format!("{FILE}.{}", now().date_time().format("%Y%m%dT%H%M%S%6f"))))
    }
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
