//! The operator's token: a file in the data folder that the node makes for itself.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use uuid::Uuid;

const FILE: &str = "operator.token";

/// The token: readable by its owner only, made at the first start.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn operator_token(data: &Path) -> Result<String> {
    let path = data.join(FILE);
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            writeln!(file, "{token}").with_context(|| path.display().to_string())?;
            Ok(token)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(&path),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// The token, if a node has made one.
///
/// # Errors
/// There is none, or it cannot be read.
pub(crate) fn existing_token(data: &Path) -> Result<String> {
    read(&data.join(FILE))
        .context("no operator's token: has the node been started, and is this its working directory or --config?")
}

fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_token_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(existing_token(folder.path()).is_err());
        let token = operator_token(folder.path()).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(operator_token(folder.path()).unwrap(), token);
        assert_eq!(existing_token(folder.path()).unwrap(), token);
        let mode = fs::metadata(folder.path().join("operator.token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
