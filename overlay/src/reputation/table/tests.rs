//! The properties that the table and its standings promise.

use proptest::prelude::*;

use super::*;
use crate::reputation::evidence::{Component, FAULT};

fn peer(n: u32) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn table() -> Reputations {
    Reputations::new(ReputationConfig::default())
}

fn hours(hours: u64) -> Instant {
    Instant::from_nanos(hours * 3_600_000_000_000)
}

const NOBODY: fn(&NodeId) -> bool = |_| false;

#[test]
fn the_worst_are_forgotten_after_strangers_and_friends() {
    let mut table = table();
    for n in 0..u32::try_from(REPUTATIONS_MAX).unwrap() {
        let standing = table.meet(Instant::ZERO, peer(n), NOBODY);
        match n {
            7 => standing.add(Component::Validity, 0.0, FAULT),
            8 => standing.add(Component::Uptime, 5.0, 0.0),
            _ => {}
        }
    }
    assert_eq!(table.len(), REPUTATIONS_MAX);
    for n in 0..u32::try_from(2 * REPUTATIONS_MAX).unwrap() {
        table.meet(Instant::ZERO, peer(1_000_000 + n), NOBODY);
        assert_eq!(table.len(), REPUTATIONS_MAX);
    }
    let (_, against) = table
        .get(&peer(7))
        .expect("kept")
        .evidence(Component::Validity);
    assert!(against >= FAULT);
    assert!(table.get(&peer(8)).is_some(), "strangers leave first");
    assert!(table.get(&peer(9)).is_none());
}

#[test]
fn who_has_a_link_is_not_forgotten() {
    let mut table = table();
    for n in 0..u32::try_from(REPUTATIONS_MAX).unwrap() + 50 {
        table.meet(Instant::ZERO, peer(n), |id| *id == peer(0));
    }
    assert!(table.get(&peer(0)).is_some() && table.get(&peer(1)).is_none());
}

#[test]
fn evidence_fades_by_a_tenth_in_a_day_and_trust_towards_its_beginning() {
    let mut table = table();
    let standing = table.meet(hours(0), peer(1), NOBODY);
    standing.add(Component::Validity, 0.0, 20.0);
    (0..50).for_each(|_| standing.change_trust(true, 1.0));
    let trust = standing.own_trust();
    assert!(trust > 0.9);
    let standing = table.meet(hours(24), peer(1), NOBODY);
    let (_, against) = standing.evidence(Component::Validity);
    assert!((17.9..18.2).contains(&against), "{against}");
    assert!(standing.own_trust() < trust && standing.own_trust() > 0.5);
    let standing = table.meet(hours(24 * 365), peer(1), NOBODY);
    assert!(standing.evidence(Component::Validity).1 < 1e-9);
    assert!((standing.own_trust() - 0.5).abs() < 1e-9);
}

#[test]
fn fading_does_not_depend_on_how_often_it_is_looked_at() {
    let (mut often, mut once) = (table(), table());
    for table in [&mut often, &mut once] {
        let standing = table.meet(hours(0), peer(1), NOBODY);
        standing.add(Component::Relay, 7.0, 30.0);
    }
    for quarter in 1..400 {
        let now = Instant::from_nanos(quarter * 900_000_000_000);
        often.meet(now, peer(1), NOBODY);
    }
    let now = Instant::from_nanos(399 * 900_000_000_000);
    once.meet(now, peer(1), NOBODY);
    let of = |table: &Reputations| table.get(&peer(1)).unwrap().evidence(Component::Relay);
    assert!((of(&often).1 - of(&once).1).abs() < 1e-9);
}

#[test]
fn consensus_counts_once_an_application_reports_any() {
    let mut table = table();
    let standing = table.meet(Instant::ZERO, peer(1), NOBODY);
    (0..100).for_each(|_| standing.add(Component::Consensus, 0.0, FAULT));
    assert_eq!(table.score(&peer(1)), table.score(&peer(2)));
    table.count_consensus();
    assert!(table.score(&peer(1)) < table.score(&peer(2)));
}

/// What networks do by themselves (links that fail, answers that are late, broadcasts that do not
/// come) bars and lowers, but never ends a connection: somebody on the path could bring it about.
#[test]
fn no_failure_of_a_network_disconnects_or_bans() {
    let config = ReputationConfig::default();
    for counts_consensus in [false, true] {
        let mut standing = Standing::new(Instant::ZERO, &config);
        for _ in 0..10_000 {
            for component in [Component::Uptime, Component::Latency, Component::Relay] {
                standing.add(component, 0.0, FAULT);
            }
        }
        let score = standing.score(&config, counts_consensus);
        assert!(score >= config.auto_disconnect, "{score}");
        assert!(!standing.may_relay(&config, counts_consensus));
        assert!(!standing.is_at_fault());
    }
}

