//! How much work and how many places strangers and peers get (`docs/threats.md` T5, T10; ADR 0208).
//!
//! Answering a SYN costs a key exchange. Two budgets bound that work, each as token buckets for
//! every source prefix and one for all of them: one for addresses that nothing proves, and one for
//! those that a RETRY token proves. When the first is spent, a SYN has to prove its address, which
//! costs us a hash and no state; when the second is spent, it is dropped. Nobody can spend the second
//! budget of another prefix, for that takes its addresses.
//!
//! Loopback addresses are not limited: nobody can forge them from outside, and who is on this machine
//! can spend its time without us.
//!
//! Connections are counted by prefix and by the name that the session layer gives a peer.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::config::EndpointConfig;
use crate::limits::{
    CONNECTIONS_MAX, HANDSHAKES_BURST, HANDSHAKES_PER_SECOND, PREFIX_HANDSHAKES_BURST,
    PREFIX_HANDSHAKES_PER_SECOND, PREFIXES_MAX,
};
use crate::time::Instant;

/// A group of addresses that one party is likely to have: an IPv4 /24 or an IPv6 /48.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Prefix([u8; 6]);

impl Prefix {
    pub(crate) fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                // Nobody has an address in 0::/16.
                Self([0, 0, 4, a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self([a, b, c, d, e, f])
            }
        }
    }
}

/// A token bucket: full at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Nanoseconds of refilling that would fill it again: 0 is full.
    debt: u64,
    at: Instant,
}

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) per_second: u64,
    pub(super) burst: u64,
}

impl Rate {
    const fn cost(self) -> u64 {
        1_000_000_000 / self.per_second
    }
}

impl Bucket {
    pub(super) const fn full(now: Instant) -> Self {
        Self { debt: 0, at: now }
    }

    pub(super) fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        self.debt = self.debt.saturating_sub(passed);
        self.at = self.at.max(now);
    }

    /// Whether there are `reserve` tokens and one more.
    pub(super) const fn has(&self, rate: Rate, reserve: u64) -> bool {
        self.debt + (reserve + 1) * rate.cost() <= rate.burst * rate.cost()
    }

    pub(super) fn take(&mut self, rate: Rate) {
        self.debt = (self.debt + rate.cost()).min(rate.burst * rate.cost());
    }
}

const ALL: Rate = Rate {
    per_second: HANDSHAKES_PER_SECOND,
    burst: HANDSHAKES_BURST,
};
const EACH: Rate = Rate {
    per_second: PREFIX_HANDSHAKES_PER_SECOND,
    burst: PREFIX_HANDSHAKES_BURST,
};

/// What a SYN may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Allowance {
    /// It may be answered.
    Answer,
    /// It may be answered when a token proves its address.
    Proof,
}

/// Decides who gets work and places. An endpoint with several cores has one for all of them.
pub(crate) trait Gate: Send {
    /// What a SYN from here may cost now.
    fn allowance(&mut self, now: Instant, from: SocketAddr) -> Allowance;

    /// A SYN from an unproven address was answered.
    fn on_answered(&mut self, now: Instant, from: SocketAddr);

    /// Whether a SYN whose address is proven may be answered; if so, it is paid for.
    fn pay_proven(&mut self, now: Instant, from: SocketAddr) -> bool;

    /// Whether one more peer may come from here.
    fn has_place(&self, from: SocketAddr) -> bool;

    /// A connection takes its place. False: the peer has as many as one peer may have.
    fn take(&mut self, place: &Place) -> bool;

    /// It is over.
    fn free(&mut self, place: &Place);
}

/// Budgets and places, within the settings of an endpoint.
#[derive(Debug)]
pub(crate) struct Admission {
    budget: Budget,
    places: Places,
    max: usize,
    max_per_prefix: usize,
    max_per_peer: usize,
}

impl Admission {
    /// Everything is there yet.
    pub(crate) fn new(config: &EndpointConfig) -> Self {
        Self {
            budget: Budget::default(),
            places: Places::default(),
            max: config.max_connections.min(CONNECTIONS_MAX),
            max_per_prefix: config.max_connections_per_prefix,
            max_per_peer: config.max_connections_per_peer,
        }
    }
}

impl Gate for Admission {
    fn allowance(&mut self, now: Instant, from: SocketAddr) -> Allowance {
        self.budget.allowance(now, from)
    }

    fn on_answered(&mut self, now: Instant, from: SocketAddr) {
        self.budget.on_answered(now, from);
    }

    fn pay_proven(&mut self, now: Instant, from: SocketAddr) -> bool {
        self.budget.pay_proven(now, from)
    }

    fn has_place(&self, from: SocketAddr) -> bool {
        self.places.all < self.max && self.places.of_prefix(Prefix::of(from)) < self.max_per_prefix
    }

    fn take(&mut self, place: &Place) -> bool {
        let held = place.name.map_or(0, |name| self.places.of_name(&name));
        self.places.take(place);
        held < self.max_per_peer
    }

