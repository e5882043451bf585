//! Whom to dial, and when.
//!
//! Bootstraps are dialled until they have answered once, and again whenever there are fewer than
//! `min_peers`; persistent peers whenever there is no link to them. Known peers are dialled while
//! there are fewer than `target_peers`, in the order of [`super::choosing`]; then addresses that were
//! hinted at. Every target waits out its back-off; at most `parallel_dials` are under way, and below
//! `min_peers` those that take long do not count. Silent peers count as none.

use std::net::SocketAddr;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::OverlayError;
use crate::event::{Action, DialTarget, Direction};
use crate::limits::{BOOTSTRAP_MAX, DIALS_MAX, FAILURES_MAX};
use crate::peers::backoff::Backoff;
use crate::peers::entries::Waiting;
use crate::peers::state::{PeerState, StateReason};
use crate::peers::table::{Entry, PeerSource};
use crate::planted::{self, Bug};
use crate::types::{DisconnectReason, PeerPriority};
use crate::wire::canonical;

/// A node that is short of peers dials the next one when a dial has taken so long: above the time of
/// most handshakes, and far below the patience with one.
const OVERTAKEN_AFTER: core::time::Duration = core::time::Duration::from_millis(400);

/// A configured address.
pub(super) struct Bootstrap {
    pub(super) address: SocketAddr,
    /// Who must answer there, if configured.
    pub(super) id: Option<NodeId>,
    /// Who answered there last.
    pub(super) answered: Option<NodeId>,
    /// It turned out to be ourselves.
    is_us: bool,
    /// Wanted for ever, not only to start from.
    pub(super) persistent: bool,
    backoff: Backoff,
}

/// A dial under way.
pub(super) struct Dial {
    id: Option<NodeId>,
    /// From then on another dial may overtake it, if the node is short of peers.
    slow_at: Instant,
    deadline: Instant,
}

impl Dial {
    /// Whether this node is expected to answer.
    pub(super) fn is_to(&self, id: NodeId) -> bool {
        self.id == Some(id)
    }
}

impl Overlay {
    /// Adds an address to start from; with an ID, only that node is accepted there. Adding an
    /// address again changes nothing.
    ///
    /// # Errors
    /// [`OverlayError::TooManyBootstraps`] past [`BOOTSTRAP_MAX`].
    pub fn add_bootstrap(
        &mut self,
        now: Instant,
        address: SocketAddr,
        id: Option<NodeId>,
    ) -> Result<(), OverlayError> {
        let address = canonical(address);
        if self.bootstraps.iter().any(|known| known.address == address) {
            return Ok(());
        }
        if self.bootstraps.iter().filter(|b| !b.persistent).count() >= BOOTSTRAP_MAX {
            return Err(OverlayError::TooManyBootstraps);
        }
        self.push_bootstrap(now, address, id, false);
        Ok(())
    }

    /// Adds an address that is dialled for its own sake, and its node's entry.
    pub(super) fn push_bootstrap(
        &mut self,
        now: Instant,
        address: SocketAddr,
        id: Option<NodeId>,
        persistent: bool,
    ) {
        let is_us = id == Some(self.me) || self.config.listen.contains(&address);
        let backoff = Backoff::new();
        self.bootstraps.push(Bootstrap {
            address,
            id,
            answered: None,
            is_us,
            persistent,
            backoff,
        });
        if let Some(id) = id.filter(|_| !is_us) {
            self.note_bootstrap(now, id, address);
        }
    }

    /// Gives a bootstrap's node an entry that is not evicted and can be dialled there.
    fn note_bootstrap(&mut self, now: Instant, id: NodeId, address: SocketAddr) {
        self.table
            .insert(now, id, PeerSource::Bootstrap, &mut self.out);
        if let Some(entry) = self.table.get_mut(id) {
            entry.source = PeerSource::Bootstrap;
        }
        self.table.add_address(id, address);
    }

    /// A dial ended without a link. Targets that are not being dialled are ignored.
    pub fn handle_dial_failed(&mut self, now: Instant, target: &DialTarget) {
        self.on_dial_failed(now, canonical(target.address), StateReason::DialFailed);
    }

    fn on_dial_failed(&mut self, now: Instant, address: SocketAddr, reason: StateReason) {
        let Some(dial) = self.dials.remove(&address) else {
            return;
        };
        if planted::is(Bug::DialSlotLeaks) && reason == StateReason::DialFailed {
            let (id, deadline) = (None, Instant::FAR_FUTURE);
            let slow_at = deadline;
            self.dials.insert(
                address,
                Dial {
                    id,
                    slow_at,
                    deadline,
                },
            );
        }
        let (base, cap) = (self.config.backoff_base, self.config.backoff_max);
        for bootstrap in self.bootstraps.iter_mut().filter(|b| b.address == address) {
            bootstrap.backoff.on_failure(now, base, cap, &mut self.rng);
        }
        self.on_hint_failed(now, address);
        let Some(id) = dial.id else { return };
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        if entry.state != PeerState::Connecting {
            return;
        }
        entry.backoff.on_failure(now, base, cap, &mut self.rng);
        let failures = entry.backoff.failures();
        self.table
            .transition(now, id, PeerState::Failed, reason, &mut self.out);
        if self.connected_count() > 0 {
            self.table.fail_test(id);
        }
        if let Some(entry) = self.table.get_mut(id) {
            entry.anchor = false;
        }
        // Whom nobody can reach is not to blame: then it is us who are cut off.
        if failures >= FAILURES_MAX && self.connected_count() > 0 {
            self.table.forget(id);
        }
    }

