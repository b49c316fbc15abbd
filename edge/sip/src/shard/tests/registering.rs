//! Registrations.

use std::time::Duration;

use md5::Digest as _;
use tandem_core::id::Tenant;
use tandem_core::location::BindingChange;
use tandem_core::metric::Gauge;
use tandem_core::ports::LocationPort;

use crate::header::Name;
use crate::message::Message;
use crate::world::{Ask, World, X};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// The second half of a challenge: the answer of one who knows the password.
fn credentials(challenge: &Message, user: &str, password: &str, is_sha: bool) -> String {
    credentials_for(challenge, user, password, is_sha, "sip:198.51.100.1")
}

fn credentials_for(challenge: &Message, user: &str, password: &str, is_sha: bool, uri: &str) -> String {
    let line = challenge.headers.lines(&Name::WwwAuthenticate).nth(usize::from(is_sha)).unwrap();
    let line = String::from_utf8(line.to_vec()).unwrap();
    let nonce = line.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let hash = |text: String| if is_sha { hex(&sha2::Sha256::digest(text)) } else { hex(&md5::Md5::digest(text)) };
    let ha1 = hash(format!("{user}:tandem:{password}"));
    let ha2 = hash(format!("REGISTER:{uri}"));
    let response = hash(format!("{ha1}:{nonce}:00000001:c:auth:{ha2}"));
    let algorithm = if is_sha { "SHA-256" } else { "MD5" };
    format!(
        "Authorization: Digest username=\"{user}\", realm=\"tandem\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={algorithm}, qop=auth, nc=00000001, cnonce=\"c\"\n"
    )
}

struct Device {
    world: World,
    cseq: u32,
}

impl Device {
    fn new() -> Self {
        Self { world: World::with(|config| config.offer_sha256 = true), cseq: 0 }
    }

    fn ask(&mut self, contacts: &str, extra: &str) -> Message {
        self.cseq += 1;
        let branch = format!("r{}", self.cseq);
        let ask = Ask {
            from: X,
            method: "REGISTER",
            uri: "sip:198.51.100.1",
            branch: &branch,
            cseq: self.cseq,
            extra,
            ..Ask::default()
        };
        let text = ask.text().replace("<sip:1002@a-calls.example>", "<sip:1002@198.51.100.1>");
        let text = text.replace(&format!("Contact: <sip:alice@{X}>\n"), contacts);
        self.world.send(X, &text);
        self.world.got(X)
    }

    /// With the right password.
    fn register(&mut self, contacts: &str, extra: &str) -> Message {
        let challenge = self.ask(contacts, extra);
        assert_eq!(challenge.status(), Some(401));
        let extra = format!("{extra}{}", credentials(&challenge, "1002", "1002", false));
        self.ask(contacts, &extra)
    }

    fn bound(&self) -> usize {
        self.world.shared.registrar.contacts(&Tenant::default_tenant(), "1002").len()
    }
}

fn contacts(response: &Message) -> Vec<String> {
    response.headers.lines(&Name::Contact).map(|it| String::from_utf8(it.to_vec()).unwrap()).collect()
}

