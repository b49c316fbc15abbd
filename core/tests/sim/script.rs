//! What one call is to be: who is called, what each party does, and what breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem_core::call::{Call, CallInput, NewCall};
use tandem_core::cause::{Cause, SipStatus};
use tandem_core::event::Context;
use tandem_core::id::{CorrelationId, DeviceId, NodeId, Tenant, UserId};
use tandem_core::leg::{Birth, Leg, LegInput, Negotiation, Role};
use tandem_core::media::{LocalMedia, MediaDescription};
use tandem_core::party::{Address, Identity, Party, Target, TrunkName};
use uuid::Uuid;

use crate::far::{Dialog, send};
use crate::slot::Slot;
use crate::wires::{call_id, leg_id};
use crate::world::{CallWorld, Faults, LEGS, What, World};

/// What one call's parties will do if they are let.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) devices: Vec<Device>,
    pub(crate) hangs_up: Option<HangsUp>,
    pub(crate) talk: Duration,
    pub(crate) has_no_route: bool,
    /// Somebody says things out of turn.
    pub(crate) is_noisy: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Device {
    is_client: bool,
    pub(crate) fate: Fate,
    pub(crate) ring_after: Option<Duration>,
    pub(crate) early_media: bool,
    pub(crate) decides_after: Duration,
}

#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Answers,
    /// And hangs up at once.
    Regrets,
    Refuses(u16),
    NeverAnswers,
    IsDead,
}

#[derive(Clone, Copy)]
pub(crate) enum HangsUp {
    Caller,
    Callee,
    Both,
    Nobody,
}

/// What a far end offers or answers.
pub(crate) fn far_media(world: &mut World, call: u32, n: usize) -> Arc<MediaDescription> {
    let host = call.to_be_bytes();
    let at = |port| SocketAddr::from(([11, host[1], host[2], host[3]], port));
    let port = 20_000 + u16::try_from(n).unwrap() * 2;
    let basic = MediaDescription::basic(&LocalMedia::pair(at(port), at(port + 1)));
    let mut codecs = basic.codecs.clone();
    match world.dice.pick(&[(90, 0), (6, 1), (2, 2)]) {
        0 => {}
        1 => codecs.swap(0, 1),
        _ => {
            codecs.truncate(1);
            (codecs[0].name, codecs[0].payload_type) = ("G729".into(), 18);
        }
    }
    Arc::new(MediaDescription { codecs, text: Some("v=0".into()), ..basic })
}

/// Somebody calls.
pub(crate) fn begin(world: &mut World, call: u32) {
    if world.permits.len() >= world.limit {
        world.tally.refused_at_door += 1;
        return;
    }
    world.permits.insert(call);
    world.tally.calls += 1;
    let faults = faults(world);
    let script = script(world);
    world.calls.insert(call, CallWorld::new(script, faults));
    let offer = far_media(world, call, 0);
    let negotiation = match world.dice.pick(&[(5, 0), (2, 1), (3, 2)]) {
        0 => Negotiation::Offered(offer.clone()),
        1 => Negotiation::Late,
        _ => Negotiation::AtOnce,
    };
    let new = new_call(world, call, negotiation.clone());
    let birth = Birth { call: new.call, context: new.context.clone(), role: Role::Caller(negotiation.clone()) };
    world.note(call, || format!("begins: {negotiation:?}").chars().take(100).collect());
    let it = world.calls.get_mut(&call).unwrap();
    let far = (!matches!(negotiation, Negotiation::Late)).then_some(offer);
    it.dialogs[0] = Some(Dialog::of_caller(far));
    it.call = Some(Slot::new(Call::new(new)));
    it.legs[0] = Some(Slot::new(Leg::new(leg_id(call, 0), Arc::new(birth))));
    it.audit.opened(0);
    world.notify::<Call>(call, 0, CallInput::Start);
    world.notify::<Leg>(call, 0, LegInput::Start);
    if world.dice.chance(1_200) {
        let patience = world.dice.millis(0, 30_000);
        send(world, call, 0, patience, LegInput::Cancelled);
    }
    if world.dice.chance(400) {
        let at = world.dice.millis(0, 120_000);
        world.after(at, call, What::End(Cause::Forbidden));
    }
    if world.calls[&call].script.is_noisy {
        noise(world, call);
    }
}