    /// A dial to `address` brought a link to `peer`.
    pub(super) fn on_dial_succeeded(&mut self, now: Instant, peer: NodeId, address: SocketAddr) {
        let address = canonical(address);
        let wrong = |dial: &Dial| dial.id.is_some_and(|id| id != peer);
        if self.dials.get(&address).is_some_and(wrong) {
            self.on_dial_failed(now, address, StateReason::DialFailed);
        }
        self.dials.remove(&address);
        let me = self.me;
        for bootstrap in self.bootstraps.iter_mut().filter(|b| b.address == address) {
            bootstrap.answered = Some(peer);
            bootstrap.is_us = peer == me;
            bootstrap.backoff.on_success();
        }
        self.on_hint_answered(now, address, peer);
    }

    /// A peer is up that we dialled: its address is proven.
    pub(super) fn on_reached(&mut self, now: Instant, peer: NodeId) {
        let unix_millis = self.unix_millis(now);
        let mut persistent = self.bootstraps.iter().filter(|b| b.persistent);
        let is_wanted = persistent.any(|b| b.id.or(b.answered) == Some(peer));
        if let Some(entry) = self.table.get_mut(peer) {
            entry.seen_at = Some(unix_millis);
            if is_wanted {
                entry.priority = PeerPriority::High;
            }
        }
        let link = self.live.get(&peer).map(|live| live.link);
        if let Some(link) = link.filter(|link| link.direction == Direction::Outbound) {
            self.table.promote(peer, link.remote);
        }
    }

    /// Gives up all dials.
    pub(super) fn stop_dialling(&mut self, now: Instant) {
        let reason = StateReason::LocalDisconnect(DisconnectReason::Shutdown);
        while let Some((&address, _)) = self.dials.first_key_value() {
            self.on_dial_failed(now, address, reason);
        }
    }

    /// Gives up the dials that the driver has not answered in time.
    pub(super) fn expire_dials(&mut self, now: Instant) {
        let due: Vec<_> = self
            .dials
            .iter()
            .filter(|(_, dial)| dial.deadline <= now)
            .map(|(&address, _)| address)
            .collect();
        for address in due {
            self.on_dial_failed(now, address, StateReason::DialTimeout);
        }
    }

    /// Starts the dials that are wanted and due.
    pub(super) fn dial_more(&mut self, now: Instant) {
        self.dial_anchors(now);
        let due: Vec<_> = self
            .wanted_bootstraps()
            .filter(|bootstrap| self.bootstrap_due(bootstrap) <= now)
            .map(|bootstrap| DialTarget {
                address: bootstrap.address,
                id: bootstrap.id,
            })
            .collect();
        for target in due {
            // An earlier one of these may have been for the same node.
            let still_wanted = self
                .wanted_bootstraps()
                .any(|b| b.address == target.address);
            if self.may_dial(now) && still_wanted {
                self.dial(now, target);
            }
        }
        if !self.may_dial(now) || !self.wants_peers(now) {
            return;
        }
        if self.connected_count() == 0 {
            self.dial_hints(now, 1);
        }
        self.dial_candidates(now);
        self.dial_hints(now, usize::MAX);
    }

    pub(super) fn dial(&mut self, now: Instant, target: DialTarget) {
        let deadline = now + self.config.dial_timeout;
        self.dials.insert(
            target.address,
            Dial {
                id: target.id,
                slow_at: now + OVERTAKEN_AFTER,
                deadline,
            },
        );
        if let Some(id) = target.id {
            let (to, reason) = (PeerState::Connecting, StateReason::Dialled);
            self.table.transition(now, id, to, reason, &mut self.out);
        }
        self.counters.dials += 1;
        self.out.action(Action::Dial(target));
    }

    /// Whether there is room for a dial.
    pub(super) fn may_dial(&self, now: Instant) -> bool {
        self.has_room_for_dials() && self.dials_that_count(now) < self.config.parallel_dials
    }

    pub(super) fn has_room_for_dials(&self) -> bool {
        !self.shutting_down
            && self.dials.len() < DIALS_MAX
            && self.usable_links() + self.dials.len() < self.config.max_peers
            && self.outbound_links() + self.dials.len() < self.config.outbound_max()
    }

    /// Whether there are fewer peers, links and dials than a node should have.
    pub(super) fn wants_peers(&self, now: Instant) -> bool {
        self.usable_links() + self.dials_that_count(now) < self.config.target_peers
    }

