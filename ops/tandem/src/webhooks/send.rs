//! One request to a webhook.

use std::error::Error;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use tandem_core::webhook::Format;
use tandem_storage::{Claimed, WebhookTarget};

use super::addresses::{Names, may_be_public};
use super::config::WebhooksConfig;
use super::sign::signature;

/// Sends requests, and looks at where they go.
pub(super) struct Sender {
    http: reqwest::Client,
    allow_http: bool,
    allow_private: bool,
}

/// What came of a request that was not taken.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) status: Option<u16>,
    pub(super) error: String,
    /// It will never be taken again.
    pub(super) gone: bool,
}

impl Sender {
    /// # Errors
    /// The HTTP client cannot be made.
    pub(super) fn new(config: &WebhooksConfig) -> Result<Self, reqwest::Error> {
        // No proxy of the environment: it would be asked for addresses that we refuse.
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(config.timeout);
        let http = http.user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")));
        let http = http.dns_resolver(Arc::new(Names::new(config.allow_private)));
        Ok(Self { http: http.build()?, allow_http: config.allow_http, allow_private: config.allow_private })
    }

    /// Sends an event; gives the status with which it was taken. `timestamp`: now, in seconds since 1970.
    pub(super) async fn send(&self, to: &WebhookTarget, what: &Claimed, timestamp: i64) -> Result<u16, Unsent> {
        let refused = |error: &str| Unsent { status: None, error: error.to_owned(), gone: false };
        let payload = what.payload.as_ref().ok_or_else(|| refused("the event is not kept any more"))?;
        let url = Url::parse(to.url.reveal()).map_err(|_| refused("the URL cannot be read"))?;
        if url.scheme() != "https" && !(self.allow_http && url.scheme() == "http") {
            return Err(refused("not https (webhooks.allow_http)"));
        }
        if !self.allow_private && !may_be_public(&url) {
            return Err(refused("not a public address (webhooks.allow_private)"));
        }
        let request = self.http.post(url);
        let request = match &what.traceparent {
            Some(traceparent) => request.header("traceparent", traceparent),
            None => request,
        };
        let request = match to.format {
            Format::Tandem => request
                .header("Content-Type", "application/cloudevents+json; charset=utf-8")
                .header("Tandem-Webhook-Id", &what.event_id)
                .header("Tandem-Webhook-Timestamp", timestamp)
                .header("Tandem-Webhook-Signature", signature(&to.secrets, &what.event_id, timestamp, payload.reveal()))
                .body(payload.reveal().clone()),
        };
        // Its body is dropped unread: the status says everything.
        let status = request.send().await.map_err(|error| refused(&reason(&error)))?.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let error = format!("it answered {}", status.as_u16());
        Err(Unsent { status: Some(status.as_u16()), error, gone: status == StatusCode::GONE })
    }
}

/// In few words, without the URL: it may hold somebody's token.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let what = match (error.is_timeout(), error.is_connect()) {
        (true, _) => return String::from("too slow"),
        (false, true) => "not reached",
        (false, false) => "broken off",
    };
    format!("{what}: {innermost}")
}