    fn free(&mut self, place: &Place) {
        self.places.free(place);
    }
}

/// The budgets of an endpoint.
#[derive(Debug)]
struct Budget {
    all: Bucket,
    unproven: Buckets,
    proven: Buckets,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            all: Bucket::full(Instant::ZERO),
            unproven: Buckets::default(),
            proven: Buckets::default(),
        }
    }
}

impl Budget {
    /// What a SYN from here may cost now.
    fn allowance(&mut self, now: Instant, from: SocketAddr) -> Allowance {
        if is_loopback(from) {
            return Allowance::Answer;
        }
        self.all.refill(now);
        // Half of all is kept for who proves where he is.
        let enough = self.all.has(ALL, ALL.burst / 2);
        if enough && self.unproven.has_token(now, from) {
            Allowance::Answer
        } else {
            Allowance::Proof
        }
    }

    /// A SYN from an unproven address was answered.
    fn on_answered(&mut self, now: Instant, from: SocketAddr) {
        if is_loopback(from) {
            return;
        }
        self.all.take(ALL);
        self.unproven.take_token(now, from);
    }

    /// Whether a SYN whose address is proven may be answered; if so, it is paid for.
    fn pay_proven(&mut self, now: Instant, from: SocketAddr) -> bool {
        if is_loopback(from) {
            return true;
        }
        self.all.refill(now);
        if !self.all.has(ALL, 0) || !self.proven.has_token(now, from) {
            return false;
        }
        self.all.take(ALL);
        self.proven.take_token(now, from);
        true
    }

    /// Prefixes that are remembered.
    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.unproven.used.len().max(self.proven.used.len())
    }
}

pub(crate) fn is_loopback(from: SocketAddr) -> bool {
    from.ip().to_canonical().is_loopback()
}

/// The buckets of the prefixes that have used theirs.
#[derive(Debug)]
struct Buckets {
    used: BTreeMap<Prefix, Bucket>,
    /// When those that are full again were last forgotten.
    swept: Instant,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            used: BTreeMap::new(),
            swept: Instant::ZERO,
        }
    }
}

impl Buckets {
    /// Whether a prefix has a token: always, if it is not remembered and could be.
    fn has_token(&mut self, now: Instant, from: SocketAddr) -> bool {
        if let Some(bucket) = self.used.get_mut(&Prefix::of(from)) {
            bucket.refill(now);
            return bucket.has(EACH, 0);
        }
        // Looking through all of them is not for every SYN of a flood.
        if self.used.len() >= PREFIXES_MAX && now >= self.swept + SWEEP_EVERY {
            self.swept = now;
            self.used.retain(|_, bucket| {
                bucket.refill(now);
                bucket.debt > 0
            });
        }
        self.used.len() < PREFIXES_MAX
    }

    /// Takes the token that [`Self::has_token`] has seen.
    fn take_token(&mut self, now: Instant, from: SocketAddr) {
        let bucket = self.used.entry(Prefix::of(from));
        bucket.or_insert(Bucket::full(now)).take(EACH);
    }
}

/// A name that the session layer gave a peer.
pub(crate) type PeerName = [u8; 32];

/// Incoming connections by where they come from and whose they are.
#[derive(Debug, Default)]
struct Places {
    all: usize,
    by_prefix: BTreeMap<Prefix, usize>,
    by_name: BTreeMap<PeerName, usize>,
}

impl Places {
    fn of_prefix(&self, prefix: Prefix) -> usize {
        self.by_prefix.get(&prefix).copied().unwrap_or(0)
    }

    fn of_name(&self, name: &PeerName) -> usize {
        self.by_name.get(name).copied().unwrap_or(0)
    }

    fn take(&mut self, place: &Place) {
        self.all += 1;
        *self.by_prefix.entry(place.prefix).or_insert(0) += 1;
        if let Some(name) = place.name {
            *self.by_name.entry(name).or_insert(0) += 1;
        }
    }

    fn free(&mut self, place: &Place) {
        self.all = self.all.saturating_sub(1);
        decrease(&mut self.by_prefix, &place.prefix);
        if let Some(name) = &place.name {
            decrease(&mut self.by_name, name);
        }
    }
}

/// What one incoming connection counts as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(super) prefix: Prefix,
    pub(super) name: Option<PeerName>,
}

