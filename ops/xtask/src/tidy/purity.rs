//! No runtime, clock or dice where machines live, and no task that nobody waits for.

use super::Finding;
use super::manifests::dependencies;
use crate::tree::{File, Tree};

/// Packages that are pure.
const PURE: [&str; 2] = ["core/", "media/engine/"];

/// What a pure package may not name.
const AMBIENT: [&str; 8] =
    ["tokio", "ractor", "Instant::now", "SystemTime::now", "Utc::now", "rand::", "now_v7", "new_v4"];

/// Packages that bring what a pure package may not have.
const IMPURE: [&str; 4] = ["tokio", "tokio-util", "ractor", "rand"];

/// Spawns whose tasks are nobody's.
const SPAWNS: [&str; 4] = ["tokio::spawn(", "tokio::task::spawn(", "use tokio::spawn", "tokio::task::spawn_local("];

/// Files that may spawn by themselves, and why.
const SPAWNING: [(&str, &str); 0] = [];

/// Time and randomness come in with the input.
pub(super) fn pure_crates(tree: &Tree) -> Vec<Finding> {
    let named =
        tree.sources().filter(|file| is_pure(file)).flat_map(|file| find(file, file.text.lines().count(), &AMBIENT));
    let brought = tree.manifests().filter(|file| is_pure(file)).flat_map(|file| {
        let impure = dependencies(file).filter(|it| IMPURE.contains(it));
        impure.map(|it| Finding::failure(&file.path, format!("a pure package depends on {it}"))).collect::<Vec<_>>()
    });
    named.chain(brought).collect()
}

/// A task belongs to a supervisor, a tracker or a handle; a bare spawn outlives everybody and its panic is lost.
pub(super) fn bare_spawns(tree: &Tree) -> Vec<Finding> {
    let may_spawn = |file: &File| SPAWNING.iter().any(|(path, _)| *path == file.path) || file.path.contains("/xtask/");
    tree.sources()
        .filter(|file| !may_spawn(file))
        .flat_map(|file| find(file, file.lines_before_tests(), &SPAWNS))
        .collect()
}

fn is_pure(file: &File) -> bool {
    PURE.iter().any(|folder| file.path.starts_with(folder))
}

fn find(file: &File, lines: usize, patterns: &[&str]) -> Vec<Finding> {
    let hits = file.code().take(lines).filter_map(|(number, line)| {
        let pattern = patterns.iter().find(|pattern| has_word(line, pattern))?;
        Some(Finding::failure(format!("{}:{number}", file.path), format!("`{pattern}` has no place here")))
    });
    hits.collect()
}

/// Whether a pattern stands there and not as the end of a longer name.
fn has_word(line: &str, pattern: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(pattern).any(|(at, _)| !line.get(..at).is_some_and(|before| before.ends_with(is_name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    #[test]
    fn a_clock_in_core_is_found_and_its_mention_is_not() {
        let text = "// Instant::now\nlet a = operand::b();\nlet at = Instant::now();\n";
        let found = pure_crates(&tree([("core/src/a.rs", text), ("actors/src/a.rs", text)]));
        assert_eq!(found, [Finding::failure("core/src/a.rs:3", "`Instant::now` has no place here")]);
    }

    #[test]
    fn a_runtime_among_the_dependencies_of_the_engine_is_found() {
        let manifest = "[dependencies]\ntokio.workspace = true\n[dev-dependencies]\nrand.workspace = true\n";
        assert_eq!(pure_crates(&tree([("media/engine/Cargo.toml", manifest)])).len(), 1);
    }

    #[test]
    fn a_bare_spawn_is_found_outside_tests() {
        let text = "tracker.spawn(a);\ntokio::spawn(b);\n#[cfg(test)]\nmod tests {\ntokio::spawn(c);\n}\n";
        let found = bare_spawns(&tree([("actors/src/a.rs", text), ("actors/tests/a.rs", text)]));
        assert_eq!(found, [Finding::failure("actors/src/a.rs:2", "`tokio::spawn(` has no place here")]);
    }
}
