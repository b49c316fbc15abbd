//! What must hold of the tree. Each rule is a pure function of it.

mod manifests;
mod names;
mod purity;
mod size;

use std::fmt;

use crate::tree::Tree;

/// Something that does not hold.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    weight: Weight,
    place: String,
    what: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Weight {
    Warning,
    Failure,
}

/// Every finding, in the order of the rules.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let rules = [
        manifests::dependency_direction,
        manifests::inherited_lints,
        manifests::unwinding_release,
        purity::pure_crates,
        purity::bare_spawns,
        size::file_sizes,
        names::file_names,
        names::item_names,
        names::machine_paths,
    ];
    rules.iter().flat_map(|rule| rule(tree)).collect()
}

impl Finding {
    fn failure(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { weight: Weight::Failure, place: place.to_string(), what: what.to_string() }
    }

    fn warning(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { weight: Weight::Warning, ..Self::failure(place, what) }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.weight == Weight::Failure
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = if self.is_failure() { "error" } else { "warning" };
        write!(f, "{weight}: {}: {}", self.place, self.what)
    }
}

#[cfg(test)]
fn tree<const N: usize>(files: [(&str, &str); N]) -> Tree {
    Tree::new(files.map(|(path, text)| (path.to_owned(), text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_tidy() {
        let failures: Vec<_> =
            check(&Tree::read(crate::ROOT).unwrap()).into_iter().filter(Finding::is_failure).collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
