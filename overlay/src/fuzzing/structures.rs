//! The overlay's own structures against slow, obvious models.

use core::time::Duration;
use std::collections::VecDeque;

use super::Input;
use crate::Instant;
use crate::bucket::TokenBucket;
use crate::gossip::seen::{Seen, SeenSet};
use crate::types::BroadcastId;

/// The set of seen broadcasts against a list that is kept sorted by hand, with eviction and expiry. What is
/// let go stays in it.
/// No broadcast is new twice, except after it expired, when the age check refuses it.
///
/// # Panics
/// When they differ.
pub fn seen_set(data: &[u8]) {
    let mut input = Input { rest: data };
    let capacity = usize::from(input.byte() % 12);
    let mut set = SeenSet::new(capacity);
    let capacity = capacity.max(1);
    let mut model: VecDeque<(u64, BroadcastId)> = VecDeque::new();
    let mut floor: Option<u64> = None;
    let mut delivered: Vec<(u64, BroadcastId)> = Vec::new();
    let mut horizon = 0;
    while !input.rest.is_empty() {
        let choice = input.byte();
        let time = u64::from(input.byte() % 32);
        if choice >= 240 {
            horizon = horizon.max(time);
            set.expire(horizon);
            model.retain(|(at, _)| *at >= horizon);
            continue;
        }
        let id = BroadcastId::of_body(&[choice % 64]);
        if choice >= 224 {
            // It stays known.
            set.let_go(time, BroadcastId::of_body(&[input.byte() % 64]));
            continue;
        }
        let expected = if model.contains(&(time, id)) {
            Seen::Duplicate
        } else if floor.is_some_and(|floor| time <= floor) {
            Seen::BelowFloor
        } else {
            Seen::New
        };
        assert_eq!(set.lookup(time, id), expected);
        // The caller refuses what is too old, and inserts what is new.
        if expected == Seen::New && time >= horizon {
            assert!(!delivered.contains(&(time, id)), "delivered twice");
            delivered.push((time, id));
            set.insert(time, id);
            let at = model.partition_point(|entry| *entry < (time, id));
            model.insert(at, (time, id));
            if model.len() > capacity
                && let Some((evicted, _)) = model.pop_front()
            {
                floor = floor.max(Some(evicted));
            }
            assert_eq!(
                set.lookup(time, id),
                match model.contains(&(time, id)) {
                    true => Seen::Duplicate,
                    false => Seen::BelowFloor,
                }
            );
        }
        assert_eq!(set.len(), model.len());
        assert!(set.len() <= capacity);
    }
}

/// A token bucket against the list of everything taken: never more in any interval than the burst
/// and the rate allow, and nothing refused that they allow.
///
/// # Panics
/// When they differ.
pub fn token_bucket(data: &[u8]) {
    let mut input = Input { rest: data };
    let (rate, burst) = (u64::from(input.byte()), u64::from(input.byte()));
    let mut now = Instant::ZERO + Duration::from_secs(5);
    let mut bucket = TokenBucket::new(now, rate, burst);
    // When, and how many.
    let mut taken: VecDeque<(u64, u64)> = VecDeque::new();
    for _ in 0..300 {
        if input.rest.is_empty() {
            return;
        }
        now = now + Duration::from_millis(u64::from(input.byte()).pow(2) / 16);
        let tokens = u64::from(input.byte() % 32);
        let at = now.as_nanos();
        // After the take, for every start among the earlier takes: burst + rate × time suffices.
        let mut sum = tokens;
        let mut allowed = tokens <= burst;
        for (start, count) in taken.iter().rev() {
            sum += count;
            let earned = u128::from(at - start) * u128::from(rate);
            let most = u128::from(burst) * 1_000_000_000 + earned;
            allowed &= u128::from(sum) * 1_000_000_000 <= most;
        }
        assert_eq!(bucket.take(now, tokens), allowed);
        if allowed {
            taken.push_back((at, tokens));
        }
    }
}
