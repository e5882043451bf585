//! Recording: a network of overlays in virtual time (`dunlin_lab::swarm`), written down as it goes.
//!
//! Nodes join one after the other, some broadcast, and late in the run a few are gone without a word.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use dunlin_lab::swarm::{Climate, Swarm, SwarmFailure};
use dunlin_overlay::Instant;

use super::{Counters, Frame, Header, VERSION};

/// Nodes that everybody knows from the start.
const BOOTSTRAPS: usize = 8;
/// Of the time of a recording, the part in which nodes join.
const JOINING_PERCENT: u32 = 50;
/// Of the time, when some are gone.
const CRASH_PERCENT: u32 = 75;
/// One node in so many is gone then.
const CRASHED_EVERY: usize = 50;

/// What to record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish {
    /// How many nodes.
    pub nodes: usize,
    /// All that is left open is drawn from it.
    pub seed: u64,
    /// Frames, each a second of simulated time after the one before.
    pub seconds: u32,
}

/// Why a recording was not finished.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Something happened in the simulation that must not.
    #[error("the simulation failed: {0:?}")]
    Simulation(SwarmFailure),
    /// The file takes no more.
    #[error("the recording cannot be written: {0}")]
    Output(#[from] io::Error),
    /// It was stopped.
    #[error("stopped after {0} s of simulated time")]
    Stopped(u32),
}

/// Simulates and writes the header and a frame for each second. `on_second` hears which second is done and
/// says whether to go on; what was written until then can be played.
///
/// # Errors
/// When the simulation fails, the output takes no more, or it was told to stop.
pub fn record(
    wish: Wish,
    out: &mut impl Write,
    mut on_second: impl FnMut(u32) -> bool,
) -> Result<(), RecordError> {
    let climate = Climate {
        check_every: 0,
        ..Climate::default()
    };
    let mut recorder = Recorder {
        wish,
        swarm: Swarm::new(wish.seed, climate),
        was_up: vec![false; wish.nodes],
        links: BTreeSet::new(),
    };
    write_line(out, &recorder.header())?;
    for second in 1..=wish.seconds {
        let frame = recorder.second(second).map_err(RecordError::Simulation)?;
        write_line(out, &frame)?;
        if !on_second(second) {
            out.flush()?;
            return Err(RecordError::Stopped(second));
        }
    }
    out.flush()?;
    Ok(())
}

