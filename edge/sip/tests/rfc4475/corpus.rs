//! The messages and what is to become of them.

#![allow(dead_code, reason = "each test that takes the corpus uses some of it")]

use std::path::Path;

use bytes::Bytes;

/// One line of `verdicts.tsv` and its message; the README says what the columns mean.
pub(crate) struct Row {
    pub(crate) file: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) parse: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) status: &'static str,
    pub(crate) stream: &'static str,
    pub(crate) bytes: Bytes,
}

/// All of them, in the order of the RFC.
pub(crate) fn rows() -> Vec<Row> {
    include_str!("verdicts.tsv").lines().skip(1).map(row).collect()
}

/// One message.
pub(crate) fn message(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rfc4475").join(name).with_extension("dat");
    std::fs::read(path).unwrap().into()
}

fn row(line: &'static str) -> Row {
    let columns: Vec<_> = line.split('\t').collect();
    let [file, _, kind, _, parse, verdict, status, stream, ..] = columns[..] else { panic!("{line}") };
    Row { file, kind, parse, verdict, status, stream, bytes: message(file) }
}
