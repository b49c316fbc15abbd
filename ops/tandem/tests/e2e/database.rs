//! A node on PostgreSQL, which dies under it.

use tandem_testbed::postgres::{Durability, Postgres};

use crate::harness::line::Dialog;
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;
use crate::harness::{SOON, eventually};

/// Alice calls Bob, who answers.
fn call(alice: &mut Ua, bob: &mut Ua) -> Dialog {
    let (near, far) = (RtpEnd::open(), RtpEnd::open());
    let call = alice.invite("1002", &near.sdp());
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 200, &far.sdp());
    bob.incoming("ACK");
    let answer = alice.finally(&call, SOON);
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    alice.caller_side(&call, &answer)
}

fn hang_up(alice: &mut Ua, bob: &mut Ua, call: &Dialog) {
    alice.bye(call);
    bob.hung_up();
}

#[test]
fn calls_outlive_the_database_and_each_has_one_record_whatever_dies() {
    let postgres = Postgres::begin(Durability::Process).unwrap();
    let scratch = Scratch::new("database");
    let environment = vec![
        ("TANDEM__STORAGE__DATABASE_URL", postgres.url("postgres")),
        ("TANDEM__STORAGE__ACQUIRE_TIMEOUT", String::from("500ms")),
    ];
    let mut node = Node::start(&scratch, &Settings { environment, ..Settings::default() });
    let (mut alice, mut bob) = (Ua::new("1001", "alice", node.sip), Ua::new("1002", "bob", node.sip));
    alice.register();
    bob.register();
    let first = call(&mut alice, &mut bob);
    eventually("the first call in the database", SOON, || (node.ledger().count("calls") == 1).then_some(()));

    postgres.kill9().unwrap();
    hang_up(&mut alice, &mut bob, &first);
    let second = call(&mut alice, &mut bob);
    hang_up(&mut alice, &mut bob, &second);
    // This one goes down with the node.
    call(&mut alice, &mut bob);
    eventually("a try that failed", SOON, || (node.metric("tandem_ledger_retries_total") > 0).then_some(()));
    assert!(node.metric("tandem_journal_backlog") > 8);
    node.kill();

    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            postgres.start().unwrap();
        });
        node.restart();
    });
    let of_the_wait = |line: &String| line.contains("database does not answer");
    assert!(node.log().iter().any(of_the_wait), "{:#?}", node.log());
    let cdrs = eventually("three records", SOON, || Some(node.ledger().cdrs()).filter(|it| it.len() == 3));
    let mut causes: Vec<&str> = cdrs.iter().map(|cdr| cdr.text("cause")).collect();
    causes.sort_unstable();
    assert_eq!(causes, ["node_lost", "normal", "normal"]);
    assert_eq!(node.ledger().count("(SELECT DISTINCT call_id FROM cdrs) t"), 3);
    assert_eq!(node.metric("tandem_facts_poisoned_total"), 0);
    // Phones need not register again, and the command line reads the same database.
    let third = call(&mut alice, &mut bob);
    hang_up(&mut alice, &mut bob, &third);
    eventually("the fourth record", SOON, || (node.ledger().cdrs().len() == 4).then_some(()));
}
