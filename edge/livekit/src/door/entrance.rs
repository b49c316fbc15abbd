//! Coming in, and coming back.

use std::collections::BTreeMap;
use std::sync::Arc;

use livekit_protocol::RoomConfiguration;
use tandem_core::event::Context;
use tandem_core::id::{ConferenceId, CorrelationId, ParticipantId};
use tandem_core::room::signal::{Join, JoinRefusal, RoomWish};
use uuid::Uuid;

use super::params::Params;
use super::refusal::Turned;
use super::ticket::Ticket;
use crate::edge::Livekit;
use crate::wires::{Line, Owner, Place};

/// Who is at the door now.
pub(crate) enum Entered {
    /// Somebody who has a wire.
    Line(Line, Place),
    /// Somebody who wants to come back to a place that is not there any more: he is to come in anew.
    Stranger,
}

/// Joins or resumes.
pub(super) fn enter(edge: &Livekit, ticket: &Ticket, params: &Params, context: &Context) -> Result<Entered, Turned> {
    match params.resume {
        None => join(edge, ticket, params, context),
        Some(participant) => Ok(participant.and_then(|it| resume(edge, ticket, it)).unwrap_or(Entered::Stranger)),
    }
}

/// Ids of a request.
pub(super) fn context(edge: &Livekit, ticket: &Ticket) -> Context {
    let correlation_id = CorrelationId::from_uuid(Uuid::new_v4());
    Context { tenant: ticket.bearer.tenant.clone(), correlation_id, node: edge.node }
}

/// What a join would be told, as far as that can be known.
pub(super) fn foresee(edge: &Livekit, ticket: &Ticket, params: &Params) -> Result<(), Turned> {
    if params.is_resume() {
        return Ok(());
    }
    let rooms = edge.rooms.rooms(&ticket.bearer.tenant);
    match rooms.iter().find(|room| room.name == ticket.room) {
        None if !edge.config.auto_create && !ticket.bearer.claims.video.room_create => Err(Turned::NoRoom),
        None => Ok(()),
        Some(room) => match room.limit.seats {
            Some(seats) if room.participants >= seats => {
                Err(JoinRefusal::ParticipantLimit { seats, origin: room.limit.origin }.into())
            }
            _ => Ok(()),
        },
    }
}

fn join(edge: &Livekit, ticket: &Ticket, params: &Params, context: &Context) -> Result<Entered, Turned> {
    let claims = &ticket.bearer.claims;
    let participant = ParticipantId::from_uuid(Uuid::now_v7());
    let metadata = if params.metadata.is_empty() { &claims.metadata } else { &params.metadata };
    let mut attributes: BTreeMap<String, String> = claims.attributes.clone().into_iter().collect();
    attributes.extend(params.attributes.clone());
    let join = Join {
        participant,
        conference: ConferenceId::from_uuid(Uuid::now_v7()),
        context: context.clone(),
        room: ticket.room.clone(),
        identity: ticket.identity.clone(),
        name: claims.name.as_str().into(),
        metadata: metadata.as_str().into(),
        attributes: Arc::new(attributes),
        permission: ticket.permission.clone(),
        kind: ticket.kind,
        topology: params.topology,
        auto_subscribe: params.auto_subscribe,
        client_protocol: params.client_protocol,
        capabilities: params.capabilities.as_slice().into(),
        wanted: wish(edge, claims.room_config.as_ref()),
        may_create: edge.config.auto_create || claims.video.room_create,
    };
    let line = edge.wires.open(participant, owner(ticket), params.topology);
    match edge.rooms.join(join) {
        Ok(conference) => edge.wires.place(participant, conference),
        Err(refusal) => {
            edge.wires.abandon(&line);
            return Err(refusal.into());
        }
    }
    let place = place(edge, &line);
    Ok(Entered::Line(line, place))
}

/// `None`: there is nobody to come back to.
fn resume(edge: &Livekit, ticket: &Ticket, participant: ParticipantId) -> Option<Entered> {
    let line = edge.wires.reopen(participant, &owner(ticket))?;
    let place = place(edge, &line);
    edge.rooms.resume(&ticket.bearer.tenant, &ticket.identity, participant).ok()?;
    Some(Entered::Line(line, place))
}

fn owner(ticket: &Ticket) -> Owner {
    Owner { tenant: ticket.bearer.tenant.clone(), identity: ticket.identity.clone() }
}

fn place(edge: &Livekit, line: &Line) -> Place {
    Place { wires: edge.wires.clone(), rooms: edge.rooms.clone(), participant: line.participant, socket: line.socket }
}

/// How a room is to be, as a token says; else as it is configured.
fn wish(edge: &Livekit, told: Option<&RoomConfiguration>) -> RoomWish {
    let nothing = RoomConfiguration::default();
    let RoomConfiguration { max_participants, empty_timeout, departure_timeout, metadata, .. } =
        told.unwrap_or(&nothing);
    edge.config.wish(*max_participants, *empty_timeout, *departure_timeout, metadata)
}
