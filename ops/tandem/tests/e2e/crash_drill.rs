//! The crash drill in short: a few calls, each kind of actor, the same verdict.

use clap::Parser;

use crate::drill::{self, Options};

/// A debug build on a machine that does much else: its silences may be ten times as long.
const ARGUMENTS: &str = "crash_drill --calls 10 --peers 1 --kills 40 --per-second 2 --renew 3 --slack 10";

#[test]
fn each_kind_of_actor_can_be_broken_under_live_calls_and_none_of_them_notices() {
    let verdict = drill::run(&Options::parse_from(ARGUMENTS.split(' ')));
    println!("{verdict}");
    assert!(verdict.failures.is_empty(), "{verdict}");
    let kinds: std::collections::HashSet<_> = verdict.rows.iter().map(|it| it.kind).collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    assert!(verdict.rows.iter().map(|it| it.kills).sum::<usize>() >= 40);
    for row in &verdict.rows {
        assert!(row.calls_up > 0 && row.kills > 0, "{row:?}");
        let ends = ["call", "leg", "track"].contains(&row.kind);
        assert_eq!(row.restarted + if ends { row.ended } else { 0 }, row.kills, "{row:?}");
    }
}
