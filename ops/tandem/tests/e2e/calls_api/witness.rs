//! What a node tells its operator of the calls API: in its log, and in its metrics.

use serde_json::Value;

use super::Stage;
use crate::harness::api::Api;
use crate::harness::events::Events;
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::{SOON, eventually};

/// How often a line was logged, at that level.
fn logged(node: &Node, level: &str, message: &str) -> usize {
    let lines = node.log();
    let read = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    read.filter(|it| it["level"] == level && it["message"] == message).count()
}

#[test]
fn the_log_and_the_metrics_tell_of_calls_and_give_nobody_away() {
    let mut stage = Stage::set("api-witness", &Settings::default());
    let names = [
        "tandem_api_calls_initiated_total",
        "tandem_api_calls_failed_total",
        "tandem_api_refused_total",
        "tandem_calls_answered_total",
        "tandem_calls_ended_total{cause=\"normal\"}",
        "tandem_calls_ended_total{cause=\"busy\"}",
        "tandem_peers_connected_total",
    ];
    let before = names.map(|name| stage.node.metric(name));
    let events = Events::open(stage.node.http, &stage.alice.token, None);
    let talk = stage.talk();
    let gauges = ["tandem_calls_active", "tandem_peers_active", "tandem_clients_connected"];
    assert_eq!(gauges.map(|name| stage.node.metric(name)), [1, 1, 1]);
    stage.terminate(&talk.call.call_id);
    stage.bob.hung_up();
    events.close();

    let (busy, invite) = stage.dial();
    stage.bob.respond(&invite, 486, "");
    stage.bob.incoming("ACK");
    stage.assert_over(&busy.call_id, "busy", "failed");
    assert_eq!(stage.alice.try_initiate("1999").0, 404);
    let nobody = Api { token: String::from("not-a-token-at-all"), ..stage.alice.clone() };
    assert_eq!(nobody.try_initiate("1002").0, 401);

    let after = names.map(|name| stage.node.metric(name));
    let moved: Vec<i64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(moved, [2, 1, 1, 1, 1, 1, 1], "{names:?}");
    eventually("that nothing is left", SOON, || gauges.iter().all(|name| stage.node.metric(name) == 0).then_some(()));

    assert_eq!(logged(&stage.node, "INFO", "call initiated"), 2);
    assert_eq!(logged(&stage.node, "INFO", "call terminated"), 1);
    assert_eq!(logged(&stage.node, "WARN", "request refused"), 1);
    assert_eq!(logged(&stage.node, "DEBUG", "answer taken"), 1);
    stage.node.assert_not_logged(&["1001", "1002", "1999", "alice", "bob"]);
    let password = talk.call.offer.lines().find_map(|it| it.strip_prefix("a=ice-pwd:")).unwrap();
    let secrets = [&stage.alice.token, &nobody.token, password];
    for line in stage.node.log() {
        assert!(secrets.iter().all(|it| !line.contains(it)), "a secret in the log: {line}");
    }
}

#[test]
fn a_media_failure_of_a_client_is_no_secret() {
    let settings = Settings { silence_timeout: std::time::Duration::from_secs(3), ..Settings::default() };
    let mut stage = Stage::set("api-silent", &settings);
    let (call, invite) = stage.dial();
    let peer = stage.answer(&call);
    peer.connected();
    let end = RtpEnd::open();
    stage.bob.respond(&invite, 200, &end.sdp());
    stage.bob.incoming("ACK");
    let stream = end.talk(&invite.body);
    stage.state_is(&call.call_id, "talking");
    // Its machine loses power.
    drop(peer);
    stage.bob.hung_up();
    stage.assert_over(&call.call_id, "media_lost", "completed");
    drop(stream);
    let cdr = stage.node.ledger().the_cdr();
    assert_eq!(cdr.text("ended_by"), "system");
}
