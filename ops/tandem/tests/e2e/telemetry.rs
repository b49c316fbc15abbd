//! What a collector and Prometheus get of a node, and what one correlation id explains.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;

use crate::calls_api::Stage;
use crate::harness::browser::{self, Browser};
use crate::harness::collector::{Collector, attribute, hex};
use crate::harness::events::Events;
use crate::harness::node::{Node, Settings};
use crate::harness::scratch::Scratch;
use crate::harness::{SOON, eventually, http, ports};
use crate::page::phone_of_bob;

const INITIATE: &str = "POST /api/v1/calls/initiate";

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// Once the whole tree is there, which comes in one piece.
fn tree(collector: &Collector, trace: &str) -> Vec<Span> {
    eventually("the spans of the call", SOON, || {
        Some(collector.spans(trace)).filter(|spans| !named(spans, "ledger commit").is_empty())
    })
}

/// Every span but the root has its parent in the tree.
fn assert_one_tree(spans: &[Span], root: &str) {
    for span in spans {
        let has_parent = spans.iter().any(|other| other.span_id == span.parent_span_id);
        assert_eq!(has_parent, span.name != root, "{}", span.name);
    }
}

#[test]
fn a_call_from_chromium_to_a_phone_is_one_trace_and_one_id_explains_all_of_it() {
    let (_turn, scratch, collector) = (browser::turn(), Scratch::new("otel"), Collector::start());
    let node = Node::start(&scratch, &Settings { environment: collector.environment(), ..Settings::default() });
    let mut bob = phone_of_bob(&scratch, &node);
    let mut chromium = Browser::start(&scratch, "alice", 440);
    let mut alice = chromium.open("alice", node.http);
    alice.sign_in("alice");
    alice.dial("1002");
    bob.expect("CALL_INCOMING");
    bob.answer();
    alice.call_is("talking");
    bob.hears(440);
    let callee = node.calls()[0]["legs"][1]["leg_id"].as_str().unwrap().to_owned();
    node.break_actor(&callee, "kill");
    eventually("the restart", SOON, || node.metrics().contains("tandem_shells_restarted_total 1").then_some(()));
    alice.click("hang-up");
    bob.expect("CALL_CLOSED");
    alice.call_ended("normal");
    let cdr = node.ledger().the_cdr();
    let trace = cdr.text("correlation_id").to_owned();

    let spans = tree(&collector, &trace);
    assert_one_tree(&spans, INITIATE);
    let [root] = named(&spans, INITIATE)[..] else { panic!("one root") };
    let [call] = named(&spans, "call")[..] else { panic!("one call") };
    assert_eq!(call.parent_span_id, root.span_id);
    assert_eq!(hex(&call.span_id), cdr.call_id()[cdr.call_id().len() - 16..]);
    let legs = named(&spans, "leg");
    assert!(legs.len() == 2 && legs.iter().all(|leg| leg.parent_span_id == call.span_id));
    let callee_leg = legs.iter().find(|leg| attribute(leg, "tandem.leg_id").as_ref() == Some(&callee)).unwrap();
    assert!(callee_leg.events.iter().any(|event| event.name == "actor restarted"), "{:?}", callee_leg.events);
    for method in ["INVITE", "BYE"] {
        let [transaction] = named(&spans, method)[..] else { panic!("one {method}") };
        assert_eq!(transaction.parent_span_id, callee_leg.span_id);
        assert_eq!(attribute(transaction, "tandem.sip.status_code").as_deref(), Some("200"));
    }
    let media = named(&spans, "media");
    assert!(media.len() == 2 && media.iter().all(|it| legs.iter().any(|leg| leg.span_id == it.parent_span_id)));
    assert!(media.iter().all(|it| attribute(it, "tandem.media.mos").is_some()), "{media:?}");
    let caller_leg = legs.iter().find(|leg| leg.span_id != callee_leg.span_id).unwrap();
    assert!(caller_leg.events.iter().any(|event| event.name == "call.answered"), "{:?}", caller_leg.events);
    let text = format!("{spans:?}");
    assert!(!text.contains("\"1001\"") && !text.contains("\"1002\"") && !text.contains("sip:"), "{text}");
    assert!(named(&spans, "ledger commit")[0].end_time_unix_nano > 0 && named(&spans, "bus publish").len() == 1);

    eventually("log lines of the trace", SOON, || (collector.lines(&trace) > 3).then_some(()));
    let metrics = eventually("metrics", SOON, || Some(collector.metrics()).filter(|it| !it.is_empty()));
    for name in ["tandem_calls_started_total", "tandem_calls_active", "tandem_call_setup_seconds_bucket"] {
        assert!(metrics.iter().any(|it| it == name), "{name} is missing in {metrics:?}");
    }

    let told: Value = serde_json::from_str(&node.command(&["why", &trace, "--json"]).unwrap()).unwrap();
    let told = &told["calls"][0];
    for kind in ["api", "client_events", "sip", "restarts", "media", "facts", "spans"] {
        assert!(told[kind].as_array().is_some_and(|it| !it.is_empty()), "{kind} is missing in {told}");
    }
    assert_eq!((told["cdr"]["cause"].as_str(), told["call_id"].as_str()), (Some("normal"), Some(cdr.call_id())));
    let exported: Vec<_> = spans.iter().map(|span| hex(&span.span_id)).collect();
    let built: Vec<_> = told["spans"].as_array().unwrap().iter().map(|it| it["span_id"].as_str().unwrap()).collect();
    assert!(exported.iter().all(|id| built.contains(&id.as_str())), "{exported:?} {built:?}");
    assert!(node.command(&["why", &"0".repeat(31).replace('0', "1")]).is_err());
    assert!(node.command(&["why", &trace]).unwrap().contains("INVITE sip:1002"));
    let audited = |line: &String| line.contains("correlation_read") && line.contains(&trace);
    assert!(node.log().iter().any(audited), "who reads is in the audit log");
}

