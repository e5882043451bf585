//! Links between overlays: reliable, as the transport makes them, and mortal.
//!
//! A link may be *blocked*, for several reasons at once: a partition, a cut, an end whose process
//! is gone or stands still. What would arrive meanwhile is held, as a transport would retransmit
//! it; when the last reason is gone it arrives, and when that takes too long each end notices for
//! itself that the other is silent. Nobody is told of a block.

use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{Instant, LinkId};

use crate::rng::{Ppm, Rng};

/// One of the two ends of a link: 0 opened it.
pub(super) type Side = u8;

/// Reasons for which nothing passes over a link.
pub(super) mod block {
    use super::Side;

    /// The ends are in different parts of the network.
    pub(in crate::swarm) const PARTITION: u8 = 1;
    /// Broken for good, or an end is gone.
    pub(in crate::swarm) const CUT: u8 = 2;

    /// The end stands still.
    pub(in crate::swarm) const fn paused(side: Side) -> u8 {
        4 << side
    }
}

/// What travels over a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Parcel {
    /// One message.
    Message(Bytes),
    /// The other end has closed the link.
    Close,
}

/// Whether an end takes and gives messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EndState {
    /// Its handshake is not finished.
    Coming,
    /// It does.
    Open,
    /// No more.
    Closed,
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: usize,
    pub(super) state: EndState,
    /// When what was sent from here, and not lost on the way, arrives at the latest.
    in_order: Instant,
    /// The same for all that was sent from here.
    latest: Instant,
    /// What waits to arrive here.
    pub(super) held: Vec<Parcel>,
}

/// A link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) ends: [End; 2],
    blocked: u8,
    /// Counts the times at which it became blocked or free: notices of earlier times are void.
    epoch: u32,
    latency: Duration,
    rng: Rng,
}

/// How links behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Most that is added to the delay of a message.
    pub(super) jitter: Duration,
    /// Share of messages that the transport has to send again: they come late and out of order.
    pub(super) loss: Ppm,
    /// The transport's idle timeout.
    pub(super) notice_after: Duration,
}

impl Link {
    /// A link that `opener` dials to `answerer`.
    pub(super) fn new(opener: usize, answerer: usize, latency: Duration, rng: Rng) -> Self {
        let end = |node| End {
            node,
            state: EndState::Coming,
            in_order: Instant::ZERO,
            latest: Instant::ZERO,
            held: Vec::new(),
        };
        Self {
            ends: [end(opener), end(answerer)],
            blocked: 0,
            epoch: 0,
            latency,
            rng,
        }
    }

    /// The end on that side.
    pub(super) const fn end(&self, side: Side) -> &End {
        &self.ends[side as usize & 1]
    }

