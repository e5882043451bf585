//! What trees, announcements, comparisons of sets and silence must come to, in networks of a few.

use std::time::Duration;

use super::{Mesh, SECOND, check};
use crate::rng::Rng;
use crate::swarm::{Climate, Swarm};

/// Kinds of runs; a seed is of the kind `seed % KINDS`.
const KINDS: u64 = 4;

/// Runs the mesh of `seed`.
///
/// # Errors
/// What it came to and must not, in words.
pub fn run(seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed).split(0x7ee);
    let mesh = Mesh::new(rng.bits(), Climate::default());
    match seed % KINDS {
        0 => one_copy_each(mesh, &mut rng),
        1 => withheld_copy(mesh),
        2 => latecomer(mesh, &mut rng),
        _ => silence(mesh),
    }
}

/// Nodes that are all linked to each other.
fn clique(mesh: &mut Mesh, size: usize) -> Result<(), String> {
    for node in 0..size {
        mesh.add(&Swarm::config())?;
        for other in 0..node {
            mesh.connect(node, other)?;
        }
    }
    mesh.run_for(5 * SECOND)?;
    let complete = (0..size).all(|node| mesh.connected(node) == size - 1);
    check(complete, || format!("{size} nodes are not all linked"))
}

/// Copies beyond the first, and first ones, at all nodes.
fn copies(mesh: &Mesh, size: usize) -> (u64, u64) {
    let all = (0..size).map(|node| mesh.stats(node));
    all.fold((0, 0), |(more, first), stats| {
        (
            more + stats.broadcasts_duplicate,
            first + stats.broadcasts_received,
        )
    })
}

/// After its first broadcast an origin has a tree: one copy for each node.
fn one_copy_each(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let size = usize::try_from(rng.between(4, 7)).unwrap_or(4);
    clique(&mut mesh, size)?;
    mesh.broadcast(0, b"finds the tree")?;
    mesh.run_for(3 * SECOND)?;
    let before = copies(&mesh, size);
    for number in 0..5u8 {
        mesh.broadcast(0, &[number])?;
        mesh.run_for(3 * SECOND)?;
    }
    let after = copies(&mesh, size);
    let (more, first) = (after.0 - before.0, after.1 - before.1);
    check(more == 0, || format!("{more} second copies along a tree"))?;
    let expected = 5 * (size as u64 - 1);
    check(first == expected, || {
        format!("{first} of {expected} deliveries along a tree")
    })
}

/// A neighbour stops pushing: the broadcast comes from another one, half a second later.
fn withheld_copy(mut mesh: Mesh) -> Result<(), String> {
    clique(&mut mesh, 3)?;
    mesh.broadcast(0, b"finds the tree")?;
    mesh.run_for(3 * SECOND)?;
    mesh.0.hold(0, 1);
    mesh.broadcast(0, b"withheld")?;
    mesh.run_for(Duration::from_millis(700))?;
    let got = mesh.deliveries(1, b"withheld").len();
    check(got == 1, || {
        format!("{got} deliveries 0.7 s after one neighbour withheld it")
    })
}

/// A node that is linked later gets what was sent before, and sends what it had.
fn latecomer(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    // Each has a neighbour already, so that its rounds of comparisons do not begin with the new link.
    for _ in 0..4 {
        mesh.add(&Swarm::config())?;
    }
    mesh.connect(0, 1)?;
    mesh.connect(2, 3)?;
    mesh.run_for(3 * SECOND)?;
    let count = u8::try_from(rng.between(1, 100)).unwrap_or(1);
    for number in 0..count {
        mesh.broadcast(0, &[number])?;
        mesh.run_for(Duration::from_millis(20))?;
    }
    mesh.broadcast(2, b"sent apart")?;
    mesh.run_for(Duration::from_millis(rng.between(2_000, 60_000)))?;
    mesh.connect(2, 1)?;
    // Handshake, hellos, comparison, questions: a round trip takes 100 ms at most, a question waits
    // for 200 ms.
    let needed = if count > 30 { 1_000 } else { 800 };
    mesh.run_for(Duration::from_millis(needed))?;
    for number in 0..count {
        let got = mesh.deliveries(2, &[number]).len();
        check(got == 1, || {
            format!("{got} deliveries of broadcast {number} of {count} at a latecomer")
        })?;
    }
    let got = mesh.deliveries(0, b"sent apart").len();
    check(got == 1, || {
        format!("{got} deliveries of what a latecomer had sent")
    })
}

/// A peer that does not answer is silent long before its link ends.
fn silence(mut mesh: Mesh) -> Result<(), String> {
    mesh.pair(&Swarm::config())?;
    mesh.0.hold(0, 1);
    mesh.0.hold(1, 0);
    mesh.run_for(6 * SECOND)?;
    let silent = [0, 1].map(|node| mesh.stats(node).silent);
    check(silent == [1, 1], || {
        format!("after six seconds {silent:?} silent peers")
    })?;
    let counts = [mesh.connected(0), mesh.connected(1)];
    check(counts == [1, 1], || {
        format!("a silent link was given up at once: {counts:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{SeedGuard, seeds};

    #[test]
    fn trees_come_to_what_they_must() {
        for seed in seeds(KINDS * 10) {
            let _guard = SeedGuard::new("trees", seed);
            if let Err(what) = run(seed) {
                panic!("{what}");
            }
        }
    }
}