#[test]
fn a_collector_that_hangs_costs_no_call_anything_and_no_restart_of_the_node() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", silent.local_addr().unwrap())),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", String::from("http/protobuf")),
        ("TANDEM__TELEMETRY__METRICS_INTERVAL", String::from("1s")),
    ];
    let mut stage = Stage::set("otel-hangs", &Settings { environment, ..Settings::default() });
    let talk = stage.talk();
    stage.terminate(&talk.call.call_id.clone());
    stage.bob.hung_up();
    assert_eq!(stage.node.ledger().the_cdr().text("cause"), "normal");
    stage.node.terminate();
    assert!(stage.node.ended(SOON).success());
}

#[test]
fn a_call_joins_the_trace_of_whoever_asked_for_it() {
    let collector = Collector::start();
    let mut stage = Stage::set("otel-joins", &Settings { environment: collector.environment(), ..Settings::default() });
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let sent = format!("00-{trace}-{parent}-01");
    let body = "{\"phone_number\": \"1002\"}";
    let answer = stage.alice.exchange("POST", "/api/v1/calls/initiate", &[("traceparent", &sent)], body);
    assert_eq!(answer.status, 200);
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    let call_id = told["call_id"].as_str().unwrap();
    let ours = format!("00-{trace}-{}-01", &call_id[call_id.len() - 16..]);
    assert_eq!(answer.header("traceparent"), Some(ours.as_str()));
    let invite = stage.bob.incoming("INVITE");
    assert!(invite.text().contains(trace), "Session-ID");
    stage.bob.respond(&invite, 486, "");
    let spans = tree(&collector, trace);
    let [root] = named(&spans, INITIATE)[..] else { panic!("one root") };
    assert_eq!(hex(&root.parent_span_id), parent);
    let [invite] = named(&spans, "INVITE")[..] else { panic!("one INVITE") };
    assert_eq!(attribute(invite, "tandem.sip.status_code").as_deref(), Some("486"));
}

/// Names of metrics in a text: `tandem_…`, without what histograms add.
fn metrics_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("tandem_"));
    let plain = |it: &str| {
        let suffix = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| it.strip_suffix(suffix));
        suffix.unwrap_or(it).to_owned()
    };
    names.map(plain).collect()
}

#[test]
fn prometheus_scrapes_a_node_and_every_metric_of_dashboard_and_alerts_is_there() {
    let (scratch, name) = (Scratch::new("prometheus"), "prometheus");
    let node = Node::start(&scratch, &Settings::default());
    assert_eq!(http::request(node.http, "GET", "/healthz", "", "").unwrap().0, 200);
    let there = metrics_in(&node.metrics());
    let (rules, dashboard) =
        (include_str!("../../../alerts/tandem.rules.yml"), include_str!("../../../grafana/tandem.json"));
    for name in metrics_in(rules).into_iter().chain(metrics_in(dashboard)) {
        assert!(there.contains(&name), "{name} is not in /metrics");
    }
    let folder = scratch.folder(name);
    let target = node.http;
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: tandem\n  static_configs: [{{targets: ['{target}']}}]\n"
    );
    std::fs::write(folder.join("prometheus.yml"), config).unwrap();
    let listen = ports::address();
    let mut prometheus = Command::new(name)
        .current_dir(&folder)
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .arg(format!("--web.listen-address={listen}"))
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus: ops/test installs it");
    let query = |what: &str| {
        let (_, text) = http::request(listen, "GET", &format!("/api/v1/query?query={what}"), "", "")?;
        let answer: Value = serde_json::from_str(&text).ok()?;
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    let scraped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("a scrape", SOON, || query("up").filter(|it| it == "1"));
        eventually("a counter", SOON, || query("tandem_calls_started_total").filter(|it| it == "0"));
    }));
    prometheus.kill().unwrap();
    prometheus.wait().unwrap();
    scraped.unwrap();
}

