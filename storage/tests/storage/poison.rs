//! Entries that the database refuses for what is in them.

use std::os::unix::fs::PermissionsExt;

use tandem_core::event::FactBody;
use tandem_core::metric::{Counter, Gauge};
use tandem_core::party::Party;

use super::support::{Home, call_id, node, on, talked};

/// From now on the database refuses any leg of that number.
async fn refuse(home: &Home, number: &str) {
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON legs WHEN NEW.number = '{number}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    );
    let check = format!("ALTER TABLE legs ADD CONSTRAINT refuse CHECK (number <> '{number}')");
    home.execute(&on(&trigger, &check)).await;
}

#[tokio::test]
async fn an_entry_that_is_refused_is_set_aside_and_keeps_no_other_from_the_database() {
    let home = Home::new();
    let process = home.open().await;
    refuse(&home, "poison").await;
    for n in 1..=20 {
        let mut facts = talked(n);
        if let FactBody::Dialled { callee, .. } = &mut facts[1].body
            && n == 7
        {
            *callee = Party { number: "poison".to_owned().into(), ..callee.clone() };
        }
        process.commit(&facts);
    }
    process.store().await;
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM cdrs").await, ["20"]);
    assert_eq!(home.select("SELECT DISTINCT status FROM calls").await, ["completed"]);
    assert_eq!(process.metrics.counter(Counter::FactsPoisoned), 1);
    assert_eq!(process.metrics.counter(Counter::FactsStored), 159);
    assert_eq!(process.metrics.gauge(Gauge::JournalBacklog), 0);

    let poisoned = home.journal("poisoned");
    assert_eq!(std::fs::metadata(&poisoned).unwrap().permissions().mode() & 0o077, 0);
    let text = std::fs::read_to_string(poisoned).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["entry"]["fact"]["call"], call_id(7).to_string());
    assert_eq!(lines[0]["entry"]["fact"]["number"], 2);
    assert!(lines[0]["reason"].as_str().unwrap().contains(&on("no", "refuse")), "{}", lines[0]);
    drop(process);

    // A start tries again: the call is over, its leg is not made any more, and its history is whole.
    home.open().await.ledger.recover(node()).await.unwrap();
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM events").await, ["160"]);
    assert!(!home.journal("poisoned").exists());
    let files = std::fs::read_dir(home.journal("")).unwrap();
    let kept = files.filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with("poisoned."));
    assert_eq!(kept.count(), 1);
}

#[tokio::test]
async fn text_with_a_nul_is_stored_without_it() {
    let home = Home::new();
    let process = home.open().await;
    let mut facts = talked(1);
    facts[0].sdp = Some("v=0\0 offer".into());
    if let FactBody::Started { caller, .. } = &mut facts[0].body {
        caller.name = Some("A\0lice".to_owned().into());
    }
    process.commit(&facts);
    process.store().await;
    assert_eq!(home.select("SELECT sdp_offer FROM calls").await, ["v=0\u{fffd} offer"]);
    assert_eq!(home.select("SELECT name FROM legs WHERE side = 'caller'").await, ["A\u{fffd}lice"]);
    assert_eq!(process.metrics.counter(Counter::FactsPoisoned), 0);
}
