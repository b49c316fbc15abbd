//! Facts, state and live events on a real NATS, and what happens while it is away.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use futures::StreamExt;
use tandem_core::event::{Fact, Live};
use tandem_core::location::BindingChange;
use tandem_core::metric::{Counter, Gauge};
use tandem_core::ports::{BusPort, LedgerPort};
use tandem_core::time::WallTime;
use tandem_storage::{BusConfig, Engine, PublishedEvent, Replay, ReplayError, ReplayFrom};
use tokio::task::JoinHandle;

use super::ENGINE;
use super::support::{Home, LONG, Process, binding, call_id, leg, talked};

pub(crate) const FACTS: &str = "TANDEM_FACTS_V1";
const STATE: &str = "TANDEM_STATE_V1";
/// A cluster elects within some seconds, on a quiet machine.
pub(crate) const ELECTION: Duration = Duration::from_secs(90);

/// The loops of a node, until dropped.
pub(crate) struct Running(Vec<JoinHandle<()>>);

impl Running {
    pub(crate) fn begin(process: &Process) -> Self {
        let (writer, relay) = (process.ledger.clone(), process.ledger.clone());
        let write = tokio::spawn(async move { writer.write_loop().await });
        Self(vec![write, tokio::spawn(async move { relay.relay_loop().await })])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

pub(crate) async fn jetstream(bus: &BusConfig) -> jetstream::Context {
    let urls = bus.nats_url.as_ref().unwrap().reveal();
    let servers: Vec<async_nats::ServerAddr> = urls.split(',').map(|it| it.parse().unwrap()).collect();
    // An account's user and password are the same.
    let user = servers[0].username().unwrap_or_default().to_owned();
    let options = async_nats::ConnectOptions::with_user_and_password(user.clone(), user);
    jetstream::new(options.connect(servers).await.unwrap())
}

pub(crate) async fn within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn drained(process: &Process) {
    within(ELECTION, "an empty outbox", || async {
        let backlog = process.storage.outbox_backlog().await.unwrap();
        backlog.shards.iter().all(|it| it.waiting == 0).then_some(())
    })
    .await;
}

pub(crate) async fn stored(process: &Process) {
    within(LONG, "an empty journal", || async { (process.metrics.gauge(Gauge::JournalBacklog) == 0).then_some(()) })
        .await;
}

/// Every event of the stream in its order: its id and its body.
pub(crate) async fn events(jetstream: &jetstream::Context, stream: &str) -> Vec<(String, String)> {
    messages(jetstream, stream).await.into_iter().map(|(id, event)| (id, event.payload)).collect()
}

/// The same with its subject, as a consumer that was never there gets it. A cluster that has just lost a server may take
/// its time to make one.
pub(crate) async fn messages(jetstream: &jetstream::Context, stream: &str) -> Vec<(String, PublishedEvent)> {
    within(ELECTION, "a consumer", || async { read(jetstream, stream).await.ok() }).await
}

async fn read(
    jetstream: &jetstream::Context,
    stream: &str,
) -> Result<Vec<(String, PublishedEvent)>, Box<dyn std::error::Error>> {
    let mut stream = jetstream.get_stream(stream).await?;
    let count = stream.info().await?.state.messages;
    let mut seen = Vec::new();
    if count > 0 {
        let consumer = stream.create_consumer(consumer::pull::OrderedConfig::default()).await?;
        let mut messages = consumer.messages().await?;
        while (seen.len() as u64) < count {
            let message = tokio::time::timeout(LONG, messages.next()).await?.ok_or("the end")??;
            let id = message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string();
            let payload = String::from_utf8(message.payload.to_vec())?;
            seen.push((id, PublishedEvent { subject: message.subject.to_string(), payload }));
        }
    }
    Ok(seen)
}

/// What a subscriber makes of it: each event once, by its id. Returns what came first of each id, and how often one came
/// again.
fn once(events: Vec<(String, String)>) -> (Vec<(String, String)>, usize) {
    let (mut ids, all) = (std::collections::HashSet::new(), events.len());
    let first: Vec<_> = events.into_iter().filter(|(id, _)| ids.insert(id.clone())).collect();
    let again = all - first.len();
    (first, again)
}

/// That the stream has these calls whole, each event once, and those of a call in their order.
#[track_caller]
pub(crate) fn whole(events: Vec<(String, String)>, calls: std::ops::Range<u128>) {
    let (events, again) = once(events);
    assert_eq!(again, 0, "events came twice");
    let mut by_call: HashMap<String, Vec<String>> = HashMap::new();
    for (id, payload) in events {
        let fact = Fact::from_event(&payload).unwrap();
        assert_eq!(id, fact.id());
        by_call.entry(fact.call.to_string()).or_default().push(payload);
    }
    for n in calls.clone() {
        let expected: Vec<_> = talked(n).iter().map(|it| serde_json::to_string(&it.cloud_event()).unwrap()).collect();
        assert_eq!(by_call.remove(&call_id(n).to_string()).unwrap_or_default(), expected, "call {n}");
    }
    assert!(by_call.is_empty(), "{by_call:?}");
}

/// Facts of calls as they come: one of each call after the other.
pub(crate) fn interleaved(calls: std::ops::Range<u128>) -> Vec<Fact> {
    let calls: Vec<_> = calls.map(talked).collect();
    (0..8).flat_map(|n| calls.iter().map(move |facts| facts[n].clone())).collect()
}

#[tokio::test]
async fn facts_arrive_in_the_stream_once_and_in_the_order_of_their_call_and_who_never_reads_is_in_nobodys_way() {
    let home = Home::with_jetstream();
    let process = home.open().await;
    let running = Running::begin(&process);
    let jetstream = jetstream(&home.bus).await;
    let stream = within(LONG, "the stream", || async { jetstream.get_stream(FACTS).await.ok() }).await;
    let lazy = consumer::pull::Config { durable_name: Some("lazy".to_owned()), ..Default::default() };
    stream.create_consumer(lazy).await.unwrap();
    let _never_read = jetstream.client().subscribe("tandem.v1.>").await.unwrap();

    process.commit(&interleaved(0..60));
    stored(&process).await;
    process.commit(&talked(3));
    drained(&process).await;
    whole(events(&jetstream, FACTS).await, 0..60);
    assert_eq!(process.metrics.counter(Counter::FactsPublished), 480);
    assert_eq!(process.metrics.gauge(Gauge::BusConnected), 1);

    // The next process on the same data publishes nothing again.
    drop((running, process));
    let next = home.open().await;
    let _running = Running::begin(&next);
    next.commit(&talked(60));
    stored(&next).await;
    drained(&next).await;
    whole(events(&jetstream, FACTS).await, 0..61);
}

#[tokio::test]
async fn a_message_says_what_it_is_in_its_headers_and_the_stream_is_as_configured() {
    let home = Home::with_jetstream();
    let process = home.open().await;
    let _running = Running::begin(&process);
    process.commit(&talked(1)[..1]);
    let jetstream = jetstream(&home.bus).await;
    let mut stream = within(LONG, "the event", || async {
        let mut stream = jetstream.get_stream(FACTS).await.ok()?;
        (stream.info().await.ok()?.state.messages == 1).then_some(stream)
    })
    .await;
    let message = stream.get_raw_message(1).await.unwrap();
    assert_eq!(message.subject.as_str(), talked(1)[0].subject());
    assert_eq!(message.headers.get("Tandem-Seq").unwrap().as_str(), "1");
    assert_eq!(message.headers.get("Nats-Msg-Id").unwrap().as_str(), talked(1)[0].id());
    let config = stream.info().await.unwrap().config.clone();
    assert_eq!((config.max_age.as_secs(), config.duplicate_window.as_secs()), (72 * 3_600, 120));
}

#[tokio::test]
async fn a_stream_that_was_lost_is_rebuilt_from_the_database_and_what_happens_meanwhile_comes_behind() {
    let home = Home::with_jetstream();
    let bus = home.bus.clone();
    let process = home.open().await;
    let running = Running::begin(&process);
    process.commit(&interleaved(0..30));
    process.commit(&talked(30)[..4]);
    stored(&process).await;
    drained(&process).await;
    let jetstream = jetstream(&home.bus).await;
    jetstream.delete_stream(FACTS).await.unwrap();
    process.commit(&talked(30)[4..]);
    // It is not begun anew behind the history's back.
    within(LONG, "the complaint", || async {
        let backlog = process.storage.outbox_backlog().await.unwrap();
        backlog
            .shards
            .iter()
            .any(|it| it.failing.as_ref().is_some_and(|it| it.1.contains("tandem replay")))
            .then_some(())
    })
    .await;
    assert!(jetstream.get_stream(FACTS).await.is_err());

    let dry = Replay { dry_run: true, ..Replay::default() }.run(&process.storage, &bus, |_| {}).await.unwrap();
    assert_eq!((dry.seen, dry.published), (244, 0));
    drop(running);
    let mut told = 0;
    let done = Replay::default().run(&process.storage, &bus, |_| told += 1).await.unwrap();
    assert_eq!((done.seen, done.published, done.were_there, done.refused), (244, 244, 0, 0));
    assert!(told > 0);
    let _running = Running::begin(&process);
    drained(&process).await;
    whole(events(&jetstream, FACTS).await, 0..31);

    let again = Replay::default().run(&process.storage, &bus, |_| {}).await.unwrap();
    assert_eq!((again.published, again.were_there), (0, 248));
    let from = Some(ReplayFrom::Event(call_id(30).to_string(), 7));
    let tail = Replay { from, ..Replay::default() }.run(&process.storage, &bus, |_| {}).await.unwrap();
    assert_eq!((tail.seen, tail.last), (2, Some(format!("{}.8", call_id(30)))));
    let nobody = Replay { tenant: Some("other".parse().unwrap()), ..Replay::default() };
    assert_eq!(nobody.run(&process.storage, &bus, |_| {}).await.unwrap().seen, 0);
    let future = Replay { from: Some(ReplayFrom::Time(WallTime(4_000_000_000_000_000))), ..Replay::default() };
    assert_eq!(future.run(&process.storage, &bus, |_| {}).await.unwrap().seen, 0);
    let old = format!("UPDATE events SET created_at = '2026-01-01T00:00:00+00:00' WHERE aggregate = '{}'", call_id(0));
    home.execute(&old).await;
    let young = Replay::default().run(&process.storage, &bus, |_| {}).await.unwrap();
    assert_eq!((young.seen, young.too_old), (240, 8));
}

#[tokio::test]
async fn facts_wait_while_nats_is_away_and_arrive_once_when_it_is_back() {
    let (home, nats) = Home::with_killable();
    nats.servers().for_each(|n| nats.kill9(n).unwrap());
    // A node starts without it.
    let process = home.open().await;
    let _running = Running::begin(&process);
    process.commit(&interleaved(0..10));
    stored(&process).await;
    assert!(process.metrics.counter(Counter::PublishFailures) > 0);
    nats.start_all().unwrap();
    drained(&process).await;
    nats.servers().for_each(|n| nats.kill9(n).unwrap());
    process.commit(&interleaved(10..20));
    stored(&process).await;
    nats.start_all().unwrap();
    drained(&process).await;
    whole(events(&jetstream(&home.bus).await, FACTS).await, 0..20);
}

#[tokio::test]
async fn a_nats_that_hangs_stops_no_commit() {
    let (home, nats) = Home::with_killable();
    let process = home.open().await;
    let _running = Running::begin(&process);
    process.commit(&interleaved(0..5));
    drained(&process).await;
    nats.servers().for_each(|n| nats.hang(n).unwrap());
    for n in 5..25 {
        process.commit(&talked(n));
        stored(&process).await;
    }
    let digit = Live::Digit { context: talked(1)[0].context.clone(), call: call_id(1), leg_id: leg(1, 1), digit: '5' };
    (0..20_000).for_each(|_| process.bus.publish(&digit));
    assert!(process.metrics.counter(Counter::LiveDropped) > 0);
    nats.servers().for_each(|n| nats.wake(n).unwrap());
    stored(&process).await;
    drained(&process).await;
    whole(events(&jetstream(&home.bus).await, FACTS).await, 0..25);
}

#[tokio::test]
async fn what_was_sent_and_never_acknowledged_is_not_doubled_after_an_outage_longer_than_the_stream_remembers() {
    let mut home = Home::with_jetstream();
    home.bus.duplicate_window = Duration::from_secs(1);
    let process = home.open().await;
    let running = Running::begin(&process);
    let jetstream = jetstream(&home.bus).await;
    within(LONG, "the stream", || async { jetstream.get_stream(FACTS).await.ok() }).await;
    drop(running);
    process.commit(&interleaved(0..20));
    process.store().await;
    // Events of an aggregate each, on a subject that they share.
    for n in 0..6 {
        let values =
            format!("'audit_{n}', 1, 'default', NULL, 'tandem.audit.v1', 'tandem.v1.default.audit.login', '{{}}'");
        let at = "'2026-09-21T14:13:20.123456+00:00'";
        home.execute(&format!(
            "INSERT INTO events (aggregate, seq, tenant, correlation_id, event_type, subject, payload, created_at) \
            VALUES ({values}, {at})"
        ))
        .await;
        home.execute(&format!(
            "INSERT INTO outbox (shard, aggregate, seq, created_at) VALUES ({n}, 'audit_{n}', 1, {at})"
        ))
        .await;
    }
    // A relay that died: some of each call is in the stream, and every second audit.
    let send = async |id: String, seq: u32, subject: String, payload: String| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        headers.insert("Tandem-Seq", seq.to_string());
        jetstream.publish_with_headers(subject, headers, payload.into()).await.unwrap().await.unwrap();
    };
    for n in 0..20 {
        for fact in talked(n).iter().take(usize::try_from(n % 9).unwrap()) {
            send(fact.id(), fact.number, fact.subject(), serde_json::to_string(&fact.cloud_event()).unwrap()).await;
        }
    }
    for n in [0, 2, 4] {
        send(format!("audit_{n}.1"), 1, "tandem.v1.default.audit.login".to_owned(), "{}".to_owned()).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let _running = Running::begin(&process);
    drained(&process).await;
    let (audits, facts): (Vec<_>, Vec<_>) =
        events(&jetstream, FACTS).await.into_iter().partition(|(id, _)| id.starts_with("audit_"));
    whole(facts, 0..20);
    let (audits, again) = once(audits);
    assert_eq!((audits.len(), again), (6, 0));
}

#[tokio::test]
async fn an_event_that_the_bus_refuses_is_set_aside_and_those_behind_it_go_on() {
    let home = Home::with_jetstream();
    let process = home.open().await;
    process.commit(&interleaved(0..10));
    process.store().await;
    let large =
        format!("UPDATE events SET payload = '{}' WHERE seq = 2 AND aggregate = '{}'", "x".repeat(70_000), call_id(1));
    home.execute(&large).await;
    let wrong = format!("UPDATE events SET subject = 'elsewhere' WHERE seq = 3 AND aggregate = '{}'", call_id(2));
    home.execute(&wrong).await;
    let _running = Running::begin(&process);
    drained(&process).await;
    let refused = process.storage.outbox_backlog().await.unwrap().refused;
    let mut ids: Vec<_> = refused.iter().map(|it| it.event.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [format!("{}.2", call_id(1)), format!("{}.3", call_id(2))]);
    assert!(refused.iter().all(|it| !it.why.is_empty()), "{refused:?}");
    let jetstream = jetstream(&home.bus).await;
    assert_eq!(events(&jetstream, FACTS).await.len(), 78);

    let right = format!("UPDATE events SET subject = '{}' WHERE subject = 'elsewhere'", talked(2)[2].subject());
    home.execute(&right).await;
    assert_eq!(process.storage.retry_refused().await.unwrap(), 2);
    within(LONG, "the one that is right", || async { (events(&jetstream, FACTS).await.len() == 79).then_some(()) })
        .await;
}

#[tokio::test]
async fn an_end_of_a_leg_that_was_set_aside_is_not_taken_for_the_others_and_a_replay_neither_doubles_nor_moves_any() {
    let mut home = Home::with_jetstream();
    // The stream itself forgets at once.
    home.bus.duplicate_window = Duration::from_secs(1);
    let bus = home.bus.clone();
    let process = home.open().await;
    let facts = talked(1);
    assert_eq!(facts[4].subject(), facts[5].subject());
    process.commit(&facts);
    process.store().await;
    let becomes = async |payload: &str| {
        home.execute(&format!(
            "UPDATE events SET payload = '{payload}' WHERE aggregate = '{}' AND seq = 5",
            call_id(1)
        ))
        .await;
    };
    becomes(&"x".repeat(70_000)).await;
    let running = Running::begin(&process);
    drained(&process).await;
    let jetstream = jetstream(&home.bus).await;
    assert_eq!(events(&jetstream, FACTS).await.len(), 7);

    becomes(&serde_json::to_string(&facts[4].cloud_event()).unwrap()).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(process.storage.retry_refused().await.unwrap(), 1);
    drained(&process).await;
    drop(running);
    let ids = async || events(&jetstream, FACTS).await.into_iter().map(|it| it.0).collect::<Vec<_>>();
    let mut expected: Vec<_> = facts.iter().map(Fact::id).collect();
    let late = expected.remove(4);
    expected.push(late);
    assert_eq!(ids().await, expected, "behind what was published meanwhile");

    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for _ in 0..2 {
        let again = Replay::default().run(&process.storage, &bus, |_| {}).await.unwrap();
        assert_eq!((again.published, again.were_there, again.refused), (0, 8, 0));
    }
    // One that the stream lost would come behind later ones.
    jetstream.get_stream(FACTS).await.unwrap().delete_message(3).await.unwrap();
    let again = Replay::default().run(&process.storage, &bus, |_| {}).await.unwrap();
    assert_eq!((again.published, again.were_there, again.refused), (0, 7, 1));
    expected.remove(2);
    assert_eq!(ids().await, expected);

    home.execute(
        "UPDATE outbox_shards SET held_by = 'another', held_until = '2999-01-01T00:00:00+00:00' WHERE shard = 7",
    )
    .await;
    let held = Replay::default().run(&process.storage, &bus, |_| {}).await;
    assert!(matches!(held, Err(ReplayError::Held)), "{held:?}");
    let holders = home.select("SELECT held_by FROM outbox_shards WHERE held_by IS NOT NULL").await;
    assert_eq!(holders, ["another"]);
}

#[tokio::test]
async fn a_node_without_nats_leaves_the_outbox_to_those_who_have_it() {
    if ENGINE == Engine::Sqlite {
        // One node has the file.
        return;
    }
    let home = Home::with_jetstream();
    let bus = home.bus.clone();
    for (calls, bus) in [(0..5, &bus), (5..10, &BusConfig::default()), (10..15, &bus)] {
        let process = home.open_on(bus).await.unwrap();
        let _running = Running::begin(&process);
        process.commit(&interleaved(calls));
        stored(&process).await;
        if bus.nats_url.is_some() {
            drained(&process).await;
        } else {
            // Long enough for it to do it wrong.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    whole(events(&jetstream(&home.bus).await, FACTS).await, 0..15);
}

#[tokio::test]
async fn registrations_have_a_last_value_each_and_live_events_and_other_nodes_words_pass() {
    let home = Home::with_jetstream();
    let process = home.open().await;
    let _running = Running::begin(&process);
    let jetstream = jetstream(&home.bus).await;
    let until = WallTime(4_000_000_000_000_000);
    for n in 0..50 {
        let bound = tandem_core::location::Binding { cseq: n, ..binding("sip:1001@127.0.0.1:5062", until) };
        process.ledger.bind(&BindingChange::Bound(bound));
    }
    process.ledger.bind(&BindingChange::Bound(binding("sip:1001@127.0.0.1:5064", until)));
    let two = within(LONG, "two contacts", || async {
        jetstream.get_stream(STATE).await.ok()?;
        let events = events(&jetstream, STATE).await;
        (events.len() == 2).then_some(events)
    })
    .await;
    assert!(two.iter().all(|it| it.1.contains("\"bound\"") && !it.1.contains("1001")), "{two:?}");
    let gone = binding("sip:1001@127.0.0.1:5064", until);
    let gone = BindingChange::Unbound { tenant: gone.tenant, extension: gone.extension, contact: gone.contact };
    process.ledger.bind(&gone);
    within(LONG, "the end of one", || async {
        let events = events(&jetstream, STATE).await;
        (events.len() == 2 && events[1].1.contains("\"unbound\"")).then_some(())
    })
    .await;
    let gone = messages(&jetstream, STATE).await;
    assert!(gone.iter().all(|(_, it)| it.subject.ends_with(&format!(".{}", process.node))), "{gone:?}");

    // A stream that was lost is made again with all that is bound.
    stored(&process).await;
    jetstream.delete_stream(STATE).await.unwrap();
    process.ledger.bind(&BindingChange::Bound(binding("sip:1001@127.0.0.1:5066", until)));
    within(ELECTION, "both that are bound", || async {
        jetstream.get_stream(STATE).await.ok()?;
        let events = events(&jetstream, STATE).await;
        (events.len() == 2 && events.iter().all(|it| it.1.contains("\"bound\""))).then_some(())
    })
    .await;

    let client = jetstream.client();
    let mut heard = client.subscribe("tandem.v1.*.live.>").await.unwrap();
    client.flush().await.unwrap();
    let digit = Live::Digit { context: talked(1)[0].context.clone(), call: call_id(1), leg_id: leg(1, 1), digit: '5' };
    // It may be dropped, as live events may.
    let message = loop {
        process.bus.publish(&digit);
        if let Ok(message) = tokio::time::timeout(Duration::from_secs(1), heard.next()).await {
            break message.unwrap();
        }
    };
    assert!(message.subject.ends_with(".digit"), "{message:?}");

    let mut local = process.bus.subscribe();
    let subject = "tandem.v1.default.live.identity.revoked";
    let event = loop {
        client.publish(subject, "{}".into()).await.unwrap();
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(200), local.recv()).await {
            break event.unwrap();
        }
    };
    assert_eq!((event.subject.as_str(), event.payload.as_str()), (subject, "{}"));
}
