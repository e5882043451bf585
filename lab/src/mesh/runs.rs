//! The runs, each with one thing that must come of it.

use std::time::Duration;

use dunlin_overlay::{Event, OverlayConfig};

use super::Mesh;
use crate::rng::Rng;

/// Kinds of runs; a seed is of the kind `seed % KINDS`.
pub const KINDS: u64 = 9;

const SECOND: Duration = Duration::from_secs(1);

/// Runs the mesh of `seed`.
///
/// # Errors
/// What it came to and must not, in words.
pub fn run(seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed).split(0x3e5);
    let mesh = Mesh::new(rng.split(1));
    match seed % KINDS {
        0 => line(mesh, &mut rng),
        1 => forged_copy_first(mesh, &mut rng),
        2 => repeated_broadcasts(mesh, &mut rng),
        3 => repeated_record(mesh),
        4 => record_in_another_name(mesh),
        5 => repeated_answers(mesh, &mut rng),
        6 => requests(mesh, &mut rng),
        7 => dead_bootstraps(mesh, &mut rng),
        _ => silent_link(mesh, &mut rng),
    }
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn connected(mesh: &Mesh, node: usize) -> usize {
    mesh.nodes[node].overlay.stats().connected
}

/// Two nodes with a link.
fn pair(mesh: &mut Mesh, config: &OverlayConfig) -> Result<(), String> {
    mesh.add(config.clone());
    mesh.add(config.clone());
    mesh.connect(0, 1);
    mesh.run_for(3 * SECOND);
    let counts = [connected(mesh, 0), connected(mesh, 1)];
    check(counts == [1, 1], || format!("no link: {counts:?}"))
}

/// Nodes in a row: a broadcast goes as far as its hop limit, each hop counted, and never back.
fn line(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let length = usize::try_from(rng.between(4, 7)).unwrap_or(4);
    let limit = u8::try_from(rng.between(1, 6)).unwrap_or(1);
    for _ in 0..length {
        mesh.add(OverlayConfig {
            hop_limit: limit,
            ..Mesh::config()
        });
    }
    for node in 1..length {
        mesh.connect(node - 1, node);
    }
    mesh.run_for(5 * SECOND);
    mesh.broadcast(0, b"along the line")?;
    mesh.run_for(5 * SECOND);
    for node in 1..length {
        let expected = match u8::try_from(node) {
            Ok(distance) if distance <= limit => vec![distance],
            _ => Vec::new(),
        };
        let got = mesh.deliveries(node, b"along the line");
        check(got == expected, || {
            format!("node {node} of a line with limit {limit} got it after {got:?} hops")
        })?;
    }
    for (node, entry) in mesh.nodes.iter().enumerate() {
        let stats = entry.overlay.stats();
        check(
            stats.violations == 0 && stats.broadcasts_duplicate == 0,
            || {
                let (violations, copies) = (stats.violations, stats.broadcasts_duplicate);
                format!("node {node} of a line: {violations} violations, {copies} copies")
            },
        )?;
    }
    Ok(())
}

/// A copy with a wrong signature comes first; the genuine one is delivered all the same.
fn forged_copy_first(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    pair(&mut mesh, &Mesh::config())?;
    let before = mesh.carried(0, 1).len();
    mesh.held.insert((0, 1));
    mesh.broadcast(0, b"genuine")?;
    let genuine = mesh.carried(0, 1).get(before).cloned().unwrap_or_default();
    let mut forged = genuine.clone();
    // The signature stands near the end; whatever else is hit must not matter either.
    let back = usize::try_from(rng.between(1, 90))
        .unwrap_or(1)
        .min(forged.len());
    let at = forged.len() - back;
    if let Some(byte) = forged.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
    mesh.tell(0, 1, &forged);
    mesh.tell(0, 1, &genuine);
    let got = mesh.deliveries(1, b"genuine");
    check(got.len() == 1, || {
        format!("{} deliveries after a forged copy came first", got.len())
    })
}

/// Old broadcasts come again in any order; each is delivered once.
fn repeated_broadcasts(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let config = OverlayConfig {
        seen_capacity: usize::try_from(rng.between(1, 8)).unwrap_or(4),
        ..Mesh::config()
    };
    pair(&mut mesh, &config)?;
    let count = u8::try_from(rng.between(3, 20)).unwrap_or(3);
    for number in 0..count {
        mesh.broadcast(0, &[number])?;
        mesh.run_for(Duration::from_millis(rng.between(1, 200)));
    }
    mesh.run_for(SECOND);
    let mut carried = mesh.carried(0, 1);
    while !carried.is_empty() {
        let index = usize::try_from(rng.below(carried.len() as u64)).unwrap_or(0);
        mesh.tell(0, 1, &carried.swap_remove(index));
    }
    for number in 0..count {
        let got = mesh.deliveries(1, &[number]).len();
        check(got == 1, || {
            format!("broadcast {number} was delivered {got} times")
        })?;
    }
    Ok(())
}

/// A hello with an older record comes again.
fn repeated_record(mut mesh: Mesh) -> Result<(), String> {
    pair(&mut mesh, &Mesh::config())?;
    let old = mesh.carried(0, 1);
    let moved = Mesh::address(9);
    mesh.with(0, |overlay, now| overlay.set_listen(now, vec![moved]));
    mesh.run_for(SECOND);
    old.iter().for_each(|message| mesh.tell(0, 1, message));
    let id = mesh.id(0);
    let known = mesh.nodes[1].overlay.peers().find(|peer| peer.id == id);
    let addresses = known.map(|peer| peer.addresses).unwrap_or_default();
    check(addresses.contains(&moved), || {
        format!("an old record is believed again: {addresses:?}")
    })
}

