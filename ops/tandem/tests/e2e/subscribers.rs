//! The subscribers that integrators are shown, run as the page says: each follows a node's facts, some of which come twice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream;
use tandem_testbed::nats::Nats;

use crate::calls_api::Stage;
use crate::harness::ledger::Event;
use crate::harness::node::Settings;
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::{SOON, eventually, program};

/// Interpreters begin slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn each_subscriber_handles_every_fact_once_and_in_order_though_some_come_twice() {
    let (nats, scratch) = (Nats::start().unwrap(), Scratch::new("subscribers"));
    let environment = vec![("TANDEM__BUS__NATS_URL", nats.url())];
    let stage = Stage::set("subscribed-node", &Settings { provider: "mock", environment, ..Settings::default() });
    let mut facts = fails(&stage, "+442079460486", "busy");
    // As after a crash, when JetStream has forgotten what it had.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(publish_again(&nats.url(), &facts));
    facts.extend(fails(&stage, "+442079460603", "declined"));

    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts").canonicalize().unwrap();
    let mut python = Command::new(libraries(&tools).join("bin/python"));
    python.arg(tools.join("subscribers/subscribe.py"));
    let mut javascript = Command::new("node");
    javascript.arg(tools.join("subscribers/subscribe.mjs"));
    let rust = Command::new(Path::new(program()).with_file_name("examples").join("subscribe_events"));
    let start = |(name, mut command): (&'static str, Command)| {
        let output = scratch.path().join(format!("{name}.log"));
        (name, Process::start(command.arg(nats.url()), &output))
    };
    let running = [("rust", rust), ("python", python), ("javascript", javascript)].map(start);
    let line = |fact: &Event| format!("{} {}\n", fact.id(), fact.envelope("type"));
    let expected: String = facts.iter().map(line).collect();
    let last = facts.last().unwrap().id();
    for (name, process) in &running {
        let handled = eventually(name, PATIENCE, || Some(process.output()).filter(|it| it.contains(last)));
        assert_eq!(handled, expected, "{name}");
    }
}

/// A call to a number outside that comes to nothing; its facts, the record last.
fn fails(stage: &Stage, number: &str, cause: &str) -> Vec<Event> {
    let call = stage.alice.initiate(number);
    let _peer = stage.answer(&call);
    stage.assert_over(&call.call_id, cause, "failed");
    stage.node.ledger().events(&call.call_id)
}

/// Once the node has published them.
async fn publish_again(url: &str, facts: &[Event]) {
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    let last = facts.last().unwrap().envelope("subject");
    let published = async {
        // Its record comes last; before the first event there may be no stream.
        while match jetstream.get_stream("TANDEM_FACTS_V1").await {
            Ok(stream) => stream.get_last_raw_message_by_subject(last).await.is_err(),
            Err(_) => true,
        } {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, published).await.expect("the facts in the stream");
    for fact in facts.iter().step_by(2) {
        let subject = fact.envelope("subject").to_owned();
        jetstream.publish(subject, fact.json().into()).await.unwrap().await.unwrap();
    }
}

/// Where the libraries of the snippets are; brought first, if they are not there.
fn libraries(tools: &Path) -> PathBuf {
    let installed = Command::new(tools.join("validate")).arg("--install").output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    String::from_utf8(installed.stdout).unwrap().lines().last().unwrap().into()
}
