//! Which node this is: minted once, kept beside its data.

use std::io::{self, ErrorKind};
use std::path::Path;

use tandem_core::id::NodeId;
use uuid::Uuid;

use crate::database::make_private_folder;

const FILE: &str = "node.id";

/// Why a node does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum NodeIdError {
    /// The file can neither be read nor made.
    #[error("node.id cannot be read or written")]
    Io(#[from] io::Error),
    /// The file holds something else. A new id would orphan the open calls of the old one, so nothing is guessed.
    #[error("node.id holds no node id")]
    Invalid,
}

/// The id in `<data_dir>/node.id`; the first time a new one, and the folder with it.
///
/// # Errors
/// [`NodeIdError`]: the file is unusable.
pub fn node_id(data_dir: &Path) -> Result<NodeId, NodeIdError> {
    let path = data_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| NodeIdError::Invalid),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let id = NodeId::from_uuid(Uuid::now_v7());
            make_private_folder(data_dir)?;
            // Renamed into place: a file cut short by a crash would be no id at all.
            let draft = data_dir.join("node.id.new");
            std::fs::write(&draft, format!("{id}\n"))?;
            std::fs::rename(&draft, &path)?;
            Ok(id)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_id_and_guesses_none_from_a_damaged_file() {
        let dir = tempfile::tempdir().unwrap();
        let id = node_id(&dir.path().join("var")).unwrap();
        assert_eq!(node_id(&dir.path().join("var")).unwrap(), id);
        std::fs::write(dir.path().join(FILE), "node_7").unwrap();
        assert!(matches!(node_id(dir.path()), Err(NodeIdError::Invalid)));
    }
}
