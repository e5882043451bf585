//! Small networks with a tamperer: overlays in rows, stars and pairs ([`crate::swarm::Swarm`]), with
//! messages held back, repeated, changed or said in another name, and what each run must come to.

pub mod standing;
pub mod trees;

use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{Event, OverlayConfig, OverlayStats};

use crate::rng::{Ppm, Rng};
use crate::swarm::{Climate, Swarm, SwarmFailure};

/// Kinds of runs; a seed is of the kind `seed % KINDS`.
pub const KINDS: u64 = 9;

const SECOND: Duration = Duration::from_secs(1);

/// Runs the mesh of `seed`.
///
/// # Errors
/// What it came to and must not, in words.
pub fn run(seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed).split(0x3e5);
    let mesh = Mesh::new(rng.bits(), Climate::default());
    match seed % KINDS {
        0 => line(mesh, &mut rng),
        1 => forged_copy_first(mesh, &mut rng),
        2 => repeated_broadcasts(mesh, &mut rng),
        3 => repeated_record(mesh),
        4 => record_in_another_name(mesh),
        5 => repeated_answers(mesh, &mut rng),
        6 => requests(&mut rng),
        7 => dead_bootstraps(mesh, &mut rng),
        _ => silent_link(mesh, &mut rng),
    }
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// A swarm with a tamperer whose failures are words.
struct Mesh(Swarm);

fn in_words<T>(result: Result<T, SwarmFailure>) -> Result<T, String> {
    result.map_err(|failure| failure.to_string())
}

impl Mesh {
    fn new(seed: u64, climate: Climate) -> Self {
        Self(Swarm::new(seed, climate).keeping_events().with_tamperer())
    }

    fn add(&mut self, config: &OverlayConfig) -> Result<usize, String> {
        in_words(self.0.add(config.clone(), &[]))
    }

    fn connect(&mut self, a: usize, b: usize) -> Result<(), String> {
        in_words(self.0.connect(a, b))
    }

    fn run_for(&mut self, duration: Duration) -> Result<(), String> {
        in_words(self.0.run_for(duration))
    }

    fn broadcast(&mut self, node: usize, payload: &[u8]) -> Result<(), String> {
        let sent = in_words(self.0.broadcast(node, Bytes::copy_from_slice(payload)))?;
        check(sent.is_some(), || "may not broadcast".to_owned())
    }

    fn tell(&mut self, from: usize, to: usize, bytes: &[u8]) -> Result<(), String> {
        in_words(self.0.tell(from, to, bytes))
    }

    fn stats(&self, node: usize) -> OverlayStats {
        self.0.overlay(node).stats()
    }

    fn connected(&self, node: usize) -> usize {
        self.stats(node).connected
    }

    /// Two nodes with a link.
    fn pair(&mut self, config: &OverlayConfig) -> Result<(), String> {
        self.add(config)?;
        self.add(config)?;
        self.connect(0, 1)?;
        self.run_for(3 * SECOND)?;
        let counts = [self.connected(0), self.connected(1)];
        check(counts == [1, 1], || format!("no link: {counts:?}"))
    }

    /// The hop counts of the copies of `payload` that the application at `node` got.
    fn deliveries(&self, node: usize, payload: &[u8]) -> Vec<u8> {
        let events = self.0.events(node).iter();
        events
            .filter_map(|event| match event {
                Event::Broadcast {
                    payload: got, hops, ..
                } if got == payload => Some(*hops),
                _ => None,
            })
            .collect()
    }
}

