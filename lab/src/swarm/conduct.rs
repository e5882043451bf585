//! Measures what becomes of hostile nodes: how soon they have no place left in the trees of honest
//! ones, and whether honest nodes suffer with them.
//!
//! All nodes behave while the network grows, settles and speaks, so that the hostile ones hold places
//! as everybody does. Then they begin. A heartbeat is an interval of comparisons
//! (`OverlayConfig::gossip_interval`, a second). Hostile nodes say nothing themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use dunlin_overlay::PeerState;

use super::adversary::Adversary;
use super::gossip::Study;
use super::report::{Distribution, ratio};
use super::violation::SwarmFailure;
use super::world::Swarm;

const SECOND: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConductPlan {
    /// Nodes.
    pub nodes: usize,
    /// How many of a hundred are hostile.
    pub percent: usize,
    /// What those do.
    pub adversary: Adversary,
    /// Between two broadcasts, each of a random honest node.
    pub interval: Duration,
    /// For how many heartbeats.
    pub heartbeats: u32,
}

/// What places hostile nodes have at honest ones.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Places {
    /// Pairs of an honest node and a hostile one that are or were neighbours.
    pub pairs: u64,
    /// Of these, in which the hostile one is parent of no origin at the honest one.
    pub no_parent: f64,
    /// Of these, in which it is not pushed to either: it has no eager place at all.
    pub out: f64,
    /// Of all parents' places at honest nodes, the share that hostile nodes have.
    pub parents: f64,
    /// Of all places of those pushed to by honest nodes, the share that hostile nodes have.
    pub pushed: f64,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Conducted {
    /// When they began.
    pub before: Places,
    /// Half of the heartbeats later.
    pub half: Places,
    /// At the end.
    pub end: Places,
    /// Honest nodes banned by honest ones, of all pairs of honest nodes that met.
    pub false_bans: f64,
    /// The same, disconnected for their score.
    pub false_bars: f64,
    /// Most by which statements of others moved the trust of an honest node in another.
    pub hearsay: f64,
    /// Broadcasts expected and delivered at honest nodes since they began.
    pub expected: u64,
    /// See above.
    pub delivered: u64,
    /// From the sending to a delivery, in milliseconds, since they began.
    pub latency_ms: Distribution,
    /// Copies of a payload that a node received, the first one included.
    pub copies: f64,
}

/// Pairs of neighbours, honest first.
type Pairs = BTreeSet<(usize, usize)>;

fn hostile_pairs(swarm: &Swarm) -> Pairs {
    let judge = swarm.judge();
    let honest = judge.running().filter(|&node| !swarm.is_corrupt(node));
    honest
        .flat_map(|node| judge.peers_of(node).map(move |peer| (node, peer)))
        .filter(|&(_, peer)| swarm.is_corrupt(peer))
        .collect()
}

fn places(swarm: &Swarm, known: &Pairs) -> Places {
    let judge = swarm.judge();
    let mut pairs = hostile_pairs(swarm);
    pairs.extend(known);
    let (mut no_parent, mut out) = (0, 0);
    for &(node, peer) in &pairs {
        let places = swarm.overlay(node).tree_places(swarm.id_of(peer));
        no_parent += u64::from(places.parent == 0);
        out += u64::from(places.parent == 0 && places.pushed == 0);
    }
    let (mut parents, mut pushed) = ([0, 0], [0, 0]);
    for node in judge.running().filter(|&node| !swarm.is_corrupt(node)) {
        for peer in judge.peers_of(node) {
            let places = swarm.overlay(node).tree_places(swarm.id_of(peer));
            let side = usize::from(swarm.is_corrupt(peer));
            parents[side] += places.parent as u64;
            pushed[side] += places.pushed as u64;
        }
    }
    let count = pairs.len() as u64;
    let share = |[honest, hostile]: [u64; 2]| ratio(hostile, honest + hostile);
    Places {
        pairs: count,
        no_parent: ratio(no_parent, count),
        out: ratio(out, count),
        parents: share(parents),
        pushed: share(pushed),
    }
}

