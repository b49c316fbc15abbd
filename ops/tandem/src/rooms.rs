//! The rooms put together: their actors, their edge, and who hears of refusals.

use std::sync::Arc;

use tandem_actors::rooms::Policy;
use tandem_actors::{Auditor, Clock, Rooms};
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::NodeId;
use tandem_core::metric::Metrics;
use tandem_livekit::{Deps, Livekit, RefusedJoin};

use crate::config::Config;

/// Actors and edge, not connected yet to each other or to the media pool.
pub(crate) fn assemble(
    config: &Config,
    dev: bool,
    (node, clock): (NodeId, &Clock),
    auditor: &Arc<Auditor>,
    metrics: &Arc<Metrics>,
) -> (Arc<Rooms>, Arc<Livekit>) {
    let policy = Policy {
        seats: config.rooms.max_participants,
        participants: config.rooms.connections,
        shards: config.calls.shards,
    };
    let rooms = Rooms::new(policy, clock.clone(), metrics);
    let auditor = auditor.clone();
    let refused = Arc::new(move |refused: RefusedJoin| auditor.note(deed(&refused)));
    let settings = if dev { config.rooms.clone().for_development() } else { config.rooms.clone() };
    let edge = Livekit::new(settings, Deps { rooms: rooms.clone(), node, refused });
    (rooms, edge)
}

/// Who was refused is in the log of the edge; the audit has the room, and who limits it.
fn deed(refused: &RefusedJoin) -> Deed {
    let RefusedJoin { context, room, seats, origin, from, .. } = refused;
    let what = format!("{room}: {seats} seats by {}", origin.name());
    let deed = Deed::new(context.tenant.clone(), Actor::Nobody, Action::JoinRefused, "participant_limit");
    deed.from(*from).of(what).within(context.correlation_id)
}
