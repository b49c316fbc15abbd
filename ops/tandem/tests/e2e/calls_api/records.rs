//! Billing records, as billing gets them.

use serde_json::Value;

use super::Stage;
use crate::harness::api::Api;
use crate::harness::node::Settings;
use crate::harness::{SOON, eventually};

#[test]
fn the_record_of_a_call_has_its_parties_ways_times_and_media() {
    let mut stage = Stage::set("api-records", &Settings::default());
    let talk = stage.talk();
    let call = talk.call.call_id.clone();
    let path = format!("/api/v1/cdrs/{call}");
    assert_eq!(stage.alice.get(&path).0, 404, "there is none while the call lives");
    stage.terminate(&call);
    let bye = stage.bob.incoming("BYE");
    stage.bob.respond(&bye, 200, "");
    let record = eventually("the record", SOON, || Some(stage.alice.get(&path)).filter(|it| it.0 == 200)).1;
    for (field, expected) in [
        ("/direction", Value::from("internal")),
        ("/answered", true.into()),
        ("/caller/number", "1001".into()),
        ("/callee/number", "1002".into()),
        ("/caller/kind", "user".into()),
        ("/route/via", "extension".into()),
        ("/cause", "normal".into()),
        ("/q850", 16.into()),
        ("/sip_status", 200.into()),
        ("/ended_by", "caller".into()),
        ("/legs/0/media/codec", "PCMU".into()),
        ("/legs/1/media/codec", "PCMU".into()),
        ("/recording_ids", Value::Array(Vec::new())),
        ("/transfer", Value::Null),
    ] {
        assert_eq!(record.pointer(field), Some(&expected), "{field} of {record:#}");
    }
    let number =
        |field: &str| record.pointer(field).and_then(Value::as_u64).unwrap_or_else(|| panic!("{field} of {record:#}"));
    assert_eq!(number("/billable_seconds"), number("/talk_ms").div_ceil(1_000));
    for leg in 0..2 {
        assert!(number(&format!("/legs/{leg}/media/received")) >= 20, "{record:#}");
        assert!(record["legs"][leg]["media"]["mos"].as_f64().is_some_and(|mos| mos > 1.0), "{record:#}");
    }
    assert!(record["legs"][1]["ringing_at"].is_string() && number("/ring_ms") > 0, "{record:#}");

    // The event says the same.
    let events = stage.node.ledger().events(&call);
    let [.., ended, closed] = events.as_slice() else { panic!("no events") };
    assert_eq!((ended.kind(), closed.field("billable_seconds")), ("leg_ended", &record["billable_seconds"]));
    assert_eq!(closed.field("legs"), &record["legs"]);

    // Bob was called; Carol was not, and for her there is no such record.
    let (bob, carol) = (Api::sign_in(stage.node.http, "bob"), Api::sign_in(stage.node.http, "carol"));
    assert_eq!(bob.get(&path), (200, record.clone()));
    let unknown = carol.get("/api/v1/cdrs/call_00000000000000000000000000000abc");
    assert_eq!((carol.get(&path), unknown.0), (unknown.clone(), 404));
    assert_eq!(carol.get("/api/v1/cdrs").1["cdrs"], Value::Array(Vec::new()));
    assert_eq!(bob.get("/api/v1/cdrs?caller=1001&answered=true").1["cdrs"], Value::Array(vec![record.clone()]));

    // And the operator takes all of it home.
    let operator = Api { http: stage.node.http, token: stage.node.operator_token() };
    let lines = operator.exchange("GET", "/api/v1/ops/cdrs/export?format=jsonl&tenant=default", &[], "");
    assert!(lines.body.contains(&call) && lines.status == 200, "{lines:?}");
    let table = operator.exchange("GET", "/api/v1/ops/cdrs/export", &[], "").body;
    assert!(table.contains("call_id,tenant,correlation_id") && table.contains(&format!("{call},default,")), "{table}");
}
