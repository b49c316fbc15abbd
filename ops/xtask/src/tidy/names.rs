//! Names that say nothing, and paths that exist on one machine only.

use super::Finding;
use crate::tree::{File, Tree};

/// Words that hide what a thing is.
const EMPTY_WORDS: [&str; 3] = ["util", "manager", "helper"];

/// What introduces a name.
const DECLARATIONS: [&str; 5] = ["struct ", "enum ", "trait ", "mod ", "type "];

/// Folders at the root of somebody's machine.
const MACHINE_FOLDERS: [&str; 4] = ["home", "root", "Users", "work"];

/// A module is named by its file.
pub(super) fn file_names(tree: &Tree) -> Vec<Finding> {
    tree.sources().filter_map(name_of).collect()
}

fn name_of(file: &File) -> Option<Finding> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if name == "mod.rs" {
        return Some(Finding::failure(&file.path, "a module is a file of its name, not mod.rs"));
    }
    says_nothing(name).then(|| Finding::failure(&file.path, "the name does not say what it is"))
}

/// Items are named for what they are.
pub(super) fn item_names(tree: &Tree) -> Vec<Finding> {
    tree.sources().flat_map(items_of).collect()
}

fn items_of(file: &File) -> Vec<Finding> {
    let named = file.code().filter_map(|(number, line)| {
        let declaration = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let rest = DECLARATIONS.iter().find_map(|word| declaration.strip_prefix(word))?;
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        says_nothing(name).then(|| Finding::failure(format!("{}:{number}", file.path), format!("{name} says nothing")))
    });
    named.collect()
}

fn says_nothing(name: &str) -> bool {
    let name = name.to_lowercase();
    EMPTY_WORDS.iter().any(|word| name.contains(word))
}

/// The tree must work anywhere.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    tree.0.iter().flat_map(paths_in).collect()
}

fn paths_in(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| MACHINE_FOLDERS.iter().any(|it| has_path(line, it)));
    lines.map(|(index, _)| Finding::failure(format!("{}:{}", file.path, index + 1), "a path of one machine")).collect()
}

/// Whether an absolute path into this folder stands there.
fn has_path(line: &str, folder: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}' | '*' | '$');
    let is_absolute = |at: usize| !line.get(..at).is_some_and(|before| before.ends_with(goes_on));
    line.match_indices(&format!("/{folder}/")).any(|(at, _)| is_absolute(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    #[test]
    fn a_module_is_a_file_of_its_name() {
        let found = file_names(&tree([("a/src/mod.rs", ""), ("a/src/string_utils.rs", ""), ("a/src/call.rs", "")]));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_item_whose_name_says_nothing_is_found() {
        let text = "pub struct CallManager;\nstruct Call;\nlet manager = 1;\nmod helpers {}\n";
        let found = item_names(&tree([("a.rs", text)]));
        assert_eq!(found.iter().map(|it| it.place.as_str()).collect::<Vec<_>>(), ["a.rs:1", "a.rs:4"]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_part_of_another_path_is_not() {
        let path = |folder: &str| format!("see /{folder}/me/file");
        let (home, url) = (path("home"), "https://example.org/home/me and a/home/b");
        let found = machine_paths(&tree([("a.md", home.as_str()), ("b.md", url)]));
        assert_eq!(found, [Finding::failure("a.md:1", "a path of one machine")]);
    }
}
