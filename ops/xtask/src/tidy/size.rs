//! One concept a file.

use super::Finding;
use crate::tree::{File, Tree};

/// From here on a reader has to scroll too much.
const WARN: usize = 400;

/// From here on it is more than one concept.
const FAIL: usize = 700;

/// Files that may be longer, and why.
const LONGER: [(&str, &str); 0] = [];

/// Lines of a file without its tests.
pub(super) fn file_sizes(tree: &Tree) -> Vec<Finding> {
    let excused = |file: &&File| LONGER.iter().any(|(path, _)| *path == file.path);
    tree.sources().filter(|file| !excused(file)).filter_map(size_of).collect()
}

fn size_of(file: &File) -> Option<Finding> {
    let lines = file.lines_before_tests();
    let what = format!("{lines} lines without tests");
    match lines {
        FAIL.. => Some(Finding::failure(&file.path, what)),
        WARN.. => Some(Finding::warning(&file.path, what)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    #[test]
    fn a_long_file_is_warned_of_and_a_very_long_one_fails() {
        let sizes = [399, 400, 699, 700].map(|lines| "a\n".repeat(lines));
        let [a, b, c, d] = &sizes;
        let found = file_sizes(&tree([("a.rs", a), ("b.rs", b), ("c.rs", c), ("d.rs", d)]));
        let weights: Vec<_> = found.iter().map(|it| (it.place.as_str(), it.is_failure())).collect();
        assert_eq!(weights, [("b.rs", false), ("c.rs", false), ("d.rs", true)]);
    }
}
