//! A link, one way: a list of elements that reads as the path a datagram takes.

use std::time::Duration;

use dunlin_transport::{EcnMark, Instant};

use crate::rng::{Ppm, Rng};

/// One thing on the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    /// Takes `fixed` and up to `jitter` more, uniformly.
    Delay {
        /// Always.
        fixed: Duration,
        /// At most, on top.
        jitter: Duration,
        /// Nobody overtakes: jitter moves a datagram, and those behind it wait.
        in_order: bool,
    },
    /// Loses a datagram, each by itself (Bernoulli).
    Loss(Ppm),
    /// Holds a datagram back, so that later ones overtake it.
    Reorder {
        /// How often.
        chance: Ppm,
        /// For how long.
        extra: Duration,
    },
    /// Sends a datagram twice.
    Duplicate(Ppm),
    /// Flips one to eight random bits of a datagram.
    Corrupt(Ppm),
    /// A bottleneck with a drop-tail queue in front.
    Rate {
        /// Bits per second of UDP payload and the 28 bytes of IPv4 and UDP headers.
        bits_per_second: u64,
        /// Bytes that may wait.
        queue_bytes: u64,
    },
    /// Drops what is longer than so many bytes of UDP payload, without a word (no ICMP).
    Mtu(usize),
}

impl Element {
    /// A fixed delay.
    #[must_use]
    pub const fn delay(fixed: Duration) -> Self {
        Self::Delay {
            fixed,
            jitter: Duration::ZERO,
            in_order: true,
        }
    }

    /// Whether what it does depends on when a datagram arrives.
    const fn is_timed(&self) -> bool {
        matches!(self, Self::Rate { .. } | Self::Delay { in_order: true, .. })
    }
}

/// Bytes of IPv4 and UDP headers, which a bottleneck carries too.
pub const HEADER_BYTES: u64 = 28;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Its payload.
    pub bytes: Vec<u8>,
    /// Its mark.
    pub ecn: Option<EcnMark>,
    /// Where its sender says it comes from.
    pub from: std::net::SocketAddr,
    /// Where it goes to.
    pub to: std::net::SocketAddr,
}

/// A datagram that reaches the element at `position` at `at`; past the last element: the far end.
#[derive(Debug)]
pub struct Hop {
    /// When.
    pub at: Instant,
    /// Index of the element.
    pub position: usize,
    /// What.
    pub datagram: Datagram,
}

/// What became of the datagrams of a link.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkStats {
    /// Entered.
    pub entered: u64,
    /// Came out, duplicates included.
    pub delivered: u64,
    /// Lost at random.
    pub lost: u64,
    /// Found the queue full.
    pub queue_full: u64,
    /// Were too long.
    pub too_long: u64,
    /// Were sent twice.
    pub duplicated: u64,
    /// Had bits flipped.
    pub corrupted: u64,
    /// Were held back.
    pub reordered: u64,
}

/// A path in one direction.
#[derive(Debug)]
pub struct Link {
    elements: Vec<(Element, Instant)>,
    rng: Rng,
    stats: LinkStats,
}

impl Link {
    /// The path through `elements`, in this order.
    #[must_use]
    pub fn new(elements: &[Element], rng: Rng) -> Self {
        let mut link = Self {
            elements: Vec::new(),
            rng,
            stats: LinkStats::default(),
        };
        link.replace(elements);
        link
    }

    /// Changes the path. What is on its way goes on from its position in the new list, so give
    /// the new path no more elements than the old unless a second pass does no harm.
    pub fn replace(&mut self, elements: &[Element]) {
        self.elements.clear();
        self.elements
            .extend(elements.iter().map(|element| (*element, Instant::ZERO)));
    }

    /// What became of its datagrams.
    #[must_use]
    pub const fn stats(&self) -> LinkStats {
        self.stats
    }

