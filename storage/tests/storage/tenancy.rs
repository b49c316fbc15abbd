//! Tenants that know nothing of each other, and the audit of each.

use std::collections::HashSet;

use proptest::prelude::*;
use tandem_core::account::Accounts;
use tandem_core::audit::{Action, Actor, AuditEvent, AuditFilter, Deed};
use tandem_core::event::{Context, Fact, FactBody};
use tandem_core::id::{AuditId, Tenant, UserId};
use tandem_core::party::Identity;
use tandem_core::ports::LedgerPort;
use tandem_storage::{AccountError, NewUser};

use super::accounts::alice;
use super::support::{Home, Process, at, node, talked, uuid};

fn tenants() -> [Tenant; 2] {
    ["acme", "globex"].map(|name| name.parse().unwrap())
}

fn noted(n: u128, tenant: &Tenant, action: Action) -> AuditEvent {
    let deed = Deed::new(tenant.clone(), Actor::Nobody, action, "x").from(Some([192, 0, 2, 1].into())).of("it");
    AuditEvent { id: AuditId::from_uuid(uuid(n)), node: node(), at: at(i64::try_from(n).unwrap()), hushed: 2, deed }
}

fn all(limit: u64) -> AuditFilter {
    AuditFilter { tenant: None, action: None, who: None, from: None, to: None, before: None, limit }
}

#[tokio::test]
async fn an_audit_event_is_a_row_and_an_event_however_often_it_is_journalled() {
    let home = Home::new();
    let process = home.open().await;
    let [acme, globex] = tenants();
    let events =
        [noted(1, &acme, Action::SignIn), noted(2, &globex, Action::TraceRead), noted(3, &acme, Action::SignOut)];
    for event in events.iter().chain(&events) {
        process.ledger.audit(event);
    }
    process.store().await;
    let read = async |filter: AuditFilter| process.storage.audit_events(&filter).await.unwrap();
    let [first, second, third] = events;
    assert_eq!(read(all(10)).await, [third.clone(), second.clone(), first.clone()]);
    assert_eq!(read(all(1)).await, std::slice::from_ref(&third));
    assert_eq!(read(AuditFilter { tenant: Some(acme), ..all(10) }).await, [third.clone(), first.clone()]);
    assert_eq!(read(AuditFilter { action: Some(Action::TraceRead), ..all(10) }).await, std::slice::from_ref(&second));
    assert_eq!(read(AuditFilter { who: Some(Actor::Operator), ..all(10) }).await, []);
    assert_eq!(
        read(AuditFilter { from: Some(at(2)), to: Some(at(3)), ..all(10) }).await,
        std::slice::from_ref(&second)
    );
    assert_eq!(read(AuditFilter { before: Some(second.id), ..all(10) }).await, [first]);
    let subjects = "SELECT subject FROM events WHERE aggregate LIKE 'audit_%' ORDER BY aggregate";
    assert_eq!(
        home.select(subjects).await,
        ["tandem.v1.acme.audit.sign_in", "tandem.v1.globex.audit.trace_read", "tandem.v1.acme.audit.sign_out"]
    );
    let deed = Deed::new(globex, Actor::Operator, Action::UserAdded, "done");
    process.storage.note_audit(node(), deed.clone()).await.unwrap();
    assert_eq!(read(all(1)).await[0].deed, deed, "the command line has no journal");
}

#[tokio::test]
async fn a_domain_belongs_to_one_tenant_and_a_disabled_one_is_not_served() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let [acme, globex] = tenants();
    let domain = |name: &str| vec![name.to_owned()];
    storage.add_tenant(&acme, &domain("Acme.example")).await.unwrap();
    storage.add_tenant(&acme, &domain("voice.acme.example")).await.unwrap();
    assert!(matches!(storage.add_tenant(&acme, &[]).await, Err(AccountError::AlreadyExists)));
    let taken = storage.add_tenant(&globex, &domain("acme.example")).await;
    assert!(matches!(taken, Err(AccountError::AlreadyExists)));
    assert_eq!(storage.list_tenants().await.unwrap().len(), 1, "nothing of it was added");
    storage.add_tenant(&globex, &[]).await.unwrap();
    assert!(storage.enable_tenant(&globex, false).await.unwrap());
    assert!(!storage.enable_tenant(&"nobody".parse().unwrap(), false).await.unwrap());
    let tenants = storage.load_tenants().await.unwrap();
    assert_eq!((tenants.of_host("acme.example"), tenants.domain_of(&acme)), (acme.clone(), Some("acme.example")));
    assert!(tenants.is_enabled(&acme) && !tenants.is_enabled(&globex));
    for tenant in [&acme, &globex] {
        storage.add_user(alice(tenant)).await.unwrap();
    }
    let accounts = Accounts::new(storage.load_accounts().await.unwrap());
    let [one, two] = [&acme, &globex].map(|tenant| accounts.find(tenant, "1001").unwrap());
    assert!(one.user_id != two.user_id && one.tenant == acme && two.tenant == globex);
    assert!(accounts.find(&Tenant::default_tenant(), "1001").is_none());
}

