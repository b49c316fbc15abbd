//! Published SDKs in rooms of a node: what they see and hear they tell themselves, by their exit code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::browser;
use crate::harness::node::{Node, Settings};
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;

/// How long a script may take. Each of its steps has less.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs a script against a node of its own.
fn run(name: &str, program: &Path, script: &str, arguments: &[&str]) {
    let scratch = Scratch::new(name);
    let node = Node::start(&scratch, &Settings::default());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/sdk").join(script);
    let mut command = Command::new(program);
    command.arg(script).args(arguments).env("LIVEKIT_URL", format!("ws://{}", node.http));
    command.env("LIVEKIT_API_KEY", "devkey").env("LIVEKIT_API_SECRET", "secret");
    let mut process = Process::start(&mut command, &scratch.folder("script").join("output.log"));
    let status = process.wait(PATIENCE);
    assert!(status.success(), "{status}\n{}", process.output());
}

/// The Python of the environment that `ops/prepare.sh` makes.
fn python() -> PathBuf {
    Path::new(&std::env::var("HOME").unwrap()).join(".cache/tandem/sdk-python/bin/python")
}

#[test]
fn two_participants_of_the_python_sdk_meet() {
    run("sdk-python", &python(), "python_room.py", &[]);
}

#[test]
fn two_participants_of_the_node_sdk_meet() {
    run("sdk-node", Path::new("node"), "node_room.mjs", &[]);
}

#[test]
fn two_tabs_of_chromium_meet() {
    let _turn = browser::turn();
    run("sdk-chromium", Path::new("node"), "chromium_room.mjs", &[]);
}

#[test]
fn two_tabs_of_chromium_with_two_connections_each_meet() {
    let _turn = browser::turn();
    run("sdk-chromium-older", Path::new("node"), "chromium_room.mjs", &["older"]);
}

#[test]
fn a_tab_with_one_connection_and_one_with_two_meet() {
    let _turn = browser::turn();
    run("sdk-chromium-mixed", Path::new("node"), "chromium_room.mjs", &["mixed"]);
}