    /// The path.
    pub fn elements(&self) -> impl Iterator<Item = Element> + '_ {
        self.elements.iter().map(|(element, _)| *element)
    }

    /// A datagram enters at `now`. `hops` gets what comes of it: none (lost), one, or more.
    pub fn enter(&mut self, now: Instant, datagram: Datagram, hops: &mut Vec<Hop>) {
        self.stats.entered += 1;
        self.advance(
            Hop {
                at: now,
                position: 0,
                datagram,
            },
            hops,
        );
    }

    /// A datagram goes on. `hops` gets where it has to wait next; a position past the last element
    /// is the far end.
    pub fn advance(&mut self, hop: Hop, hops: &mut Vec<Hop>) {
        let first = hops.len();
        hops.push(hop);
        let mut index = first;
        while index < hops.len() {
            if self.pass(index, hops) {
                index += 1;
            } else {
                hops.swap_remove(index);
            }
        }
    }

    /// Counts a datagram that came out.
    pub const fn on_delivered(&mut self) {
        self.stats.delivered += 1;
    }

    /// Moves `hops[index]` along until it has to wait; false: it is gone.
    fn pass(&mut self, index: usize, hops: &mut Vec<Hop>) -> bool {
        let Some(hop) = hops.get_mut(index) else {
            return false;
        };
        let arrived = hop.at;
        let mut duplicates = 0;
        while let Some((element, until)) = self.elements.get_mut(hop.position) {
            if hop.at > arrived && element.is_timed() {
                break;
            }
            match apply(element, until, hop, &mut self.rng, &mut self.stats) {
                Outcome::Gone => return false,
                Outcome::On => {}
                Outcome::Twice => duplicates += 1,
            }
            hop.position += 1;
            if duplicates > 0 {
                break;
            }
        }
        let copy = (duplicates > 0).then(|| Hop {
            at: hop.at,
            position: hop.position,
            datagram: hop.datagram.clone(),
        });
        match copy {
            Some(copy) => {
                hops.push(copy);
                self.pass(index, hops)
            }
            None => true,
        }
    }
}

enum Outcome {
    On,
    Twice,
    Gone,
}

/// What `element` does to `hop`. `until`: the element's memory, until when it is busy.
fn apply(
    element: &Element,
    until: &mut Instant,
    hop: &mut Hop,
    rng: &mut Rng,
    stats: &mut LinkStats,
) -> Outcome {
    match *element {
        Element::Delay {
            fixed,
            jitter,
            in_order,
        } => {
            let jitter = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX);
            hop.at = hop.at + fixed + Duration::from_nanos(rng.below(jitter));
            if in_order {
                hop.at = hop.at.max(*until);
                *until = hop.at;
            }
        }
        Element::Loss(chance) => {
            if rng.chance(chance) {
                stats.lost += 1;
                return Outcome::Gone;
            }
        }
        Element::Reorder { chance, extra } => {
            if rng.chance(chance) {
                stats.reordered += 1;
                hop.at = hop.at + extra;
            }
        }
        Element::Duplicate(chance) => {
            if rng.chance(chance) {
                stats.duplicated += 1;
                return Outcome::Twice;
            }
        }
        Element::Corrupt(chance) => {
            if rng.chance(chance) {
                stats.corrupted += 1;
                corrupt(&mut hop.datagram.bytes, rng);
            }
        }
        Element::Rate {
            bits_per_second,
            queue_bytes,
        } => {
            let length = hop.datagram.bytes.len() as u64 + HEADER_BYTES;
            let waiting = until.saturating_duration_since(hop.at);
            if bytes_in(waiting, bits_per_second) + length > queue_bytes.max(length) {
                stats.queue_full += 1;
                return Outcome::Gone;
            }
            *until = hop.at.max(*until) + time_for(length, bits_per_second);
            hop.at = *until;
        }
        Element::Mtu(bytes) => {
            if hop.datagram.bytes.len() > bytes {
                stats.too_long += 1;
                return Outcome::Gone;
            }
        }
    }
    Outcome::On
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

