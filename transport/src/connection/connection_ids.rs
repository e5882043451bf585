//! Connection IDs of one connection: those that the peer may send to, and those that we may (the
//! ideas of RFC 9000 §5.1; `docs/wire.md` W-CID).
//!
//! Each end keeps the other supplied with spare IDs. Who appears at a new address, or sends to one,
//! takes a fresh ID and gives the old one back, so that nobody on two paths can tell by it that they
//! belong together.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Connection;
use super::contents::Item;
use super::state::State;
use crate::error::PeerViolation;
use crate::ids::ConnectionId;
use crate::limits::{CONNECTION_IDS_MAX, RETIRED_IDS_MAX};
use crate::rest::{Rest, Sparse};
use crate::time::Instant;
use crate::wire::frame::Frame;

/// IDs that are issued to a peer at first: one to use and one to move with. A spare one costs both ends together some two
/// microseconds, and who ends soon will hardly move (ADR 0629).
const ISSUED_AT_FIRST: usize = 2;
/// Packets of the peer from which a connection lasts, and all IDs are issued. Guess: more than a handshake and a request
/// bring.
const LASTING: u64 = 8;

/// IDs that we chose. The one of the handshake has the sequence number 0.
#[derive(Debug)]
pub(super) struct LocalIds {
    /// Their sequence numbers rise.
    issued: Vec<Issued>,
    next: u64,
    /// Given back by the peer: nothing is to be routed by them any more.
    retired: Sparse<VecDeque<ConnectionId>>,
    /// Highest sequence number that the peer has sent to, and how often it took a fresh one.
    used: u64,
    switches: u64,
}

#[derive(Clone, Copy, Debug)]
struct Issued {
    sequence: u64,
    id: ConnectionId,
    /// To be told, for the first time or again.
    untold: bool,
}

impl Rest for LocalIds {
    fn rest(&mut self) {
        self.issued.rest();
        self.retired.rest();
    }
}

impl Rest for RemoteIds {
    fn rest(&mut self) {
        self.spare.rest();
        self.seen.rest();
        self.left.rest();
        self.retiring.rest();
        self.to_tell.rest();
    }
}

impl LocalIds {
    pub(super) fn new(first: ConnectionId) -> Self {
        let mut issued = Vec::with_capacity(CONNECTION_IDS_MAX);
        issued.push(Issued {
            sequence: 0,
            id: first,
            untold: false,
        });
        Self {
            issued,
            next: 1,
            retired: Sparse::default(),
            used: 0,
            switches: 0,
        }
    }

    fn get(&self, sequence: u64) -> Option<ConnectionId> {
        let mut issued = self.issued.iter();
        issued.find_map(|it| (it.sequence == sequence).then_some(it.id))
    }

    /// Whether the peer, from which so many packets have come, is short of spare ones.
    pub(super) fn wants_more(&self, packets: u64) -> bool {
        let enough = match packets {
            ..LASTING => ISSUED_AT_FIRST,
            _ => CONNECTION_IDS_MAX,
        };
        self.issued.len() < enough
    }

    /// Another one, which the endpoint routes from now on.
    pub(super) fn issue(&mut self, id: ConnectionId) {
        self.issued.push(Issued {
            sequence: self.next,
            id,
            untold: true,
        });
        self.next += 1;
    }

    /// The next one to tell the peer.
    pub(super) fn poll(&mut self) -> Option<(u64, ConnectionId)> {
        let next = self.issued.iter_mut().find(|it| it.untold)?;
        next.untold = false;
        Some((next.sequence, next.id))
    }

    /// Whether [`Self::poll`] has something.
    pub(super) fn has_work(&self) -> bool {
        self.issued.iter().any(|it| it.untold)
    }

    /// What told of an ID was lost.
    pub(super) fn on_lost(&mut self, sequence: u64) {
        let mut issued = self.issued.iter_mut();
        if let Some(lost) = issued.find(|it| it.sequence == sequence) {
            lost.untold = true;
        }
    }

