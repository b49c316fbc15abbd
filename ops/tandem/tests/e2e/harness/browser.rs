//! A real browser: Chromium with a tone at its microphone, told what to do through `edge/web/e2e/driver.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use super::scratch::Scratch;
use super::sound::Sound;
use super::{SOON, eventually};

/// A browser wants a core for itself: the tests that have one take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Longest answer of the driver: above its own longest wait.
const PATIENCE: Duration = Duration::from_secs(40);

/// Who may use browsers now.
pub struct Turn(#[expect(dead_code, reason = "only its end matters")] MutexGuard<'static, ()>);

/// Waits for the turn.
pub fn turn() -> Turn {
    Turn(TURN.lock())
}

/// See the module.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    answers: Receiver<Value>,
    number: u64,
}

/// One tab of it.
pub struct Tab<'a> {
    browser: &'a mut Browser,
    name: String,
}

impl Browser {
    /// Starts a browser whose microphone hears bursts of this pitch.
    pub fn start(scratch: &Scratch, name: &str, hertz: u32) -> Self {
        let folder = scratch.folder(&format!("browser-{name}"));
        let tone = folder.join("tone.wav");
        Sound::bursts(hertz, 60).write(&tone);
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../edge/web/e2e/driver.mjs");
        let log = std::fs::File::create(folder.join("output.log")).unwrap();
        let mut command = Command::new("node");
        command.arg(driver).arg(&tone).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("node");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for answer in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(answer).is_err() {
                    return;
                }
            }
        });
        let ready = answers.recv_timeout(PATIENCE);
        assert!(
            ready.is_ok(),
            "no browser: {}",
            std::fs::read_to_string(folder.join("output.log")).unwrap_or_default()
        );
        Self { child, input, answers, number: 0 }
    }

    /// A new tab with the node's page.
    pub fn open(&mut self, tab: &str, http: SocketAddr) -> Tab<'_> {
        self.act(json!({ "act": "open", "tab": tab, "url": format!("http://{http}/") })).unwrap();
        self.tab(tab)
    }

    /// A tab that is open.
    pub fn tab(&mut self, name: &str) -> Tab<'_> {
        Tab { browser: self, name: name.to_owned() }
    }

    /// Kills it, as a loss of power would.
    pub fn crash(&mut self) {
        let _ = self.act(json!({ "act": "crash" }));
    }

    fn act(&mut self, mut what: Value) -> Result<Value, String> {
        self.number += 1;
        what["id"] = json!(self.number);
        writeln!(self.input, "{what}").unwrap();
        let answer = self.answers.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {what}"));
        assert_eq!(answer["id"], what["id"], "{answer}");
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].clone()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its driver ends the browser when nobody talks to it any more; a driver that hangs is ended.
        let _ = self.act(json!({ "act": "crash" }));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tab<'_> {
    /// Signs in; the page is ready for calls afterwards.
    pub fn sign_in(&mut self, name: &str) {
        self.fill("sign-in-name", name);
        self.fill("sign-in-password", name);
        self.click("sign-in-submit");
        self.is_online();
    }

    /// Waits until the events flow.
    pub fn is_online(&mut self) {
        self.attribute_is("connection-state", "data-state", "online");
    }

    /// Dials a number.
    pub fn dial(&mut self, number: &str) {
        self.fill("number", number);
        self.click("dial");
    }

    /// Puts a text into a field.
    pub fn fill(&mut self, test: &str, text: &str) {
        self.must(json!({ "act": "fill", "test": test, "text": text }));
    }

    /// Presses a button.
    pub fn click(&mut self, test: &str) {
        self.must(json!({ "act": "click", "test": test }));
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        self.must(json!({ "act": "press", "key": key }));
    }

    /// Types where the focus is.
    pub fn write(&mut self, text: &str) {
        self.must(json!({ "act": "write", "text": text }));
    }

    /// What an element says; nothing when it is not there.
    pub fn text(&mut self, test: &str) -> Option<String> {
        self.act(json!({ "act": "text", "test": test })).ok()?.as_str().map(str::to_owned)
    }

    /// How many of these there are.
    pub fn count(&mut self, test: &str) -> u64 {
        self.must(json!({ "act": "count", "test": test })).as_u64().unwrap()
    }

    /// Waits until the call that is shown is in that state.
    pub fn call_is(&mut self, state: &str) {
        self.attribute_is("call-state", "data-state", state);
    }

    /// Waits until the call has ended for that cause.
    pub fn call_ended(&mut self, cause: &str) {
        self.call_is("ended");
        self.attribute_is("call-state", "data-cause", cause);
    }

    /// Waits until an element has an attribute of that value.
    pub fn attribute_is(&mut self, test: &str, name: &str, value: &str) {
        let mut last = Value::Null;
        let ask = json!({ "act": "attribute", "test": test, "name": name });
        let deadline = std::time::Instant::now() + SOON;
        while std::time::Instant::now() < deadline {
            last = self.act(ask.clone()).unwrap_or_else(Value::String);
            if last == value {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}: {test} has {name}={last}, not {value}", self.name);
    }

    /// Waits until there is none of these.
    pub fn is_gone(&mut self, test: &str) {
        eventually(&format!("{}: end of {test}", self.name), SOON, || (self.count(test) == 0).then_some(()));
    }

    /// Waits until it has heard a tone for a second at least.
    pub fn hears(&mut self, hertz: u32) {
        let ask = json!({ "act": "hears", "hertz": hertz });
        eventually(&format!("{hertz} Hz in tab {}", self.name), SOON, || {
            let heard = self.must(ask.clone());
            (heard["seconds"].as_f64()? >= 1.0).then_some(())
        });
    }

    /// What its last peer connection counted: `received`, `lost`, `sent`, `codec`, `peers`, …
    pub fn stats(&mut self) -> Value {
        self.must(json!({ "act": "stats" }))
    }

    /// Loads the page anew.
    pub fn reload(&mut self) {
        self.must(json!({ "act": "reload" }));
    }

    fn must(&mut self, what: Value) -> Value {
        self.act(what.clone()).unwrap_or_else(|error| panic!("{}: {what}: {error}", self.name))
    }

    fn act(&mut self, mut what: Value) -> Result<Value, String> {
        what["tab"] = json!(self.name);
        self.browser.act(what)
    }
}
