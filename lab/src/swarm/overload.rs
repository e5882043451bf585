//! Measures what one peer that sends a hundred times what it may does to the others, or one that has many
//! names and sends under each as much as it may.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::saved::BanSubject;
use dunlin_overlay::{OverlayConfig, Rate};

use super::report::Distribution;
use super::violation::SwarmFailure;
use super::world::{Climate, Swarm};
use crate::rng::Rng;

const SECOND: Duration = Duration::from_secs(1);
/// How many times its rate the flooder sends.
const TIMES: u64 = 100;
/// How long it floods, and how long is measured.
const LENGTH: Duration = Duration::from_secs(20);
/// Between two honest broadcasts.
const INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of every payload.
const PAYLOAD: usize = 64;

/// Names of a flooder that has several.
pub const NAMES: usize = 8;

/// What it sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FloodKind {
    /// Direct messages to each of its neighbours: a hundred times the messages that a peer may send.
    Direct,
    /// Broadcasts that it signs: a hundred times what an origin may send.
    Broadcasts,
    /// It has [`NAMES`] names, all with addresses in the range of everybody else, and links to the same
    /// nodes as they; under each it broadcasts as much as an origin may.
    Names,
}

impl FloodKind {
    /// Nodes that the flooder runs.
    const fn names(self) -> usize {
        match self {
            Self::Direct | Self::Broadcasts => 1,
            Self::Names => NAMES,
        }
    }
}

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Flooded {
    /// Messages or broadcasts of the flooder.
    pub sent: u64,
    /// Messages dropped for their sender's rate, by all nodes.
    pub dropped: u64,
    /// Bans of the flooder, under any name.
    pub banned_by: usize,
    /// Bans of anybody else.
    pub honest_bans: usize,
    /// Honest deliveries expected and made in the flood.
    pub expected: u64,
    /// See above.
    pub delivered: u64,
    /// From the sending to a delivery of honest broadcasts, in milliseconds, before the flood.
    pub before_ms: Distribution,
    /// The same in the flood.
    pub flood_ms: Distribution,
    /// Most by which what a node keeps of broadcasts grew in the flood, in bytes
    /// (`Overlay::gossip_bytes`), looked at ten times a second.
    pub grown_by: usize,
}

impl Flooded {
    /// How many times as long the slowest hundredth of the honest deliveries took in the flood.
    #[must_use]
    pub fn slower(&self) -> f64 {
        self.flood_ms.p99 / self.before_ms.p99
    }
}

/// A network of `nodes` with one more that floods, under one name or several.
///
/// # Errors
/// What must not be.
pub fn overload(nodes: usize, kind: FloodKind, seed: u64) -> Result<Flooded, SwarmFailure> {
    let climate = Climate {
        check_every: 0,
        ..Climate::default()
    };
    let mut swarm = Swarm::new(seed, climate);
    let flooders = nodes..nodes + kind.names();
    for node in 0..flooders.end {
        let others: Vec<_> = (0..8.min(nodes))
            .filter(|&other| other != node)
            .map(Swarm::address_of)
            .collect();
        let is_reckless = flooders.contains(&node) && kind != FloodKind::Names;
        let config = match is_reckless {
            true => reckless(),
            false => Swarm::config(),
        };
        swarm.add(config, &others)?;
        swarm.run_for(SECOND / 20)?;
    }
    for flooder in flooders.clone() {
        swarm.judge.ignore(flooder);
    }
    swarm.run_for(60 * SECOND)?;
    let mut study = Study {
        swarm,
        rng: Rng::new(seed).split(u64::from(b'f')),
        nodes,
        flooders,
        numbers: 0,
        honest: Vec::new(),
        sent: 0,
        kept: vec![0; nodes],
        grown_by: 0,
    };
    // Everybody speaks once, so that there are trees.
    for node in 0..nodes {
        study.speak(node)?;
        study.swarm.run_for(SECOND / 20)?;
    }
    study.swarm.run_for(5 * SECOND)?;
    study.honest.clear();
    study.measure(None)?;
    let before_ms = study.latencies();
    study.honest.clear();
    study.kept = study.keeps().collect();
    study.grown_by = 0;
    study.measure(Some(kind))?;
    study.swarm.run_for(10 * SECOND)?;
    Ok(study.finish(before_ms))
}

/// Settings of a node that sends as much as it likes.
fn reckless() -> OverlayConfig {
    let default = Swarm::config();
    let more = |rate: Rate| Rate::new(rate.per_second * TIMES, rate.burst * TIMES);
    OverlayConfig {
        messages: more(default.messages),
        bytes: more(default.bytes),
        broadcasts: more(default.broadcasts),
        ..default
    }
}

