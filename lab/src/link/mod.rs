//! A link, one way: a list of elements that reads as the path a datagram takes.
//!
//! [`element`] is the list as data (and in files: [`crate::units`]), the rest of the folder makes it
//! work: [`delay`] and [`loss`] draw from distributions, [`capacity`] is how fast a bottleneck
//! sends, [`queue`] how it holds what waits, [`blackout`] when nothing passes.
//!
//! A datagram goes on at once through everything that does not depend on time. In front of an
//! element that does (a queue, a policer, a delay that keeps the order) it waits until it is
//! really there; in between it is a [`Hop`] in the caller's schedule.

pub mod blackout;
pub mod capacity;
pub mod delay;
pub mod element;
pub mod loss;
mod policer;
pub mod queue;
mod server;
mod stage;
mod text;

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::{EcnMark, Instant};

pub use blackout::{Blackout, Periodic};
pub use capacity::{Capacity, RateTrace};
pub use delay::{Distribution, Shape};
pub use element::{Element, ElementError};
pub use loss::GilbertElliott;
pub use queue::{CoDel, DropTail, DualPi2, Queue};

use crate::payload::Payload;
use crate::rng::Rng;
use stage::{Outcome, Stage};

/// Bytes of IPv4 and UDP headers, which a bottleneck carries too.
pub const HEADER_BYTES: u64 = 28;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Its payload.
    pub bytes: Payload,
    /// Its mark.
    pub ecn: Option<EcnMark>,
    /// Where its sender says it comes from.
    pub from: SocketAddr,
    /// Where it goes to.
    pub to: SocketAddr,
}

/// A datagram that reaches the element at `position` at `at`; past the last element: the far end.
#[derive(Clone, Debug)]
pub struct Hop {
    /// When.
    pub at: Instant,
    /// When it entered the link.
    pub entered: Instant,
    /// Which list of elements it travels: counts the changes of the path.
    pub path: u32,
    /// Index of the element.
    pub position: usize,
    /// What; in a box, since hops move often: from schedule to element to queue.
    pub datagram: Box<Datagram>,
}

/// An element wants to act at a time, though nothing arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wake {
    /// When.
    pub at: Instant,
    /// Which list of elements it stands in.
    pub path: u32,
    /// Its index.
    pub position: usize,
}

/// A router tells a sender that a datagram was too long (ICMP type 3 code 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooBig {
    /// When the notice arrives.
    pub at: Instant,
    /// The sender.
    pub to: SocketAddr,
    /// Where the datagram was going.
    pub destination: SocketAddr,
    /// Bytes of UDP payload that would have passed.
    pub mtu: usize,
}

/// What comes of moving datagrams along: the caller schedules it all and clears the lists.
#[derive(Debug, Default)]
pub struct Onward {
    /// Datagrams, and where they are next.
    pub hops: Vec<Hop>,
    /// Elements that want to act later.
    pub wakes: Vec<Wake>,
    /// Notices to senders.
    pub notices: Vec<TooBig>,
    /// Datagrams that went no further; their memory can be used again.
    pub spent: Vec<Box<Datagram>>,
}

/// What became of the datagrams of a link.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkStats {
    /// Entered.
    pub entered: u64,
    /// Came out, duplicates included.
    pub delivered: u64,
    /// Lost at random, each by itself.
    pub lost: u64,
    /// Lost by a channel with bursts.
    pub lost_in_bursts: u64,
    /// Found the queue full.
    pub queue_full: u64,
    /// Dropped by a queue that had room, to tell senders of congestion.
    pub queue_early: u64,
    /// Dropped by a policer.
    pub policed: u64,
    /// Dropped in a blackout.
    pub blacked_out: u64,
    /// Were too long.
    pub too_long: u64,
    /// Notices of that to senders.
    pub too_big_told: u64,
    /// Were sent twice.
    pub duplicated: u64,
    /// Had bits flipped.
    pub corrupted: u64,
    /// Were held back.
    pub reordered: u64,
    /// Were marked "congestion experienced".
    pub marked: u64,
    /// Had their ECN field cleared.
    pub bleached: u64,
}

/// What waits on a link at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Backlog {
    /// Bytes in its queues and on its wires, headers included.
    pub bytes: u64,
    /// How long one that arrives now would wait behind them.
    pub wait: Duration,
}

/// A path in one direction.
#[derive(Debug)]
pub struct Link {
    elements: Vec<Element>,
    current: Path,
    /// Paths that were replaced and still have datagrams on them.
    old: Vec<Path>,
    rng: Rng,
    stats: LinkStats,
}

/// One list of elements at work.
#[derive(Debug)]
struct Path {
    number: u32,
    stages: Vec<Stage>,
    /// Datagrams between its ends.
    in_flight: u64,
}

