//! The edge and the far ends behind it: phones, trunks and pages, and the network that delays, loses and repeats.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tandem_core::cause::{Cause, SipStatus};
use tandem_core::id::LegId;
use tandem_core::leg::{Leg, LegInput};
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::media::{MediaDescription, MediaNews};
use tandem_core::ports::Signal;

use crate::script::{Fate, HangsUp, far_media};
use crate::wires::Wired;
use crate::world::{What, World};

/// When the edge offers news again that a full inbox did not take.
const RETRY: Duration = Duration::from_millis(100);
/// SIP's timers B, F and H.
const TIMEOUT: Duration = Duration::from_secs(32);

/// What the edge has filed under one leg.
#[derive(Default)]
pub(crate) struct Dialog {
    /// The highest effect that was taken.
    taken: Option<u64>,
    news: VecDeque<LegInput>,
    is_retrying: bool,
    is_invited: bool,
    is_offered: bool,
    pub(crate) hears_ringing: bool,
    pub(crate) is_answered: bool,
    /// What it says it receives.
    pub(crate) far: Option<Arc<MediaDescription>>,
    pub(crate) is_parted: bool,
    /// It did not take everything: what comes next may not fit what it knows.
    has_refused: bool,
}

impl Dialog {
    pub(crate) fn of_caller(far: Option<Arc<MediaDescription>>) -> Self {
        Self { is_invited: true, far, ..Self::default() }
    }
}

/// What a far end says takes its time; it may be lost and sent again, come twice, or overtake what was said before.
pub(crate) fn send(world: &mut World, call: u32, n: usize, after: Duration, input: LegInput) {
    let mut after = after + if world.dice.chance(2_000) { world.dice.millis(0, 1) } else { world.dice.millis(1, 60) };
    if world.dice.chance(400) {
        world.tally.messages_lost += 1;
        after += world.dice.millis(500, 3_500);
    }
    if world.dice.chance(500) {
        let again = after + world.dice.millis(0, 800);
        world.after(again, call, What::News(n, input.clone()));
    }
    world.after(after, call, What::News(n, input));
}

/// News has come to the edge.
pub(crate) fn arrive(world: &mut World, call: u32, n: usize, input: LegInput) {
    let Some(dialog) = world.calls.get_mut(&call).and_then(|it| it.dialogs[n].as_mut()) else { return };
    let input = match input {
        // Whom we have accepted hangs up.
        LegInput::Cancelled if dialog.is_answered => LegInput::HungUp(Cause::Normal),
        LegInput::Completed(media) | LegInput::Answered(media) | LegInput::EarlyMedia(media) if dialog.is_parted => {
            drop(media);
            return;
        }
        input => input,
    };
    dialog.news.push_back(input);
    if !dialog.is_retrying {
        retry(world, call, n);
    }
}

/// Tells the leg, in order; what it has no room for is offered again.
pub(crate) fn retry(world: &mut World, call: u32, n: usize) {
    loop {
        let Some(dialog) = world.calls.get_mut(&call).and_then(|it| it.dialogs[n].as_mut()) else { return };
        dialog.is_retrying = false;
        let Some(input) = dialog.news.front().cloned() else { return };
        let media = match &input {
            LegInput::Answered(media) | LegInput::Completed(media) | LegInput::EarlyMedia(media) => Some(media.clone()),
            _ => None,
        };
        let is_over = matches!(input, LegInput::HungUp(_) | LegInput::Broken(_));
        let is_connected = Leg::slot(world, call, n).is_some_and(|slot| slot.machine.state_name() == "connected");
        match Leg::send(world, call, n, input) {
            Err(Refusal::Full) => {
                world.slow(call, RETRY);
                world.calls.get_mut(&call).unwrap().dialogs[n].as_mut().unwrap().is_retrying = true;
                return world.after(RETRY, call, What::Retry(n));
            }
            sent => {
                let now = world.mono;
                let it = world.calls.get_mut(&call).unwrap();
                if is_over && is_connected && sent.is_ok() {
                    it.audit.far_end_left(n, now);
                }
                let dialog = it.dialogs[n].as_mut().unwrap();
                dialog.news.pop_front();
                dialog.far = media.or(dialog.far.take());
            }
        }
    }
}

/// The edge did not take what a leg wanted said.
pub(crate) fn refused(world: &mut World, call: u32, n: usize) {
    world.calls.get_mut(&call).unwrap().dialogs[n].get_or_insert_default().has_refused = true;
}

