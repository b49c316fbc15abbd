//! Which shard an id falls to, and ids that fall to a given one: so nobody needs a table from legs to shards.

use std::hash::{Hash, Hasher};

use rand::{Rng, RngExt};
use tandem_core::id::LegId;
use tandem_core::time::WallTime;
use uuid::{Builder, Uuid};

use crate::request::Request;

/// The shard of everything with this Call-ID.
pub(crate) fn place_of_call_id(call_id: &[u8], shards: usize) -> usize {
    place(call_id, shards)
}

/// The shard of a leg.
pub(crate) fn place_of_leg(leg: LegId, shards: usize) -> usize {
    place(&leg.uuid(), shards)
}

/// A new Call-ID of ours that falls to a shard.
pub(super) fn call_id_for(rng: &mut impl Rng, index: usize, shards: usize) -> String {
    loop {
        let call_id = Uuid::from_u128(rng.random()).simple().to_string();
        if place_of_call_id(call_id.as_bytes(), shards) == index {
            return call_id;
        }
    }
}

/// A new leg that falls to a shard.
pub(super) fn leg_for(rng: &mut impl Rng, now: WallTime, index: usize, shards: usize) -> LegId {
    loop {
        let leg = LegId::from_uuid(uuid_v7(rng, now));
        if place_of_leg(leg, shards) == index {
            return leg;
        }
    }
}

/// A UUID of version 7.
pub(super) fn uuid_v7(rng: &mut impl Rng, now: WallTime) -> Uuid {
    let millis = u64::try_from(now.0).unwrap_or(0) / 1_000;
    Builder::from_unix_timestamp_millis(millis, &rng.random()).into_uuid()
}

/// The same for every repeat of a request.
pub(super) fn stray(request: &Request) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    request.key.hash(&mut hasher);
    hasher.finish()
}

fn place(id: &(impl Hash + ?Sized), shards: usize) -> usize {
    // The keys of this hasher are fixed: the same on every thread. Who floods one shard with chosen Call-IDs meets the
    // guard like any other.
    let mut hasher = std::hash::DefaultHasher::new();
    id.hash(&mut hasher);
    let shards = u64::try_from(shards.max(1)).unwrap_or(1);
    usize::try_from(hasher.finish() % shards).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn drawn_ids_fall_to_their_shard() {
        let mut rng = StdRng::seed_from_u64(1);
        for (index, shards) in [(0, 1), (0, 3), (2, 3), (63, 64)] {
            assert_eq!(place_of_call_id(call_id_for(&mut rng, index, shards).as_bytes(), shards), index);
            assert_eq!(place_of_leg(leg_for(&mut rng, WallTime(7), index, shards), shards), index);
        }
    }
}