    /// The peer gives an ID back.
    ///
    /// # Errors
    /// [`PeerViolation::ConnectionId`]: it was never issued, or the packet that says so was sent to
    /// it.
    pub(super) fn on_retired(
        &mut self,
        sequence: u64,
        sent_to: ConnectionId,
    ) -> Result<(), PeerViolation> {
        if sequence >= self.next {
            return Err(PeerViolation::ConnectionId);
        }
        let Some(id) = self.get(sequence) else {
            return Ok(());
        };
        if id == sent_to {
            return Err(PeerViolation::ConnectionId);
        }
        self.issued.retain(|it| it.sequence != sequence);
        self.retired.push_back(id);
        Ok(())
    }

    /// One that was given back, for the endpoint to forget.
    pub(super) fn poll_retired(&mut self) -> Option<ConnectionId> {
        self.retired.pop_front()
    }

    /// All that are routed.
    pub(super) fn iter(&self) -> impl Iterator<Item = ConnectionId> {
        let issued = self.issued.iter().map(|it| it.id);
        issued.chain(self.retired.iter().copied())
    }

    /// A packet that opened was sent to `id`. True: the peer has taken a fresh one.
    pub(super) fn on_packet(&mut self, id: ConnectionId) -> bool {
        if self.used() == Some(id) {
            return false;
        }
        let found = self.issued.iter().rev().find(|it| it.id == id);
        let Some(sequence) = found.map(|it| it.sequence) else {
            return false;
        };
        let is_fresh = sequence > self.used;
        if is_fresh {
            self.used = sequence;
            self.switches += 1;
        }
        is_fresh
    }

    /// The freshest that the peer has sent to, unless it came back.
    pub(super) fn used(&self) -> Option<ConnectionId> {
        self.get(self.used)
    }

    /// How often the peer took a fresh one.
    pub(super) const fn switches(&self) -> u64 {
        self.switches
    }
}

/// IDs that the peer chose.
#[derive(Debug)]
pub(super) struct RemoteIds {
    current: (u64, ConnectionId),
    spare: Sparse<VecDeque<(u64, ConnectionId)>>,
    /// Sequence numbers that were seen, rising; below the first they were, or are skipped for good.
    seen: Vec<u64>,
    /// Not used any more, to be given back once the peer has followed.
    left: Sparse<Vec<u64>>,
    /// Given back, and not yet known to be.
    retiring: Sparse<BTreeSet<u64>>,
    to_tell: Sparse<BTreeSet<u64>>,
    switches: u64,
}

impl RemoteIds {
    pub(super) fn new(first: ConnectionId) -> Self {
        let mut seen = Vec::with_capacity(CONNECTION_IDS_MAX);
        seen.push(0);
        Self {
            current: (0, first),
            spare: Sparse::default(),
            seen,
            left: Sparse::default(),
            retiring: Sparse::default(),
            to_tell: Sparse::default(),
            switches: 0,
        }
    }

    /// Where packets go.
    pub(super) const fn current(&self) -> ConnectionId {
        self.current.1
    }

    /// How often we took a fresh one.
    pub(super) const fn switches(&self) -> u64 {
        self.switches
    }

    /// The peer issues an ID.
    ///
    /// # Errors
    /// [`PeerViolation::ConnectionId`]: more than [`CONNECTION_IDS_MAX`] at once, zero, or one number
    /// for two IDs.
    pub(super) fn on_issued(
        &mut self,
        sequence: u64,
        id: ConnectionId,
    ) -> Result<(), PeerViolation> {
        if id == ConnectionId::NONE {
            return Err(PeerViolation::ConnectionId);
        }
        let known = [self.current].into_iter().chain(self.spare.iter().copied());
        for (number, cid) in known {
            if (number == sequence) != (cid == id) {
                return Err(PeerViolation::ConnectionId);
            }
        }
        let Err(place) = self.seen.binary_search(&sequence) else {
            return Ok(());
        };
        if self.is_below_seen(sequence) {
            return Ok(());
        }
        if self.spare.len() + 1 >= CONNECTION_IDS_MAX {
            return Err(PeerViolation::ConnectionId);
        }
        self.seen.insert(place, sequence);
        if self.seen.len() > SEEN_MAX {
            self.seen.remove(0);
        }
        self.spare.push_back((sequence, id));
        Ok(())
    }