/// A leg wants something said to its far end.
pub(crate) fn signal(
    world: &mut World,
    call: u32,
    n: usize,
    stamp: Stamp<LegId>,
    signal: Signal,
) -> Result<(), Refusal> {
    let refuses = world.calls[&call].faults.refuse;
    if world.dice.chance(refuses) {
        world.tally.refusals += 1;
        world.trouble(call, || "the edge refuses a signal".into());
        refused(world, call, n);
        return Err(if world.dice.chance(7_000) { Refusal::Full } else { Refusal::Gone });
    }
    let it = world.calls.get_mut(&call).unwrap();
    let has_answered_fact = it.audit.has_fact("answered");
    let dialog = it.dialogs[n].get_or_insert_default();
    if dialog.taken >= Some(stamp.number) {
        return Ok(());
    }
    dialog.taken = Some(stamp.number);
    if dialog.has_refused && (dialog.is_invited == matches!(signal, Signal::Invite(_)) || n == 0 && !dialog.is_answered)
    {
        dialog.is_parted |= matches!(signal, Signal::Reject(_) | Signal::Cancel(_) | Signal::Bye(_));
        return Ok(()); // a real edge says what fits
    }
    assert!(!dialog.is_parted, "leg {n} says {signal:?} after it has parted");
    assert_eq!(dialog.is_invited, !matches!(signal, Signal::Invite(_)), "leg {n}: {signal:?} and INVITE in order");
    match signal {
        Signal::Invite(_) => {
            dialog.is_invited = true;
            ring(world, call, n);
        }
        Signal::Ring => dialog.hears_ringing = true,
        Signal::Progress(_) => dialog.hears_ringing = true,
        Signal::Offer(_) => {
            assert!(!std::mem::replace(&mut dialog.is_offered, true), "one offer");
            if world.dice.chance(9_500) {
                let answer = far_media(world, call, n);
                let after = world.dice.millis(20, 500);
                send(world, call, n, after, LegInput::Completed(answer));
            }
        }
        Signal::Answer(_) => {
            assert!(!std::mem::replace(&mut dialog.is_answered, true), "one answer");
            assert!(n == 0, "we answer callers");
            assert!(has_answered_fact, "the answer is committed before the caller hears it");
            world.tally.answered += 1;
            connected(world, call);
        }
        Signal::Reject(_) => {
            assert!(n == 0 && !dialog.is_answered, "an accepted caller is not refused");
            dialog.is_parted = true;
        }
        Signal::Cancel(_) => {
            assert!(n != 0, "callers are not cancelled");
            dialog.is_parted = true;
            if world.dice.chance(3_000) {
                send(world, call, n, Duration::ZERO, LegInput::Ringing);
                let refused = LegInput::Refused { cause: Cause::Cancelled, status: SipStatus::new(487) };
                send(world, call, n, Duration::ZERO, refused);
            }
        }
        Signal::Bye(_) => {
            assert!(n != 0 || dialog.is_answered, "only who was accepted is hung up");
            dialog.is_parted = true;
            if world.dice.chance(1_000) {
                send(world, call, n, Duration::ZERO, LegInput::HungUp(Cause::Normal));
            }
        }
    }
    Ok(())
}

/// A device of the callee has our INVITE.
fn ring(world: &mut World, call: u32, n: usize) {
    let Some(device) = world.calls[&call].script.devices.get(n - 1).copied() else { return };
    if let Some(after) = device.ring_after {
        send(world, call, n, after, LegInput::Ringing);
        if device.early_media {
            let media = far_media(world, call, n);
            let after = after + world.dice.millis(0, 500);
            send(world, call, n, after, LegInput::EarlyMedia(media));
        }
        world.after(after + Duration::from_secs(2), call, What::Probe);
    }
    let after = device.decides_after;
    match device.fate {
        Fate::Answers | Fate::Regrets => {
            let media = far_media(world, call, n);
            send(world, call, n, after, LegInput::Answered(media));
            if let Fate::Regrets = device.fate {
                let regrets = after + world.dice.millis(60, 400);
                send(world, call, n, regrets, LegInput::HungUp(Cause::Normal));
            }
        }
        Fate::Refuses(code) => {
            let status = SipStatus::new(code);
            let cause = status.map_or(Cause::Busy, Cause::from_sip);
            send(world, call, n, after, LegInput::Refused { cause, status });
        }
        Fate::NeverAnswers => {}
        Fate::IsDead => send(world, call, n, TIMEOUT, LegInput::Broken(Cause::Timeout)),
    }
}

/// The caller hears the answer: now they talk, until somebody has enough.
fn connected(world: &mut World, call: u32) {
    let it = &world.calls[&call];
    let (talk, hangs_up, callee) = (it.script.talk, it.script.hangs_up, it.audit.winner().unwrap_or(1));
    if it.dialogs[0].as_ref().is_some_and(|dialog| dialog.far.is_none()) {
        match world.dice.pick(&[(90, 0), (5, 1), (5, 2)]) {
            // Its answer comes with the ACK.
            0 => {
                let answer = far_media(world, call, 0);
                send(world, call, 0, Duration::from_millis(20), LegInput::Completed(answer));
            }
            1 => send(world, call, 0, TIMEOUT, LegInput::Broken(Cause::Timeout)),
            _ => send(world, call, 0, Duration::from_millis(20), LegInput::HungUp(Cause::Incompatible)),
        }
    }
    let over = |n| (n, LegInput::HungUp(Cause::Normal));
    let ends: Vec<_> = match hangs_up {
        Some(HangsUp::Caller) => vec![over(0)],
        Some(HangsUp::Callee) => vec![over(callee)],
        Some(HangsUp::Both) => vec![over(0), over(callee)],
        Some(HangsUp::Nobody) | None => vec![],
    };
    if ends.is_empty() && world.dice.chance(7_000) {
        world.after(talk, call, What::Media(0, MediaNews::Silent));
    }
    for (n, input) in ends {
        send(world, call, n, talk, input);
    }
    let ms = u64::try_from(talk.as_millis()).unwrap();
    for _ in 0..world.dice.roll(4) {
        let at = world.dice.millis(0, ms);
        let leg = if world.dice.chance(5_000) { 0 } else { callee };
        world.after(at, call, What::Media(leg, MediaNews::Digit { digit: '5', duration_ms: 100 }));
    }
    for _ in 0..2 {
        let at = world.dice.millis(0, ms);
        world.after(at, call, What::Probe);
    }
}