/// Nodes in a row: a broadcast goes as far as its hop limit, each hop counted, and never back.
fn line(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let length = usize::try_from(rng.between(4, 7)).unwrap_or(4);
    let limit = u8::try_from(rng.between(1, 6)).unwrap_or(1);
    for _ in 0..length {
        mesh.add(&OverlayConfig {
            hop_limit: limit,
            ..Swarm::config()
        })?;
    }
    for node in 1..length {
        mesh.connect(node - 1, node)?;
    }
    mesh.run_for(5 * SECOND)?;
    mesh.broadcast(0, b"along the line")?;
    mesh.run_for(5 * SECOND)?;
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
    for node in 0..length {
        let stats = mesh.stats(node);
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
    mesh.pair(&Swarm::config())?;
    let before = mesh.0.carried(0, 1).len();
    mesh.0.hold(0, 1);
    mesh.broadcast(0, b"genuine")?;
    let genuine = mesh
        .0
        .carried(0, 1)
        .get(before)
        .cloned()
        .unwrap_or_default();
    let mut forged = genuine.to_vec();
    // The signature stands near the end; whatever else is hit must not matter either.
    let back = usize::try_from(rng.between(1, 90))
        .unwrap_or(1)
        .min(forged.len());
    let at = forged.len() - back;
    if let Some(byte) = forged.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
    mesh.tell(0, 1, &forged)?;
    mesh.tell(0, 1, &genuine)?;
    let got = mesh.deliveries(1, b"genuine");
    check(got.len() == 1, || {
        format!("{} deliveries after a forged copy came first", got.len())
    })
}

/// Old broadcasts come again in any order; each is delivered once.
fn repeated_broadcasts(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let config = OverlayConfig {
        seen_capacity: usize::try_from(rng.between(1, 8)).unwrap_or(4),
        ..Swarm::config()
    };
    mesh.pair(&config)?;
    let count = u8::try_from(rng.between(3, 20)).unwrap_or(3);
    for number in 0..count {
        mesh.broadcast(0, &[number])?;
        mesh.run_for(Duration::from_millis(rng.between(1, 200)))?;
    }
    mesh.run_for(SECOND)?;
    let mut carried = mesh.0.carried(0, 1);
    while !carried.is_empty() {
        let index = usize::try_from(rng.below(carried.len() as u64)).unwrap_or(0);
        mesh.tell(0, 1, &carried.swap_remove(index))?;
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
    mesh.pair(&Swarm::config())?;
    let old = mesh.0.carried(0, 1);
    let moved = Swarm::address_of(9);
    in_words(
        mesh.0
            .with(0, |overlay, now| overlay.set_listen(now, vec![moved])),
    )?;
    mesh.run_for(SECOND)?;
    for message in &old {
        mesh.tell(0, 1, message)?;
    }
    let id = mesh.0.id_of(0);
    let known = mesh.0.overlay(1).peers().find(|peer| peer.id == id);
    let addresses = known.map(|peer| peer.addresses).unwrap_or_default();
    check(addresses.contains(&moved), || {
        format!("an old record is believed again: {addresses:?}")
    })
}

/// A peer sends another one's hello.
fn record_in_another_name(mut mesh: Mesh) -> Result<(), String> {
    mesh.pair(&Swarm::config())?;
    let third = mesh.add(&Swarm::config())?;
    mesh.connect(third, 1)?;
    mesh.run_for(3 * SECOND)?;
    let hello = mesh.0.carried(0, 1).first().cloned().unwrap_or_default();
    let before = mesh.stats(1).violations;
    mesh.tell(third, 1, &hello)?;
    let after = mesh.stats(1).violations;
    check(after > before, || {
        "a record of another node came with a hello, and nobody minded".to_owned()
    })
}

/// Answers come again that were asked for once.
fn repeated_answers(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let size = usize::try_from(rng.between(3, 6)).unwrap_or(3);
    for _ in 0..size {
        mesh.add(&Swarm::config())?;
    }
    for node in 1..size {
        mesh.connect(node, 0)?;
    }
    mesh.run_for(Duration::from_millis(rng.between(5_000, 20_000)))?;
    for node in 1..size {
        let told = |mesh: &Mesh| {
            let stats = mesh.stats(node);
            stats.records_learned + stats.records_refused
        };
        let old = mesh.0.carried(0, node);
        // What is on its way arrives first.
        mesh.run_for(SECOND)?;
        let before = told(&mesh);
        for message in old {
            mesh.tell(0, node, &message)?;
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

/// Every request gets one answer, its own, though messages overtake each other. (That bytes and
/// numbers agree is the judge's part.)
fn requests(rng: &mut Rng) -> Result<(), String> {
    let climate = Climate {
        loss: Ppm::percent(30),
        ..Climate::default()
    };
    let mut mesh = Mesh::new(rng.bits(), climate);
    mesh.pair(&Swarm::config())?;
    let peer = mesh.0.id_of(1);
    let count = usize::try_from(rng.between(2, 20)).unwrap_or(2);
    for number in 0..count {
        let payload = Bytes::from(number.to_be_bytes().to_vec());
        let asked = in_words(mesh.0.request(0, peer, payload))?;
        check(asked.is_some(), || "may not ask".to_owned())?;
    }
    mesh.run_for(15 * SECOND)?;
    in_words(mesh.0.check_end())?;
    let is_answer = |event: &&Event| matches!(event, Event::Response { .. });
    let answers = mesh.0.events(0).iter().filter(is_answer).count();
    check(answers == count, || {
        format!("{answers} answers to {count} requests")
    })
}

/// Bootstraps that are not there are tried ever less often, and do not keep a living one out.
fn dead_bootstraps(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    let dead = usize::try_from(rng.between(1, 8)).unwrap_or(1);
    mesh.add(&Swarm::config())?;
    mesh.add(&Swarm::config())?;
    for index in 0..dead {
        let address = Swarm::address_of(100 + index);
        in_words(mesh.0.with(0, |overlay, now| {
            overlay.add_bootstrap(now, address, None).is_ok()
        }))?;
    }
    mesh.run_for(100 * SECOND)?;
    let dials = mesh.stats(0).dials;
    // Seven doublings of a second reach a hundred; jitter halves a delay at most.
    let most = 12 * dead as u64;
    check(dials <= most, || {
        format!("{dials} dials of {dead} dead nodes in 100 s")
    })?;
    mesh.connect(0, 1)?;
    mesh.run_for(10 * SECOND)?;
    let count = mesh.connected(0);
    check(count == 1, || {
        format!("{dead} dead nodes keep a living one out")
    })
}

/// A link on which nothing arrives any more is given up.
fn silent_link(mut mesh: Mesh, rng: &mut Rng) -> Result<(), String> {
    mesh.pair(&Swarm::config())?;
    mesh.run_for(Duration::from_millis(rng.between(0, 30_000)))?;
    mesh.0.hold(0, 1);
    mesh.0.hold(1, 0);
    mesh.0.forbid_dials();
    mesh.run_for(200 * SECOND)?;
    let counts = [mesh.connected(0), mesh.connected(1)];
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
