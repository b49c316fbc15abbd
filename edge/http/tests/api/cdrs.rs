//! Billing records: who gets which, page by page, and as files.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use reqwest::Method;
use tandem_core::cause::Cause;
use tandem_core::cdr::{Cdr, CdrCursor, CdrFilter, CdrFold, Route};
use tandem_core::event::{Context, Fact, FactBody, Side};
use tandem_core::id::{CallId, CorrelationId, DeviceId, LegId, NodeId, Tenant};
use tandem_core::party::{Identity, Party, TrunkName};
use tandem_core::quality::MediaQuality;
use tandem_core::time::WallTime;
use tandem_http::identity::Role;
use tandem_http::{Records, RecordsUnavailable};
use uuid::Uuid;

use crate::world::{SOON, World, claims, read, user_id};

/// What was written: so many calls of user 1, and what was asked.
#[derive(Default)]
pub(crate) struct Written {
    cdrs: Mutex<Vec<Cdr>>,
    pub(crate) asked: Mutex<Vec<CdrFilter>>,
    is_away: AtomicBool,
}

impl Records for Written {
    fn page<'a>(
        &'a self,
        filter: &'a CdrFilter,
        after: Option<CdrCursor>,
        limit: u16,
    ) -> BoxFuture<'a, Result<Vec<Cdr>, RecordsUnavailable>> {
        self.asked.lock().push(filter.clone());
        if self.is_away.load(Relaxed) {
            return async { Err(RecordsUnavailable) }.boxed();
        }
        let cdrs = self.cdrs.lock();
        let mut found: Vec<&Cdr> = cdrs
            .iter()
            .filter(|it| after.is_none_or(|after| CdrCursor::from(*it) < after))
            .filter(|it| filter.call_id.is_none_or(|call| it.call_id == call))
            .filter(|it| filter.tenant.as_ref().is_none_or(|tenant| it.tenant == *tenant))
            .collect();
        found.sort_by_key(|it| std::cmp::Reverse(CdrCursor::from(*it)));
        let found: Vec<Cdr> = found.into_iter().take(limit.into()).cloned().collect();
        async { Ok(found) }.boxed()
    }
}

/// User 1 calls outside, and somebody there with a hostile name answers.
pub(crate) fn cdr(n: u128) -> Cdr {
    let leg = |side: u128| LegId::from_uuid(Uuid::from_u128(n * 16 + side));
    let context = Context {
        tenant: Tenant::default_tenant(),
        correlation_id: CorrelationId::from_uuid(Uuid::from_u128(0xc0)),
        node: NodeId::from_uuid(Uuid::from_u128(1)),
    };
    let caller = Party {
        number: String::from("1001").into(),
        name: Some(String::from("=HYPERLINK(\"http://x\",\"Alice\")").into()),
        identity: Identity::User { user_id: user_id(1), device_id: DeviceId::from_uuid(Uuid::from_u128(101)) },
    };
    let callee = Party {
        number: String::from("+4930123456").into(),
        name: Some(String::from("Bob, \"the\" builder").into()),
        identity: Identity::Trunk { trunk: TrunkName("world".into()) },
    };
    let media = MediaQuality {
        codec: Some(String::from("PCMA")),
        received: 3_000,
        sent: 2_990,
        lost: 7,
        jitter_ms: 1.25,
        round_trip_ms: None,
        remote_lost_permille: None,
        mos: Some(4.38),
    };
    let over = |side| FactBody::LegEnded {
        leg_id: leg(side),
        cause: Cause::Normal,
        sip_status: None,
        rang_at: None,
        media: (side == 2).then(|| media.clone()),
    };
    let route = Some(Route::Trunk { prefix: Some(String::from("+49")) });
    let bodies = [
        (0, FactBody::Started { leg_id: leg(1), caller, dialled: String::from("030123456").into() }),
        (0, FactBody::Dialled { leg_id: leg(2), callee, route }),
        (2, FactBody::Ringing { leg_id: leg(2) }),
        (5, FactBody::Answered { leg_id: leg(2) }),
        (65, FactBody::Ended { cause: Cause::Normal, by: Side::Callee }),
        (65, over(1)),
        (65, over(2)),
    ];
    let began = WallTime(1_790_000_000_000_000 + i64::try_from(n).unwrap() * 1_000_000);
    let facts = (1..).zip(bodies).map(|(number, (seconds, body))| Fact {
        context: context.clone(),
        call: CallId::from_uuid(Uuid::from_u128(n)),
        number,
        at: began + Duration::from_secs(seconds),
        caused_by: None,
        sdp: None,
        body,
    });
    let facts: Vec<_> = facts.collect();
    let mut fold = CdrFold::begin(&facts[0]).unwrap();
    facts.iter().for_each(|fact| fold.apply(fact));
    fold.record(context.node)
}

fn world(calls: u128) -> World {
    let world = World::start();
    *world.records.cdrs.lock() = (1..=calls).map(cdr).collect();
    world
}

