//! Rooms as strangers meet them: a hundred at the door at once.

use std::time::Duration;

use livekit_token::{AccessToken, VideoGrants};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;

use crate::harness::http;
use crate::harness::node::{Node, Settings};
use crate::harness::patience::eventually;
use crate::harness::scratch::Scratch;

const PATIENCE: Duration = Duration::from_secs(30);

fn token(identity: &str, grants: VideoGrants) -> String {
    AccessToken::with_api_key("devkey", "secret").with_identity(identity).with_grants(grants).to_jwt().unwrap()
}

#[test]
fn of_a_hundred_who_join_a_room_of_fifty_at_once_fifty_are_let_in_and_the_others_told_and_noted() {
    let scratch = Scratch::new("rooms-limit");
    let node = Node::start_alone(&scratch, &Settings::default());
    let admin = token("admin", VideoGrants { room_create: true, ..VideoGrants::default() });
    let bearer = format!("Bearer {admin}");
    let headers = [("Authorization", bearer.as_str())];
    let body = r#"{"name":"hall","maxParticipants":50}"#;
    let made = http::exchange(node.http, "POST", "/twirp/livekit.RoomService/CreateRoom", &headers, body).unwrap();
    assert_eq!(made.status, 200, "{made:?}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http = node.http;
    let (inside, refused) = runtime.block_on(async move {
        let joins: Vec<_> = (0..100)
            .map(|n| {
                let grants = VideoGrants { room_join: true, room: String::from("hall"), ..VideoGrants::default() };
                let token = token(&format!("guest {n}"), grants);
                let url = format!("ws://{http}/rtc?access_token={token}&auto_subscribe=1&protocol=15&sdk=js");
                tokio::spawn(async move { connect_async(url).await })
            })
            .collect();
        let (mut inside, mut refused) = (Vec::new(), Vec::new());
        for join in joins {
            match join.await.unwrap() {
                Ok((socket, _)) => inside.push(socket),
                Err(Error::Http(answer)) => {
                    let text = String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap();
                    refused.push((answer.status().as_u16(), text));
                }
                Err(other) => panic!("{other}"),
            }
        }
        (inside, refused)
    });
    assert_eq!((inside.len(), refused.len()), (50, 50));
    for (status, text) in refused {
        assert!(status == 403 && text.contains("50") && text.contains("room"), "{status} {text}");
    }
    let noted = || node.ledger().count("audit_events WHERE action = 'join_refused' AND outcome = 'participant_limit'");
    eventually("the audit has each of them", PATIENCE, || (noted() == 50).then_some(()));
}