    fn is_below_seen(&self, sequence: u64) -> bool {
        self.seen.len() >= SEEN_MAX && self.seen.first().is_some_and(|first| sequence < *first)
    }

    /// A fresh ID for another path, if there is one and not too many are on their way back.
    pub(super) fn take_spare(&mut self) -> Option<(u64, ConnectionId)> {
        if self.retiring.len() + self.left.len() >= RETIRED_IDS_MAX {
            return None;
        }
        self.spare.pop_front()
    }

    /// An ID that was taken is used from now on; the old one is given back.
    pub(super) fn switch_to(&mut self, fresh: (u64, ConnectionId)) {
        let (old, _) = core::mem::replace(&mut self.current, fresh);
        self.switches += 1;
        self.retire(old);
    }

    /// The same before the address changes: the old one is given back when the peer has followed, for
    /// a packet that says so now would leave from the old address under the new ID.
    fn leave_for(&mut self, fresh: (u64, ConnectionId)) {
        let (old, _) = core::mem::replace(&mut self.current, fresh);
        self.switches += 1;
        self.left.push(old);
    }

    /// The peer has seen the fresh ID: those that were left are given back.
    fn on_followed(&mut self) {
        for sequence in core::mem::take(&mut *self.left) {
            self.retire(sequence);
        }
    }

    /// An ID that was taken is not used any more.
    pub(super) fn retire(&mut self, sequence: u64) {
        self.retiring.insert(sequence);
        self.to_tell.insert(sequence);
    }

    /// The next one to give back.
    pub(super) fn poll(&mut self) -> Option<u64> {
        self.to_tell.pop_first()
    }

    /// Whether [`Self::poll`] has something.
    pub(super) fn has_work(&self) -> bool {
        !self.to_tell.is_empty()
    }

    /// The peer knows that an ID came back.
    pub(super) fn on_acknowledged(&mut self, sequence: u64) {
        self.retiring.remove(&sequence);
        self.to_tell.remove(&sequence);
    }

    /// What gave an ID back was lost.
    pub(super) fn on_lost(&mut self, sequence: u64) {
        if self.retiring.contains(&sequence) {
            self.to_tell.insert(sequence);
        }
    }
}

impl Connection {
    /// Whether the endpoint is to choose another connection ID for this connection. In the plain
    /// profile nobody changes path (W-PTH-3), so nobody needs one.
    pub(crate) fn wants_connection_id(&self) -> bool {
        self.state == State::Established
            && self.is_sealed()
            && self.local_ids.wants_more(self.stats.packets_received)
    }

    /// The endpoint routes packets to `id` here from now on.
    pub(crate) fn issue_connection_id(&mut self, id: ConnectionId) {
        self.local_ids.issue(id);
    }

    /// An ID that the endpoint is not to route here any more.
    pub(crate) fn poll_retired_id(&mut self) -> Option<ConnectionId> {
        self.local_ids.poll_retired()
    }

