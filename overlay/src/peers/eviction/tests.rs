//! Examples, and an attacker that tries.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::rng::Rng;

const KEY: [u8; 32] = [7; 32];

fn id(n: u64) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    NodeId::from_bytes(bytes)
}

/// The n-th network of public addresses.
fn network(n: u8) -> IpPrefix {
    format!("{}.{}.0.0/16", 20 + n / 200, n % 200)
        .parse()
        .unwrap()
}

fn peer(n: u64, in_network: u8, connected_at: u64) -> Candidate {
    Candidate {
        id: id(n),
        network: network(in_network),
        connected_at: Instant::from_nanos(connected_at * 1_000_000_000),
        rtt: Some(Duration::from_millis(200)),
        useful: 0,
        is_unhealthy: false,
    }
}

/// Twenty-eight peers, two from each of fourteen networks, the later ones younger.
fn room() -> Vec<Candidate> {
    (0..28)
        .map(|n| peer(n, u8::try_from(n / 2).unwrap(), 100 + n))
        .collect()
}

#[test]
fn a_few_peers_are_all_protected_and_one_more_makes_a_victim() {
    // Four by network, four by latency, none by deliveries, half of the others by their past.
    let few: Vec<_> = (0..8)
        .map(|n| peer(n, u8::try_from(n).unwrap(), n))
        .collect();
    assert_eq!(choose(few.clone(), network(99), true, &KEY), None);
    let more: Vec<_> = (0..9)
        .map(|n| peer(n, u8::try_from(n).unwrap(), n))
        .collect();
    let victim = choose(more, network(99), true, &KEY);
    assert!(
        victim.is_some_and(|victim| few.iter().chain([&peer(8, 8, 8)]).any(|c| c.id == victim))
    );
}

#[test]
fn the_youngest_of_the_largest_network_goes() {
    let mut candidates = room();
    for n in 0..4 {
        candidates.push(peer(100 + n, 50, 10 + n));
    }
    candidates.push(peer(200, 50, 500));
    assert_eq!(choose(candidates, network(99), true, &KEY), Some(id(200)));
}

#[test]
fn a_newcomer_of_the_largest_network_pushes_out_nobody() {
    let mut candidates = room();
    for n in 0..6 {
        candidates.push(peer(100 + n, 50, 400 + n));
    }
    assert_eq!(choose(candidates.clone(), network(50), true, &KEY), None);
    let victim = choose(candidates.clone(), network(50), false, &KEY);
    assert_eq!(victim, Some(id(105)), "unless it is protected itself");
    let one_network: Vec<_> = (0..200).map(|n| peer(n, 3, n)).collect();
    assert_eq!(choose(one_network, network(3), true, &KEY), None);
}

#[test]
fn merit_protects_and_bad_health_ends_the_protection() {
    let mut candidates = room();
    let youngest = candidates.len() - 1;
    let without = choose(candidates.clone(), network(99), true, &KEY).unwrap();
    for merit in 0..2 {
        let mut better = candidates.clone();
        let victim = better.iter_mut().find(|c| c.id == without).unwrap();
        match merit {
            0 => victim.rtt = Some(Duration::from_millis(1)),
            _ => victim.useful = 9,
        }
        assert_ne!(
            choose(better.clone(), network(99), true, &KEY),
            Some(without)
        );
        let victim = better.iter_mut().find(|c| c.id == without).unwrap();
        victim.is_unhealthy = true;
        assert_eq!(choose(better, network(99), true, &KEY), Some(without));
    }
    candidates[youngest].is_unhealthy = true;
    assert_eq!(choose(candidates, network(99), true, &KEY), Some(id(27)));
}

/// An attacker opens `connections` from `networks` of its own, one after the other, each with merits
/// of its choice but for its past; honest peers have been there before. Returns who is left of them.
fn attack(seed: u8, networks: u8, connections: u64, rtt_ms: u64, useful: u64) -> usize {
    let mut rng = Rng::new([seed; 32]);
    let key = [seed ^ 0x5a; 32];
    let honest: Vec<Candidate> = (0..28)
        .map(|n| {
            let mut of = peer(
                n,
                u8::try_from(rng.below(60)).unwrap(),
                60 + rng.below(3600),
            );
            of.rtt = Some(Duration::from_millis(20 + rng.below(300)));
            of.useful = rng.below(200);
            of
        })
        .collect();
    let mut present = honest.clone();
    for n in 0..connections {
        let its = 100 + u8::try_from(n % u64::from(networks)).unwrap();
        let Some(victim) = choose(present.clone(), network(its), true, &key) else {
            continue;
        };
        present.retain(|c| c.id != victim);
        let mut fresh = peer(1_000 + n, its, 10_000 + n);
        (fresh.rtt, fresh.useful) = (Some(Duration::from_millis(rtt_ms)), useful);
        present.push(fresh);
        assert_eq!(present.len(), honest.len(), "one goes for one that comes");
    }
    let ids: BTreeSet<NodeId> = honest.iter().map(|c| c.id).collect();
    present.iter().filter(|c| ids.contains(&c.id)).count()
}

#[test]
fn an_attacker_with_one_network_takes_few_places_whatever_it_tries() {
    for seed in 0..60 {
        let left = attack(seed, 1, 400, 200, 0);
        assert!(left >= 25, "seed {seed}: {left} of 28 are left");
        let left = attack(seed, 1, 400, 1, 1_000_000);
        assert!(
            left >= 25,
            "seed {seed}, with the best merits: {left} of 28 are left"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However many networks, connections and faked merits: the honest peers with the longest past stay.
    #[test]
    fn an_attacker_cannot_push_out_the_protected(
        seed in any::<u8>(),
        networks in 1u8..100,
        rtt_ms in 0u64..400,
        useful in 0u64..400,
    ) {
        let left = attack(seed, networks, 300, rtt_ms, useful);
        prop_assert!(left >= 8, "{left} of 28 are left");
    }

    /// Somebody who is evicted was there, and nothing changes with the order of the list.
    #[test]
    fn the_choice_does_not_depend_on_the_order(
        seed in any::<u8>(),
        of in prop::collection::vec((0u8..9, 0u64..50, 0u64..300, 0u64..9), 0..40),
    ) {
        let mut candidates: Vec<Candidate> = (0u64..)
            .zip(of)
            .map(|(n, (net, at, rtt, useful))| {
                let mut of = peer(n, net, at);
                (of.rtt, of.useful) = (Some(Duration::from_millis(rtt)), useful);
                of
            })
            .collect();
        let chosen = choose(candidates.clone(), network(1), true, &KEY);
        prop_assert!(chosen.is_none_or(|chosen| candidates.iter().any(|c| c.id == chosen)));
        Rng::new([seed; 32]).shuffle(&mut candidates);
        prop_assert_eq!(choose(candidates, network(1), true, &KEY), chosen);
    }
}
