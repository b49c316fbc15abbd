//! Two tenants on one node, with the same names and numbers: neither ever sees, reaches or hears of the other.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::harness::api::{Api, Begun, CALLS, refusal};
use crate::harness::events::{Events, Next};
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;
use crate::harness::webrtc::Peer;
use crate::harness::{SOON, eventually};

/// Slug, domain, and the passwords of `alice` (1001) and of `bob` (1002), who is its administrator.
const TENANTS: [(&str, &str, [&str; 2]); 2] =
    [("acme", "acme.test", ["acme-alice", "acme-bob"]), ("globex", "globex.test", ["globex-alice", "globex-bob"])];

/// Operations of the long test.
const STEPS: usize = 150;

/// A node with both. Ids of the users of each.
fn stage(name: &str) -> (Scratch, Node, [Vec<String>; 2]) {
    let scratch = Scratch::new(name);
    let node = Node::start(&scratch, &Settings::default());
    let ids = TENANTS.map(|(tenant, domain, [alice, bob])| {
        node.command(&["tenant", "add", tenant, "--domain", domain]).unwrap();
        let add = |name, extension, password, role| {
            let options = ["--tenant", tenant, "--role", role, "--config", "tandem.toml"];
            node.add_user_with(name, extension, password, &options)
        };
        vec![add("alice", "1001", alice, "user"), add("bob", "1002", bob, "admin")]
    });
    (scratch, node, ids)
}

/// The phone of 1002 there, once the node knows it.
fn bobs_phone(node: &Node, tenant: usize) -> Ua {
    let (_, domain, [_, password]) = TENANTS[tenant];
    let mut phone = Ua::of(domain, "1002", password, node.sip);
    eventually("the node knows the user", SOON, || (phone.try_register() == 200).then_some(()));
    phone
}

fn alice(node: &Node, tenant: usize) -> Api {
    let (slug, _, [password, _]) = TENANTS[tenant];
    Api::sign_in_to(node.http, slug, "alice", password)
}

#[test]
fn phones_of_two_tenants_with_one_number_reach_their_own_and_nobody_else() {
    let (_scratch, node, _) = stage("tenants-sip");
    let mut bobs = [0, 1].map(|tenant| bobs_phone(&node, tenant));
    for tenant in [0, 1] {
        let (_, domain, [password, _]) = TENANTS[tenant];
        let mut alice = Ua::of(domain, "1001", password, node.sip);
        alice.register();
        let call = alice.invite("1002", &RtpEnd::open().sdp());
        let invite = bobs[tenant].incoming("INVITE");
        assert!(invite.header("From").contains(domain), "{}", invite.text());
        assert!(bobs[1 - tenant].is_spared("INVITE", Duration::from_millis(300)), "the other one's phone rang");
        bobs[tenant].respond(&invite, 486, "");
        assert_eq!(alice.finally(&call, SOON).status(), Some(486));
        // The other's domain, dialled: there is nobody there for her.
        let foreign = TENANTS[1 - tenant].1;
        let call = alice.invite_to(&format!("sip:1002@{foreign}"), &RtpEnd::open().sdp());
        assert_eq!(alice.finally(&call, SOON).status(), Some(404));
        assert!(bobs[1 - tenant].is_spared("INVITE", Duration::from_millis(300)));
        // Her password opens nothing at the other's.
        let mut stranger = Ua::of(foreign, "1001", password, node.sip);
        assert_eq!(stranger.try_register(), 401);
    }
    // Where no domain is named, it is the default tenant's.
    assert_eq!(Ua::new("1001", "alice", node.sip).try_register(), 200);
    let subjects = node.ledger().count("events WHERE subject NOT LIKE 'tandem.v1.' || tenant || '.%'");
    assert_eq!(subjects, 0);

    node.command(&["tenant", "disable", "acme"]).unwrap();
    eventually("the tenant is disabled", SOON, || (bobs[0].try_register() == 403).then_some(()));
    assert_eq!(bobs[1].try_register(), 200);
    let audit = node.command(&["tenant", "list"]).unwrap();
    assert!(audit.contains("acme") && audit.contains("disabled"), "{audit}");
    eventually("refusals in the audit", SOON, || {
        let noted = |outcome: &str| node.ledger().count(&format!("audit_events WHERE outcome = '{outcome}'")) > 0;
        ["auth_failed", "foreign_domain", "tenant_disabled"].iter().all(|it| noted(it)).then_some(())
    });
}

/// What one tenant has and the other must never see.
struct Side {
    api: Api,
    admin: Api,
    events: Events,
    /// Ids, and what only its phone is called.
    secrets: Vec<String>,
    calls: Vec<Begun>,
    webhooks: Vec<String>,
    /// More than a few in a minute are refused.
    sign_ins: u8,
}

