//! The configuration's reference: every setting with its default, and its documentation as the source has it.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Map, Value};

use super::Config;

/// Where each section's struct is documented, and under which name.
const SECTIONS: [(&str, &str, &str); 18] = [
    ("node", "NodeConfig", include_str!("../config.rs")),
    ("log", "LogConfig", include_str!("../config.rs")),
    ("ops", "OpsConfig", include_str!("../config.rs")),
    ("voip", "VoipConfig", include_str!("../config.rs")),
    ("http", "Config", include_str!("../../../../edge/http/src/config.rs")),
    ("sip", "SipConfig", include_str!("../../../../edge/sip/src/config.rs")),
    ("sip.limits", "Limits", include_str!("../../../../edge/sip/src/config.rs")),
    ("sip.limits.guard", "GuardLimits", include_str!("../../../../edge/sip/src/guard.rs")),
    ("sip.registration", "Registration", include_str!("../../../../edge/sip/src/config.rs")),
    ("media", "Config", include_str!("../../../../media/pool/src/config.rs")),
    ("storage", "Config", include_str!("../../../../storage/src/config.rs")),
    ("bus", "BusConfig", include_str!("../../../../storage/src/bus/config.rs")),
    ("trace", "TraceConfig", include_str!("trace.rs")),
    ("identity", "IdentityConfig", include_str!("../../../../edge/http/src/identity/config.rs")),
    ("webhooks", "WebhooksConfig", include_str!("../webhooks/config.rs")),
    ("telemetry", "TelemetryConfig", include_str!("telemetry.rs")),
    ("calls", "Config", include_str!("../../../../actors/src/config.rs")),
    ("rooms", "Config", include_str!("../../../../edge/livekit/src/config.rs")),
];

/// A trunk has no defaults.
const TRUNK: &str = "\n# A carrier or PBX: the only ones that may call without a password. Any number of these.\n\
    # [[trunk]]\n# name = \"carrier\"\n# tenant = \"default\"            # whose: its calls go there, and nobody else's go out\n# match = [\"192.0.2.0/24\"]      # addresses and networks that its calls come from\n\
    # address = \"192.0.2.1:5060\"    # where calls to it go\n\
    # prefixes = [\"+\"]              # numbers that go there begin with one of these\n";

/// Nor has a key.
const KEY: &str = "\n# Who may sign tokens for rooms and drive their server API. Any number of these.\n\
    # [[rooms.key]]\n# key = \"an id\"\n# secret = \"at least 32 random characters\"\n# tenant = \"default\"\n";

/// As TOML that gives the defaults.
///
/// # Errors
/// A default that cannot be written down.
pub(crate) fn reference() -> Result<String> {
    let defaults = serde_json::to_value(Config::default())?;
    let mut out = String::from("# Every setting with its default. The environment wins: TANDEM__SECTION__KEY.\n");
    for (path, name, source) in SECTIONS {
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some(values) = defaults.pointer(&pointer).and_then(Value::as_object) else { continue };
        writeln!(out, "\n[{path}]")?;
        section(&mut out, values, name, source)?;
    }
    Ok(out + KEY + TRUNK)
}

fn section(out: &mut String, values: &Map<String, Value>, name: &str, source: &str) -> Result<()> {
    for (docs, field) in documented_fields(source, name) {
        let Some(value) = values.get(field).filter(|value| !value.is_object() && field != "trunk" && field != "key")
        else {
            continue;
        };
        for line in docs {
            writeln!(out, "# {line}")?;
        }
        match value {
            Value::Null => writeln!(out, "# {field} =")?,
            // JSON's strings, numbers, booleans and arrays of them are TOML's too.
            value => writeln!(out, "{field} = {value}")?,
        }
    }
    Ok(())
}

/// The public fields of a struct in the order of the source, each with the lines of its documentation.
fn documented_fields<'a>(source: &'a str, name: &str) -> Vec<(Vec<&'a str>, &'a str)> {
    let opening = format!("struct {name} {{");
    let body = source.split_once(&opening).map(|(_, rest)| rest).and_then(|rest| rest.split_once("\n}"));
    let (mut fields, mut docs) = (Vec::new(), Vec::new());
    for line in body.map(|(body, _)| body).unwrap_or_default().lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim());
        } else if let Some((field, _)) =
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").split_once(':')
            && !line.starts_with('#')
        {
            fields.push((std::mem::take(&mut docs), field));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_setting_documents_it_and_gives_the_defaults() {
        let text = reference().unwrap();
        let read = config::Config::builder().add_source(config::File::from_str(&text, config::FileFormat::Toml));
        let read: Config = read.build().unwrap().try_deserialize().unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(Config::default()).unwrap());
        let lines: Vec<_> = text.lines().collect();
        let every = serde_json::to_value(Config::default()).unwrap();
        for (path, _, _) in SECTIONS {
            let values = every.pointer(&format!("/{}", path.replace('.', "/"))).unwrap().as_object().unwrap();
            for key in values.iter().filter(|(key, value)| !value.is_object() && *key != "trunk").map(|(key, _)| key) {
                let at = lines.iter().position(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
                let at = at.unwrap_or_else(|| panic!("{path}.{key} is missing"));
                assert!(lines[at - 1].starts_with("# "), "{path}.{key} is not documented");
            }
        }
    }
}