fn decrease<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// How often buckets that are full again are looked for, when there are as many as may be. A guess.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn host(prefix: u32, host: u8) -> SocketAddr {
        (Ipv4Addr::from(prefix << 8 | u32::from(host)), 4_000).into()
    }

    /// How many of `count` SYNs from hosts of one prefix are answered without proof.
    fn answered(budget: &mut Budget, now: Instant, prefix: u32, count: usize) -> usize {
        (0..count)
            .filter(|index| {
                let from = host(prefix, u8::try_from(index % 200).unwrap());
                let answer = budget.allowance(now, from) == Allowance::Answer;
                if answer {
                    budget.on_answered(now, from);
                }
                answer
            })
            .count()
    }

    fn burst(rate: Rate) -> usize {
        usize::try_from(rate.burst).unwrap()
    }

    #[test]
    fn a_prefix_is_24_bits_of_ipv4_and_48_of_ipv6() {
        let prefix = |text: &str| Prefix::of(text.parse().unwrap());
        assert_eq!(prefix("192.0.2.1:1"), prefix("[::ffff:192.0.2.99]:7"));
        assert_ne!(prefix("192.0.2.1:1"), prefix("192.0.3.1:1"));
        assert_eq!(
            prefix("[2001:db8:1:2::3]:1"),
            prefix("[2001:db8:1:ff::9]:1")
        );
        assert_ne!(prefix("[2001:db8:1::]:1"), prefix("[2001:db8:2::]:1"));
    }

    #[test]
    fn a_prefix_gets_its_burst_and_not_one_more_until_time_has_passed() {
        let mut budget = Budget::default();
        let now = Instant::ZERO + Duration::from_secs(1);
        assert_eq!(answered(&mut budget, now, 1, burst(EACH) + 50), burst(EACH));
        assert_eq!(
            answered(&mut budget, now, 2, 1),
            1,
            "another prefix is not hurt"
        );
        let later = now + Duration::from_secs(1);
        let refilled = usize::try_from(EACH.per_second).unwrap();
        let at_most = burst(EACH);
        assert_eq!(
            answered(&mut budget, later, 1, at_most),
            refilled.min(at_most)
        );
    }

    #[test]
    fn half_of_all_work_is_kept_for_proven_addresses() {
        let mut budget = Budget::default();
        let now = Instant::ZERO + Duration::from_secs(1);
        let prefixes = u32::try_from(burst(ALL)).unwrap();
        let unproven: usize = (0..prefixes)
            .map(|p| answered(&mut budget, now, p, 1))
            .sum();
        assert_eq!(unproven, burst(ALL) / 2);
        let mut pay = |prefix| budget.pay_proven(now, host(prefix, 1));
        let proven = (0..prefixes).filter(|prefix| pay(*prefix)).count();
        assert_eq!(proven, burst(ALL) / 2);
    }

    #[test]
    fn who_is_imitated_still_gets_in_with_a_proof() {
        let mut budget = Budget::default();
        let now = Instant::ZERO + Duration::from_secs(1);
        answered(&mut budget, now, 1, burst(EACH));
        assert_eq!(budget.allowance(now, host(1, 7)), Allowance::Proof);
        let paid = (0..burst(EACH) + 9).filter(|_| budget.pay_proven(now, host(1, 7)));
        assert_eq!(paid.count(), burst(EACH));
    }

    #[test]
    fn loopback_is_not_limited_and_spends_nothing() {
        let mut budget = Budget::default();
        let now = Instant::ZERO + Duration::from_secs(1);
        let from = "[::ffff:127.0.0.1]:7".parse().unwrap();
        for _ in 0..burst(ALL) * 2 {
            assert_eq!(budget.allowance(now, from), Allowance::Answer);
            budget.on_answered(now, from);
            assert!(budget.pay_proven(now, from));
        }
        assert_eq!(answered(&mut budget, now, 1, 1), 1);
        assert_eq!(budget.remembered(), 1);
    }

    #[test]
    fn remembers_prefixes_up_to_the_limit_and_asks_the_next_for_proof() {
        let mut budget = Budget::default();
        let mut now = Instant::ZERO + SWEEP_EVERY;
        let max = u32::try_from(PREFIXES_MAX).unwrap();
        for prefix in 0..max {
            budget.all = Bucket::full(now);
            assert_eq!(budget.allowance(now, host(prefix, 1)), Allowance::Answer);
            budget.on_answered(now, host(prefix, 1));
        }
        budget.all = Bucket::full(now);
        assert_eq!(budget.allowance(now, host(max, 1)), Allowance::Proof);
        assert_eq!(budget.remembered(), PREFIXES_MAX);
        // When those are full again there is room.
        now = now + SWEEP_EVERY;
        assert_eq!(budget.allowance(now, host(max, 1)), Allowance::Answer);
        budget.on_answered(now, host(max, 1));
        assert_eq!(budget.remembered(), 1);
    }

    #[test]
    fn places_are_counted_and_forgotten() {
        let mut places = Places::default();
        let place = Place {
            prefix: Prefix::of(host(1, 1)),
            name: Some([7; 32]),
        };
        places.take(&place);
        places.take(&Place {
            name: None,
            ..place
        });
        assert_eq!(
            (places.of_prefix(place.prefix), places.of_name(&[7; 32])),
            (2, 1)
        );
        places.free(&place);
        places.free(&Place {
            name: None,
            ..place
        });
        assert!(places.by_prefix.is_empty() && places.by_name.is_empty());
    }
}
