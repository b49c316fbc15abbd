//! What is around the data of every event: CloudEvents 1.0 as structured JSON, with our extensions.

use serde::Serialize;

use crate::id::{CallId, CorrelationId, NodeId, Tenant};
use crate::time::WallTime;

/// One event, as integrators get it. Whatever an event has not is not there.
#[derive(Clone, Debug, Serialize)]
pub struct CloudEvent<'a, D> {
    pub(crate) specversion: &'static str,
    pub(crate) id: String,
    pub(crate) source: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) time: String,
    pub(crate) datacontenttype: &'static str,
    pub(crate) tenantid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlationid: Option<CorrelationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) causationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) callid: Option<CallId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u32>,
    pub(crate) data: D,
}

impl<'a, D: Serialize> CloudEvent<'a, D> {
    /// An event that belongs to nothing but its tenant. `kind` is its type with its version.
    #[must_use]
    pub fn new(
        id: String,
        kind: &'static str,
        node: NodeId,
        tenant: &'a Tenant,
        subject: String,
        at: WallTime,
        data: D,
    ) -> Self {
        Self {
            specversion: "1.0",
            id,
            source: format!("/tandem/{node}"),
            kind,
            subject,
            time: at.rfc3339(),
            datacontenttype: "application/json",
            tenantid: tenant.as_str(),
            correlationid: None,
            traceparent: None,
            causationid: None,
            callid: None,
            seq: None,
            data,
        }
    }
}