async fn text(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn pages_join_without_a_gap_while_new_records_come() {
    let world = world(250);
    let (mut seen, mut cursor, mut n) = (Vec::new(), String::new(), 1_000);
    loop {
        let (status, page) = world.get(1, &format!("/api/v1/cdrs?limit=100{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(page["cdrs"].as_array().unwrap().iter().map(|it| it["call_id"].as_str().unwrap().to_owned()));
        world.records.cdrs.lock().push(cdr(n));
        n += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = (1..=250).rev().map(|n| cdr(n).call_id.to_string()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn everybody_sees_what_is_his() {
    let world = world(1);
    let call = cdr(1).call_id;
    let admin =
        world.token_for(&tandem_http::identity::Claims { role: Role::Admin, ..claims(9, world.clock.now().wall) });
    let ask = |path: String, token: String| {
        let request = world.request(Method::GET, &path).bearer_auth(token);
        async { read(request).await.0 }
    };
    let (mine, operator) = (world.token(1), String::from("s3cret"));
    for (path, token, tenant, seen_by) in [
        (String::from("/api/v1/cdrs"), &mine, Some("default"), Some(user_id(1))),
        (format!("/api/v1/cdrs/{call}"), &mine, Some("default"), Some(user_id(1))),
        (format!("/api/v1/cdrs/export?user_id={}", user_id(7)), &mine, Some("default"), Some(user_id(1))),
        (String::from("/api/v1/cdrs"), &admin, Some("default"), None),
        (String::from("/api/v1/ops/cdrs"), &operator, None, None),
        (String::from("/api/v1/ops/cdrs?tenant=acme"), &operator, Some("acme"), None),
        (format!("/api/v1/ops/cdrs/{call}"), &operator, None, None),
        (String::from("/api/v1/ops/cdrs/export"), &operator, None, None),
    ] {
        assert_eq!(ask(path.clone(), token.clone()).await, 200, "{path}");
        let asked = world.records.asked.lock().pop().unwrap();
        assert_eq!((asked.tenant.as_ref().map(Tenant::as_str), asked.seen_by), (tenant, seen_by), "{path}");
    }
    for (path, token, status) in [
        ("/api/v1/cdrs", &operator, 401),
        ("/api/v1/ops/cdrs", &admin, 401),
        ("/api/v1/cdrs?tenant=acme", &admin, 400),
        ("/api/v1/cdrs?limit=0", &mine, 400),
        ("/api/v1/cdrs?limit=1001", &mine, 400),
        ("/api/v1/cdrs?cursor=7", &mine, 400),
        ("/api/v1/cdrs?format=csv", &mine, 400),
        ("/api/v1/cdrs/export?format=xls", &mine, 400),
        ("/api/v1/cdrs/export?limit=5", &mine, 400),
        ("/api/v1/cdrs/call_7", &mine, 404),
        ("/api/v1/cdrs/call_00000000000000000000000000000abc", &mine, 404),
    ] {
        assert_eq!(ask(path.to_owned(), token.clone()).await, status, "{path}");
    }
    world.records.is_away.store(true, Relaxed);
    for path in ["/api/v1/cdrs", "/api/v1/cdrs/export", &format!("/api/v1/cdrs/{call}")] {
        assert_eq!(ask(path.to_owned(), mine.clone()).await, 503, "{path}");
    }
}

/// Golden: the columns are a contract.
#[tokio::test]
async fn a_file_for_spreadsheets_is_what_was_promised() {
    let world = world(1);
    let request = world.request(Method::GET, "/api/v1/cdrs/export").bearer_auth(world.token(1));
    assert_eq!(text(request).await, (200, include_str!("golden/cdrs.csv").replace('\n', "\r\n")));
}

#[tokio::test]
async fn a_file_of_json_lines_has_every_record_once() {
    let world = world(1_234);
    let request = world.request(Method::GET, "/api/v1/cdrs/export?format=jsonl").bearer_auth(world.token(1));
    let (status, text) = text(request).await;
    let records: Vec<Cdr> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((status, records.len()), (200, 1_234));
    assert!(records.iter().zip((1..=1_234).rev()).all(|(found, n)| *found == cdr(n)));
}

#[tokio::test]
async fn exports_are_bounded_and_end_with_who_reads_them() {
    let world = world(10_000);
    let ask = || world.request(Method::GET, "/api/v1/cdrs/export?format=jsonl").bearer_auth(world.token(1)).send();
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = ask().await.unwrap().bytes_stream();
        stream.next().await.unwrap().unwrap();
        open.push(stream);
    }
    let refused = ask().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    open.pop();
    let again = async {
        while ask().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the place of who went away");
}

#[tokio::test]
async fn a_file_whose_database_goes_away_is_not_complete() {
    let world = world(10_000);
    let request = world.request(Method::GET, "/api/v1/cdrs/export?format=jsonl").bearer_auth(world.token(1));
    let mut stream = request.send().await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    world.records.is_away.store(true, Relaxed);
    let mut last = None;
    while let Some(chunk) = stream.next().await {
        last = Some(chunk);
    }
    assert!(last.unwrap().is_err(), "it must not look as if that were all");
}
