//! What integrators are promised, as files: events as AsyncAPI and JSON Schemas, the API as OpenAPI.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};
use tandem_core::contract::{asyncapi, schemas};
use tandem_http::openapi;

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Contract {
    /// Events and their subjects (AsyncAPI 3.0).
    Asyncapi,
    /// The API over HTTP (OpenAPI 3.1).
    Openapi,
    /// A JSON Schema (draft 7) for every type and version of an event.
    Schemas,
}

impl Contract {
    const ALL: [Self; 3] = [Self::Asyncapi, Self::Openapi, Self::Schemas];

    fn document(self) -> Value {
        match self {
            Self::Asyncapi => asyncapi(),
            Self::Openapi => openapi().clone(),
            Self::Schemas => json!(schemas()),
        }
    }

    fn files(self) -> BTreeMap<String, Value> {
        match self {
            Self::Asyncapi => [(String::from("asyncapi.json"), self.document())].into(),
            Self::Openapi => [(String::from("openapi.json"), self.document())].into(),
            Self::Schemas => schemas().into_iter().map(|(name, it)| (format!("schemas/{name}.json"), it)).collect(),
        }
    }
}

/// Writes the files of one of them, or of all, into a folder, and says which; without a folder it is the text of one of
/// them, or of all in one object.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn show(wanted: Option<Contract>, folder: Option<&Path>) -> Result<String> {
    let wanted = wanted.map_or(Contract::ALL.to_vec(), |one| vec![one]);
    if let Some(folder) = folder {
        return write(folder, wanted.iter().flat_map(|it| it.files()));
    }
    match wanted.as_slice() {
        [one] => text(&one.document()),
        all => {
            let [asyncapi, openapi, schemas] = Contract::ALL.map(Contract::document);
            debug_assert_eq!(all, Contract::ALL);
            text(&json!({ "asyncapi": asyncapi, "openapi": openapi, "schemas": schemas }))
        }
    }
}

fn write(folder: &Path, files: impl Iterator<Item = (String, Value)>) -> Result<String> {
    let mut written = String::new();
    for (name, document) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        std::fs::write(&path, text(&document)?).with_context(|| format!("{} cannot be written", path.display()))?;
        written += &format!("{}\n", path.display());
    }
    Ok(written)
}

fn text(document: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const RENEW: &str = "cargo run -p tandem -- contracts --out docs/contracts";

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/contracts")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Golden: these texts are what integrators were promised. Renewing them is a change of that promise.
    #[test]
    fn the_files_are_what_the_code_says() {
        for (name, document) in Contract::ALL.iter().flat_map(|it| it.files()) {
            let found = std::fs::read_to_string(golden().join(&name)).unwrap_or_default();
            assert!(found == text(&document).unwrap(), "docs/contracts/{name} differs; renew it: {RENEW}");
        }
        for name in names(&golden().join("schemas")) {
            let kind = name.trim_end_matches(".json");
            assert!(schemas().contains_key(kind), "no event is of type {kind}: is a version gone?");
        }
    }

    /// A schema in `released/` was given to somebody: what changes in its event is another version beside it.
    #[test]
    fn a_version_that_was_released_stays_as_it_was() {
        let released = golden().join("released");
        for name in names(&released).iter().filter(|name| name.ends_with(".json")) {
            let schemas = schemas();
            let now = schemas.get(name.trim_end_matches(".json"));
            let then: Value = serde_json::from_slice(&std::fs::read(released.join(name)).unwrap()).unwrap();
            assert_eq!(now, Some(&then), "{name} was released: make a new version of this event");
        }
    }

    #[test]
    fn every_event_of_the_goldens_is_as_its_schema_has_it() {
        let schemas = schemas();
        let goldens = include_str!("../../../core/tests/golden/events.v1.json");
        let events: Vec<Value> = serde_json::from_str(goldens).unwrap();
        let mut seen = Vec::new();
        for event in &events {
            let kind = event["type"].as_str().unwrap();
            let schema = jsonschema::draft7::new(&schemas[kind]).unwrap();
            let wrong: Vec<_> = schema.iter_errors(event).map(|it| format!("{}: {it}", it.instance_path())).collect();
            assert!(wrong.is_empty(), "{kind}: {wrong:#?}");
            // And it can tell a wrong one.
            for broken in ["id", "data", "seq", "traceparent"] {
                let mut event = event.clone();
                event[broken] = Value::Bool(true);
                assert!(!schema.is_valid(&event), "{kind}: {broken} may be anything");
            }
            seen.push(kind);
        }
        seen.push("tandem.call.digit.v1");
        let unseen: Vec<_> = schemas.keys().filter(|kind| !seen.contains(kind)).collect();
        assert!(unseen.is_empty(), "no golden of {unseen:?}");
    }

    /// Nothing of an event is unknown to its schema.
    #[test]
    fn no_field_of_the_goldens_is_undescribed() {
        fn strict(schema: &mut Value) {
            match schema {
                Value::Array(items) => items.iter_mut().for_each(strict),
                Value::Object(fields) => {
                    let is_closed = fields.contains_key("properties") && !fields.contains_key("allOf");
                    if is_closed && !fields.contains_key("oneOf") {
                        fields.insert(String::from("additionalProperties"), Value::Bool(false));
                    }
                    fields.iter_mut().filter(|(name, _)| *name != "const").for_each(|(_, it)| strict(it));
                }
                _ => {}
            }
        }
        let events: Vec<Value> =
            serde_json::from_str(include_str!("../../../core/tests/golden/events.v1.json")).unwrap();
        for event in &events {
            let kind = event["type"].as_str().unwrap();
            let mut schema = schemas()[kind].clone();
            let envelope = schema["properties"].as_object().unwrap();
            let unknown: Vec<_> =
                event.as_object().unwrap().keys().filter(|key| !envelope.contains_key(*key)).collect();
            assert!(unknown.is_empty(), "{kind}: {unknown:?}");
            strict(&mut schema["properties"]["data"]);
            let data = jsonschema::draft7::new(&schema).unwrap();
            // Of the record the fields stand behind a reference, which draft 7 cannot close.
            if kind != "tandem.cdr.closed.v1" {
                assert!(data.is_valid(event), "{kind} has a field that is not described");
            }
        }
    }
}
