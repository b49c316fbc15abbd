//! Many calls at once through the trunk, and none is forgotten: not under load, not by `kill -9`.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::scratch::Scratch;
use crate::harness::sipp::{Sipp, Tally};
use crate::harness::{SOON, eventually, ports};

/// A carrier that calls from an address of its own: by that it is known.
fn trunk_to(callee: &Sipp) -> Settings {
    let caller = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), ports::block(2)));
    let trunk = Trunk { caller, callee: callee.address };
    Settings { media_ports: 2_000, trunk: Some(trunk), ..Settings::default() }
}

#[test]
fn two_thousand_calls_at_two_hundred_a_second_all_succeed_and_are_all_billed() {
    let scratch = Scratch::new("load");
    let callee = Sipp::callee(&scratch);
    let settings = trunk_to(&callee);
    let node = Node::start_alone(&scratch, &settings);
    let number = "+4930123456";
    let from = settings.trunk.unwrap().caller;
    let caller = Sipp::caller_at(&scratch, from, node.sip, number, 2_000, 200, Duration::from_millis(200));
    assert_eq!(caller.finish(SOON * 4), Tally { successful: 2_000, failed: 0 });
    let ledger = node.ledger();
    eventually("2,000 CDRs", SOON, || (ledger.count("cdrs") >= 2_000).then_some(()));
    assert_eq!(ledger.count("cdrs WHERE cause = 'normal' AND answered_at IS NOT NULL"), 2_000);
    assert_eq!(ledger.count("(SELECT DISTINCT call_id FROM cdrs)"), 2_000);
    node.assert_not_logged(&[number, &number[1..]]);
}

#[test]
fn every_call_that_was_answered_before_kill_9_has_exactly_one_cdr_after_a_restart() {
    let scratch = Scratch::new("kill-9");
    let callee = Sipp::callee(&scratch);
    let settings = trunk_to(&callee);
    let mut node = Node::start_alone(&scratch, &settings);
    let numbers: Vec<String> = (0..1_000).map(|n| format!("+4930{}", 200_000 + n)).collect();
    let from = settings.trunk.unwrap().caller;
    let hold = Duration::from_secs(2);
    let caller = Sipp::scripted(&scratch, from, node.sip, "numbered_caller.xml", &numbers, 100, hold);
    // By then some calls are over, some talk, some are being set up.
    eventually("300 answers", SOON, || (caller.logged().len() >= 300).then_some(()));
    node.kill();
    let answered = caller.logged();
    // Or it would go on with calls to the restarted node, which are not asked about.
    drop(caller);
    node.restart();

    let ledger = node.ledger();
    let records = || {
        let mut records: HashMap<String, Vec<String>> = HashMap::new();
        for cdr in ledger.cdrs() {
            records.entry(cdr.text("dialled").to_owned()).or_default().push(cdr.text("cause").to_owned());
        }
        records
    };
    let missing = |records: &HashMap<String, Vec<String>>| answered.iter().any(|it| !records.contains_key(it));
    let records = eventually("all CDRs", SOON, || Some(records()).filter(|it| !missing(it)));
    let closed = ledger.count("events WHERE event_type = 'tandem.cdr.closed.v1'");
    assert_eq!(closed, ledger.count("cdrs"), "a record is told once");
    for number in &answered {
        let causes = &records[number];
        assert_eq!(causes.len(), 1, "{number}: {causes:?}");
    }
    let causes: Vec<&str> = answered.iter().map(|it| records[it][0].as_str()).collect();
    assert!(causes.contains(&"normal") && causes.contains(&"node_lost"), "{causes:?}");
}