/// A peer sends another one's hello.
fn record_in_another_name(mut mesh: Mesh) -> Result<(), String> {
    pair(&mut mesh, &Mesh::config())?;
    let third = mesh.add(Mesh::config());
    mesh.connect(third, 1);
    mesh.run_for(3 * SECOND);
    let hello = mesh.carried(0, 1).first().cloned().unwrap_or_default();
    let before = mesh.nodes[1].overlay.stats().violations;
    mesh.tell(third, 1, &hello);
    let after = mesh.nodes[1].overlay.stats().violations;
    check(after > before, || {
        "a record of another node came with a hello, and nobody minded".to_owned()
    })
}

/// Answers come again that were asked for once.
fn repeated_answers(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let size = usize::try_from(rng.between(3, 6)).unwrap_or(3);
    for _ in 0..size {
        mesh.add(Mesh::config());
    }
    for node in 1..size {
        mesh.connect(node, 0);
    }
    mesh.run_for(Duration::from_millis(rng.between(5_000, 20_000)));
    for node in 1..size {
        let told = |mesh: &Mesh| {
            let stats = mesh.nodes[node].overlay.stats();
            stats.records_learned + stats.records_refused
        };
        let old = mesh.carried(0, node);
        // What is on its way arrives first.
        mesh.run_for(SECOND);
        let before = told(&mesh);
        for message in old {
            mesh.tell(0, node, &message);
        }
        let after = told(&mesh);
        check(after == before, || {
            format!(
                "{} records were taken from answers nobody asked for",
                after - before
            )
        })?;
    }
    Ok(())
}

/// Every request gets one answer, its own.
fn requests(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    pair(&mut mesh, &Mesh::config())?;
    let peer = mesh.id(1);
    let count = u8::try_from(rng.between(2, 20)).unwrap_or(2);
    let mut asked = Vec::new();
    for number in 0..count {
        let id = mesh.with(0, |overlay, now| {
            overlay.request(now, peer, "echo", &[number])
        });
        asked.push(id.map_err(|error| format!("request: {error}"))?);
    }
    mesh.run_for(SECOND);
    let mut waiting: Vec<_> = mesh.nodes[1]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Request {
                peer, id, payload, ..
            } => Some((*peer, *id, payload.clone())),
            _ => None,
        })
        .collect();
    while !waiting.is_empty() {
        let index = usize::try_from(rng.below(waiting.len() as u64)).unwrap_or(0);
        let (asker, id, payload) = waiting.swap_remove(index);
        mesh.with(1, |overlay, now| overlay.respond(now, asker, id, &payload))
            .map_err(|error| format!("respond: {error}"))?;
    }
    mesh.run_for(15 * SECOND);
    for (number, id) in asked.iter().enumerate() {
        let answers: Vec<_> = mesh.nodes[0]
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Response {
                    id: of, payload, ..
                } if of == id => Some(Ok(payload.clone())),
                Event::RequestFailed {
                    id: of, failure, ..
                } if of == id => Some(Err(*failure)),
                _ => None,
            })
            .collect();
        let expected: [u8; 1] = [u8::try_from(number).unwrap_or(0)];
        let right = match answers.as_slice() {
            [Ok(payload)] => payload[..] == expected,
            _ => false,
        };
        check(right, || {
            format!("request {number} was answered by {answers:?}")
        })?;
    }
    Ok(())
}

/// Bootstraps that are not there are tried ever less often, and do not keep a living one out.
fn dead_bootstraps(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let dead = usize::try_from(rng.between(1, 8)).unwrap_or(1);
    mesh.add(Mesh::config());
    mesh.add(Mesh::config());
    for index in 0..dead {
        let address = Mesh::address(100 + index);
        mesh.with(0, |overlay, now| {
            overlay.add_bootstrap(now, address, None).is_ok()
        });
    }
    mesh.run_for(100 * SECOND);
    let dials = mesh.nodes[0].overlay.stats().dials;
    // Seven doublings of a second reach a hundred; jitter halves a delay at most.
    let most = 12 * dead as u64;
    check(dials <= most, || {
        format!("{dials} dials of {dead} dead nodes in 100 s")
    })?;
    mesh.connect(0, 1);
    mesh.run_for(10 * SECOND);
    let count = connected(&mesh, 0);
    check(count == 1, || {
        format!("{dead} dead nodes keep a living one out")
    })
}

/// A link on which nothing arrives any more is given up.
fn silent_link(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    pair(&mut mesh, &Mesh::config())?;
    mesh.run_for(Duration::from_millis(rng.between(0, 30_000)));
    mesh.mute.extend([(0, 1), (1, 0)]);
    mesh.reachable.clear();
    mesh.run_for(200 * SECOND);
    let counts = [connected(&mesh, 0), connected(&mesh, 1)];
    check(counts == [0, 0], || {
        format!("a silent link is kept: {counts:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{SeedGuard, seeds};

    #[test]
    fn meshes_come_to_what_they_must() {
        for seed in seeds(KINDS * 10) {
            let _guard = SeedGuard::new("meshes", seed);
            if let Err(what) = run(seed) {
                panic!("{what}");
            }
        }
    }
}
