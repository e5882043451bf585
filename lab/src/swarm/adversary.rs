//! Nodes that run production overlays and do not let them have their way: what they send is dropped,
//! delayed or changed on its way out.
//!
//! So they know everything, answer everything else, prune and graft as they should, and differ from
//! honest nodes in what is studied only.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::Instant;
use dunlin_session::NodeId;

use super::violation::SwarmFailure;
use super::world::{Stream, Swarm};
use crate::rng::{Ppm, Rng};

/// Types of overlay messages (`docs/overlay.md`, chapter 2).
const BROADCAST: u8 = 7;
const ANNOUNCE: u8 = 13;
const TRUST_UPDATE: u8 = 17;

/// What a node does to others. Unless said otherwise it announces what it has, as if it would bring it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adversary {
    /// This share of the broadcasts that it should pass on does not leave it.
    Drop(Ppm),
    /// No broadcast and no announcement leaves it.
    Mute,
    /// Broadcasts leave it so much later.
    Delay(Duration),
    /// The signature of each broadcast that leaves it is wrong.
    Invalid,
    /// For so long it serves, for so long it drops everything.
    OnOff(Duration),
    /// It serves its like and nobody else, and praises them.
    Collude,
    /// It drops half, and says that honest nodes are not to be trusted.
    Slander,
    /// It drops everything, and takes a new name after so long.
    Whitewash(Duration),
}

impl Adversary {
    /// What is studied, each with a name.
    pub const KINDS: [(&'static str, Self); 10] = [
        ("drop 100 %", Self::Drop(Ppm::ALWAYS)),
        ("drop 50 %", Self::Drop(Ppm::percent(50))),
        ("drop 20 %", Self::Drop(Ppm::percent(20))),
        ("mute", Self::Mute),
        ("delay 1 s", Self::Delay(Duration::from_secs(1))),
        ("invalid", Self::Invalid),
        ("on and off, 5 s each", Self::OnOff(Duration::from_secs(5))),
        ("collude", Self::Collude),
        ("slander and drop 50 %", Self::Slander),
        (
            "whitewash every 10 s",
            Self::Whitewash(Duration::from_secs(10)),
        ),
    ];
}

/// An adversary at work.
pub(super) struct Meddler {
    pub(super) kind: Adversary,
    since: Instant,
    rng: Rng,
}

/// What becomes of a message.
pub(super) enum Fate {
    Sent(Bytes),
    Late(Bytes, Duration),
    Dropped,
}

/// All adversaries of a network.
pub(super) type Meddlers = BTreeMap<usize, Meddler>;

/// The type of an encoded message: a pair of a small number and a map.
fn kind_of(bytes: &[u8]) -> u8 {
    bytes.get(1).copied().unwrap_or(0)
}

impl Meddler {
    fn drops(&mut self, share: Ppm) -> bool {
        self.rng.chance(share)
    }

    /// What becomes of a message that its overlay sends.
    pub(super) fn meddle(&mut self, now: Instant, to_adversary: bool, bytes: Bytes) -> Fate {
        let kind = kind_of(&bytes);
        if kind == ANNOUNCE && self.kind == Adversary::Mute {
            return Fate::Dropped;
        }
        if kind != BROADCAST {
            return Fate::Sent(bytes);
        }
        let age = now.saturating_duration_since(self.since).as_nanos();
        let share = match self.kind {
            Adversary::Drop(share) => share,
            Adversary::Slander => Ppm::percent(50),
            Adversary::Mute | Adversary::Whitewash(_) => Ppm::ALWAYS,
            Adversary::Collude if !to_adversary => Ppm::ALWAYS,
            Adversary::OnOff(each) if (age / each.as_nanos().max(1)).is_multiple_of(2) => {
                Ppm::ALWAYS
            }
            Adversary::Collude | Adversary::OnOff(_) => Ppm(0),
            Adversary::Delay(by) => return Fate::Late(bytes, by),
            Adversary::Invalid => {
                let mut changed = bytes.to_vec();
                if let Some(last) = changed.last_mut() {
                    *last ^= 1;
                }
                return Fate::Sent(changed.into());
            }
        };
        if self.drops(share) {
            Fate::Dropped
        } else {
            Fate::Sent(bytes)
        }
    }
}

/// A message of type 17: these nodes are trusted so much.
pub(crate) fn statement(nodes: &[NodeId], permille: u16) -> Vec<u8> {
    let entries: Vec<u8> = nodes
        .iter()
        .flat_map(|node| [node.as_bytes().as_slice(), &permille.to_be_bytes()].concat())
        .collect();
    let length = u16::try_from(entries.len()).unwrap_or(u16::MAX);
    // [17, {0: a byte string with a length of two bytes}]
    let head = [0x82, TRUST_UPDATE, 0xa1, 0x00, 0x59];
    [head.as_slice(), &length.to_be_bytes(), &entries].concat()
}

impl Swarm {
    /// From now on a node is hostile, and its deliveries are not measured.
    pub fn corrupt(&mut self, node: usize, kind: Adversary) {
        let rng = self.stream(Stream::Adversary, node, 0);
        let since = self.now();
        self.judge.ignore(node);
        self.meddlers.insert(node, Meddler { kind, since, rng });
    }

    /// Whether a node is hostile.
    #[must_use]
    pub fn is_corrupt(&self, node: usize) -> bool {
        self.meddlers.contains_key(&node)
    }

    /// Whether the node of this name is.
    pub(super) fn is_corrupt_id(&self, id: NodeId) -> bool {
        let node = self.judge.index_of(id);
        node.is_some_and(|node| self.is_corrupt(node))
    }

    /// Every hostile node that has opinions tells them to its honest peers.
    ///
    /// # Errors
    /// What must not be.
    pub fn let_adversaries_talk(&mut self) -> Result<(), SwarmFailure> {
        let talkers: Vec<(usize, Adversary)> = self
            .meddlers
            .iter()
            .filter(|(_, meddler)| matches!(meddler.kind, Adversary::Collude | Adversary::Slander))
            .map(|(&node, meddler)| (node, meddler.kind))
            .collect();
        for (node, kind) in talkers {
            let praises = kind == Adversary::Collude;
            let subjects: Vec<NodeId> = (0..self.len())
                .filter(|&other| other != node && self.is_corrupt(other) == praises)
                .map(|other| self.id_of(other))
                .collect();
            let peers = self.judge.peers_of(node);
            let peers: Vec<usize> = peers.filter(|&peer| !self.is_corrupt(peer)).collect();
            let permille = if praises { 1000 } else { 0 };
            let from = self.id_of(node);
            for peer in peers {
                for some in subjects.chunks(dunlin_overlay::limits::TRUST_ENTRIES_MAX) {
                    let bytes = statement(some, permille);
                    self.with(peer, |overlay, now| {
                        overlay.handle_message(now, from, &bytes);
                    })?;
                }
            }
        }
        Ok(())
    }
}
