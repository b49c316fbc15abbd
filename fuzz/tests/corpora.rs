//! Every file of every corpus, as it is and some hundred times with bytes changed. The same each time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails by panicking")]

use std::ffi::OsStr;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use tandem_fuzz::{TARGETS, Target};

/// Mutants of each file, unless `TANDEM_FUZZ_MUTANTS` says otherwise.
const MUTANTS: u64 = 500;

/// Marsaglia's xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides.max(1)
    }
}

/// Cuts, flips, overwrites, repeats and splices, one to four times.
fn mutate(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(out.len() + 1);
        let end = (at + 1 + dice.roll(40)).min(out.len());
        match dice.roll(6) {
            0 => out.truncate(at),
            1 => out.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << dice.roll(8)),
            2 => out.get_mut(at).into_iter().for_each(|byte| *byte = [0, 1, 0x7f, 0xff, b'\r', b';'][dice.roll(6)]),
            3 if at < end => drop(out.drain(at..end)),
            4 if at < end => {
                let again = out[at..end].to_vec();
                out.splice(at..at, again);
            }
            _ => {
                let from = dice.roll(other.len() + 1);
                let piece = other[from..(from + dice.roll(60)).min(other.len())].to_vec();
                out.splice(at..at, piece);
            }
        }
    }
    out
}

fn files(folder: &Path, ends: &str) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder).unwrap_or_else(|_| panic!("{} is missing", folder.display()));
    let mut files: Vec<_> = names.map(|it| it.unwrap().path()).collect();
    files.retain(|it| it.file_name().and_then(OsStr::to_str).is_some_and(|name| name.ends_with(ends)));
    files.sort();
    files
}

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = files(&root.join("fuzz/corpus").join(target.name), "");
    all.extend(target.more.iter().flat_map(|(folder, ends)| files(&root.join(folder), ends)));
    all.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn run(target: &Target, bytes: &[u8], what: &str) {
    if catch_unwind(|| (target.run)(bytes)).is_err() {
        let path = std::env::temp_dir().join(format!("tandem-fuzz-{}", target.name));
        std::fs::write(&path, bytes).unwrap();
        panic!("{} breaks over {what}: its {} bytes are in {}", target.name, bytes.len(), path.display());
    }
}

#[test]
fn no_file_of_a_corpus_and_no_mutant_of_one_breaks_a_target() {
    let mutants = std::env::var("TANDEM_FUZZ_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(MUTANTS);
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(corpus.len() >= 3, "{} has no corpus", target.name);
        run(target, &[], "nothing");
        for (n, (path, bytes)) in corpus.iter().enumerate() {
            run(target, bytes, &path.display().to_string());
            let mut dice = Dice(0x7a6d_656d ^ (n as u64 + 1));
            for mutant in 0..mutants {
                let other = &corpus[dice.roll(corpus.len())].1;
                let bytes = mutate(bytes, other, &mut dice);
                run(target, &bytes, &format!("mutant {mutant} of {}", path.display()));
            }
        }
    }
}