    /// All IDs that are routed here.
    pub(crate) fn connection_ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.local_ids.iter()
    }

    /// Sends to a fresh connection ID of the peer's from now on: to be called just before the local
    /// address changes, so that nobody can tell by the ID that both addresses are the same
    /// connection's. False: there is none, and the old one stays.
    pub fn use_fresh_id(&mut self) -> bool {
        let fresh = self.remote_ids.take_spare();
        fresh.is_some_and(|fresh| {
            self.remote_ids.leave_for(fresh);
            true
        })
    }

    /// Our own address has changed, because we wanted it to (RFC 9000 §9.2), and nothing has left from
    /// the new one yet: packets bear a fresh connection ID, one leaves at once, so that the peer can
    /// prove the new path, and what was learned of the old path's packet size and marks is forgotten.
    /// False: there was no fresh ID, and who sees both paths can tell that they belong together.
    ///
    /// Without effect, and false, in the plain profile, where nobody changes path, and before the
    /// handshake is complete.
    pub fn migrate(&mut self, now: Instant) -> bool {
        if !self.state.is_transferring() || !self.is_sealed() {
            return false;
        }
        let took_fresh = self.use_fresh_id();
        self.forget_path(now);
        self.ping = true;
        // Whatever else is on its way and fills the window may be lost with the old path.
        self.probes = self.probes.max(1);
        took_fresh
    }

    /// The next frame about connection IDs.
    pub(super) fn poll_connection_id(&mut self) -> Option<(Frame<'static>, Item)> {
        if let Some((sequence, id)) = self.local_ids.poll() {
            let frame = Frame::NewConnectionId { sequence, id };
            return Some((frame, Item::NewId(sequence)));
        }
        if let Some(sequence) = self.remote_ids.poll() {
            let frame = Frame::RetireConnectionId { sequence };
            return Some((frame, Item::RetiredId(sequence)));
        }
        self.poll_reset_token()
    }

    /// The newest packet was sent to `id`. A peer that takes a fresh ID on the path has moved, or
    /// believes that we have: who answers it under the old one links the two (RFC 9000 §9.5).
    pub(super) fn follow_peers_id(&mut self, from: SocketAddr, id: ConnectionId) {
        let took_fresh = self.local_ids.on_packet(id);
        let behind = self.local_ids.switches() > self.remote_ids.switches();
        if took_fresh {
            self.remote_ids.on_followed();
        }
        if took_fresh
            && behind
            && from == self.path.remote()
            && let Some(fresh) = self.remote_ids.take_spare()
        {
            self.remote_ids.switch_to(fresh);
        }
    }

    /// An address that is being proven gets an ID of its own; one that is not any more gives it back.
    pub(super) fn sync_candidate_id(&mut self) {
        let address = self.path.candidate();
        if let Some(left) = self.candidate_id.take_if(|it| Some(it.0) != address) {
            let (_, (sequence, _)) = *left;
            self.remote_ids.retire(sequence);
        }
        if let (Some(address), None) = (address, &self.candidate_id) {
            let fresh = self.remote_ids.take_spare();
            self.candidate_id = fresh.map(|fresh| Box::new((address, fresh)));
        }
    }

    /// The address that was being proven is the path.
    pub(super) fn on_path_proven(&mut self) {
        if let Some(taken) = self.candidate_id.take() {
            let (_, fresh) = *taken;
            self.remote_ids.switch_to(fresh);
        }
    }

    /// The ID for a packet to `address`.
    pub(super) fn id_towards(&self, address: SocketAddr) -> ConnectionId {
        self.candidate_id
            .as_ref()
            .filter(|it| it.0 == address)
            .map_or(self.remote_ids.current(), |it| it.1.1)
    }
}

