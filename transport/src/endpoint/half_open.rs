//! Handshakes that were answered and not yet confirmed. Bounded in number and time; the address of
//! the other end is not proven, so nothing is sent from here on a timer.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::ids::{ConnectionId, PacketNumber};
use crate::planted::{self, Bug};
use crate::protect::Responder;
use crate::time::Instant;

/// SYNs with different contents that are kept for one address and connection ID: a forged one must
/// not keep out the genuine one.
const VARIANTS_MAX: usize = 4;

/// One half-open handshake.
pub(super) struct HalfOpen {
    pub(super) responder: Box<dyn Responder>,
    pub(super) from: SocketAddr,
    /// The initiator's connection ID.
    pub(super) remote_cid: ConnectionId,
    /// Number of the next packet to send.
    pub(super) next_number: PacketNumber,
    pub(super) answered: u32,
    pub(super) answered_at: Instant,
}

/// All of an endpoint.
#[derive(Default)]
pub(super) struct HalfOpenTable {
    by_cid: BTreeMap<ConnectionId, HalfOpen>,
    by_source: BTreeMap<(SocketAddr, ConnectionId), Vec<ConnectionId>>,
    /// In the order they began, with the time at which they are forgotten.
    queue: VecDeque<(Instant, ConnectionId)>,
}

impl HalfOpenTable {
    pub(super) fn len(&self) -> usize {
        self.by_cid.len()
    }

    /// Entries of the queue, those included whose handshake is over: at most twice
    /// [`Self::len`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn contains(&self, cid: ConnectionId) -> bool {
        self.by_cid.contains_key(&cid)
    }

    /// The one that `payload` began, if it is a retransmission.
    pub(super) fn find_same(
        &mut self,
        from: SocketAddr,
        remote_cid: ConnectionId,
        payload: &[u8],
    ) -> Option<(ConnectionId, &mut HalfOpen)> {
        let variants = self.by_source.get(&(from, remote_cid))?;
        let cid = variants.iter().copied().find(|cid| {
            self.by_cid
                .get(cid)
                .is_some_and(|half| half.responder.is_same_syn(payload))
        })?;
        Some((cid, self.by_cid.get_mut(&cid)?))
    }

    /// Adds one; the oldest makes room at `max`.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        lifetime: Duration,
        max: usize,
        cid: ConnectionId,
        half: HalfOpen,
    ) {
        while self.by_cid.len() >= max {
            let Some((_, oldest)) = self.queue.pop_front() else {
                break;
            };
            self.remove(oldest);
        }
        let key = (half.from, half.remote_cid);
        let variants = self.by_source.entry(key).or_default();
        let surplus = (variants.len() >= VARIANTS_MAX).then(|| variants.remove(0));
        variants.push(cid);
        self.by_cid.insert(cid, half);
        self.queue.push_back((now + lifetime, cid));
        if let Some(surplus) = surplus {
            self.by_cid.remove(&surplus);
            self.tidy_queue();
        }
    }

    pub(super) fn get(&self, cid: ConnectionId) -> Option<&HalfOpen> {
        self.by_cid.get(&cid)
    }

    pub(super) fn remove(&mut self, cid: ConnectionId) -> Option<HalfOpen> {
        let half = self.by_cid.remove(&cid)?;
        let key = (half.from, half.remote_cid);
        if let Some(variants) = self.by_source.get_mut(&key) {
            variants.retain(|other| *other != cid);
            if variants.is_empty() {
                self.by_source.remove(&key);
            }
        }
        self.tidy_queue();
        Some(half)
    }

    /// Drops the queue's entries whose handshake is over: those in front, so that the first
    /// deadline is a true one, and all of them once they are half of the queue, so that it is
    /// bounded as the table is.
    fn tidy_queue(&mut self) {
        let by_cid = &self.by_cid;
        while self
            .queue
            .front()
            .is_some_and(|(_, cid)| !by_cid.contains_key(cid))
        {
            self.queue.pop_front();
        }
        if self.queue.len() > 2 * by_cid.len() {
            self.queue.retain(|(_, cid)| by_cid.contains_key(cid));
        }
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((until, cid)) = self.queue.front().copied() {
            if until > now {
                break;
            }
            self.queue.pop_front();
            if !planted::is(Bug::HalfOpenNeverExpires) {
                self.remove(cid);
            }
        }
    }

    /// When the next one is to be forgotten.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.queue.front().map(|(until, _)| *until)
    }
}