fn new_call(world: &mut World, call: u32, negotiation: Negotiation) -> NewCall {
    NewCall {
        call: call_id(call),
        leg: leg_id(call, 0),
        context: Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::from_u128(u128::from(call) + 1)),
            node: NodeId::from_uuid(Uuid::from_u128(0x40)),
        },
        caller: user(),
        dialled: String::from("1002").into(),
        negotiation,
        max_forwards: 69,
        ring_timeout: world.dice.millis(15_000, 90_000),
    }
}

/// Two calls in five are left alone, so that nothing excuses them.
fn faults(world: &mut World) -> Faults {
    let (crash, refuse) =
        world.dice.pick(&[(4, (0, 0)), (2, (30, 0)), (2, (150, 30)), (1, (800, 100)), (1, (2_500, 300))]);
    let inbox = if crash == 0 { 256 } else { world.dice.pick(&[(8, 256), (1, 3), (1, 1)]) };
    Faults { crash, refuse, inbox }
}

fn script(world: &mut World) -> Script {
    let dice = &mut world.dice;
    let devices = dice.pick(&[(1, 0), (12, 1), (6, 2), (2, 3), (1, 4)]);
    let devices = (0..devices).map(|_| Device {
        is_client: dice.chance(3_000),
        fate: match dice.pick(&[(60, 0), (3, 1), (10, 2), (7, 3), (3, 4)]) {
            0 => Fate::Answers,
            1 => Fate::Regrets,
            2 => Fate::Refuses(dice.pick(&[(4, 486), (2, 603), (2, 480), (1, 404), (1, 488), (1, 408)])),
            3 => Fate::NeverAnswers,
            _ => Fate::IsDead,
        },
        ring_after: dice.chance(8_500).then(|| dice.millis(20, 3_000)),
        early_media: dice.chance(1_500),
        // One in six is a machine: it decides before we have done what we wanted.
        decides_after: if dice.chance(1_600) { dice.millis(0, 5) } else { dice.millis(100, 25_000) },
    });
    Script {
        devices: devices.collect(),
        hangs_up: Some(dice.pick(&[
            (45, HangsUp::Caller),
            (40, HangsUp::Callee),
            (10, HangsUp::Both),
            (5, HangsUp::Nobody),
        ])),
        talk: if dice.chance(1_000) { dice.millis(0, 100) } else { dice.millis(1_000, 400_000) },
        has_no_route: dice.chance(300),
        is_noisy: dice.chance(1_000),
    }
}

/// The plan: every device of the callee.
pub(crate) fn look_up(world: &mut World, call: u32) -> Result<Vec<Target>, Cause> {
    let script = world.calls[&call].script.clone();
    if script.has_no_route {
        return Err(Cause::UnknownNumber);
    }
    let target = |(n, device): (usize, &Device)| Target {
        leg: leg_id(call, n + 1),
        party: if device.is_client { user() } else { trunk() },
        address: if device.is_client {
            Address::Client(UserId::from_uuid(Uuid::from_u128(11)))
        } else {
            Address::Trunk {
                address: SocketAddr::from(([12, 0, 0, 1], 5060)),
                number: String::from("1002").into(),
                prefix: None,
            }
        },
    };
    Ok(script.devices.iter().enumerate().take(LEGS - 1).map(target).collect())
}

fn user() -> Party {
    let identity = Identity::User {
        user_id: UserId::from_uuid(Uuid::from_u128(11)),
        device_id: DeviceId::from_uuid(Uuid::from_u128(12)),
    };
    Party { number: String::from("1001").into(), name: None, identity }
}

fn trunk() -> Party {
    let identity = Identity::Trunk { trunk: TrunkName("out".into()) };
    Party { number: String::from("1002").into(), name: None, identity }
}

/// What nobody should say now, and somebody says all the same.
fn noise(world: &mut World, call: u32) {
    for _ in 0..=world.dice.roll(4) {
        let leg = usize::try_from(world.dice.roll(3)).unwrap();
        let media = far_media(world, call, leg);
        let refused = LegInput::Refused { cause: Cause::Busy, status: SipStatus::new(486) };
        let input = match world.dice.roll(9) {
            0 => LegInput::Ringing,
            1 => LegInput::EarlyMedia(media),
            2 => LegInput::Answered(media),
            3 => LegInput::Completed(media),
            4 => refused,
            5 => LegInput::Cancelled,
            6 => LegInput::HungUp(Cause::Normal),
            7 => LegInput::Broken(Cause::Timeout),
            _ => LegInput::Propose(media),
        };
        let at = world.dice.millis(0, 60_000);
        world.after(at, call, What::News(leg, input));
    }
}