impl Link {
    /// The path through `elements`, in this order.
    #[must_use]
    pub fn new(elements: &[Element], rng: Rng) -> Self {
        Self {
            elements: elements.to_vec(),
            current: Path::new(0, elements),
            old: Vec::new(),
            rng,
            stats: LinkStats::default(),
        }
    }

    /// Changes the path for what enters from now on. What is on its way stays on the old one.
    pub fn replace(&mut self, elements: &[Element]) {
        let next = Path::new(self.current.number.wrapping_add(1), elements);
        let before = std::mem::replace(&mut self.current, next);
        if before.in_flight > 0 {
            self.old.push(before);
        }
        self.elements = elements.to_vec();
    }

    /// What became of its datagrams.
    #[must_use]
    pub const fn stats(&self) -> LinkStats {
        self.stats
    }

    /// The path.
    pub fn elements(&self) -> impl Iterator<Item = Element> + '_ {
        self.elements.iter().cloned()
    }

    /// What waits at its bottlenecks, all together.
    #[must_use]
    pub fn backlog(&self, now: Instant) -> Backlog {
        let stages = self.current.stages.iter();
        stages.fold(Backlog::default(), |sum, stage| {
            let backlog = stage.backlog(now);
            Backlog {
                bytes: sum.bytes + backlog.bytes,
                wait: sum.wait + backlog.wait,
            }
        })
    }

    /// A datagram enters at `now`. `onward` gets what comes of it: nothing (lost), one hop, or more.
    pub fn enter(&mut self, now: Instant, datagram: Box<Datagram>, onward: &mut Onward) {
        self.stats.entered += 1;
        self.current.in_flight += 1;
        let hop = Hop {
            at: now,
            entered: now,
            path: self.current.number,
            position: 0,
            datagram,
        };
        self.current
            .carry(hop, &mut self.rng, &mut self.stats, onward);
    }

    /// A datagram goes on from where it was. Returns it if it is through.
    pub fn advance(&mut self, hop: Hop, onward: &mut Onward) -> Option<Box<Datagram>> {
        let path = path_of(&mut self.current, &mut self.old, hop.path)?;
        if hop.position < path.stages.len() {
            path.carry(hop, &mut self.rng, &mut self.stats, onward);
            self.forget_empty();
            return None;
        }
        self.stats.delivered += 1;
        path.in_flight = path.in_flight.saturating_sub(1);
        self.forget_empty();
        Some(hop.datagram)
    }

    /// An element acts at the time it asked for.
    pub fn on_wake(&mut self, wake: Wake, onward: &mut Onward) {
        let Some(path) = path_of(&mut self.current, &mut self.old, wake.path) else {
            return;
        };
        if let Some(Stage::Bottleneck(server)) = path.stages.get_mut(wake.position) {
            let dropped = server.on_wake(wake, &mut self.stats, onward);
            path.in_flight = path.in_flight.saturating_sub(dropped);
        }
        self.forget_empty();
    }

    fn forget_empty(&mut self) {
        if !self.old.is_empty() {
            self.old.retain(|path| path.in_flight > 0);
        }
    }
}

/// The path with this number, if anything is still on it.
fn path_of<'a>(current: &'a mut Path, old: &'a mut [Path], number: u32) -> Option<&'a mut Path> {
    if current.number == number {
        return Some(current);
    }
    old.iter_mut().find(|path| path.number == number)
}

impl Path {
    fn new(number: u32, elements: &[Element]) -> Self {
        Self {
            number,
            stages: elements.iter().map(Stage::new).collect(),
            in_flight: 0,
        }
    }

    /// Moves `hop` along until it has to wait.
    fn carry(&mut self, mut hop: Hop, rng: &mut Rng, stats: &mut LinkStats, onward: &mut Onward) {
        let arrived = hop.at;
        while let Some(stage) = self.stages.get_mut(hop.position) {
            if hop.at > arrived && stage.is_timed() {
                break;
            }
            hop.position += 1;
            if let Stage::Bottleneck(server) = stage {
                let dropped = server.arrive(hop, stats, onward);
                self.in_flight = self.in_flight.saturating_sub(dropped);
                return;
            }
            match stage.apply(&mut hop, rng, stats, onward) {
                Outcome::On => {}
                Outcome::Twice => {
                    self.in_flight += 1;
                    self.carry(hop.clone(), rng, stats, onward);
                }
                Outcome::Gone => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    onward.spent.push(hop.datagram);
                    return;
                }
            }
        }
        onward.hops.push(hop);
    }
}

/// Bytes of a datagram with headers.
fn length_of(datagram: &Datagram) -> u64 {
    datagram.bytes.len() as u64 + HEADER_BYTES
}

/// Flips one to eight bits.
pub(crate) fn corrupt(bytes: &mut [u8], rng: &mut Rng) {
    for _ in 0..rng.between(1, 8) {
        let bit = rng.below(bytes.len() as u64 * 8);
        let index = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        if let Some(byte) = bytes.get_mut(index) {
            *byte ^= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests;
