//! A client of the API that is no browser.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{self, Answer};

/// Where the API of calls is.
pub const CALLS: &str = "/api/v1/calls";

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Api {
    /// Where the node is.
    pub http: SocketAddr,
    /// The access token; not one that is accepted, if a test wants so.
    pub token: String,
}

/// A call that its user has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Which.
    pub call_id: String,
    /// The user's leg.
    pub session_id: String,
    /// What is to be answered.
    pub offer: String,
}

impl Api {
    /// Signs a development account in.
    pub fn sign_in(http: SocketAddr, name: &str) -> Self {
        let credentials = json!({ "username": name, "password": name });
        let mut api = Self { http, token: String::new() };
        let (status, answer) = api.post("/api/v1/auth/login", &credentials);
        assert_eq!(status, 200, "{answer}");
        api.token = answer["access_token"].as_str().unwrap().to_owned();
        api
    }

    /// Signs a user of a tenant in.
    pub fn sign_in_to(http: SocketAddr, tenant: &str, name: &str, password: &str) -> Self {
        let mut api = Self { http, token: String::new() };
        let credentials = json!({ "tenant": tenant, "username": name, "password": password });
        let (status, answer) = api.post("/api/v1/auth/login", &credentials);
        assert_eq!(status, 200, "{answer}");
        api.token = answer["access_token"].as_str().unwrap().to_owned();
        api
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.request("GET", path, "")
    }

    /// Status and body.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.request("POST", path, &body.to_string())
    }

    /// Status and body; `null` for one that is no JSON.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, text) = http::request(self.http, method, path, &self.token, body).expect("an answer");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// The whole response, to a request with these headers more.
    pub fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        http::exchange(self.http, method, path, &all, body).expect("an answer")
    }

    /// Status and body of an attempt to call somebody.
    pub fn try_initiate(&self, number: &str) -> (u16, Value) {
        self.post(&format!("{CALLS}/initiate"), &json!({ "phone_number": number }))
    }

    /// Calls somebody who can be called.
    pub fn initiate(&self, number: &str) -> Begun {
        let (status, begun) = self.try_initiate(number);
        assert_eq!(status, 200, "{begun}");
        Begun::read(&begun)
    }

    /// Status and body of an answer to a call's offer.
    pub fn answer(&self, call_id: &str, sdp_answer: &str) -> (u16, Value) {
        self.post(&format!("{CALLS}/{call_id}/answer"), &json!({ "sdp_answer": sdp_answer }))
    }

    /// Status and body of the end of a call.
    pub fn terminate(&self, call_id: &str) -> (u16, Value) {
        self.post(&format!("{CALLS}/terminate"), &json!({ "call_id": call_id }))
    }

    /// One of the user's own calls.
    pub fn call(&self, call_id: &str) -> Value {
        let (status, call) = self.get(&format!("{CALLS}/{call_id}"));
        assert_eq!(status, 200, "{call}");
        call
    }

    /// The user's calls, the latest first: the first page of them.
    pub fn calls(&self) -> Vec<Value> {
        let (status, page) = self.get(CALLS);
        assert_eq!(status, 200, "{page}");
        page["calls"].as_array().unwrap().clone()
    }
}

impl Begun {
    /// From the response.
    pub fn read(begun: &Value) -> Self {
        let text = |name: &str| begun[name].as_str().unwrap_or_else(|| panic!("no {name} in {begun}")).to_owned();
        Self { call_id: text("call_id"), session_id: text("session_id"), offer: text("sdp_offer") }
    }
}

/// A refusal: its status and its code.
pub fn refusal((status, body): &(u16, Value)) -> (u16, &str) {
    assert!(body["message"].is_string(), "{body}");
    (*status, body["error"].as_str().unwrap_or_default())
}
