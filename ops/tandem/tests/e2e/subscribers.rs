//! The subscribers that integrators are shown, run as the page says: each follows a JetStream that has some events twice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream;
use serde_json::Value;
use tandem_testbed::nats::Nats;

use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::{eventually, program};

/// Interpreters begin slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn each_subscriber_handles_every_fact_once_and_in_order_though_some_come_twice() {
    let scratch = Scratch::new("subscribers");
    let nats = Nats::start().unwrap();
    let url = nats.url();

    let events: Vec<Value> =
        serde_json::from_str(include_str!("../../../../core/tests/golden/events.v1.json")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(publish(&url, &events));

    let tools = root().join("ops/contracts");
    let venv = validators(&tools);
    let rust = Path::new(program()).with_file_name("examples").join("subscribe_events");
    let mut python = Command::new(venv.join("bin/python"));
    let mut javascript = Command::new("node");
    python.arg(tools.join("subscribers/subscribe.py"));
    javascript.arg(tools.join("subscribers/subscribe.mjs"));
    let commands = [("rust", Command::new(rust)), ("python", python), ("javascript", javascript)];
    let running: Vec<_> = commands
        .into_iter()
        .map(|(name, mut command)| {
            (name, Process::start(command.arg(&url), &scratch.path().join(format!("{name}.log"))))
        })
        .collect();
    let last = events.last().unwrap()["id"].as_str().unwrap();
    for (name, process) in &running {
        let handled = || Some(process.output()).filter(|it| it.contains(last));
        let handled = eventually(name, PATIENCE, handled);
        let expected: String = events
            .iter()
            .map(|it| format!("{} {}\n", it["id"].as_str().unwrap(), it["type"].as_str().unwrap()))
            .collect();
        assert_eq!(handled, expected, "{name}");
    }
}

/// A stream as the node declares it, and every other event twice in it: as after a crash, when JetStream has forgotten.
async fn publish(url: &str, events: &[Value]) {
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    let subjects = ["call", "cdr", "audit"].map(|kind| format!("tandem.v1.*.{kind}.>"));
    let config =
        stream::Config { name: String::from("TANDEM_FACTS_V1"), subjects: subjects.into(), ..Default::default() };
    jetstream.create_stream(config).await.unwrap();
    for (n, event) in events.iter().enumerate() {
        for _ in 0..=n % 2 {
            let subject = event["subject"].as_str().unwrap().to_owned();
            jetstream.publish(subject, event.to_string().into()).await.unwrap().await.unwrap();
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where the libraries of the snippets are; brought first, if they are not there.
fn validators(tools: &Path) -> PathBuf {
    let installed = Command::new(tools.join("validate")).arg("--install").output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    String::from_utf8(installed.stdout).unwrap().lines().last().unwrap().into()
}
