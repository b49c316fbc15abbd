//! A guest with keys may send anything.

use proptest::prelude::*;

use super::world::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn anything_may_come_from_a_guest_and_the_others_go_on(
        packets in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 1..60),
    ) {
        let mut world = World::new(3);
        world.publish(0, track(1), video(0, &["q", "h"]));
        world.publish(2, track(2), audio(2, 0x20));
        world.subscribe(1, track(1), to_send(1_000));
        world.subscribe(1, track(2), to_send(2_000));
        world.subscribe(0, track(2), to_send(3_000));
        let mut sequence = 0;
        for (is_rtcp, bytes) in packets {
            sequence += 1;
            if is_rtcp {
                let mut compound = vec![0x80 | bytes.first().unwrap_or(&0) & 0x3f, 200 + bytes.get(1).unwrap_or(&0) % 7];
                compound.extend(((bytes.len() / 4 + 1) as u16).to_be_bytes());
                compound.extend([0, 0, 0, 1]);
                compound.extend(&bytes[..bytes.len() / 4 * 4]);
                world.report(0, &compound);
            } else {
                let kind = 96 + bytes.first().unwrap_or(&0) % 4;
                let flags = bytes.get(1).copied().unwrap_or(0);
                let name = [b"q", b"h"][usize::from(flags % 2)];
                let told: &[(u8, &[u8])] = &[(MID, b"1"), (if flags & 2 == 0 { RID } else { REPAIRED }, name)];
                let mut packet = packet(kind, u32::from(flags % 8), sequence, told, &bytes);
                packet[0] |= flags & 0x20;
                world.speak(0, &[packet]);
            }
            world.pass(20);
        }
        world.guests[1].heard.clear();
        world.speak(2, &[packet(111, 0x20, 1, &[], &[1; 20])]);
        prop_assert_eq!((world.guests[1].heard.len(), world.guests[0].heard.len()), (1, 1));
    }
}