/// Sequence numbers that are remembered, so that what is told twice is not taken twice. More than can
/// be in flight at once.
const SEEN_MAX: usize = 4 * (CONNECTION_IDS_MAX + RETIRED_IDS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    const VIOLATION: Result<(), PeerViolation> = Err(PeerViolation::ConnectionId);

    fn id(number: u64) -> ConnectionId {
        ConnectionId(u32::try_from(number + 100).unwrap())
    }

    fn local() -> LocalIds {
        let mut ids = LocalIds::new(id(0));
        while ids.wants_more(LASTING) {
            ids.issue(id(ids.next));
        }
        ids
    }

    #[test]
    fn the_peer_is_told_of_spare_ids_until_it_knows() {
        let mut ids = local();
        for sequence in 1..CONNECTION_IDS_MAX as u64 {
            assert_eq!(ids.poll(), Some((sequence, id(sequence))));
        }
        assert!(!ids.has_work());
        ids.on_lost(2);
        assert_eq!(ids.poll(), Some((2, id(2))));
    }

    #[test]
    fn the_peer_gets_one_spare_id_at_first_and_all_when_the_connection_lasts() {
        let mut ids = LocalIds::new(id(0));
        for packets in [0, LASTING - 1] {
            while ids.wants_more(packets) {
                ids.issue(id(ids.next));
            }
            assert_eq!(ids.iter().count(), 2, "after {packets} packets");
        }
        while ids.wants_more(LASTING) {
            ids.issue(id(ids.next));
        }
        assert_eq!(ids.iter().count(), CONNECTION_IDS_MAX);
        ids.on_retired(0, id(1)).unwrap();
        assert!(ids.wants_more(LASTING) && !ids.wants_more(LASTING - 1));
    }

    #[test]
    fn an_id_that_comes_back_is_replaced_and_forgotten() {
        let mut ids = local();
        assert!(ids.on_packet(id(2)), "a fresh one");
        assert!(!ids.on_packet(id(2)) && !ids.on_packet(id(0)));
        ids.on_retired(0, id(2)).unwrap();
        ids.on_retired(0, id(2)).unwrap();
        assert_eq!(
            (ids.poll_retired(), ids.poll_retired()),
            (Some(id(0)), None)
        );
        assert!(ids.wants_more(LASTING));
        assert_eq!(ids.switches(), 1);
    }

    #[test]
    fn rejects_the_return_of_an_id_never_issued_or_in_use() {
        let mut ids = local();
        let never = CONNECTION_IDS_MAX as u64;
        assert_eq!(ids.on_retired(never, id(0)), VIOLATION);
        assert_eq!(ids.on_retired(0, id(0)), VIOLATION);
    }

    #[test]
    fn accepts_spare_ids_up_to_the_limit_and_rejects_one_more() {
        let mut ids = RemoteIds::new(id(0));
        for sequence in 1..CONNECTION_IDS_MAX as u64 {
            ids.on_issued(sequence, id(sequence)).unwrap();
            ids.on_issued(sequence, id(sequence)).unwrap();
        }
        let beyond = CONNECTION_IDS_MAX as u64;
        assert_eq!(ids.on_issued(beyond, id(beyond)), VIOLATION);
        let fresh = ids.take_spare().unwrap();
        ids.switch_to(fresh);
        assert_eq!(ids.current(), id(1));
        ids.on_issued(beyond, id(beyond)).unwrap();
        assert_eq!(ids.poll(), Some(0));
        ids.on_lost(0);
        assert_eq!(ids.poll(), Some(0));
        ids.on_acknowledged(0);
        ids.on_lost(0);
        assert!(!ids.has_work());
    }

    #[test]
    fn rejects_zero_and_one_number_for_two_ids() {
        let mut ids = RemoteIds::new(id(0));
        assert_eq!(ids.on_issued(1, ConnectionId::NONE), VIOLATION);
        assert_eq!(ids.on_issued(0, id(9)), VIOLATION);
        assert_eq!(ids.on_issued(1, id(0)), VIOLATION);
    }

    #[test]
    fn keeps_its_id_while_too_many_are_on_their_way_back() {
        let mut ids = RemoteIds::new(id(0));
        for sequence in 1..100 {
            ids.on_issued(sequence, id(sequence)).unwrap();
            match ids.take_spare() {
                Some(fresh) => ids.switch_to(fresh),
                None => break,
            }
        }
        assert_eq!(ids.retiring.len(), RETIRED_IDS_MAX);
        ids.on_acknowledged(0);
        assert!(ids.take_spare().is_some());
    }
}
