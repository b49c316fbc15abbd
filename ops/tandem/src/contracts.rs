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
    use std::sync::Arc;

    use tandem_core::audit::{Action, Actor, AuditEvent, Deed};
    use tandem_core::event::Live;
    use tandem_core::id::{AuditId, CallId, CorrelationId, DeviceId, LegId, NodeId, Tenant, UserId};
    use tandem_core::ports::BusPort;
    use tandem_core::revocation::{Revocation, Revoked};
    use tandem_core::time::WallTime;
    use tandem_storage::Bus;
    use uuid::Uuid;

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

    /// Of calls as the machines tell them, of the audit one for each action, and of the rest as they are told.
    fn goldens() -> Vec<Value> {
        let of_calls = include_str!("../../../core/tests/golden/events.v1.json");
        let others = include_str!("../../../core/tests/golden/other_events.v1.json");
        let read = |text| serde_json::from_str::<Vec<Value>>(text).unwrap();
        read(of_calls).into_iter().chain(read(others)).chain(Action::ALL.iter().flat_map(|it| noted(*it))).collect()
    }

    /// With everything that an event of the audit may have, and with nothing of it.
    fn noted(action: Action) -> [Value; 2] {
        let bare = Deed::new(Tenant::operator(), Actor::Nobody, action, "not_found");
        let from = Some([192, 0, 2, 1].into());
        let full = bare.clone().from(from).of("it").within(CorrelationId::from_uuid(Uuid::from_u128(7)));
        [bare, full].map(|deed| {
            let (id, node) = (AuditId::from_uuid(Uuid::from_u128(9)), NodeId::from_uuid(Uuid::from_u128(1)));
            let event = AuditEvent { id, node, at: WallTime(1_790_000_000_000_000), hushed: 3, deed };
            serde_json::to_value(event.cloud_event()).unwrap()
        })
    }

    fn check(event: &Value) {
        let kind = event["type"].as_str().unwrap();
        let schema = jsonschema::draft7::new(&schemas()[kind]).unwrap();
        let wrong: Vec<_> = schema.iter_errors(event).map(|it| format!("{}: {it}", it.instance_path())).collect();
        assert!(wrong.is_empty(), "{kind}: {wrong:#?}");
    }

    #[test]
    fn live_events_are_as_their_schemas_have_them() {
        let bus = Bus::new(8, Arc::default());
        let mut events = bus.subscribe();
        let (id, tenant) = (Uuid::from_u128(7), Tenant::default_tenant());
        let (node, correlation_id) = (NodeId::from_uuid(id), CorrelationId::from_uuid(id));
        let (call, leg_id) = (CallId::from_uuid(id), LegId::from_uuid(id));
        let context = tandem_core::event::Context { tenant: tenant.clone(), correlation_id, node };
        bus.publish(&Live::Digit { context, call, leg_id, digit: '#' });
        let (token, user) = (Revoked::Token(String::from("t1")), Revoked::UserId(UserId::from_uuid(id)));
        for what in [token, user, Revoked::DeviceId(DeviceId::from_uuid(id))] {
            let until = WallTime(1_790_000_000_000_000);
            bus.publish(&Live::Revoked { node, revocation: Revocation { tenant: tenant.clone(), what, until } });
        }
        for _ in 0..4 {
            check(&serde_json::from_str(&events.try_recv().unwrap().payload).unwrap());
        }
    }

    /// Whoever makes a new event writes its type somewhere in the code: without a contract it does not pass here.
    #[test]
    fn every_type_of_event_in_the_code_has_a_contract() {
        fn types(folder: &Path, found: &mut Vec<(String, PathBuf)>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("tests") {
                    types(&path, found);
                } else if path.extension().is_some_and(|it| it == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let literals = text.split('"').filter(|it| is_type(it)).map(str::to_owned);
                    found.extend(literals.map(|it| (it, path.clone())));
                }
            }
        }
        fn is_type(text: &str) -> bool {
            let version = text.strip_prefix("tandem.").and_then(|it| it.rsplit_once(".v")).map(|(_, version)| version);
            let is_name = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'));
            is_name && version.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
        }
        assert!(is_type("tandem.call.ended.v1") && !is_type("tandem.v1.default") && !is_type("tandem.cdr.closed"));
        let mut found = Vec::new();
        for part in ["core", "actors", "media", "storage", "edge", "ops/tandem/src"] {
            types(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(part), &mut found);
        }
        let schemas = schemas();
        let without: Vec<_> = found.iter().filter(|(kind, _)| !schemas.contains_key(kind.as_str())).collect();
        assert!(without.is_empty(), "describe them in core/src/contract/published.rs: {without:#?}");
        let unmade: Vec<_> = schemas.keys().filter(|kind| !found.iter().any(|(it, _)| it == *kind)).collect();
        assert!(unmade.is_empty(), "nobody makes {unmade:?}");
    }

    #[test]
    fn every_event_of_the_goldens_is_as_its_schema_has_it() {
        let schemas = schemas();
        let events = goldens();
        let mut seen = Vec::new();
        for event in &events {
            let kind = event["type"].as_str().unwrap();
            check(event);
            // And it can tell a wrong one.
            let schema = jsonschema::draft7::new(&schemas[kind]).unwrap();
            for broken in ["id", "data", "seq", "traceparent"].into_iter().filter(|it| event.get(it).is_some()) {
                let mut event = event.clone();
                event[broken] = Value::Bool(true);
                assert!(!schema.is_valid(&event), "{kind}: {broken} may be anything");
            }
            seen.push(kind);
        }
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
        for event in &goldens() {
            let kind = event["type"].as_str().unwrap();
            let mut schema = schemas()[kind].clone();
            let envelope = schema["properties"].as_object().unwrap();
            let unknown: Vec<_> =
                event.as_object().unwrap().keys().filter(|key| !envelope.contains_key(*key)).collect();
            assert!(unknown.is_empty(), "{kind}: {unknown:?}");
            strict(&mut schema["properties"]["data"]);
            let data = jsonschema::draft7::new(&schema).unwrap();
            // Of the record the fields stand behind a reference, which draft 7 cannot close; so with a choice beside fields.
            if !["tandem.cdr.closed.v1", "tandem.identity.revoked.v1"].contains(&kind) {
                assert!(data.is_valid(event), "{kind} has a field that is not described");
            }
        }
    }
}