struct Study {
    swarm: Swarm,
    rng: Rng,
    /// The honest ones come first.
    nodes: usize,
    flooders: Range<usize>,
    numbers: u64,
    /// Broadcasts of the others, by the judge's numbers.
    honest: Vec<usize>,
    sent: u64,
    /// What each honest node kept before, in bytes.
    kept: Vec<usize>,
    grown_by: usize,
}

impl Study {
    fn payload(&mut self) -> Bytes {
        self.numbers += 1;
        self.numbers.to_be_bytes().repeat(PAYLOAD / 8).into()
    }

    /// What each honest node keeps of broadcasts, in bytes.
    fn keeps(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes).map(|node| self.swarm.overlay(node).gossip_bytes())
    }

    fn weigh(&mut self) {
        let growths = self.keeps().zip(&self.kept);
        let most = growths
            .map(|(now, before)| now.saturating_sub(*before))
            .max();
        self.grown_by = self.grown_by.max(most.unwrap_or(0));
    }

    fn speak(&mut self, node: usize) -> Result<(), SwarmFailure> {
        let payload = self.payload();
        if self.swarm.broadcast(node, payload)?.is_some() {
            self.honest.push(self.swarm.judge().sent() - 1);
        }
        Ok(())
    }

    /// Honest nodes speak ten times a second; meanwhile the flooder does `kind`.
    fn measure(&mut self, kind: Option<FloodKind>) -> Result<(), SwarmFailure> {
        let rounds = LENGTH.as_millis() / INTERVAL.as_millis();
        for _ in 0..rounds {
            let nodes = self.nodes as u64;
            let node = usize::try_from(self.rng.below(nodes)).unwrap_or(0);
            self.speak(node)?;
            for _ in 0..10 {
                if let Some(kind) = kind {
                    self.flood(kind)?;
                }
                self.swarm.run_for(INTERVAL / 10)?;
            }
            self.weigh();
        }
        Ok(())
    }

    /// What the flooder sends in a hundredth of a second, if there is anybody who listens.
    fn flood(&mut self, kind: FloodKind) -> Result<(), SwarmFailure> {
        let config = Swarm::config();
        let flooder = self.flooders.start;
        if self.swarm.judge().peers_of(flooder).next().is_none() {
            return Ok(());
        }
        let payload = Bytes::from(vec![7; PAYLOAD]);
        match kind {
            FloodKind::Direct => {
                let count = config.messages.per_second * TIMES / 100;
                let peers: Vec<_> = self.swarm.judge().peers_of(flooder).collect();
                for peer in peers {
                    let peer = self.swarm.id_of(peer);
                    for _ in 0..count {
                        let sent = self.swarm.with(flooder, |overlay, now| {
                            overlay.send(now, peer, super::TOPIC, &payload).is_ok()
                        })?;
                        self.sent += u64::from(sent == Some(true));
                    }
                }
            }
            FloodKind::Broadcasts => {
                for _ in 0..config.broadcasts.per_second * TIMES / 100 {
                    let payload = self.payload();
                    let sent = self.swarm.broadcast(flooder, payload)?;
                    self.sent += u64::from(sent.is_some());
                }
            }
            FloodKind::Names => {
                for flooder in self.flooders.clone() {
                    // Until its own overlay refuses one more.
                    while {
                        let payload = self.payload();
                        self.swarm.broadcast(flooder, payload)?.is_some()
                    } {
                        self.sent += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn latencies(&self) -> Distribution {
        let judge = self.swarm.judge();
        let all = self
            .honest
            .iter()
            .flat_map(|&number| judge.latencies_us(number).iter().copied());
        Distribution::of(&mut all.collect::<Vec<u32>>(), 1e-3)
    }

    fn finish(self, before_ms: Distribution) -> Flooded {
        let flood_ms = self.latencies();
        let flooders: Vec<BanSubject> = self
            .flooders
            .clone()
            .map(|flooder| BanSubject::Peer(self.swarm.id_of(flooder)))
            .collect();
        let (mut banned_by, mut honest_bans) = (0, 0);
        for node in 0..self.nodes {
            for ban in self.swarm.overlay(node).bans() {
                if flooders.contains(&ban.subject) {
                    banned_by += 1;
                } else {
                    honest_bans += 1;
                }
            }
        }
        let judge = self.swarm.judge();
        // The flooder itself is not among those who are to hear of it.
        let expected = self.honest.len() as u64 * (self.nodes as u64 - 1);
        let missing: usize = self
            .honest
            .iter()
            .map(|&number| judge.missing(number))
            .sum();
        Flooded {
            sent: self.sent,
            dropped: self
                .swarm
                .all_stats()
                .map(|stats| stats.dropped_for_rate)
                .sum(),
            banned_by,
            honest_bans,
            expected,
            delivered: expected - missing as u64,
            before_ms,
            flood_ms,
            grown_by: self.grown_by,
        }
    }
}
