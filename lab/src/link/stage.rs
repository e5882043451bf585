//! Elements at work: each with what it remembers.

use std::time::Duration;

use dunlin_transport::{EcnMark, Instant};

use super::blackout::Blackout;
use super::capacity::time_for;
use super::delay::Distribution;
use super::element::Element;
use super::loss::GilbertElliott;
use super::policer::Policer;
use super::queue::mark;
use super::server::Server;
use super::{Backlog, Hop, LinkStats, Onward, TooBig, length_of};
use crate::rng::{Ppm, Rng};

/// An element and its memory.
#[derive(Debug)]
pub(super) enum Stage {
    Fixed(Duration),
    Jitter {
        fixed: Duration,
        jitter_nanos: u64,
        order: Order,
    },
    Random {
        distribution: Distribution,
        order: Order,
    },
    Loss(Ppm),
    GilbertElliott {
        model: GilbertElliott,
        bad: bool,
    },
    Reorder {
        chance: Ppm,
        extra: Duration,
    },
    Duplicate(Ppm),
    Corrupt(Ppm),
    Rate(Rate),
    Bottleneck(Box<Server>),
    Mtu {
        bytes: usize,
        icmp: bool,
    },
    EcnMark(Ppm),
    EcnBleach(Ppm),
    Policer(Policer),
    Blackout(Blackout),
}

/// Whether datagrams keep their order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Free,
    /// Nobody leaves before this.
    Kept(Instant),
}

/// A bottleneck whose departures are known on arrival: a constant rate and drop-tail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    bits_per_second: u64,
    queue_bytes: u64,
    /// Until when it is busy with what it holds.
    until: Instant,
}

/// What becomes of a datagram.
pub(super) enum Outcome {
    On,
    Twice,
    Gone,
}