fn write_line(out: &mut impl Write, line: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

struct Recorder {
    wish: Wish,
    swarm: Swarm,
    was_up: Vec<bool>,
    links: BTreeSet<(u32, u32)>,
}

impl Recorder {
    /// Lets a second pass; what changed in it.
    fn second(&mut self, second: u32) -> Result<Frame, SwarmFailure> {
        self.join(second)?;
        if second == at_percent(self.wish.seconds, CRASH_PERCENT) {
            for node in (BOOTSTRAPS..self.swarm.len()).step_by(CRASHED_EVERY) {
                self.swarm.crash(node);
            }
        }
        let broadcasts = self.broadcast(second)?;
        let end = Instant::ZERO + Duration::from_secs(second.into());
        self.swarm.run_until(end)?;
        Ok(self.look(second, broadcasts))
    }

    /// Adds the nodes that join up to this second.
    fn join(&mut self, second: u32) -> Result<(), SwarmFailure> {
        let joining = at_percent(self.wish.seconds, JOINING_PERCENT);
        let all = self.wish.nodes;
        let share = |second: u32| {
            let done = usize::try_from(second.min(joining)).unwrap_or(usize::MAX);
            let of = usize::try_from(joining).unwrap_or(usize::MAX);
            all.saturating_mul(done) / of
        };
        for joiner in self.swarm.len()..share(second) {
            let known = (0..BOOTSTRAPS.min(all)).filter(|node| *node != joiner);
            let known: Vec<_> = known.map(Swarm::address_of).collect();
            // Spread over the second.
            let begun = share(second - 1);
            let part = u32::try_from(joiner - begun).unwrap_or(u32::MAX);
            let of = u32::try_from(share(second) - begun).unwrap_or(u32::MAX);
            let offset = Duration::from_secs(1).saturating_mul(part) / of.max(1);
            let at = Instant::ZERO + Duration::from_secs((second - 1).into()) + offset;
            self.swarm.run_until(at)?;
            self.swarm.add(Swarm::config(), &known)?;
        }
        Ok(())
    }

    /// One node broadcasts; who.
    fn broadcast(&mut self, second: u32) -> Result<Vec<u32>, SwarmFailure> {
        let count = self.swarm.len();
        let stride = usize::try_from(second).unwrap_or(0).saturating_mul(7_919);
        let Some(node) = stride.checked_rem(count) else {
            return Ok(Vec::new());
        };
        let payload = format!("second {second}").into();
        let sent = self.swarm.broadcast(node, payload)?;
        Ok(sent.map(|_| place(node)).into_iter().collect())
    }

    fn look(&mut self, second: u32, broadcasts: Vec<u32>) -> Frame {
        let judge = self.swarm.judge();
        let mut is_up = vec![false; self.wish.nodes];
        let mut links = BTreeSet::new();
        for node in judge.running() {
            if let Some(flag) = is_up.get_mut(node) {
                *flag = true;
            }
            for peer in judge.peers_of(node).filter(|peer| judge.runs(*peer)) {
                let (a, b) = (place(node), place(peer));
                links.insert((a.min(b), a.max(b)));
            }
        }
        let changed = |now: bool| {
            let nodes = is_up.iter().zip(&self.was_up).enumerate();
            let nodes = nodes.filter(move |(_, (is, was))| **is == now && **was != now);
            nodes.map(|(node, _)| place(node)).collect()
        };
        let (messages, bytes) = self.swarm.traffic();
        let frame = Frame {
            at_ms: u64::from(second) * 1_000,
            up: changed(true),
            down: changed(false),
            linked: links.difference(&self.links).copied().collect(),
            unlinked: self.links.difference(&links).copied().collect(),
            broadcasts,
            counters: (0..self.wish.nodes)
                .map(|node| self.counters(node))
                .collect(),
            messages,
            bytes,
        };
        (self.was_up, self.links) = (is_up, links);
        frame
    }

    /// Of a node that has joined; of the others: none.
    fn counters(&self, node: usize) -> Counters {
        if node >= self.swarm.len() {
            return Counters::default();
        }
        let stats = self.swarm.overlay(node).stats();
        let short = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        [
            place(stats.known),
            short(stats.broadcasts_received),
            short(stats.broadcasts_duplicate),
            short(stats.copies_relayed),
        ]
    }

    fn header(&self) -> Header {
        let nodes = self.wish.nodes;
        Header {
            dunlin_recording: VERSION,
            title: format!("{nodes} overlays in virtual time"),
            seed: self.wish.seed,
            interval_ms: 1_000,
            nodes: (0..nodes)
                .map(|node| self.swarm.name_of(node).to_string())
                .collect(),
        }
    }
}

/// The second at which so much of the time has passed, at least the first.
const fn at_percent(seconds: u32, percent: u32) -> u32 {
    let at = seconds.saturating_mul(percent) / 100;
    if at == 0 { 1 } else { at }
}

fn place(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::read::Reader;
    use super::*;

    fn recorded(seed: u64) -> Vec<u8> {
        let wish = Wish {
            nodes: 100,
            seed,
            seconds: 8,
        };
        let mut out = Vec::new();
        record(wish, &mut out, |_| true).unwrap();
        out
    }

    #[test]
    fn a_recording_tells_of_joins_links_broadcasts_and_crashes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        std::fs::write(&path, recorded(1)).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.header().nodes.len(), 100);
        let (mut up, mut down, mut linked, mut broadcasts, mut frames) = (0, 0, 0, 0, 0);
        let mut last = Frame::default();
        while let Some(frame) = reader.next_frame().unwrap() {
            frames += 1;
            up += frame.up.len();
            down += frame.down.len();
            linked += frame.linked.len();
            broadcasts += frame.broadcasts.len();
            last = frame;
        }
        assert_eq!((frames, up, down, broadcasts), (8, 100, 2, 8));
        assert!(linked >= 200, "{linked}");
        assert!(last.counters.iter().filter(|of| of[1] > 0).count() > 90);
        assert!(last.messages > 1_000 && last.bytes > last.messages);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(recorded(7), recorded(7));
        assert_ne!(recorded(7), recorded(8));
    }

    #[test]
    fn a_recording_that_was_stopped_can_be_played_as_far_as_it_goes() {
        let wish = Wish {
            nodes: 10,
            seed: 1,
            seconds: 100,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let mut file = std::fs::File::create(&path).unwrap();
        let stopped = record(wish, &mut file, |second| second < 3);
        assert!(matches!(stopped, Err(RecordError::Stopped(3))));
        let mut reader = Reader::open(&path).unwrap();
        let mut frames = 0;
        while let Some(frame) = reader.next_frame().unwrap() {
            frames += 1;
            assert_eq!(frame.at_ms, frames * 1_000);
        }
        assert_eq!(frames, 3);
    }
}
