//! Whole calls, as they look on the wire.

use std::time::Duration;

use crate::world::{A, Ask, B, C, World, reply, sdp, tag_of};

fn invite() -> String {
    Ask { body: &sdp("192.0.2.10"), ..Ask::default() }.text()
}

/// A request in the caller's dialog.
fn within(answer: &crate::message::Message, method: &str, cseq: u32, branch: &str) -> String {
    Ask { method, cseq, branch, to_tag: &tag_of(answer), ..Ask::default() }.text()
}

fn assert_ladder(world: &World, golden: &str) {
    let trimmed = |text: &str| text.lines().map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&world.ladder), trimmed(golden), "\n{}", world.ladder);
}

#[test]
fn a_call_is_answered_and_the_caller_hangs_up() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.pass(Duration::from_millis(100));
    world.send(B, &reply(&ours, 180, B, ""));
    assert_eq!(world.status(A), 180);
    world.pass(Duration::from_secs(1));
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let answer = world.got(A);
    world.send(A, &within(&answer, "ACK", 1, "2"));
    world.pass(Duration::from_secs(5));
    world.send(A, &within(&answer, "BYE", 2, "3"));
    world.got(B);
    let bye = world.got(B);
    world.send(B, &reply(&bye, 200, B, ""));
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.100 B ──▶ us   180 Ringing, INVITE
         00.100 us ──▶ A   180 Ringing, INVITE
         01.100 B ──▶ us   200 OK, INVITE (sdp)
         01.100 us ──▶ B   ACK bob@B
         01.100 us ──▶ A   200 OK, INVITE (sdp)
         01.100 A ──▶ us   ACK 1002@us
         06.100 A ──▶ us   BYE 1002@us
         06.100 us ──▶ A   200 OK, BYE
         06.100 us ──▶ B   BYE bob@B cause 16
         06.100 B ──▶ us   200 OK, BYE",
    );
    world.pass(Duration::from_secs(40));
    assert!(world.is_idle(), "nothing is left of it");
}

#[test]
fn the_callee_is_busy() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 486, B, ""));
    world.pass(Duration::from_millis(20));
    let refusal = world.got(A);
    world.send(A, &Ask { method: "ACK", to_tag: &tag_of(&refusal), ..Ask::default() }.text());
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.000 B ──▶ us   486 Busy Here, INVITE
         00.000 us ──▶ B   ACK 1002@B
         00.000 us ──▶ A   486 Busy Here, INVITE
         00.020 A ──▶ us   ACK 1002@us",
    );
    world.pass(Duration::from_secs(40));
    assert!(world.is_idle(), "nothing is left of it");
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 180, B, ""));
    world.got(A);
    world.pass(Duration::from_secs(3));
    world.send(A, &Ask { method: "CANCEL", ..Ask::default() }.text());
    let cancel = world.got(B);
    world.send(B, &reply(&cancel, 200, B, ""));
    world.send(B, &reply(&ours, 487, B, ""));
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.000 B ──▶ us   180 Ringing, INVITE
         00.000 us ──▶ A   180 Ringing, INVITE
         03.000 A ──▶ us   CANCEL 1002@us
         03.000 us ──▶ A   200 OK, CANCEL
         03.000 us ──▶ A   487 Request Terminated, INVITE
         03.000 us ──▶ B   CANCEL 1002@B cause 16
         03.000 B ──▶ us   200 OK, CANCEL
         03.000 B ──▶ us   487 Request Terminated, INVITE
         03.000 us ──▶ B   ACK 1002@B",
    );
}

#[test]
fn a_cancel_waits_for_the_first_sign_of_the_callee() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.pass(Duration::from_millis(100));
    world.send(A, &Ask { method: "CANCEL", ..Ask::default() }.text());
    assert!(world.take(B).is_none(), "no CANCEL before a provisional response");
    world.pass(Duration::from_millis(100));
    world.send(B, &reply(&ours, 100, B, ""));
    let cancel = world.got(B);
    assert_eq!(cancel.headers.first(&crate::header::Name::Via), ours.headers.first(&crate::header::Name::Via));
    world.send(B, &reply(&cancel, 200, B, ""));
    world.send(B, &reply(&ours, 487, B, ""));
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.100 A ──▶ us   CANCEL 1002@us
         00.100 us ──▶ A   200 OK, CANCEL
         00.100 us ──▶ A   487 Request Terminated, INVITE
         00.200 B ──▶ us   100 Trying, INVITE
         00.200 us ──▶ B   CANCEL 1002@B cause 16
         00.200 B ──▶ us   200 OK, CANCEL
         00.200 B ──▶ us   487 Request Terminated, INVITE
         00.200 us ──▶ B   ACK 1002@B",
    );
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 180, B, ""));
    world.pass(Duration::from_secs(1));
    world.send(A, &Ask { method: "CANCEL", ..Ask::default() }.text());
    let answer = reply(&ours, 200, B, &sdp("192.0.2.20"));
    world.send(B, &answer);
    world.pass(Duration::from_millis(400));
    world.send(B, &answer);
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.000 B ──▶ us   180 Ringing, INVITE
         00.000 us ──▶ A   180 Ringing, INVITE
         01.000 A ──▶ us   CANCEL 1002@us
         01.000 us ──▶ A   200 OK, CANCEL
         01.000 us ──▶ A   487 Request Terminated, INVITE
         01.000 us ──▶ B   CANCEL 1002@B cause 16
         01.000 B ──▶ us   200 OK, INVITE (sdp)
         01.000 us ──▶ B   ACK bob@B
         01.000 us ──▶ B   BYE bob@B cause 16
         01.400 B ──▶ us   200 OK, INVITE (sdp)
         01.400 us ──▶ B   ACK bob@B",
    );
}

