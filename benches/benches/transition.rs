//! What one input to the call machine costs: clone, handle, effects, drop — as the shell does it.

use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use tandem_core::call::{Call, CallInput, NewCall};
use tandem_core::event::Context;
use tandem_core::id::{CallId, CorrelationId, DeviceId, LegId, NodeId, Tenant, UserId};
use tandem_core::leg::{LegNews, Negotiation};
use tandem_core::machine::{Machine, Stamp};
use tandem_core::media::{LocalMedia, MediaDescription};
use tandem_core::party::{Address, Identity, Party, Target, TrunkName};
use tandem_core::time::{Now, Timestamp, WallTime};
use uuid::Uuid;

fn main() {
    divan::main();
}

const NOW: Now = Now { mono: Timestamp(1_000_000), wall: WallTime(1_000_000) };

fn leg(n: u128) -> LegId {
    LegId::from_uuid(Uuid::from_u128(n))
}

fn phone() -> Arc<MediaDescription> {
    let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Arc::new(MediaDescription::basic(&LocalMedia::pair(at(4_000), at(4_001))))
}

fn call() -> Call {
    let identity =
        Identity::User { user_id: UserId::from_uuid(Uuid::nil()), device_id: DeviceId::from_uuid(Uuid::nil()) };
    Call::new(NewCall {
        call: CallId::from_uuid(Uuid::nil()),
        leg: leg(1),
        context: Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::nil()),
            node: NodeId::from_uuid(Uuid::nil()),
        },
        caller: Party { number: String::from("1001").into(), name: None, identity },
        dialled: String::from("1002").into(),
        negotiation: Negotiation::Offered(phone()),
        max_forwards: 69,
        ring_timeout: Duration::from_secs(90),
    })
}

fn target() -> Target {
    let identity = Identity::Trunk { trunk: TrunkName("out".into()) };
    let number = || String::from("1002").into();
    Target {
        leg: leg(2),
        party: Party { number: number(), name: None, identity },
        address: Address::Trunk {
            address: std::net::SocketAddr::from(([127, 0, 0, 1], 5_070)),
            number: number(),
            prefix: None,
        },
    }
}

fn news(number: u64, news: LegNews) -> CallInput {
    CallInput::Leg(Stamp { from: leg(2), number }, news)
}

fn step(call: &mut Call, input: CallInput) {
    let mut next = call.clone();
    if let Ok(effects) = next.handle(NOW, input) {
        black_box(effects);
        *call = next;
    }
}

fn talking() -> Call {
    let mut call = call();
    step(&mut call, CallInput::Start);
    step(&mut call, CallInput::Routed(Ok(vec![target()])));
    step(&mut call, news(0, LegNews::Ringing));
    step(&mut call, news(1, LegNews::Answered(phone())));
    call
}

/// An input that changes no record: the common case of a long call.
#[divan::bench]
fn a_digit_in_a_talking_call(bencher: Bencher) {
    let mut number = 2;
    bencher.with_inputs(talking).bench_local_refs(|call| {
        number += 1;
        step(call, news(number, LegNews::Digit('5')));
    });
}

/// An answer: a fact, its fold, and four orders to legs.
#[divan::bench]
fn an_answer(bencher: Bencher) {
    let ringing = || {
        let mut call = call();
        step(&mut call, CallInput::Start);
        step(&mut call, CallInput::Routed(Ok(vec![target()])));
        call
    };
    bencher.with_inputs(|| (ringing(), phone())).bench_local_values(|(mut call, media)| {
        step(&mut call, news(0, LegNews::Answered(media)));
        call
    });
}

/// Everything the call machine does in an answered call that one side hangs up.
#[divan::bench]
fn a_whole_call(bencher: Bencher) {
    use tandem_core::cause::Cause;
    bencher.bench_local(|| {
        let mut call = talking();
        let over = |cause| LegNews::Ended { cause, status: None };
        step(&mut call, news(2, over(Cause::Normal)));
        step(&mut call, CallInput::Leg(Stamp { from: leg(1), number: 0 }, over(Cause::Normal)));
        call
    });
}
