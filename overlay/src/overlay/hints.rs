//! Addresses that nobody vouches for: from name servers, from the local network, from the operator.
//!
//! A hint is an address without an ID. It is dialled when peers are wanted and no known one is due, or
//! there is none at all, and now and then by the rover. Who answers there proves its ID and gives its
//! own record; only then it gets into the address book. A hint that failed a few times is dropped. One
//! source has at most half of the places, and all hints together are an eighth of the table of peers.
//!
//! A signed record from such a source is more than a hint: it verifies, so it goes to the address book
//! at once, under the source as its group, which reaches a quarter of the new buckets.

use core::net::SocketAddr;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::book::Group;
use crate::error::OverlayError;
use crate::event::DialTarget;
use crate::limits::{HINT_FAILURES_MAX, HINTS_MAX, HINTS_PER_SOURCE_MAX};
use crate::peers::backoff::Backoff;
use crate::peers::table::PeerSource;
use crate::types::HintSource;
use crate::wire::{Scope, VerifiedRecord, canonical};

/// An address without an ID.
pub(super) struct Hint {
    pub(super) address: SocketAddr,
    source: HintSource,
    backoff: Backoff,
}

impl Overlay {
    /// Remembers an address at which there may be a node; true when it is remembered. What is
    /// known already, or cannot be dialled, and what there is no room for is left out.
    pub fn add_hint(&mut self, _now: Instant, address: SocketAddr, source: HintSource) -> bool {
        let address = canonical(address);
        if !is_place(address) || self.is_known_place(address) {
            return false;
        }
        let of_source = self.hints.iter().filter(|hint| hint.source == source);
        let is_full = of_source.count() >= HINTS_PER_SOURCE_MAX || self.hints.len() >= HINTS_MAX;
        if is_full {
            let failed = |hint: &Hint| hint.source == source && hint.backoff.failures() > 0;
            let Some(at) = self.hints.iter().position(failed) else {
                return false;
            };
            self.hints.swap_remove(at);
        }
        self.hints.push(Hint {
            address,
            source,
            backoff: Backoff::new(),
        });
        true
    }

    /// Takes in a peer's signed record (`signed-record` of `docs/overlay.md`) that came from
    /// elsewhere than a peer; it may be 30 days old. Returns whose it is, and whether it was news.
    ///
    /// # Errors
    /// [`OverlayError::BadRecord`]; nothing changed.
    pub fn add_record(
        &mut self,
        now: Instant,
        record: &[u8],
        source: HintSource,
    ) -> Result<(NodeId, bool), OverlayError> {
        let unix_millis = self.unix_millis(now);
        let network = &self.config.network;
        let (record, mut addresses) = VerifiedRecord::from_bytes(record, network, unix_millis)
            .map_err(|_| OverlayError::BadRecord)?;
        let id = record.id();
        addresses.retain(|&address| is_place(address));
        let (from, group) = (PeerSource::Hint(source), Group::Hints(source));
        let Some(&first) = addresses.first() else {
            return Ok((id, false));
        };
        let is_news = id != self.me
            && self.table.is_newer(id, record.sequence())
            && self.table.has_room(id, from)
            && (self.table.get(id).is_some() || self.table.has_place(first, group));
        if !is_news || !self.table.insert(now, id, from, &mut self.out) {
            return Ok((id, false));
        }
        let is_taken = self.table.update_record(record, addresses);
        self.table.place_new(id, group);
        Ok((id, is_taken))
    }

    /// Hints that may be dialled now.
    pub(super) fn hints_now(&self, now: Instant) -> impl Iterator<Item = SocketAddr> {
        let waiting =
            move |hint: &&Hint| hint.backoff.not_before() <= now && self.may_dial_hint(hint);
        self.hints.iter().filter(waiting).map(|hint| hint.address)
    }

    /// Dials at most `count` hints while peers are wanted. One of them comes before the known peers
    /// while there is no peer at all: what is known may be long gone. The others come after.
    pub(super) fn dial_hints(&mut self, now: Instant, count: usize) {
        let mut due: Vec<_> = self.hints_now(now).collect();
        self.rng.shuffle(&mut due);
        for address in due.into_iter().take(count) {
            if self.may_dial(now) && self.wants_peers(now) {
                self.dial(now, DialTarget { address, id: None });
            }
        }
    }

    /// When hints that are not being dialled may be.
    pub(super) fn hints_due(&self) -> impl Iterator<Item = Instant> {
        let waiting = |hint: &&Hint| self.may_dial_hint(hint);
        let waiting = self.hints.iter().filter(waiting);
        waiting.map(|hint| hint.backoff.not_before())
    }

    fn may_dial_hint(&self, hint: &Hint) -> bool {
        !self.dials.contains_key(&hint.address) && !self.is_banned_address(hint.address.ip())
    }

    /// A dial to an address failed, which may be a hint.
    pub(super) fn on_hint_failed(&mut self, now: Instant, address: SocketAddr) {
        let (base, cap) = (self.config.backoff_base, self.config.backoff_max);
        for hint in self.hints.iter_mut().filter(|h| h.address == address) {
            hint.backoff.on_failure(now, base, cap, &mut self.rng);
        }
        // Who is cut off has no reason to drop anything.
        let is_cut_off = self.connected_count() == 0;
        self.hints
            .retain(|hint| is_cut_off || hint.backoff.failures() < HINT_FAILURES_MAX);
    }

    /// Somebody answered at an address, which may be a hint: from now on it is known by its ID.
    pub(super) fn on_hint_answered(&mut self, now: Instant, address: SocketAddr, peer: NodeId) {
        let Some(at) = self.hints.iter().position(|hint| hint.address == address) else {
            return;
        };
        let hint = self.hints.swap_remove(at);
        if peer != self.me {
            let source = PeerSource::Hint(hint.source);
            self.table.insert(now, peer, source, &mut self.out);
            self.table.add_address(peer, address);
        }
    }

    /// Whether an address needs no hint any more: it is ours, configured, hinted at, or that of a link
    /// or of a known peer.
    fn is_known_place(&self, address: SocketAddr) -> bool {
        self.config.listen.contains(&address)
            || self.hints.iter().any(|hint| hint.address == address)
            || self.bootstraps.iter().any(|b| b.address == address)
            || self.live.values().any(|live| live.remote() == address)
            || self
                .table
                .iter()
                .any(|(_, e)| e.addresses.contains(&address))
    }
}

/// Whether something can listen there.
pub(super) fn is_place(address: SocketAddr) -> bool {
    address.port() != 0 && Scope::of(address.ip()).is_some()
}