#[test]
fn promtool_takes_the_alert_rules_and_they_fire_when_they_should() {
    let alerts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../alerts");
    for arguments in [["check", "rules", "tandem.rules.yml"], ["test", "rules", "tandem.tests.yml"]] {
        let done = Command::new("promtool").current_dir(&alerts).args(arguments).output();
        let done = done.expect("promtool: ops/test installs it");
        let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {text}");
    }
}

#[test]
fn whatever_is_logged_names_nobody_and_no_secret() {
    let filter = "debug,tandem=trace,tandem_http=trace,tandem_sip=trace,tandem_actors=trace,tandem_storage=trace,tandem_media=trace,tandem_engine=trace,audit=info";
    let environment = vec![("TANDEM__LOG__FILTER", filter.to_owned())];
    let mut stage = Stage::set("redaction", &Settings { environment, ..Settings::default() });
    let mut secrets = vec![stage.alice.token.clone()];
    let credentials = "{\"username\": \"mallory-the-unknown\", \"password\": \"hunter2-is-wrong\"}";
    assert_eq!(http::request(stage.node.http, "POST", "/api/v1/auth/login", "", credentials).unwrap().0, 401);
    assert_eq!(
        stage.alice.post("/api/v1/calls/initiate", &serde_json::json!({"phone_number": "+493012345678"})).0,
        404
    );
    assert_eq!(
        stage.alice.post("/api/v1/calls/initiate", &serde_json::json!({"phone_number": "not-a-number-777"})).0,
        404
    );
    assert_eq!(http::request(stage.node.http, "GET", "/api/v1/calls", "forged-token-abc", "").unwrap().0, 401);
    let events = Events::open(stage.node.http, &stage.alice.token, None);
    let talk = stage.talk();
    let offer = talk.call.offer.clone();
    stage.terminate(&talk.call.call_id.clone());
    stage.bob.hung_up();
    let call = stage.bob.invite("1001", &crate::harness::rtp::RtpEnd::open().sdp());
    stage.bob.progress(&call, 180);
    stage.bob.cancel(&call);
    assert_eq!(stage.bob.finally(&call, SOON).status(), Some(487));
    events.close();
    // But for the greeting, which names the development accounts on standard output.
    let lines: Vec<_> = stage.node.log().into_iter().filter(|line| line.starts_with('{')).collect();
    for line in offer.lines() {
        let secret = line.strip_prefix("a=ice-pwd:").or_else(|| line.strip_prefix("a=ice-ufrag:"));
        secrets.extend(secret.filter(|it| it.len() >= 8).map(str::to_owned));
    }
    let credentials = call.invite.text().lines().find(|it| it.contains("uthorization: Digest")).unwrap().to_owned();
    secrets.push(credentials.split("response=\"").nth(1).unwrap().split('"').next().unwrap().to_owned());
    secrets.extend(
        ["mallory-the-unknown", "hunter2-is-wrong", "493012345678", "not-a-number-777", "forged-token-abc"]
            .map(String::from),
    );
    secrets.extend(["alice", "bob"].map(String::from));
    let leaks = |line: &&String| secrets.iter().any(|secret| line.contains(secret.as_str()));
    let leaking: Vec<_> = lines.iter().filter(leaks).collect();
    assert!(leaking.is_empty(), "{} lines leak: {:#?}", leaking.len(), leaking.iter().take(40).collect::<Vec<_>>());
    stage.node.assert_not_logged(&["1001", "1002"]);

    // Levels and ids, as operators were promised.
    let logged = |level: &str, parts: &[&str]| {
        let is_it = |line: &&String| line.contains(level) && parts.iter().all(|part| line.contains(part));
        assert!(lines.iter().any(|line| is_it(&line)), "no {level} with {parts:?}");
    };
    let call_id = talk.call.call_id.as_str();
    logged("\"INFO\"", &["call initiated", "\"call_id\"", "\"correlation_id\"", "\"leg_id\"", call_id]);
    logged("\"INFO\"", &["\"event\":\"started\"", "\"call_id\"", "\"correlation_id\"", call_id]);
    logged("\"INFO\"", &["\"event\":\"ended\"", "\"cause\":\"normal\"", call_id]);
    logged("\"INFO\"", &["\"event\":\"ended\"", "\"tenant\":\"default\"", call_id]);
    logged("\"WARN\"", &["request refused"]);
    logged("\"DEBUG\"", &["answer taken", call_id]);
}
