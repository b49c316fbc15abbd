//! A real phone: baresip in a process of its own, told what to do over its control socket.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::Value;

use super::process::Process;
use super::scratch::Scratch;
use super::sound::Sound;
use super::{SOON, eventually, ports};

/// Where baresip's modules are on Debian.
const MODULES: &str = "/usr/lib/baresip/modules";

/// How a phone is set up.
pub struct Setup {
    /// Its user part.
    pub user: &'static str,
    /// Its domain and registrar. `None`: it registers nowhere and takes calls on its own address.
    pub registrar: Option<SocketAddr>,
    /// For the digest.
    pub password: &'static str,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// Whether it answers by itself.
    pub answers: bool,
    /// Pitch of what it sends.
    pub hertz: u32,
}

/// See the module.
pub struct Baresip {
    /// Where it takes SIP.
    pub address: SocketAddr,
    process: Process,
    folder: PathBuf,
    control: TcpStream,
    news: Receiver<Value>,
    /// News that came and nobody has asked for yet.
    unread: VecDeque<Value>,
}

impl Baresip {
    /// Starts a phone and waits until it takes commands.
    pub fn start(scratch: &Scratch, setup: &Setup) -> Self {
        let address = ports::address();
        let control = ports::address();
        let folder = scratch.folder(&format!("phone-{}-{}", setup.user, address.port()));
        Sound::tone(setup.hertz, 60).write(&folder.join("tone.wav"));
        std::fs::write(folder.join("config"), configuration(&folder.display().to_string(), address, control)).unwrap();
        std::fs::write(folder.join("accounts"), account(setup, address)).unwrap();
        std::fs::write(folder.join("contacts"), "").unwrap();
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&folder);
        let process = Process::start(&mut command, &folder.join("output.log"));
        let control = eventually("baresip", SOON, || TcpStream::connect(control).ok());
        let (sender, news) = channel();
        let reader = control.try_clone().unwrap();
        std::thread::spawn(move || read_news(reader, &sender));
        Self { address, process, folder, control, news, unread: VecDeque::new() }
    }

    /// Waits until the registrar has taken it. Its log says so; the event may come before we listen.
    pub fn registered(&self) {
        let log = self.folder.join("output.log");
        let is_bound = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("200 OK () ["));
        eventually(&format!("registration of {}", self.address), SOON, || is_bound().then_some(()));
    }

    /// Calls somebody: a user part, or a whole URI.
    pub fn dial(&mut self, whom: &str) {
        self.tell("dial", whom);
    }

    /// Takes the call that rings.
    pub fn answer(&mut self) {
        self.tell("accept", "");
    }

    /// Ends, cancels or refuses the current call.
    pub fn hang_up(&mut self) {
        self.tell("hangup", "");
    }

    /// Waits for the next event of that type and gives its parameter. Others in between are dropped.
    pub fn expect(&mut self, kind: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self.unread.pop_front().or_else(|| self.news.recv_timeout(left).ok());
            let Some(event) = next else { panic!("{} saw no {kind} within {SOON:?}", self.folder.display()) };
            if event["type"] == kind {
                return event["param"].as_str().unwrap_or_default().to_owned();
            }
        }
    }

    /// What it received in its last call, so far.
    pub fn heard(&self) -> Sound {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|it| it.unwrap().path());
        let last = files.filter(|it| it.to_string_lossy().ends_with("-dec.wav")).max();
        last.map_or_else(|| Sound::tone(0, 0), |path| Sound::read(&path))
    }

    /// Waits until it has heard a tone for a second at least.
    pub fn hears(&self, hertz: u32) {
        let heard = || self.heard().seconds_of(hertz);
        eventually(&format!("{hertz} Hz at {}", self.address), SOON, || (heard() >= 1.0).then_some(()));
    }

    /// Unplugs it.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    fn tell(&mut self, command: &str, parameters: &str) {
        let text = serde_json::json!({ "command": command, "params": parameters, "token": command }).to_string();
        write!(self.control, "{}:{text},", text.len()).unwrap();
        let deadline = Instant::now() + SOON;
        while let Ok(news) = self.news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if news["token"] == command {
                assert_eq!(news["ok"], true, "{command}: {news}");
                return;
            }
            self.unread.push_back(news);
        }
        panic!("{}: no response to {command}", self.folder.display());
    }
}

fn configuration(folder: &str, sip: SocketAddr, control: SocketAddr) -> String {
    let media = ports::block(20);
    let mut text = format!(
        "poll_method epoll\nsip_listen {sip}\nnet_interface {}\nctrl_tcp_listen {control}\nmodule_path {MODULES}\n\
         audio_path /usr/share/baresip\naudio_source aufile,{folder}/tone.wav\naudio_player aubridge,nil\n\
         audio_alert aubridge,nil\nsnd_path {folder}\nrtp_ports {media}-{}\nstatmode_default off\n",
        Ipv4Addr::LOCALHOST,
        media + 19
    );
    for module in ["g711", "aufile", "aubridge", "sndfile"] {
        let _ = writeln!(text, "module {module}.so");
    }
    for module in ["account", "menu", "ctrl_tcp"] {
        let _ = writeln!(text, "module_app {module}.so");
    }
    text
}

fn account(setup: &Setup, own: SocketAddr) -> String {
    let Setup { user, registrar, password, transport, .. } = setup;
    let mode = if setup.answers { "auto" } else { "manual" };
    let (domain, interval) = registrar.map_or((own, 0), |it| (it, 600));
    format!(
        "<sip:{user}@{domain};transport={transport}>;auth_pass={password};regint={interval};answermode={mode};\
         audio_codecs=PCMU,PCMA\n"
    )
}

/// Reads netstrings with JSON in them until the phone hangs up.
fn read_news(mut from: TcpStream, to: &Sender<Value>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
        while let Some((news, used)) = netstring(&bytes) {
            bytes.drain(..used);
            if to.send(news).is_err() {
                return;
            }
        }
    }
}

fn netstring(bytes: &[u8]) -> Option<(Value, usize)> {
    let colon = bytes.iter().position(|it| *it == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let body = bytes.get(colon + 1..colon + 1 + length)?;
    Some((serde_json::from_slice(body).unwrap_or_default(), colon + length + 2))
}
