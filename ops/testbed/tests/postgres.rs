//! The cluster comes up, dies, comes back with what it had, and leaves nothing behind.

use std::process::Command;

use tandem_testbed::postgres::{Durability, Postgres};

// What is marked so may unwrap, like the tests themselves.
#[cfg(test)]
fn query(url: &str, sql: &str) -> String {
    let output = Command::new("psql").args([url, "-Atc", sql]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_was_committed_is_there_after_a_crash_and_after_a_stop() {
    let postgres = Postgres::begin(Durability::Process).unwrap();
    let database = postgres.database().unwrap();
    query(&database.url(), "CREATE TABLE t (n int)");
    for n in 1..=2 {
        query(&database.url(), &format!("INSERT INTO t VALUES ({n})"));
        if n == 1 { postgres.kill9() } else { postgres.stop() }.unwrap();
        assert_eq!(query(&database.url(), "SELECT 1"), "", "the server is gone");
        postgres.start().unwrap();
        assert_eq!(query(&database.url(), "SELECT count(*) FROM t"), n.to_string());
    }
    let name = database.url();
    drop(database);
    assert_eq!(query(&name, "SELECT 1"), "", "a database goes with its test");
}
