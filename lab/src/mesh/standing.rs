//! What nodes think of each other must come to, in networks of a few: who withholds is found and barred,
//! who could not help it is excused, what others say and what a new link washes off is next to nothing.

use std::time::Duration;

use dunlin_overlay::saved::SavedReputation;
use dunlin_overlay::{Component, Interaction, Reputation, TreePlaces};
use dunlin_session::NodeId;

use super::{Mesh, SECOND, check, in_words};
use crate::rng::{Ppm, Rng};
use crate::swarm::{Adversary, Climate, Restart, Swarm, statement};

/// Kinds of runs; a seed is of the kind `seed % KINDS`.
const KINDS: u64 = 6;
const HOUR: Duration = Duration::from_secs(3_600);
/// The place of a component among [`Reputation::components`].
const VALIDITY: usize = Component::Validity as usize;
const RELAY: usize = Component::Relay as usize;

/// Runs the mesh of `seed`.
///
/// # Errors
/// What it came to and must not, in words.
pub fn run(seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed).split(0x57a);
    let mesh = Mesh::new(rng.bits(), Climate::default());
    match seed % KINDS {
        0 => a_withholder(mesh, &mut rng),
        1 => a_parent_that_lacked_it(mesh),
        2 => slander(mesh, &mut rng),
        3 => fading(mesh, &mut rng),
        4 => coming_back(mesh),
        _ => a_forger(mesh),
    }
}

impl Mesh {
    fn thinks(&self, node: usize, of: usize) -> Result<Reputation, String> {
        let reputation = self.0.overlay(node).reputation(self.0.id_of(of));
        reputation.ok_or_else(|| format!("node {node} has not met node {of}"))
    }

    fn places(&self, node: usize, of: usize) -> TreePlaces {
        self.0.overlay(node).tree_places(self.0.id_of(of))
    }

    /// Each of `nodes` broadcasts so often, one after the other.
    fn speak(&mut self, nodes: &[usize], rounds: u64, first: u64) -> Result<(), String> {
        for round in first..first + rounds {
            for &node in nodes {
                let text = format!("{node} says {round}");
                self.broadcast(node, text.as_bytes())?;
                self.run_for(Duration::from_millis(100))?;
            }
        }
        Ok(())
    }
}

/// Among ten nodes in a ring, each linked to the next three, one begins to withhold. Whoever bars it
/// gives it no place, some do, and nobody bars anybody else.
fn a_withholder(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let size = 10;
    for node in 0..size {
        mesh.add(&Swarm::config())?;
        for back in 1..=3 {
            if node >= back {
                mesh.connect(node, node - back)?;
            }
            if node + back >= size {
                mesh.connect(node, node + back - size)?;
            }
        }
    }
    mesh.run_for(5 * SECOND)?;
    let all: Vec<usize> = (0..size).collect();
    mesh.speak(&all, 5, 0)?;
    let hostile = usize::try_from(rng.below(size as u64)).unwrap_or(0);
    let kind = match rng.below(2) {
        0 => Adversary::Drop(Ppm::ALWAYS),
        _ => Adversary::Drop(Ppm::percent(70)),
    };
    mesh.0.corrupt(hostile, kind);
    let honest: Vec<usize> = all.into_iter().filter(|&node| node != hostile).collect();
    mesh.speak(&honest, 30, 5)?;
    let mut barred_by = 0;
    for &node in &honest {
        for &other in &honest {
            let is_barred = node != other && mesh.thinks(node, other).is_ok_and(|of| !of.may_relay);
            check(!is_barred, || {
                format!("node {node} bars node {other}, which is honest")
            })?;
        }
        if mesh.thinks(node, hostile).is_ok_and(|of| !of.may_relay) {
            barred_by += 1;
            let places = mesh.places(node, hostile);
            check(places == TreePlaces::default(), || {
                format!("a barred node has {places:?}")
            })?;
        }
    }
    check(barred_by >= 4, || {
        format!("{barred_by} of 6 neighbours bar a node that withholds")
    })
}

/// Two ways from an origin, 0: over 1 and 2, and over 3 and 4, to 5; 4 is linked to 2 as well. When 4
/// is the parent at 5 and 3 that at 4, and 3 withholds, then 4 lacked what 5 has to fetch, and
/// stands no worse for it; 3 does.
fn a_parent_that_lacked_it(mut mesh: Mesh) -> Result<(), String> {
    for _ in 0..6 {
        mesh.add(&Swarm::config())?;
    }
    for (a, b) in [(0, 1), (1, 2), (2, 5), (0, 3), (3, 4), (4, 5), (2, 4)] {
        mesh.connect(a, b)?;
    }
    mesh.run_for(5 * SECOND)?;
    // Closed to others, so that only these ways exist.
    mesh.0.forbid_dials();
    mesh.speak(&[0], 10, 0)?;
    mesh.run_for(2 * SECOND)?;
    let is_parent = |mesh: &Mesh, at: usize, of: usize| mesh.places(at, of).parent > 0;
    if !is_parent(&mesh, 5, 4) || !is_parent(&mesh, 4, 3) {
        return Ok(());
    }
    let before = (
        mesh.thinks(5, 4)?.components[RELAY],
        mesh.thinks(4, 3)?.components[RELAY],
    );
    let asked_before = mesh.stats(4).asked_for;
    mesh.0.corrupt(3, Adversary::Mute);
    mesh.speak(&[0], 3, 10)?;
    mesh.run_for(4 * SECOND)?;
    let after = (
        mesh.thinks(5, 4)?.components[RELAY],
        mesh.thinks(4, 3)?.components[RELAY],
    );
    check(after.0 >= before.0, || {
        format!(
            "a parent that lacked it fell from {} to {}",
            before.0, after.0
        )
    })?;
    // Unless 5 was the first to fetch it and 4 did not have to ask.
    let had_to_ask = mesh.stats(4).asked_for > asked_before;
    check(after.1 < before.1 || !had_to_ask, || {
        format!(
            "a parent that withheld it went from {} to {}",
            before.1, after.1
        )
    })
}

