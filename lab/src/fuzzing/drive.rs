//! What all runs of endpoints that bytes drive have in common: the clock, sending, and the end.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::{CloseReason, Endpoint, Instant};

/// Rounds within which everything has come to rest once faults have stopped.
const ROUNDS_MAX: usize = 20_000;
/// Datagrams of one transmission.
const SEGMENTS: usize = 8;
/// One-way delay once faults have stopped.
const DELAY: Duration = Duration::from_millis(5);

/// Hands over what has come to an endpoint, as a system does that gathers datagrams: those of one sender that are
/// as long as the one before, and a shorter one, as a train.
pub(super) fn hand_over_trains(
    endpoint: &mut Endpoint,
    now: Instant,
    datagrams: &[(SocketAddr, Vec<u8>)],
) {
    let mut rest = datagrams;
    while let Some((from, first)) = rest.first() {
        let size = first.len();
        let of_them = |it: &&(SocketAddr, Vec<u8>)| it.0 == *from;
        let alike = rest
            .iter()
            .take_while(|it| of_them(it) && it.1.len() == size);
        let alike = alike.count();
        let last = rest.get(alike).filter(of_them);
        let shorter = last.is_some_and(|it| it.1.len() < size);
        let (train, behind) = rest.split_at(alike + usize::from(shorter));
        let mut train: Vec<u8> = train.iter().flat_map(|it| it.1.iter().copied()).collect();
        endpoint.handle_datagrams(now, *from, None, &mut train, size);
        rest = behind;
    }
}

/// A run of several endpoints.
pub(super) trait Driven {
    /// Its time.
    fn clock(&mut self) -> &mut Instant;

    /// Each of its endpoints.
    fn for_each_endpoint(&mut self, call: &mut dyn FnMut(&mut Endpoint));

    /// The contract of an endpoint: after each input the applications act, and everything to be
    /// sent leaves.
    fn settle(&mut self);

    /// Delivers what is on its way now, in order.
    fn deliver_all(&mut self);

    /// Whether nothing is on its way.
    fn is_quiet(&self) -> bool;

    /// Whether nothing more has to happen.
    fn is_done(&self) -> bool;

    /// Lets time pass.
    fn advance(&mut self, by: Duration) {
        let now = *self.clock() + by;
        *self.clock() = now;
        self.for_each_endpoint(&mut |endpoint| endpoint.handle_timeout(now));
    }

    /// Lets time pass until the first endpoint wants to act, if one does.
    fn advance_to_timeout(&mut self) {
        let mut next: Option<Instant> = None;
        self.for_each_endpoint(&mut |endpoint| {
            next = [next, endpoint.poll_timeout()].into_iter().flatten().min();
        });
        if let Some(next) = next {
            let wait = next.saturating_duration_since(*self.clock());
            self.advance(wait);
        }
    }

    /// Faults stop. Whether the run is done before long.
    fn comes_to_rest(&mut self) -> bool {
        for _ in 0..ROUNDS_MAX {
            self.settle();
            if !self.is_quiet() {
                let later = *self.clock() + DELAY;
                *self.clock() = later;
                self.deliver_all();
            } else if self.is_done() {
                return true;
            } else {
                self.advance_to_timeout();
            }
        }
        false
    }
}

/// Everything that `endpoint` has to send now: `out` gets each datagram and where it goes.
///
/// # Panics
/// When there is no end of it.
pub(super) fn transmit(
    endpoint: &mut Endpoint,
    now: Instant,
    buffer: &mut Vec<u8>,
    mut out: impl FnMut(SocketAddr, &[u8]),
) {
    let mut rounds = 0;
    while let Some(transmit) = endpoint.poll_transmit(now, SEGMENTS, buffer) {
        rounds += 1;
        assert!(rounds < ROUNDS_MAX, "transmission without end");
        let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
        for datagram in buffer.chunks(segment) {
            out(transmit.destination, datagram);
        }
    }
}

/// Whether a connection ended because one end accuses the other.
pub(super) const fn is_accusation(reason: &CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::Violation(_) | CloseReason::TransportReset { .. }
    )
}