    /// Whether it matters how soon the next peer is found.
    pub(super) fn is_short_of_peers(&self) -> bool {
        let connected = self.connected_count();
        connected.saturating_sub(self.gossip.neighbours.silent()) < self.config.min_peers
    }

    /// Dials under way; while the node is short of peers only those that have not taken long: when
    /// most of the peers that it knows are dead, each of their dials takes as long as patience does.
    fn dials_that_count(&self, now: Instant) -> usize {
        let is_short = self.is_short_of_peers();
        let counts = |dial: &&Dial| !is_short || dial.slow_at > now;
        self.dials.values().filter(counts).count()
    }

    /// When there is room for a dial again because another one is slow; `None`: not by that.
    fn dials_make_room(&self) -> Option<Instant> {
        let parallel = self.config.parallel_dials;
        if self.dials.len() < parallel {
            return Some(Instant::ZERO);
        }
        let first = self.dials.len() - parallel;
        self.is_short_of_peers()
            .then(|| self.nth_slow_at(first))
            .flatten()
    }

    /// When so many dials and one more are slow.
    fn nth_slow_at(&self, place: usize) -> Option<Instant> {
        let mut slow_at: Vec<_> = self.dials.values().map(|dial| dial.slow_at).collect();
        slow_at.sort_unstable();
        slow_at.get(place).copied()
    }

    /// Bootstraps worth a dial, apart from the time.
    fn wanted_bootstraps(&self) -> impl Iterator<Item = &Bootstrap> {
        let lonely = self.connected_count() < self.config.min_peers;
        self.bootstraps.iter().filter(move |bootstrap| {
            let node = bootstrap.id.or(bootstrap.answered);
            let may_be_dialled = |id| self.table.get(id).is_none_or(Entry::may_be_dialled);
            !bootstrap.is_us
                && (lonely || bootstrap.persistent || bootstrap.answered.is_none())
                && !self.dials.contains_key(&bootstrap.address)
                && !self.is_banned_address(bootstrap.address.ip())
                && node.is_none_or(may_be_dialled)
        })
    }

    /// When a bootstrap may be dialled again: after the back-off of its address, and after that of
    /// the node which answers there, which may have refused us.
    fn bootstrap_due(&self, bootstrap: &Bootstrap) -> Instant {
        let node = bootstrap.id.or(bootstrap.answered);
        let entry = node.and_then(|id| self.table.get(id));
        let of_node = entry.map_or(Instant::ZERO, |entry| entry.backoff.not_before());
        bootstrap.backoff.not_before().max(of_node)
    }

    /// Whether somebody that waits is worth a dial, apart from the time.
    fn is_worth_a_dial(&self, waiting: &Waiting) -> bool {
        // At another of its addresses, while a link that it opened came and went.
        !self.dials.values().any(|dial| dial.is_to(waiting.id))
            && !self.dials.contains_key(&waiting.address)
            && !self.is_banned_address(waiting.address.ip())
    }

    /// Known peers that may be dialled at once, by ID.
    pub(super) fn due_waiting(&self, now: Instant) -> impl Iterator<Item = &Waiting> {
        let is_due = move |of: &&Waiting| of.due <= now && self.is_worth_a_dial(of);
        self.table.waiting().iter().filter(is_due)
    }

    /// The same with their entries.
    pub(super) fn due_candidates(&self, now: Instant) -> impl Iterator<Item = (NodeId, &Entry)> {
        let due = self.due_waiting(now);
        due.filter_map(|of| Some((of.id, self.table.get(of.id)?)))
    }

    /// When the next dial is due; `None` while none is wanted.
    pub(super) fn next_dial(&self) -> Option<Instant> {
        if !self.has_room_for_dials() {
            return None;
        }
        let room_at = self.dials_make_room()?;
        let bootstraps = self
            .wanted_bootstraps()
            .map(|bootstrap| self.bootstrap_due(bootstrap).max(room_at));
        let links = self.usable_links();
        let missing = self.config.target_peers.saturating_sub(links);
        // The moment from which so few dials count that one more is wanted.
        let wanted_at = match self.dials.len().checked_sub(missing) {
            None => Some(Instant::ZERO),
            Some(over) if missing > 0 && self.is_short_of_peers() => self.nth_slow_at(over),
            Some(_) => None,
        };
        let Some(wanted_at) = wanted_at else {
            return bootstraps.min();
        };
        // Only who is due before all others so far has to be looked at twice.
        let first = |first: Option<Instant>, of: &Waiting| match first {
            Some(due) if due <= of.due => first,
            _ if self.is_worth_a_dial(of) => Some(of.due),
            _ => first,
        };
        let peers = self.table.waiting().iter().fold(None, first);
        let others = peers.into_iter().chain(self.hints_due());
        let others = others.map(|due| due.max(room_at).max(wanted_at));
        bootstraps.chain(others).min()
    }

    /// When the next dial has taken too long.
    pub(super) fn next_dial_deadline(&self) -> Option<Instant> {
        self.dials.values().map(|dial| dial.deadline).min()
    }
}