#[test]
fn a_device_registers_with_either_digest_and_its_contact_comes_back_as_it_wrote_it() {
    for is_sha in [false, true] {
        let mut device = Device::new();
        let contact = "Contact: <sip:1002@10.0.0.7:5062;ob>;+sip.instance=\"<urn:uuid:1>\";q=0.5\n";
        let challenge = device.ask(contact, "");
        let response = device.ask(contact, &credentials(&challenge, "1002", "1002", is_sha));
        assert_eq!(response.status(), Some(200));
        assert_eq!(
            contacts(&response),
            ["<sip:1002@10.0.0.7:5062;ob>;+sip.instance=\"<urn:uuid:1>\";q=0.5;expires=3600"]
        );
        let bound = device.world.shared.registrar.contacts(&Tenant::default_tenant(), "1002");
        assert_eq!(bound[0].flow.remote.to_string(), X, "behind its NAT it is where it sends from");
        assert_eq!(device.world.shared.metrics.gauge(Gauge::Registrations), 1);
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let mut device = Device::new();
    for (user, password) in [("1002", "wrong"), ("9999", "9999")] {
        let challenge = device.ask("Contact: <sip:a@h>\n", "");
        let response = device.ask("Contact: <sip:a@h>\n", &credentials(&challenge, user, password, false));
        assert_eq!(response.status(), Some(401));
    }
    assert_eq!(device.bound(), 0);
}

#[test]
fn nobody_registers_for_another() {
    let mut device = Device::new();
    let challenge = device.ask("Contact: <sip:a@h>\n", "");
    let response = device.ask("Contact: <sip:a@h>\n", &credentials(&challenge, "1001", "1001", false));
    assert_eq!((response.status(), device.bound()), (Some(403), 0));
}

#[test]
fn a_trunk_must_sign_a_registration_like_anybody() {
    let mut world = World::new();
    world.send(crate::world::A, &Ask { method: "REGISTER", uri: "sip:198.51.100.1", ..Ask::default() }.text());
    assert_eq!(world.status(crate::world::A), 401);
}

#[test]
fn expiries_are_cut_refused_and_obeyed() {
    let mut device = Device::new();
    let brief = device.register("Contact: <sip:a@h>;expires=59\n", "");
    let least = brief.headers.first(&Name::MinExpires).map(|it| it.to_vec());
    assert_eq!((brief.status(), least), (Some(423), Some(b"60".to_vec())));
    let long = device.register("Contact: <sip:a@h>\n", "Expires: 99999999999\n");
    assert_eq!(contacts(&long), ["<sip:a@h>;expires=7200"]);
    device.register("Contact: <sip:b@h>;expires=100\n", "");
    device.world.now = device.world.now.after(Duration::from_secs(101));
    device.world.shared.registrar.expire(device.world.now.wall);
    assert_eq!(device.bound(), 1);
    assert_eq!(contacts(&device.register("", "")), ["<sip:a@h>;expires=7099"], "asking changes nothing");
    let changes = device.world.ledger.0.lock();
    assert!(matches!(changes.last(), Some(BindingChange::Unbound { contact, .. }) if contact == "sip:b@h"));
}

#[test]
fn contacts_are_removed_one_by_one_or_all() {
    let mut device = Device::new();
    device.register("Contact: <sip:a@h>, <sip:b@h>\nContact: <sip:c@h>\n", "");
    assert_eq!(device.bound(), 3);
    device.register("Contact: <sip:b@h>;expires=0\n", "");
    assert_eq!(device.bound(), 2);
    assert_eq!(device.register("Contact: *\n", "Expires: 60\n").status(), Some(400));
    assert_eq!(device.ask("Contact: *, <sip:a@h>\n", "Expires: 0\n").status(), Some(400));
    assert_eq!(device.bound(), 2);
    assert_eq!(device.register("Contact: *\n", "Expires: 0\n").status(), Some(200));
    assert_eq!((device.bound(), device.world.shared.metrics.gauge(Gauge::Registrations)), (0, 0));
}

#[test]
fn an_older_request_changes_nothing() {
    let mut device = Device::new();
    device.register("Contact: <sip:a@h>\n", "");
    device.cseq = 0;
    assert_eq!(device.register("Contact: <sip:new@h>, <sip:a@h>;expires=0\n", "X-R: 1\n").status(), Some(200));
    // The numbers above were used before: their branches, too.
    device.world.pass(Duration::from_secs(40));
    device.cseq = 0;
    assert_eq!(device.register("Contact: <sip:new@h>, <sip:a@h>;expires=0\n", "").status(), Some(500));
    assert_eq!(device.bound(), 1);
}

#[test]
fn an_account_has_so_many_contacts_and_no_more() {
    let mut device = Device::new();
    let list = |n: usize| (0..n).map(|it| format!("Contact: <sip:{it}@h>\n")).collect::<String>();
    assert_eq!(device.register(&list(11), "").status(), Some(403));
    assert_eq!(device.bound(), 0);
    assert_eq!(device.register(&list(10), "").status(), Some(200));
    assert_eq!(device.bound(), 10);
}

#[test]
fn a_phone_that_makes_up_a_new_contact_at_each_start_is_never_locked_out() {
    let mut device = Device::new();
    let kept = device.register("Contact: <sip:desk@h>;expires=7200\n", "");
    assert_eq!(kept.status(), Some(200));
    for start in 0..20 {
        let contact = format!("Contact: <sip:{start}@h>;expires={}\n", 3_600 + start);
        assert_eq!(device.register(&contact, "").status(), Some(200));
    }
    assert_eq!((device.bound(), device.world.shared.metrics.gauge(Gauge::Registrations)), (10, 10));
    let left = contacts(&device.register("", ""));
    assert!(left[0].starts_with("<sip:desk@h>"), "what lasts longest stays");
    assert!(left[1].starts_with("<sip:11@h>") && left[9].starts_with("<sip:19@h>"), "{left:?}");
    let changes = device.world.ledger.0.lock();
    assert_eq!(changes.iter().filter(|it| matches!(it, BindingChange::Unbound { .. })).count(), 11);
}

#[test]
fn an_older_contact_of_the_same_device_makes_room_first() {
    let mut device = Device::new();
    let list: String = (0..9).map(|it| format!("Contact: <sip:{it}@h>;expires=100\n")).collect();
    device.register(&format!("Contact: <sip:old@h>;+sip.instance=\"<urn:uuid:1>\";expires=7200\n{list}"), "");
    device.register("Contact: <sip:new@h>;+sip.instance=\"<urn:uuid:1>\";expires=60\n", "");
    let left = contacts(&device.register("", ""));
    assert_eq!(left.len(), 10);
    assert!(left.iter().all(|it| !it.contains("old")) && left[9].contains("new"), "{left:?}");
}

#[test]
fn contacts_of_other_kinds_are_refused() {
    let mut device = Device::new();
    for contact in ["Contact: <mailto:a@h>\n", "Contact: <sip:a@h>, <tel:+49>\n"] {
        assert_eq!(device.register(contact, "").status(), Some(400));
    }
    assert_eq!(device.ask("Contact: sip:a@h?Route=x\n", "").status(), Some(400), "and what could be two things");
    assert_eq!(device.bound(), 0);
}

/// A REGISTER of RFC 4475, sent by one who knows the password.
fn tortured(world: &mut World, file: &[u8], user: &str) -> Message {
    let text = String::from_utf8(file.to_vec()).unwrap();
    world.send(X, &text);
    // Without rport the answer goes to the port of the Via: that of a stranger here.
    let challenge = world.got(X);
    let credentials = credentials_for(&challenge, user, user, false, "sip:example.com");
    let text = text.replacen("branch=z9hG4bK", "branch=z9hG4bKsigned", 1);
    world.send(X, &text.replacen("To:", &format!("{credentials}To:"), 1));
    world.got(X)
}

#[test]
fn the_contacts_of_rfc_4475_are_stored_and_come_back_as_they_were_meant() {
    for (file, user, contact) in [
        (
            &include_bytes!("../../../tests/rfc4475/cparam01.dat")[..],
            "watson",
            &["<sip:+19725552222@gw1.example.net>;unknownparam;expires=3600"][..],
        ),
        (
            include_bytes!("../../../tests/rfc4475/cparam02.dat"),
            "watson",
            &["<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600"],
        ),
        (
            include_bytes!("../../../tests/rfc4475/regescrt.dat"),
            "user",
            &["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600"],
        ),
        (
            include_bytes!("../../../tests/rfc4475/escnull.dat"),
            "null-\0-null",
            &["<sip:%00@host5.example.com>;expires=3600", "<sip:%00%00@host5.example.com>;expires=3600"],
        ),
    ] {
        let mut world = World::with_people(&[user]);
        let response = tortured(&mut world, file, user);
        assert_eq!(response.status(), Some(200), "{user}");
        assert_eq!(contacts(&response), contact);
    }
}

#[test]
fn a_route_in_a_contact_does_not_steer_our_invite() {
    let mut world = World::with_people(&["user"]);
    tortured(&mut world, include_bytes!("../../../tests/rfc4475/regescrt.dat"), "user");
    let binding = world.shared.registrar.contacts(&Tenant::default_tenant(), "user").remove(0);
    world.switch.0.lock().bindings.insert(String::from("1002"), binding);
    world.send(crate::world::A, &Ask { body: &crate::world::sdp("192.0.2.10"), ..Ask::default() }.text());
    let invite = world.got(X);
    assert_eq!(invite.uri().unwrap().raw(), "sip:user@example.com");
    assert!(invite.headers.first(&Name::Route).is_none());
}

#[test]
fn a_phone_behind_a_new_port_of_its_nat_gets_its_bye_there() {
    use crate::world::{A, reply, sdp, tag_of};
    const MOVED: &str = "203.0.113.66:7777";
    let mut world = World::with_people(&["user"]);
    tortured(&mut world, include_bytes!("../../../tests/rfc4475/regescrt.dat"), "user");
    let binding = world.shared.registrar.contacts(&Tenant::default_tenant(), "user").remove(0);
    world.switch.0.lock().bindings.insert(String::from("1002"), binding);
    world.send(A, &Ask { body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    let ours = world.got(X);
    world.send(X, &reply(&ours, 200, "10.0.0.7:5060", &sdp("203.0.113.66")));
    let to_tag = tag_of(&world.got(A));
    world.rest(X);
    let line = |name| String::from_utf8_lossy(ours.headers.first(&name).unwrap()).into_owned();
    let update = format!(
        "UPDATE sip:us@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.7;rport;branch=z9hG4bKmoved\nMax-Forwards: 70\n\
         From: {};tag=btag\nTo: {}\nCall-ID: {}\nCSeq: 1 UPDATE\nContact: <sip:bob@10.0.0.7>\nContent-Length: 0\n\n",
        line(Name::To),
        line(Name::From),
        line(Name::CallId),
    );
    world.send(MOVED, &update);
    assert_eq!(world.status(MOVED), 200);
    world.send(A, &Ask { method: "ACK", branch: "ack", to_tag: &to_tag, ..Ask::default() }.text());
    world.send(A, &Ask { method: "BYE", cseq: 2, branch: "bye", to_tag: &to_tag, ..Ask::default() }.text());
    assert_eq!(world.got(MOVED).method(), Some(&crate::message::Method::Bye));
    assert!(world.rest(X).is_empty());
}