#[test]
fn four_faults_are_a_ban_and_three_are_not() {
    let mut standing = Standing::new(Instant::ZERO, &ReputationConfig::default());
    (0..3).for_each(|_| standing.add(Component::Validity, 0.0, FAULT));
    assert!(!standing.is_at_fault());
    standing.add(Component::Validity, 0.0, FAULT);
    assert!(standing.is_at_fault());
}

#[test]
fn a_saved_standing_comes_back_and_one_out_of_range_does_not() {
    let config = ReputationConfig::default();
    let evidence = [(1.0, 2.0); 5];
    let restored = |evidence, trust| Standing::restored(hours(0), evidence, trust, 0, &config);
    let standing = restored(evidence, 0.7).expect("sound");
    assert_eq!(standing.all_evidence(), evidence);
    assert!((standing.own_trust() - 0.7).abs() < 1e-12);
    assert!(restored([(f64::INFINITY, 0.0); 5], 0.5).is_none());
    assert!(restored(evidence, 1.5).is_none() && restored(evidence, f64::NAN).is_none());
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Evidence(usize, f64, f64),
    Trust(bool, f64),
    Hours(u64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        (0..5_usize, 0.0..2.0_f64, 0.0..9.0_f64).prop_map(|(c, f, a)| Deed::Evidence(c, f, a)),
        (any::<bool>(), 0.0..2.0_f64).prop_map(|(s, w)| Deed::Trust(s, w)),
        (0..1000_u64).prop_map(Deed::Hours),
    ];
    proptest::collection::vec(deed, 0..60)
}

proptest! {
    /// Whatever happens, scores and trust stay in range, evidence against never raises a score,
    /// evidence for never lowers it.
    #[test]
    fn scores_stay_in_range_and_move_the_right_way(deeds in deeds()) {
        let config = ReputationConfig::default();
        let mut standing = Standing::new(Instant::ZERO, &config);
        let mut now = 0;
        for deed in deeds {
            let before = standing.score(&config, true);
            match deed {
                Deed::Evidence(c, favour, against) => {
                    let component = Component::ALL[c];
                    let mut better = standing.clone();
                    better.add(component, favour, 0.0);
                    prop_assert!(better.score(&config, true) >= before);
                    standing.add(component, 0.0, against);
                    prop_assert!(standing.score(&config, true) <= before);
                    standing.add(component, favour, 0.0);
                }
                Deed::Trust(success, severity) => standing.change_trust(success, severity),
                Deed::Hours(hours) => {
                    now += hours;
                    standing.fade(Instant::from_nanos(now * 3_600_000_000_000), &config);
                }
            }
            prop_assert!((0.0..=1.0).contains(&standing.own_trust()));
            prop_assert!(standing.score(&config, true) <= 100);
        }
    }

    /// No sequence of bad deeds followed by a new name gives more than a newcomer has.
    #[test]
    fn a_new_name_is_never_better_than_a_newcomer(name in any::<u32>()) {
        let table = table();
        prop_assert_eq!(table.score(&peer(name)), 60);
        prop_assert!(table.view(&peer(name)).is_none());
    }

    /// No set of statements moves a score at all, or trust beyond its bound.
    #[test]
    fn what_others_say_moves_no_score(
        statements in proptest::collection::vec((0..40_u32, 0..=1000_u16), 0..100),
        trusted in proptest::collection::vec(0..40_u32, 0..20),
    ) {
        let mut table = table();
        for n in trusted {
            let standing = table.meet(Instant::ZERO, peer(n), NOBODY);
            (0..100).for_each(|_| standing.change_trust(true, 1.0));
        }
        let subject = peer(99);
        table.meet(Instant::ZERO, subject, NOBODY);
        let before = table.view(&subject).expect("met");
        for (author, permille) in statements {
            let standing = table.get_mut(&subject).expect("met");
            standing.hearsay.note(peer(author), permille);
        }
        let after = table.view(&subject).expect("met");
        prop_assert_eq!((after.score, after.components), (before.score, before.components));
        prop_assert_eq!(after.may_relay, before.may_relay);
        prop_assert!((after.trust - before.trust).abs() <= 0.05 + 1e-12);
    }
}
