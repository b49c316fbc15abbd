//! The web client, the document of the API, and what is none of both.

use reqwest::Method;
use serde_json::Value;

use crate::world::{World, read};

#[tokio::test]
async fn the_page_is_at_the_root_and_at_its_own_paths_for_browsers_only() {
    let world = World::start();
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for path in ["/", "/room/abc", "/index.html"] {
        let response = world.request(Method::GET, path).header("Accept", browser).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers();
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert_eq!(headers["cache-control"], "no-cache");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'self';"));
        assert_eq!(
            (&headers["x-content-type-options"], &headers["referrer-policy"]),
            (&"nosniff".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
        let etag = headers["etag"].to_str().unwrap().to_owned();
        let again = world.request(Method::GET, path).header("Accept", browser).header("If-None-Match", etag);
        assert_eq!(again.send().await.unwrap().status(), 304);
    }
    for (path, accept) in [("/room/abc", "*/*"), ("/api/nothing", browser), ("/assets/none.js", browser)] {
        let (status, body) = read(world.request(Method::GET, path).header("Accept", accept)).await;
        assert_eq!((status, body["error"].as_str()), (404, Some("not_found")), "{path}");
    }
    assert_eq!(read(world.request(Method::POST, "/").header("Accept", browser)).await.0, 404);
}

/// Nothing to be seen where the web client was not built.
#[tokio::test]
async fn what_the_page_is_made_of_is_kept_for_ever() {
    let world = World::start();
    let page = world.request(Method::GET, "/").send().await.unwrap().text().await.unwrap();
    for part in page.split('"').filter(|part| part.starts_with("/assets/")) {
        let response = world.request(Method::GET, part).send().await.unwrap();
        assert_eq!(response.status(), 200, "{part}");
        assert!(response.headers()["cache-control"].to_str().unwrap().ends_with("immutable"), "{part}");
        assert_ne!(response.headers()["content-type"], "application/octet-stream", "{part}");
    }
}

#[tokio::test]
async fn the_api_is_described_and_can_be_browsed_without_the_internet() {
    let world = World::start();
    let (status, document) = read(world.request(Method::GET, "/api/openapi.json")).await;
    assert_eq!(status, 200);
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        for operation in item.as_object().unwrap().values() {
            let known = operation["responses"].as_object().unwrap();
            assert!(!(path.starts_with("/api/calls") && known.contains_key("401")), "{path}");
            assert!(!known.contains_key("500"), "{path}");
        }
    }
    assert!(paths.contains_key("/api/calls/initiate") && paths.contains_key("/api/v1/calls/{call_id}/answer"));
    let response = world.request(Method::GET, "/api/docs/").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let page = response.text().await.unwrap();
    assert!(!page.contains("https://") && !page.contains("http://"), "{page}");
}

#[tokio::test]
async fn refusals_are_problems_of_rfc_9457_for_those_who_ask() {
    let world = World::start();
    let asked = world.request(Method::GET, "/api/v1/me").header("Accept", "application/json, application/problem+json");
    let response = asked.send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let problem: Value = response.json().await.unwrap();
    assert_eq!((&problem["status"], &problem["error"]), (&401.into(), &"unauthorized".into()));
    assert_eq!((&problem["title"], &problem["type"]), (&"Unauthorized".into(), &"about:blank".into()));
}