/// Honest nodes among the peers of honest ones: all, banned, barred; and the most that hearsay moved.
fn judged(swarm: &Swarm) -> (u64, u64, u64, f64) {
    let (mut all, mut banned, mut barred, mut moved) = (0, 0, 0, 0.0_f64);
    let judge = swarm.judge();
    for node in judge.running().filter(|&node| !swarm.is_corrupt(node)) {
        let overlay = swarm.overlay(node);
        for peer in overlay.peers() {
            let index = judge.index_of(peer.id);
            if index.is_none_or(|peer| swarm.is_corrupt(peer)) {
                continue;
            }
            let Some(reputation) = overlay.reputation(peer.id) else {
                continue;
            };
            all += 1;
            banned += u64::from(peer.state == PeerState::Banned);
            barred += u64::from(!reputation.may_relay);
            moved = moved.max((reputation.trust - reputation.own_trust).abs());
        }
    }
    (all, banned, barred, moved)
}

/// Lets a random honest node speak at each interval until `end`; the numbers of the broadcasts.
fn speak(study: &mut Study, plan: &ConductPlan, heartbeats: u32) -> Result<(), SwarmFailure> {
    let end = study.swarm.now() + SECOND * heartbeats;
    let mut talks_at = study.swarm.now();
    while study.swarm.now() < end {
        let honest: Vec<usize> = {
            let swarm = &study.swarm;
            let running = swarm.judge().running();
            running.filter(|&node| !swarm.is_corrupt(node)).collect()
        };
        let node = study.pick(&honest);
        study.broadcast(node)?;
        study.swarm.run_for(plan.interval)?;
        if study.swarm.now() >= talks_at {
            study.swarm.let_adversaries_talk()?;
            talks_at = study.swarm.now() + 5 * SECOND;
        }
        if let Adversary::Whitewash(each) = plan.adversary {
            study.wash(each, plan.adversary)?;
        }
    }
    Ok(())
}

/// Lets part of a network turn hostile, and measures what becomes of it.
///
/// # Errors
/// What must not be.
pub fn conduct(plan: ConductPlan, seed: u64) -> Result<Conducted, SwarmFailure> {
    let mut study = Study::new(plan.nodes, seed)?;
    for node in 0..plan.nodes {
        study.broadcast(node)?;
        study.swarm.run_for(SECOND / 20)?;
    }
    speak(&mut study, &plan, 20)?;
    let hostile = study.some(plan.nodes * plan.percent / 100);
    for &node in &hostile {
        study.swarm.corrupt(node, plan.adversary);
    }
    study.note_identities(&hostile);
    let washes = matches!(plan.adversary, Adversary::Whitewash(_));
    let known = if washes {
        Pairs::new()
    } else {
        hostile_pairs(&study.swarm)
    };
    let before = places(&study.swarm, &known);
    let (totals, first) = (study.totals(), study.swarm.judge().sent());
    speak(&mut study, &plan, plan.heartbeats / 2)?;
    let half = places(&study.swarm, &known);
    speak(&mut study, &plan, plan.heartbeats - plan.heartbeats / 2)?;
    let end = places(&study.swarm, &known);
    study.swarm.run_for(5 * SECOND)?;
    let (all, banned, barred, hearsay) = judged(&study.swarm);
    let after = study.totals();
    let received = after.broadcasts_received - totals.broadcasts_received;
    let duplicates = after.broadcasts_duplicate - totals.broadcasts_duplicate;
    let judge = study.swarm.judge();
    let range = first..judge.sent();
    let honest = judge
        .running()
        .filter(|&node| !study.swarm.is_corrupt(node));
    let honest: Vec<usize> = honest.collect();
    let delivered: usize = range
        .clone()
        .map(|number| judge.held_by(number, &honest))
        .sum();
    let latencies = range
        .clone()
        .flat_map(|number| judge.latencies_us(number).iter().copied());
    let mut latencies: Vec<u32> = latencies.collect();
    Ok(Conducted {
        before,
        half,
        end,
        false_bans: ratio(banned, all),
        false_bars: ratio(barred, all),
        hearsay,
        expected: (range.len() * honest.len()) as u64,
        delivered: delivered as u64,
        latency_ms: Distribution::of(&mut latencies, 1e-3),
        copies: ratio(received + duplicates, received),
    })
}