/// A call of that tenant, by a user that both have: ids of rows are the calls' only difference.
fn call(tenant: &Tenant, n: u128) -> Vec<Fact> {
    let mut facts = talked(n);
    for fact in &mut facts {
        fact.context = Context { tenant: tenant.clone(), ..fact.context.clone() };
        if let FactBody::CdrClosed(cdr) = &mut fact.body {
            cdr.tenant = tenant.clone();
        }
    }
    facts
}

/// The one who calls in all of them.
fn caller() -> UserId {
    let FactBody::Started { caller, .. } = &talked(1)[0].body else { panic!("no start") };
    match &caller.identity {
        Identity::User { user_id, .. } => *user_id,
        Identity::Trunk { .. } => panic!("a trunk"),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Call,
    Audit,
    Page(u64),
    Foreign,
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Call),
        2 => Just(Step::Audit),
        2 => (1..5_u64).prop_map(Step::Page),
        3 => Just(Step::Foreign),
    ];
    prop::collection::vec((any::<bool>(), step), 5..25)
}

/// Every id that a tenant has, as text.
#[derive(Default)]
struct Owned {
    calls: Vec<tandem_core::id::CallId>,
    texts: HashSet<String>,
}

async fn run(steps: Vec<(bool, Step)>) {
    let home = Home::new();
    let process: Process = home.open().await;
    let (tenants, user) = (tenants(), caller());
    let mut owned = [Owned::default(), Owned::default()];
    for (n, (is_second, step)) in (1..).zip(steps) {
        let (me, other) = (usize::from(is_second), usize::from(!is_second));
        let tenant = &tenants[me];
        let seen = match step {
            Step::Call => {
                let facts = call(tenant, n);
                process.commit(&facts);
                process.store().await;
                owned[me].calls.push(facts[0].call);
                let ids =
                    facts.iter().flat_map(|fact| [fact.call.to_string(), fact.context.correlation_id.to_string()]);
                owned[me].texts.extend(ids);
                String::new()
            }
            Step::Audit => {
                let event = noted(n, tenant, Action::RequestRefused);
                process.ledger.audit(&event);
                process.store().await;
                owned[me].texts.insert(event.id.to_string());
                String::new()
            }
            Step::Page(limit) => {
                let page = process.storage.calls_of(tenant, user, None, limit).await.unwrap();
                let filter = AuditFilter { tenant: Some(tenant.clone()), ..all(100) };
                let audit = process.storage.audit_events(&filter).await.unwrap();
                assert!(audit.iter().all(|event| event.deed.tenant == *tenant));
                format!("{page:?} {}", serde_json::to_string(&audit).unwrap())
            }
            Step::Foreign => {
                let mut seen = String::new();
                for call in owned[other].calls.clone() {
                    seen += &format!("{:?}", process.storage.call_of(tenant, user, call).await.unwrap());
                    let before = process.storage.calls_of(tenant, user, Some(call), 100).await.unwrap();
                    seen += &format!("{:?}", before.calls);
                }
                seen
            }
        };
        for foreign in &owned[other].texts {
            assert!(!seen.contains(foreign.as_str()), "{foreign} of {} in what {tenant} sees: {seen}", tenants[other]);
        }
        // A row or an event says whose it is, in its column and in its subject.
        for (me, tenant) in tenants.iter().enumerate() {
            let subjects = format!("SELECT subject FROM events WHERE tenant = '{tenant}'");
            let subjects = home.select(&subjects).await;
            assert!(subjects.iter().all(|it| it.starts_with(&format!("tandem.v1.{tenant}."))), "{subjects:?}");
            let foreign = &owned[1 - me].texts;
            let payloads = home.select(&format!("SELECT payload FROM events WHERE tenant = '{tenant}'")).await;
            assert!(!payloads.iter().any(|it| foreign.iter().any(|id| it.contains(id.as_str()))), "{payloads:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn no_row_or_event_of_one_tenant_is_seen_by_another_whatever_both_do(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}

#[tokio::test]
async fn a_user_has_the_role_that_he_was_given() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let [acme, _] = tenants();
    let role = tandem_core::account::Role::Admin;
    storage.add_user(NewUser { role, ..alice(&acme) }).await.unwrap();
    assert_eq!(storage.verify_password(&acme, "alice", "secret").await.unwrap().unwrap().role, role);
    assert_eq!(storage.list_users().await.unwrap()[0].role, role);
}
