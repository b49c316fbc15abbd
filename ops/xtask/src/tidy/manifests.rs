//! Who may depend on whom, and what every manifest must say.

use super::Finding;
use crate::tree::{File, Tree};

/// Our packages and those of ours that they may depend on (ARCHITECTURE.md, code map).
const DIRECTION: [(&str, &[&str]); 15] = [
    ("tandem-core", &[]),
    ("tandem-engine", &["tandem-core"]),
    ("tandem-media", &["tandem-core", "tandem-engine"]),
    ("tandem-storage", &["tandem-core"]),
    ("tandem-actors", &["tandem-core"]),
    ("tandem-sdp", &["tandem-core"]),
    ("tandem-sip", &["tandem-core", "tandem-actors", "tandem-sdp"]),
    ("tandem-http", &["tandem-core", "tandem-actors", "tandem-sdp"]),
    ("tandem-livekit", &["tandem-core", "tandem-sdp"]),
    ("tandem-provider", &["tandem-core"]),
    ("tandem", &EVERYTHING),
    ("tandem-benches", &EVERYTHING),
    ("tandem-fuzz", &EVERYTHING),
    ("tandem-testbed", &[]),
    ("xtask", &[]),
];

const EVERYTHING: [&str; 10] = [
    "tandem-core",
    "tandem-engine",
    "tandem-media",
    "tandem-storage",
    "tandem-actors",
    "tandem-sdp",
    "tandem-sip",
    "tandem-http",
    "tandem-livekit",
    "tandem-provider",
];

/// Dependencies point inwards. Tests may depend on what they like.
pub(super) fn dependency_direction(tree: &Tree) -> Vec<Finding> {
    tree.manifests().flat_map(direction_of).collect()
}

fn direction_of(manifest: &File) -> Vec<Finding> {
    let name = package_name(manifest);
    let Some((_, allowed)) = DIRECTION.iter().find(|(package, _)| *package == name) else {
        return vec![Finding::failure(&manifest.path, format!("package {name:?} has no place in the code map"))];
    };
    dependencies(manifest)
        .filter(|it| DIRECTION.iter().any(|(ours, _)| ours == it) && !allowed.contains(it))
        .map(|it| Finding::failure(&manifest.path, format!("{name} may not depend on {it}")))
        .collect()
}

/// Lints are one list, in the root.
pub(super) fn inherited_lints(tree: &Tree) -> Vec<Finding> {
    let inherits = |file: &&File| section(file, |name| name == "lints").any(|line| line == "workspace = true");
    let missing = tree.manifests().filter(|file| !inherits(file));
    missing.map(|file| Finding::failure(&file.path, "does not inherit the workspace's lints")).collect()
}

/// A panic must stay where it happens: supervision and `catch_unwind` need unwinding.
pub(super) fn unwinding_release(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.find("Cargo.toml") else { return vec![Finding::failure("Cargo.toml", "is missing")] };
    let unwinds = section(root, |name| name == "profile.release").any(|line| line == "panic = \"unwind\"");
    let finding = || Finding::failure(&root.path, "[profile.release] does not say panic = \"unwind\"");
    (!unwinds).then(finding).into_iter().collect()
}

/// What a package depends on at run or build time.
pub(super) fn dependencies(manifest: &File) -> impl Iterator<Item = &str> {
    let counts = |name: &str| name.ends_with("dependencies") && !name.ends_with("dev-dependencies");
    section(manifest, counts).filter_map(|line| line.split(['.', '=', ' ']).next()).filter(|name| !name.is_empty())
}

fn package_name(manifest: &File) -> &str {
    let mut lines = section(manifest, |name| name == "package");
    lines.find_map(|line| line.strip_prefix("name = ")).map(|name| name.trim_matches('"')).unwrap_or_default()
}

/// Lines of the sections whose name is wanted, without comments.
fn section(manifest: &File, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(move |line| {
        match line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            Some(name) => {
                inside = wanted(name);
                false
            }
            None => inside && !line.is_empty(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    #[test]
    fn a_dependency_outwards_is_found_and_one_of_tests_is_not() {
        let manifest = "[package]\nname = \"tandem-core\"\n[dependencies]\nserde.workspace = true\n\
             tandem-actors = { path = \"x\" }\n[dev-dependencies]\ntandem-sip.workspace = true\n";
        let found = dependency_direction(&tree([("core/Cargo.toml", manifest)]));
        assert_eq!(found, [Finding::failure("core/Cargo.toml", "tandem-core may not depend on tandem-actors")]);
    }

    #[test]
    fn edges_do_not_know_each_other() {
        let manifest = "[package]\nname = \"tandem-http\"\n[dependencies]\ntandem-core.workspace = true\n\
             tandem-sip.workspace = true\n";
        assert_eq!(dependency_direction(&tree([("edge/http/Cargo.toml", manifest)])).len(), 1);
    }

    #[test]
    fn a_package_that_the_map_does_not_know_is_found() {
        let found = dependency_direction(&tree([("new/Cargo.toml", "[package]\nname = \"new\"\n")]));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn lints_must_be_inherited() {
        let (with, without) = ("[lints]\nworkspace = true\n", "[lints]\n[package]\nworkspace = true\n");
        let found = inherited_lints(&tree([("a/Cargo.toml", with), ("b/Cargo.toml", without)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "b/Cargo.toml");
    }

    #[test]
    fn a_release_must_unwind() {
        let profile = |panic: &str| format!("[profile.dev]\npanic = \"unwind\"\n[profile.release]\n{panic}\n");
        for (line, findings) in [("panic = \"unwind\" # why", 0), ("panic = \"abort\"", 1), ("", 1)] {
            assert_eq!(unwinding_release(&tree([("Cargo.toml", &profile(line))])).len(), findings, "{line}");
        }
    }
}
