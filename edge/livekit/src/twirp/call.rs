//! One request: who asks, what for, and in which encoding.

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_core::event::Context;
use tandem_core::id::{CorrelationId, Tenant};
use tandem_core::room::{RoomIdentity, RoomName};
use uuid::Uuid;

use super::error::{Code, Error};
use crate::edge::Livekit;
use crate::keys::Bearer;

/// How a request is written, and its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let told = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        match told.split(';').next().map(|it| it.trim().to_ascii_lowercase()).as_deref() {
            Some("application/protobuf") => Ok(Self::Protobuf),
            Some("application/json") => Ok(Self::Json),
            _ => Err(Error::new(Code::BadRoute, "Content-Type: application/protobuf or application/json")),
        }
    }
}

/// See the module.
pub(super) struct Call<'a> {
    pub(super) edge: &'a Livekit,
    pub(super) bearer: Bearer,
    pub(super) encoding: Encoding,
    pub(super) body: Bytes,
}

impl Call<'_> {
    pub(super) fn read<T: Message + Default + DeserializeOwned>(&self) -> Result<T, Error> {
        let malformed = |error: &dyn std::fmt::Display| Error::new(Code::Malformed, format!("the body: {error}"));
        match self.encoding {
            Encoding::Protobuf => T::decode(self.body.as_ref()).map_err(|error| malformed(&error)),
            Encoding::Json => serde_json::from_slice(&self.body).map_err(|error| malformed(&error)),
        }
    }

    pub(super) fn write<T: Message + Serialize>(&self, answer: &T) -> Result<Response, Error> {
        let (kind, body) = match self.encoding {
            Encoding::Protobuf => ("application/protobuf", answer.encode_to_vec()),
            Encoding::Json => {
                let body = serde_json::to_vec(answer);
                ("application/json", body.map_err(|error| Error::new(Code::Unavailable, error.to_string()))?)
            }
        };
        Ok(([(CONTENT_TYPE, kind)], body).into_response())
    }

    pub(super) const fn tenant(&self) -> &Tenant {
        &self.bearer.tenant
    }

    /// Ids of something that begins with this request.
    pub(super) fn context(&self) -> Context {
        let correlation_id = CorrelationId::from_uuid(Uuid::new_v4());
        Context { tenant: self.tenant().clone(), correlation_id, node: self.edge.node }
    }

    /// For who may make rooms.
    pub(super) fn may_create(&self) -> Result<(), Error> {
        granted(self.bearer.claims.video.room_create, "roomCreate")
    }

    /// For who may see which rooms there are.
    pub(super) fn may_list(&self) -> Result<(), Error> {
        granted(self.bearer.claims.video.room_list, "roomList")
    }

    /// For who may rule this room.
    pub(super) fn may_rule(&self, room: &str) -> Result<RoomName, Error> {
        let video = &self.bearer.claims.video;
        granted(video.room_admin && video.room == room, "roomAdmin for this room")?;
        name(room)
    }
}

fn granted(is_granted: bool, grant: &str) -> Result<(), Error> {
    let missing = || Error::new(Code::PermissionDenied, format!("permissions denied: the token lacks {grant}"));
    is_granted.then_some(()).ok_or_else(missing)
}

/// A room's name.
pub(super) fn name(room: &str) -> Result<RoomName, Error> {
    RoomName::try_from(room.to_owned()).map_err(|error| Error::new(Code::InvalidArgument, format!("room: {error}")))
}

/// A participant's identity.
pub(super) fn identity(identity: &str) -> Result<RoomIdentity, Error> {
    RoomIdentity::try_from(identity.to_owned())
        .map_err(|error| Error::new(Code::InvalidArgument, format!("identity: {error}")))
}