/// What peers say of another one, however much they are trusted, moves trust by little and nothing else.
fn slander(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    for node in 0..6 {
        mesh.add(&Swarm::config())?;
        for other in 0..node {
            mesh.connect(node, other)?;
        }
    }
    mesh.run_for(5 * SECOND)?;
    for friend in 2..6 {
        let id = mesh.0.id_of(friend);
        let praise = |overlay: &mut dunlin_overlay::Overlay, now| {
            for _ in 0..200 {
                overlay.update(now, id, Interaction::Relay, true, 1.0);
            }
        };
        in_words(mesh.0.with(0, praise))?;
    }
    let before = mesh.thinks(0, 1)?;
    let said = if rng.below(2) == 0 { 0 } else { 1_000 };
    for friend in 2..6 {
        let lie = statement(&[mesh.0.id_of(1)], said);
        mesh.tell(friend, 0, &lie)?;
    }
    let after = mesh.thinks(0, 1)?;
    check(
        before.components == after.components && before.score == after.score,
        || format!("hearsay took a score from {before:?} to {after:?}"),
    )?;
    let moved = (after.trust - before.trust).abs();
    check(moved > 0.0 && moved <= 0.05 + 1e-9, || {
        format!("hearsay moved trust by {moved}")
    })
}

/// Evidence fades by the hour, while a node runs and while it does not.
fn fading(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    mesh.pair(&Swarm::config())?;
    let id = mesh.0.id_of(1);
    in_words(mesh.0.with(0, |overlay, now| {
        overlay.update(now, id, Interaction::Message, false, 1.0);
    }))?;
    let before = mesh.thinks(0, 1)?.components[VALIDITY];
    let hours = u32::try_from(rng.between(12, 36)).unwrap_or(12);
    mesh.run_for(HOUR * hours)?;
    let after = mesh.thinks(0, 1)?.components[VALIDITY];
    check(after > before, || {
        format!("validity went from {before} to {after} in {hours} hours")
    })?;
    let saved = |peer, at| SavedReputation {
        peer,
        evidence: [(0.0, 0.0), (0.0, 0.0), (0.0, 20.0), (0.0, 0.0), (0.0, 0.0)],
        trust: 0.2,
        at,
    };
    let (old, new) = (NodeId::from_bytes([1; 32]), NodeId::from_bytes([2; 32]));
    let now = mesh.0.now();
    let millis = Swarm::config().wall_clock.unix_millis_at(now);
    in_words(mesh.0.with(0, |overlay, now| {
        overlay.restore_reputation(now, saved(old, millis - 30 * 24 * 3_600_000));
        overlay.restore_reputation(now, saved(new, millis));
    }))?;
    let overlay = mesh.0.overlay(0);
    let scores = [old, new].map(|id| overlay.reputation(id).map(|of| of.score));
    check(scores[0] > scores[1], || {
        format!("a month ago and now weigh the same: {scores:?}")
    })
}

/// A broadcast of `from` whose signature is wrong.
fn forged(mesh: &mut Mesh, from: usize, to: usize) -> Result<Vec<u8>, String> {
    let before = mesh.0.carried(from, to).len();
    mesh.0.hold(from, to);
    mesh.broadcast(from, b"to be forged")?;
    let genuine = mesh.0.carried(from, to).get(before).cloned();
    let mut forged = genuine.ok_or("nothing was pushed")?.to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    Ok(forged)
}

/// Who broke the rules stands no better after a new link.
fn coming_back(mut mesh: Mesh) -> Result<(), String> {
    mesh.pair(&Swarm::config())?;
    let lie = forged(&mut mesh, 1, 0)?;
    for _ in 0..2 {
        mesh.tell(1, 0, &lie)?;
    }
    let before = mesh.thinks(0, 1)?;
    mesh.0.crash(1);
    mesh.run_for(40 * SECOND)?;
    in_words(mesh.0.restart(1, Restart::Empty))?;
    mesh.run_for(20 * SECOND)?;
    let after = mesh.thinks(0, 1)?;
    let fell = before.components[VALIDITY];
    check(after.components[VALIDITY] <= fell, || {
        let rose = after.components[VALIDITY];
        format!("validity rose from {fell} to {rose} with a new link")
    })
}

/// A forged broadcast counts against who brings it, not against whose name it bears.
fn a_forger(mut mesh: Mesh) -> Result<(), String> {
    for node in 0..3 {
        mesh.add(&Swarm::config())?;
        for other in 0..node {
            mesh.connect(node, other)?;
        }
    }
    mesh.run_for(5 * SECOND)?;
    let lie = forged(&mut mesh, 1, 0)?;
    let before = [1, 2].map(|of| mesh.thinks(0, of).map(|of| of.components[VALIDITY]));
    mesh.tell(2, 0, &lie)?;
    let after = [1, 2].map(|of| mesh.thinks(0, of).map(|of| of.components[VALIDITY]));
    check(after[0] >= before[0] && after[1] < before[1], || {
        format!("validity of name and bringer went from {before:?} to {after:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{SeedGuard, seeds};

    #[test]
    fn standings_come_to_what_they_must() {
        for seed in seeds(KINDS * 10) {
            let _guard = SeedGuard::new("standing", seed);
            if let Err(what) = run(seed) {
                panic!("{what}");
            }
        }
    }
}
