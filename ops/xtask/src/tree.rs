//! The tree as text: every file that a person wrote.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Endings of what is read.
const TEXT: [&str; 9] = ["rs", "toml", "md", "sh", "yml", "yaml", "json", "xml", "txt"];

/// Folders that nobody wrote.
const SKIPPED: [&str; 5] = ["target", "var", "node_modules", ".git", "corpus"];

/// One file.
pub(crate) struct File {
    /// From the root of the tree, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// No part of what is shipped: tests, examples, benches.
    is_test: bool,
}

/// All files.
pub(crate) struct Tree(pub(crate) Vec<File>);

impl Tree {
    /// From paths and texts.
    pub(crate) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut files: Vec<_> = files.into_iter().map(|(path, text)| File::new(path, text)).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let of_tests: Vec<_> = files.iter().flat_map(File::test_modules).collect();
        files.iter_mut().filter(|file| of_tests.contains(&file.path)).for_each(|file| file.is_test = true);
        Self(files)
    }

    /// Reads everything below `root`.
    pub(crate) fn read(root: impl AsRef<Path>) -> Result<Self> {
        let mut files = Vec::new();
        collect(root.as_ref(), "", &mut files)?;
        Ok(Self::new(files))
    }

    /// The manifests of the packages, without the workspace's own.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &File> {
        self.0.iter().filter(|file| file.path.ends_with("/Cargo.toml"))
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        self.0.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        self.0.iter().find(|file| file.path == path)
    }
}

impl File {
    fn new(path: String, text: String) -> Self {
        let is_test = path.split('/').any(|part| matches!(part, "tests" | "examples" | "benches"));
        Self { path, text, is_test }
    }

    /// Lines with their numbers from 1, without line comments.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
    }

    /// Lines up to the tests: by our style they come last, or in files of their own.
    pub(crate) fn lines_before_tests(&self) -> usize {
        if self.is_test {
            return 0;
        }
        let all = self.text.lines().count();
        self.below_cfg_test()
            .find(|(_, line)| line.starts_with("mod ") && line.ends_with('{'))
            .map_or(all, |(at, _)| at)
    }

    /// Files of the modules that are compiled for tests only.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs").trim_end_matches("/lib").trim_end_matches("/main");
        let modules = self.below_cfg_test().filter_map(|(_, line)| line.strip_prefix("mod ")?.strip_suffix(';'));
        modules.map(|module| format!("{stem}/{module}.rs")).collect()
    }

    /// Each line that follows `#[cfg(test)]`, with how many lines are before the two.
    fn below_cfg_test(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = || self.text.lines().map(str::trim);
        let pairs = lines().zip(lines().skip(1)).enumerate();
        pairs.filter(|(_, (above, _))| *above == "#[cfg(test)]").map(|(at, (_, below))| (at, below))
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if is_text(&name) {
            let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
            files.push((path, text));
        }
    }
    Ok(())
}

/// Scripts have no ending.
fn is_text(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((_, ending)) => TEXT.contains(&ending),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes<const N: usize>(files: [(&str, &str); N]) -> Vec<usize> {
        let tree = Tree::new(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
        tree.0.iter().map(File::lines_before_tests).collect()
    }

    #[test]
    fn tests_do_not_count() {
        let inline = "a\nb\n#[cfg(test)]\nmod tests {\n  c\n}\n";
        assert_eq!(sizes([("core/src/a.rs", inline), ("edge/sip/tests/ladder.rs", inline)]), [2, 0]);
        let outside = "a\n#[cfg(test)]\nmod world;\nb\n";
        assert_eq!(sizes([("core/src/lib.rs", outside), ("core/src/world.rs", inline)]), [4, 0]);
        assert_eq!(sizes([("core/src/call.rs", outside), ("core/src/call/world.rs", inline)]), [4, 0]);
    }

    #[test]
    fn comments_are_not_code() {
        let file = File::new(String::from("a.rs"), String::from("//! tokio\nlet a = 1; // tokio\n"));
        assert!(file.code().all(|(_, line)| !line.contains("tokio")));
    }
}