fn bytes_in(time: Duration, bits_per_second: u64) -> u64 {
    let bytes = time.as_nanos() * u128::from(bits_per_second) / 8_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn time_for(bytes: u64, bits_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(bits_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// When datagrams of `length` bytes, one entering each `gap`, come out: (index, when).
    fn run(elements: &[Element], count: u8, length: usize, gap: Duration) -> Vec<(u8, Duration)> {
        let mut link = Link::new(elements, Rng::new(5));
        let mut scheduler = crate::scheduler::Scheduler::new();
        let nowhere = "10.0.0.1:1".parse().unwrap();
        for index in 0..count {
            let mut bytes = vec![0; length];
            bytes[0] = index;
            let datagram = Datagram {
                bytes,
                ecn: None,
                from: nowhere,
                to: nowhere,
            };
            let at = Instant::ZERO + gap * u32::from(index);
            scheduler.schedule(
                at,
                Hop {
                    at,
                    position: 0,
                    datagram,
                },
            );
        }
        let mut out = Vec::new();
        let mut hops = Vec::new();
        while let Some((at, hop)) = scheduler.pop() {
            if hop.position >= elements.len() {
                let since = at.saturating_duration_since(Instant::ZERO);
                out.push((hop.datagram.bytes[0], since));
                continue;
            }
            link.advance(hop, &mut hops);
            for hop in hops.drain(..) {
                scheduler.schedule(hop.at, hop);
            }
        }
        out
    }

    #[test]
    fn a_fixed_delay_is_exact() {
        assert_eq!(
            run(&[Element::delay(7 * MS)], 2, 9, MS),
            [(0, 7 * MS), (1, 8 * MS)]
        );
    }

    #[test]
    fn a_bottleneck_spaces_datagrams_and_drops_what_does_not_fit_its_queue() {
        // 1,000 bytes with headers at 8 Mbit/s: one each millisecond; three fit the queue.
        let rate = Element::Rate {
            bits_per_second: 8_000_000,
            queue_bytes: 3_000,
        };
        let out = run(&[rate], 5, 972, Duration::ZERO);
        assert_eq!(out, [(0, MS), (1, 2 * MS), (2, 3 * MS)]);
        // Behind a delay it works on arrivals, not on departures.
        let out = run(&[Element::delay(5 * MS), rate], 2, 972, 2 * MS);
        assert_eq!(out, [(0, 6 * MS), (1, 8 * MS)]);
    }

    #[test]
    fn loss_and_duplication_happen_as_often_as_asked() {
        let lost = 200 - run(&[Element::Loss(Ppm::percent(50))], 200, 9, MS).len();
        assert!((70..130).contains(&lost), "{lost}");
        assert!(run(&[Element::Loss(Ppm::ALWAYS)], 9, 9, MS).is_empty());
        assert_eq!(run(&[Element::Duplicate(Ppm::ALWAYS)], 9, 9, MS).len(), 18);
        let twice = [
            Element::Duplicate(Ppm::ALWAYS),
            Element::Duplicate(Ppm::ALWAYS),
        ];
        assert_eq!(run(&twice, 9, 9, MS).len(), 36);
    }

    #[test]
    fn reordering_lets_later_ones_overtake() {
        let chance = Ppm::percent(30);
        let out = run(
            &[Element::Reorder {
                chance,
                extra: 5 * MS,
            }],
            50,
            9,
            MS,
        );
        assert_eq!(out.len(), 50);
        assert!(!out.is_sorted_by_key(|(index, _)| *index));
    }

    #[test]
    fn jitter_keeps_the_order_when_told_to() {
        let element = |in_order| Element::Delay {
            fixed: MS,
            jitter: 20 * MS,
            in_order,
        };
        assert!(run(&[element(true)], 50, 9, MS).is_sorted_by_key(|(index, _)| *index));
        assert!(!run(&[element(false)], 50, 9, MS).is_sorted_by_key(|(index, _)| *index));
    }

    #[test]
    fn long_datagrams_vanish_at_the_mtu() {
        assert_eq!(run(&[Element::Mtu(100)], 1, 100, MS).len(), 1);
        assert_eq!(run(&[Element::Mtu(100)], 1, 101, MS).len(), 0);
    }

    #[test]
    fn corruption_changes_bytes_but_not_the_length() {
        let mut rng = Rng::new(1);
        for _ in 0..100 {
            let mut bytes = vec![0; 40];
            corrupt(&mut bytes, &mut rng);
            assert_eq!(bytes.len(), 40);
        }
        let mut changed = vec![0; 40];
        corrupt(&mut changed, &mut Rng::new(2));
        assert_ne!(changed, vec![0; 40]);
        corrupt(&mut [], &mut rng);
    }
}