impl Stage {
    pub(super) fn new(element: &Element) -> Self {
        let order = |in_order: bool| {
            if in_order {
                Order::Kept(Instant::ZERO)
            } else {
                Order::Free
            }
        };
        match *element {
            Element::Delay { fixed, jitter, .. } if jitter.is_zero() => Self::Fixed(fixed),
            Element::Delay {
                fixed,
                jitter,
                in_order,
            } => Self::Jitter {
                fixed,
                jitter_nanos: u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX),
                order: order(in_order),
            },
            Element::RandomDelay {
                distribution,
                in_order,
            } => Self::Random {
                distribution,
                order: order(in_order),
            },
            Element::Loss(chance) => Self::Loss(chance),
            Element::GilbertElliott(model) => Self::GilbertElliott { model, bad: false },
            Element::Reorder { chance, extra } => Self::Reorder { chance, extra },
            Element::Duplicate(chance) => Self::Duplicate(chance),
            Element::Corrupt(chance) => Self::Corrupt(chance),
            Element::Rate {
                bits_per_second,
                queue_bytes,
            } => Self::Rate(Rate {
                bits_per_second,
                queue_bytes,
                until: Instant::ZERO,
            }),
            Element::Bottleneck {
                ref capacity,
                ref queue,
            } => Self::Bottleneck(Box::new(Server::new(capacity, queue))),
            Element::Mtu(bytes) => Self::Mtu { bytes, icmp: false },
            Element::MtuWithIcmp(bytes) => Self::Mtu { bytes, icmp: true },
            Element::EcnMark(chance) => Self::EcnMark(chance),
            Element::EcnBleach(chance) => Self::EcnBleach(chance),
            Element::Policer {
                bits_per_second,
                burst_bytes,
            } => Self::Policer(Policer::new(bits_per_second, burst_bytes)),
            Element::Blackout(ref blackout) => Self::Blackout(blackout.clone()),
        }
    }

    /// Whether what it does depends on when, and after whom, a datagram arrives.
    pub(super) const fn is_timed(&self) -> bool {
        match self {
            Self::Rate(_) | Self::Bottleneck(_) | Self::Policer(_) | Self::Blackout(_) => true,
            Self::Jitter { order, .. } | Self::Random { order, .. } => {
                matches!(order, Order::Kept(_))
            }
            _ => false,
        }
    }

    /// What it does to `hop`, which is there at `hop.at`. Not for a bottleneck with a server.
    pub(super) fn apply(
        &mut self,
        hop: &mut Hop,
        rng: &mut Rng,
        stats: &mut LinkStats,
        onward: &mut Onward,
    ) -> Outcome {
        match self {
            Self::Fixed(delay) => hop.at = hop.at + *delay,
            Self::Jitter {
                fixed,
                jitter_nanos,
                order,
            } => {
                let jitter = Duration::from_nanos(rng.below(*jitter_nanos));
                hop.at = order.keep(hop.at + *fixed + jitter);
            }
            Self::Random {
                distribution,
                order,
            } => hop.at = order.keep(hop.at + distribution.sample(rng)),
            Self::Loss(chance) => return count_if(rng.chance(*chance), &mut stats.lost),
            Self::GilbertElliott { model, bad } => {
                return count_if(model.loses(bad, rng), &mut stats.lost_in_bursts);
            }
            Self::Reorder { chance, extra } => {
                if rng.chance(*chance) {
                    stats.reordered += 1;
                    hop.at = hop.at + *extra;
                }
            }
            Self::Duplicate(chance) => {
                if rng.chance(*chance) {
                    stats.duplicated += 1;
                    return Outcome::Twice;
                }
            }
            Self::Corrupt(chance) => {
                if rng.chance(*chance) {
                    stats.corrupted += 1;
                    super::corrupt(&mut hop.datagram.bytes, rng);
                }
            }
            Self::Rate(rate) => return count_if(!rate.takes(hop), &mut stats.queue_full),
            Self::Mtu { bytes, icmp } => return fit(hop, *bytes, *icmp, stats, onward),
            Self::EcnMark(chance) => {
                let capable = matches!(hop.datagram.ecn, Some(EcnMark::Ect0 | EcnMark::Ect1));
                if capable && rng.chance(*chance) {
                    mark(hop, stats);
                }
            }
            Self::EcnBleach(chance) => {
                if hop.datagram.ecn.is_some() && rng.chance(*chance) {
                    stats.bleached += 1;
                    hop.datagram.ecn = None;
                }
            }
            Self::Policer(policer) => {
                let passes = policer.admits(hop.at, length_of(&hop.datagram));
                return count_if(!passes, &mut stats.policed);
            }
            Self::Blackout(blackout) => {
                return count_if(blackout.covers(hop.at), &mut stats.blacked_out);
            }
            Self::Bottleneck(_) => {}
        }
        Outcome::On
    }

    /// What waits in it, and how long one that arrives now would wait.
    pub(super) fn backlog(&self, now: Instant) -> Backlog {
        match self {
            Self::Rate(rate) => {
                let wait = rate.until.saturating_duration_since(now);
                let bits = wait.as_nanos() * u128::from(rate.bits_per_second) / 1_000_000_000;
                Backlog {
                    bytes: u64::try_from(bits.div_ceil(8)).unwrap_or(u64::MAX),
                    wait,
                }
            }
            Self::Bottleneck(server) => server.backlog(now),
            _ => Backlog::default(),
        }
    }
}

impl Order {
    fn keep(&mut self, at: Instant) -> Instant {
        match self {
            Self::Free => at,
            Self::Kept(until) => {
                *until = at.max(*until);
                *until
            }
        }
    }
}

impl Rate {
    /// Sets when `hop` leaves; false: it does not fit.
    fn takes(&mut self, hop: &mut Hop) -> bool {
        let length = length_of(&hop.datagram);
        let waiting = self.until.saturating_duration_since(hop.at);
        if !waiting.is_zero() {
            let held = waiting.as_nanos() * u128::from(self.bits_per_second);
            let room = self.queue_bytes.saturating_sub(length);
            if held > u128::from(room) * 8_000_000_000 {
                return false;
            }
        }
        self.until = hop.at.max(self.until) + time_for(length, self.bits_per_second);
        hop.at = self.until;
        true
    }
}

/// Gone and counted if `gone`.
const fn count_if(gone: bool, counter: &mut u64) -> Outcome {
    if gone {
        *counter += 1;
        return Outcome::Gone;
    }
    Outcome::On
}

/// What is too long goes, and its sender hears of it if the router is of that kind.
fn fit(hop: &Hop, bytes: usize, icmp: bool, stats: &mut LinkStats, onward: &mut Onward) -> Outcome {
    if hop.datagram.bytes.len() <= bytes {
        return Outcome::On;
    }
    stats.too_long += 1;
    if icmp {
        stats.too_big_told += 1;
        // The notice takes as long back as the datagram took to here.
        let there = hop.at.saturating_duration_since(hop.entered);
        onward.notices.push(TooBig {
            at: hop.at + there,
            to: hop.datagram.from,
            destination: hop.datagram.to,
            mtu: bytes,
        });
    }
    Outcome::Gone
}
