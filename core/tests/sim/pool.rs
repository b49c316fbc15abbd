//! The media pool: what it was told to carry, and what it has to say.

use std::net::SocketAddr;

use tandem_core::id::TrackId;
use tandem_core::leg::{Leg, LegInput};
use tandem_core::machine::Refusal;
use tandem_core::media::{LocalMedia, MediaCommand, MediaNews, TrackSpec};

use crate::wires::Wired;
use crate::world::{What, World};

/// What is filed under one leg.
#[derive(Default)]
pub(crate) struct Port {
    pub(crate) attached: Option<TrackSpec>,
    pub(crate) bridge: Option<TrackId>,
    pub(crate) is_watched: bool,
}

/// Our side of the media of a leg: an address of its own for each.
pub(crate) fn local(call: u32, n: usize) -> LocalMedia {
    let host = call.to_be_bytes();
    let at = |port| SocketAddr::from(([10, host[1], host[2], host[3]], port));
    let port = 10_000 + u16::try_from(n).unwrap() * 2;
    LocalMedia::pair(at(port), at(port + 1))
}

pub(crate) fn open(world: &mut World, call: u32, n: usize) -> Result<LocalMedia, Refusal> {
    refuse(world, call, "no port is left")?;
    world.calls.get_mut(&call).unwrap().ports[n].get_or_insert_default();
    Ok(local(call, n))
}

pub(crate) fn command(world: &mut World, call: u32, n: usize, command: MediaCommand) -> Result<(), Refusal> {
    refuse(world, call, "the worker is stuck")?;
    let port = world.calls.get_mut(&call).unwrap().ports[n].as_mut().ok_or(Refusal::Gone)?;
    match command {
        MediaCommand::Attach { spec, .. } => port.attached = Some(spec),
        MediaCommand::Bridge { to, .. } => port.bridge = Some(to),
        MediaCommand::Detach { .. } => (port.attached, port.bridge) = (None, None),
        MediaCommand::Watch { .. } => port.is_watched = true,
    }
    Ok(())
}

fn refuse(world: &mut World, call: u32, why: &str) -> Result<(), Refusal> {
    let refuses = world.calls.get(&call).map_or(0, |it| it.faults.refuse);
    if !world.dice.chance(refuses) {
        return Ok(());
    }
    world.tally.refusals += 1;
    world.trouble(call, || why.into());
    Err(if world.dice.chance(8_000) { Refusal::Full } else { Refusal::Gone })
}

/// News of a leg. What ends it is said above the limit of its inbox; a digit is offered again.
pub(crate) fn tell(world: &mut World, call: u32, n: usize, news: MediaNews) {
    let Some(it) = world.calls.get_mut(&call) else { return };
    let Some(port) = it.ports[n].as_ref() else { return };
    match news {
        // Nobody listens for silence on a leg that is not watched.
        MediaNews::Silent if !port.is_watched => {}
        MediaNews::Silent | MediaNews::Broken => {
            world.trouble(call, || "its media is lost".into());
            world.notify::<Leg>(call, n, LegInput::Media(news));
        }
        MediaNews::Digit { .. } => {
            if Leg::send(world, call, n, LegInput::Media(news)) == Err(Refusal::Full) {
                let again = world.dice.millis(5, 20);
                world.after(again, call, What::Media(n, news));
            }
        }
    }
}