    /// The end on that side.
    pub(super) const fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize & 1]
    }

    /// Which side a node has; of a link to itself, the opener's.
    pub(super) fn side_of(&self, node: usize) -> Side {
        Side::from(self.ends[0].node != node)
    }

    /// Whether both ends are through with it.
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.state == EndState::Closed)
    }

    /// Whether nothing passes.
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked != 0
    }

    /// Which block or freedom this is.
    pub(super) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The one-way delay without jitter.
    pub(super) const fn latency(&self) -> Duration {
        self.latency
    }

    /// A one-way delay.
    pub(super) fn delay(&mut self, weather: &Weather) -> Duration {
        let jitter = u64::try_from(weather.jitter.as_nanos()).unwrap_or(u64::MAX - 1);
        self.latency + Duration::from_nanos(self.rng.between(0, jitter))
    }

    /// When the handshake that begins now is finished at the opener and at the answerer: after one
    /// round trip, and after one and a half.
    pub(super) fn handshake(&mut self, now: Instant, weather: &Weather) -> [Instant; 2] {
        let opener = now + self.delay(weather) + self.delay(weather);
        let answerer = opener + self.delay(weather);
        for (end, arrives) in self.ends.iter_mut().zip([answerer, opener]) {
            (end.in_order, end.latest) = (arrives, arrives);
        }
        [opener, answerer]
    }

    /// When a message that is sent from `side` now arrives.
    pub(super) fn send(&mut self, now: Instant, side: Side, weather: &Weather) -> Instant {
        let mut arrives = now + self.delay(weather);
        if self.rng.chance(weather.loss) {
            // A probe timeout is about three round trips and the acknowledgement's delay (RFC 9002
            // §6.2.1); a later packet's acknowledgement may show the loss sooner.
            arrives = arrives + self.latency * u32::try_from(self.rng.between(2, 6)).unwrap_or(2);
            let end = self.end_mut(side);
            end.latest = end.latest.max(arrives);
            return arrives;
        }
        let end = self.end_mut(side);
        end.in_order = end.in_order.max(arrives);
        end.latest = end.latest.max(end.in_order);
        end.in_order
    }

    /// When the other end learns that `side` closes now: after all that was sent.
    pub(super) fn close(&mut self, now: Instant, side: Side, weather: &Weather) -> Instant {
        let arrives = now + self.delay(weather);
        let end = self.end_mut(side);
        end.state = EndState::Closed;
        end.held.clear();
        end.latest.max(arrives)
    }

    /// Nothing passes any more, for `reason`. True: it did before.
    pub(super) fn block(&mut self, reason: u8) -> bool {
        let was_free = self.blocked == 0;
        self.blocked |= reason;
        self.epoch += u32::from(was_free);
        was_free
    }

    /// `reason` is gone. True: things pass again.
    pub(super) fn unblock(&mut self, reason: u8) -> bool {
        let was_blocked = self.blocked != 0;
        self.blocked &= !reason;
        let is_freed = was_blocked && self.blocked == 0;
        self.epoch += u32::from(is_freed);
        is_freed
    }

    /// When an end that hears nothing from now on gives up: after three to four quarters of the
    /// idle timeout, because it last heard something at some time before.
    pub(super) fn notice(&mut self, now: Instant, weather: &Weather) -> Instant {
        let full = u64::try_from(weather.notice_after.as_nanos()).unwrap_or(u64::MAX);
        now + Duration::from_nanos(self.rng.between(full / 4 * 3, full))
    }
}

/// The driver's name of an end: unique among all links of a simulation.
pub(super) const fn link_id(link: usize, side: Side) -> LinkId {
    LinkId(link as u64 * 2 + side as u64)
}

/// The inverse of [`link_id`].
pub(super) fn link_and_side(id: LinkId) -> (usize, Side) {
    let link = usize::try_from(id.0 / 2).unwrap_or(usize::MAX);
    (link, Side::from(!id.0.is_multiple_of(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEATHER: Weather = Weather {
        jitter: Duration::from_millis(10),
        loss: Ppm(0),
        notice_after: Duration::from_secs(30),
    };

    fn link() -> Link {
        Link::new(3, 5, Duration::from_millis(20), Rng::new(1))
    }

    #[test]
    fn messages_keep_their_order_and_a_close_comes_last() {
        let mut link = link();
        let [opener, answerer] = link.handshake(Instant::ZERO, &WEATHER);
        assert!(opener < answerer);
        let mut last = answerer;
        for micros in 0..1_000 {
            let now = opener + Duration::from_micros(micros);
            let arrives = link.send(now, 0, &WEATHER);
            assert!(arrives >= last);
            last = arrives;
        }
        assert!(link.close(opener, 0, &WEATHER) >= last);
    }

    #[test]
    fn a_lost_message_is_late_and_others_overtake_it() {
        let weather = Weather {
            loss: Ppm::ALWAYS,
            ..WEATHER
        };
        let mut link = link();
        let lost = link.send(Instant::ZERO, 0, &weather);
        assert!(lost >= Instant::ZERO + Duration::from_millis(60));
        let next = link.send(Instant::ZERO, 0, &WEATHER);
        assert!(next <= Instant::ZERO + Duration::from_millis(30));
        assert!(link.close(Instant::ZERO, 0, &weather) >= lost);
    }

    #[test]
    fn a_link_is_free_when_the_last_reason_is_gone() {
        let mut link = link();
        assert!(link.block(block::PARTITION));
        assert!(!link.block(block::paused(1)));
        assert!(!link.unblock(block::PARTITION));
        assert!(link.is_blocked());
        assert!(link.unblock(block::paused(1)));
        assert!(!link.unblock(block::paused(0)), "it was free");
        assert_eq!(link.epoch(), 2);
    }

    #[test]
    fn names_of_ends_are_reversible() {
        for link in [0, 1, 77] {
            for side in [0, 1] {
                assert_eq!(link_and_side(link_id(link, side)), (link, side));
            }
        }
    }
}