#[test]
fn whatever_two_tenants_do_nothing_of_one_is_ever_seen_by_the_other() {
    let (_scratch, node, ids) = stage("tenants-random");
    let mut bobs = [0, 1].map(|tenant| bobs_phone(&node, tenant));
    let mut sides = [0, 1].map(|tenant| {
        let (slug, domain, [_, password]) = TENANTS[tenant];
        let api = alice(&node, tenant);
        let admin = Api::sign_in_to(node.http, slug, "bob", password);
        let events = Events::open(node.http, &api.token, None);
        let mut secrets = ids[tenant].clone();
        secrets.extend([slug.to_owned(), domain.to_owned()]);
        Side { api, admin, events, secrets, calls: Vec::new(), webhooks: Vec::new(), sign_ins: 0 }
    });
    let seed = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    for _ in 0..STEPS {
        let me = dice.random_range(0..2);
        let seen = step(&mut dice, &mut sides, &mut bobs, me, &node);
        unseen(&sides[1 - me], &seen, TENANTS[me].0);
        for who in [0, 1] {
            let heard = heard(&mut sides[who].events);
            unseen(&sides[1 - who], &heard, TENANTS[who].0);
        }
    }
    // What the database and the bus have of each says whose it is, and names nothing of the other's.
    for table in ["calls", "legs", "cdrs", "sessions", "audit_events", "events", "webhook_endpoints"] {
        assert!(node.ledger().count(&format!("{table} WHERE tenant = 'acme'")) > 0, "{table}");
        for (tenant, other) in [(0, 1), (1, 0)] {
            let rows = node.ledger().rows(&format!("SELECT * FROM {table} WHERE tenant = '{}'", TENANTS[tenant].0));
            unseen(&sides[other], &rows, TENANTS[tenant].0);
        }
    }
}

/// One operation; everything that was answered.
fn step(dice: &mut StdRng, sides: &mut [Side; 2], bobs: &mut [Ua; 2], me: usize, node: &Node) -> String {
    let foreign: Vec<String> = sides[1 - me].calls.iter().map(|call| call.call_id.clone()).collect();
    let foreign_users: Vec<String> =
        sides[1 - me].secrets.iter().filter(|it| it.starts_with("user_")).cloned().collect();
    let foreign_webhooks = sides[1 - me].webhooks.clone();
    let side = &mut sides[me];
    let body = |(_, body): (u16, Value)| body.to_string();
    match dice.random_range(0..12) {
        0 | 1 => {
            let (status, begun) = side.api.try_initiate("1002");
            if status != 200 {
                return begun.to_string();
            }
            let call = Begun::read(&begun);
            let invite = bobs[me].incoming("INVITE");
            if dice.random() {
                bobs[me].respond(&invite, 180, "");
                let peer = Peer::answer(&call.offer);
                side.api.answer(&call.call_id, &peer.sdp);
            }
            bobs[me].respond(&invite, 486, "");
            side.secrets.extend([call.call_id.clone(), call.session_id.clone()]);
            side.calls.push(call);
            begun.to_string()
        }
        2 => body(side.api.get(CALLS)),
        3 => body(side.admin.get("/api/v1/audit?limit=1000")),
        4 => body(side.admin.get(CALLS)),
        5 => {
            // Another's ids, at every door: the same answer as for what never was.
            let Some(id) = foreign.get(dice.random_range(0..foreign.len().max(1))) else { return String::new() };
            let nobody_s = "call_00000000000000000000000000000bad";
            let ask = |id: &str| {
                let answers = [
                    side.api.get(&format!("{CALLS}/{id}")),
                    side.api.terminate(id),
                    side.api.answer(id, "v=0\r\n"),
                    side.api.post(&format!("{CALLS}/{id}/reject"), &serde_json::json!({})),
                    side.admin.get(&format!("{CALLS}/{id}")),
                    side.api.get(&format!("/api/v1/cdrs/{id}")),
                    side.admin.terminate(id),
                ];
                answers.map(|(status, body)| format!("{status} {body}")).join("\n")
            };
            let answer = ask(id);
            assert_eq!(answer, ask(nobody_s));
            answer
        }
        6 => body(side.api.get(&format!("{CALLS}?cursor={}", foreign.last().map_or("", String::as_str)))),
        7 => {
            let who = foreign_users.first().map_or("nobody", String::as_str);
            let page = side.admin.get(&format!("/api/v1/audit?who={who}"));
            assert_eq!(page.1["events"], Value::Array(Vec::new()), "{}", page.1);
            assert_eq!(refusal(&side.api.get("/api/v1/audit")), (403, "forbidden"));
            body(page)
        }
        8 => body(side.api.get("/api/v1/cdrs")) + &body(side.admin.get("/api/v1/cdrs?limit=1000")),
        9 => side.admin.text("/api/v1/cdrs/export?format=jsonl"),
        10 => {
            if side.webhooks.len() < 2 {
                let nobody = serde_json::json!({ "url": "http://127.0.0.1:9/" });
                let (status, webhook) = side.admin.post("/api/v1/webhooks", &nobody);
                assert_eq!(status, 201, "{webhook}");
                let id = webhook["id"].as_str().unwrap().to_owned();
                side.secrets.push(id.clone());
                side.webhooks.push(id);
            }
            let Some(id) = foreign_webhooks.first() else { return body(side.admin.get("/api/v1/webhooks")) };
            let ask = |id: &str| {
                ["", "/deliveries"].map(|what| side.admin.get(&format!("/api/v1/webhooks/{id}{what}")).1.to_string())
            };
            assert_eq!(ask(id), ask("wh_00000000000000000000000000000bad"));
            ask(id).join("\n") + &body(side.admin.get("/api/v1/webhooks"))
        }
        _ => {
            if side.sign_ins < 3 {
                side.sign_ins += 1;
                side.api = alice(node, me);
            }
            body(side.api.get("/api/v1/me"))
        }
    }
}

/// Whatever has come by now.
fn heard(events: &mut Events) -> String {
    let mut heard = String::new();
    while let Next::Frame(frame) = events.next(Duration::from_millis(2)) {
        heard += &frame.to_string();
    }
    heard
}

fn unseen(owner: &Side, text: &str, who: &str) {
    for secret in &owner.secrets {
        assert!(!text.contains(secret.as_str()), "{who} sees {secret}: {text}");
    }
}
