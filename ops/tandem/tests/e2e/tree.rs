//! The operator sees the tree and breaks its parts from the command line.

use serde_json::Value;

use crate::harness::node::{Node, Settings};
use crate::harness::scratch::Scratch;
use crate::harness::{SOON, eventually};

#[test]
fn an_operator_sees_the_tree_breaks_a_part_and_sees_it_come_back() {
    let scratch = Scratch::new("tree");
    let node = Node::start(&scratch, &Settings::default());
    let text = node.command(&["tree"]).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for words in [
        "node node running",
        "edges/sip.0 service running",
        "media/media.0 service running",
        "worker.0 worker running",
        "calls.0/supervisor supervisor running",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(words)), "no {words} in\n{text}");
    }
    assert!(text.starts_with("1 node, 5 groups, ") && text.contains("; 0 restarts\n"), "{text}");

    let text = node.command(&["break", "edges/sip.0", "--how", "kill"]).unwrap();
    assert!(text.contains("edges/sip.0"), "{text}");
    eventually("the restart in the tree", SOON, || {
        let text = node.command(&["tree", "--json"]).ok()?;
        let tree: Value = serde_json::from_str(&text).unwrap();
        let part = tree.as_array()?.iter().find(|part| part["id"] == "edges/sip.0")?;
        (part["restarts"] == 1 && part["state"] == "running").then_some(())
    });
    for (arguments, advice) in [
        (["break", "edges/sip.99", "--how", "kill"], "`tandem tree` shows what there is"),
        (["break", "worker.0", "--how", "kill"], "--how hang"),
    ] {
        let complaint = node.command(&arguments).unwrap_err();
        assert!(complaint.contains(advice), "{complaint}");
    }
    let audited: Vec<_> = node.log().into_iter().filter(|line| line.contains("\"target\":\"audit\"")).collect();
    assert_eq!(audited.len(), 3, "{audited:?}");
}

#[test]
fn a_node_that_allows_no_breaking_says_how_to_allow_it() {
    let scratch = Scratch::new("tree-locked");
    let node = Node::start(&scratch, &Settings { allow_break: false, ..Settings::default() });
    let complaint = node.command(&["break", "node", "--how", "panic"]).unwrap_err();
    assert!(complaint.contains("TANDEM__OPS__ALLOW_BREAK=true"), "{complaint}");
    assert!(node.tree().iter().all(|part| part.restarts == 0));
    assert!(node.log().iter().any(|line| line.contains("\"audit\"") && line.contains("break_disabled")));
}