#[test]
fn nobody_answers() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 180, B, ""));
    world.got(A);
    world.pass(Duration::from_secs(90));
    assert_eq!(world.status(A), 480);
    world.send(A, &Ask { method: "ACK", ..Ask::default() }.text());
    let cancel = world.got(B);
    world.send(B, &reply(&cancel, 200, B, ""));
    world.send(B, &reply(&ours, 487, B, ""));
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.000 B ──▶ us   180 Ringing, INVITE
         00.000 us ──▶ A   180 Ringing, INVITE
         90.000 us ──▶ B   CANCEL 1002@B cause 19
         90.000 us ──▶ A   480 Temporarily Unavailable, INVITE
         90.000 A ──▶ us   ACK 1002@us
         90.000 B ──▶ us   200 OK, CANCEL
         90.000 B ──▶ us   487 Request Terminated, INVITE
         90.000 us ──▶ B   ACK 1002@B",
    );
}

#[test]
fn of_two_ringing_devices_one_answers_and_the_other_hears_that_it_was_elsewhere() {
    let mut world = World::new();
    world.route("1002", &[B, C]);
    world.send(A, &invite());
    let (at_b, at_c) = (world.got(B), world.got(C));
    world.send(B, &reply(&at_b, 180, B, ""));
    world.send(C, &reply(&at_c, 180, C, ""));
    world.pass(Duration::from_secs(2));
    world.send(C, &reply(&at_c, 200, C, &sdp("192.0.2.30")));
    let cancel = world.got(B);
    let reasons: Vec<_> = cancel.headers.reasons().map(|it| it.cause).collect();
    assert_eq!(reasons, [Some(26), Some(200)]);
    world.send(B, &reply(&cancel, 200, B, ""));
    world.send(B, &reply(&at_b, 487, B, ""));
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.000 us ──▶ C   INVITE 1002@C (sdp)
         00.000 B ──▶ us   180 Ringing, INVITE
         00.000 us ──▶ A   180 Ringing, INVITE
         00.000 C ──▶ us   180 Ringing, INVITE
         02.000 C ──▶ us   200 OK, INVITE (sdp)
         02.000 us ──▶ C   ACK bob@C
         02.000 us ──▶ B   CANCEL 1002@B cause 26
         02.000 us ──▶ A   200 OK, INVITE (sdp)
         02.000 B ──▶ us   200 OK, CANCEL
         02.000 B ──▶ us   487 Request Terminated, INVITE
         02.000 us ──▶ B   ACK 1002@B",
    );
}

#[test]
fn the_caller_hears_early_media_and_the_callee_hangs_up() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 183, B, &sdp("192.0.2.20")));
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    world.got(A);
    let answer = world.got(A);
    world.send(A, &within(&answer, "ACK", 1, "2"));
    let mut talk = crate::world::Talk { world, answer, ours };
    talk.callee("BYE", "Reason: Q.850;cause=17\n");
    talk.world.got(B);
    let bye = talk.world.got(A);
    talk.world.send(A, &reply(&bye, 200, A, ""));
    assert_ladder(
        &talk.world,
        "00.000 A ──▶ us   INVITE 1002@us (sdp)
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.000 B ──▶ us   183 Session Progress, INVITE (sdp)
         00.000 us ──▶ A   183 Session Progress, INVITE (sdp)
         00.000 B ──▶ us   200 OK, INVITE (sdp)
         00.000 us ──▶ B   ACK bob@B
         00.000 us ──▶ A   200 OK, INVITE (sdp)
         00.000 A ──▶ us   ACK 1002@us
         00.000 B ──▶ us   BYE us@us cause 17
         00.000 us ──▶ B   200 OK, BYE
         00.000 us ──▶ A   BYE alice@A cause 17
         00.000 A ──▶ us   200 OK, BYE",
    );
}

#[test]
fn a_caller_without_an_offer_gets_ours_and_answers_with_its_ack() {
    let mut world = World::new();
    world.send(A, &Ask::default().text());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let answer = world.got(A);
    let to_tag = tag_of(&answer);
    world.send(
        A,
        &Ask { method: "ACK", branch: "2", to_tag: &to_tag, body: &sdp("192.0.2.10"), ..Ask::default() }.text(),
    );
    assert_eq!(world.switch.told().last(), Some(&"completed"));
    assert_ladder(
        &world,
        "00.000 A ──▶ us   INVITE 1002@us
         00.000 us ──▶ A   100 Trying, INVITE
         00.000 us ──▶ B   INVITE 1002@B (sdp)
         00.000 B ──▶ us   200 OK, INVITE (sdp)
         00.000 us ──▶ B   ACK bob@B
         00.000 us ──▶ A   200 OK, INVITE (sdp)
         00.000 A ──▶ us   ACK 1002@us (sdp)",
    );
}
