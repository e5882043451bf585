//! Learning of peers from peers: asked for, bounded, signed.
//!
//! An answer counts only when it was asked for. Every record in it is verified before it is kept,
//! and a record is passed on only when its node was connected here and was seen at an address that
//! the record names: what was merely heard of is dialled, not relayed. Addresses that reach less
//! far than the link they came over are not dialled.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::book::Group;
use crate::error::PeerViolation;
use crate::limits::EXCHANGE_RECORDS_MAX;
use crate::peers::live::Live;
use crate::peers::state::PeerState;
use crate::peers::table::{Entry, PeerSource};
use crate::planted::{self, Bug};
use crate::types::Capabilities;
use crate::wire::{
    CheckedRecord, GetPeers, Message, Peers, RecordError, SignedRecord, VerifiedRecord, is_dialable,
};

/// How long after its link ended in peace a peer is still named to others.
const NAMED_FOR: Duration = Duration::from_secs(600);

impl Overlay {
    /// Asks a connected peer for peers, unless a question to it is open or it gives no answers.
    pub(super) fn ask_for_peers(&mut self, now: Instant, peer: NodeId) {
        let id = self.rng.next_u64();
        let deadline = now + self.config.request_timeout;
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        let open = live
            .exchange
            .outstanding
            .is_some_and(|(_, deadline)| deadline > now);
        if open || !live.is_connected() || !live.offers(Capabilities::PEER_EXCHANGE) {
            return;
        }
        live.exchange.outstanding = Some((id, deadline));
        let count = u16::try_from(EXCHANGE_RECORDS_MAX).unwrap_or(u16::MAX);
        self.send_message(peer, &Message::GetPeers(GetPeers { id, count }));
    }

    /// Asks a random peer when it is time.
    pub(super) fn exchange_if_due(&mut self, now: Instant) {
        if self.next_exchange > now {
            return;
        }
        self.next_exchange = now + self.jittered(self.exchange_interval());
        let peers: Vec<_> = self
            .live
            .iter()
            .filter(|(_, l)| l.is_connected())
            .map(|(&peer, _)| peer)
            .collect();
        let choice = self.rng.below(peers.len() as u64);
        let chosen = usize::try_from(choice)
            .ok()
            .and_then(|index| peers.get(index));
        if let Some(&peer) = chosen {
            self.ask_for_peers(now, peer);
        }
    }

    /// Between two questions: short below `min_peers`, long from `target_peers` on, and in proportion
    /// between them.
    pub(super) fn exchange_interval(&self) -> Duration {
        let (low, high) = (
            self.config.exchange_interval_low,
            self.config.exchange_interval,
        );
        let (min, target) = (self.config.min_peers, self.config.target_peers);
        let connected = self.connected_count();
        if connected >= target {
            return high;
        }
        let share = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (above, span) = (connected.saturating_sub(min), target - min);
        low + high.saturating_sub(low) * share(above) / share(span.max(1))
    }

    /// When the next question is due; `None` while there is nobody to ask.
    pub(super) fn next_exchange(&self) -> Option<Instant> {
        (self.connected_count() > 0).then_some(self.next_exchange)
    }

    /// Between three and five quarters of `interval`.
    pub(super) fn jittered(&mut self, interval: Duration) -> Duration {
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX / 2);
        let jitter = self.rng.below(nanos / 2 + 1);
        Duration::from_nanos((nanos - nanos / 4).saturating_add(jitter))
    }

    /// A peer asks for peers.
    pub(super) fn on_get_peers(&mut self, now: Instant, peer: NodeId, question: GetPeers) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        if !live.exchange.answers.take(now, 1) {
            self.counters.exchange_refused += 1;
            return;
        }
        let count = usize::from(question.count).min(EXCHANGE_RECORDS_MAX);
        let chosen = self.sample_records(now, peer, count);
        let records = chosen.iter().map(VerifiedRecord::signed).collect();
        self.send_message(
            peer,
            &Message::Peers(Peers {
                id: question.id,
                records,
            }),
        );
    }

    /// Up to `count` records that may be passed on to `asker`, chosen at random.
    pub(super) fn sample_records(
        &mut self,
        now: Instant,
        asker: NodeId,
        count: usize,
    ) -> Vec<VerifiedRecord> {
        let unix_millis = self.unix_millis(now);
        let was_here = |entry: &Entry| {
            let since = now.saturating_duration_since(entry.touched);
            entry.backoff.failures() == 0 && since <= NAMED_FOR
        };
        let mut ids: Vec<_> = self
            .table
            .iter()
            .filter(|&(id, entry)| {
                id != asker
                    && entry.relayable
                    && (entry.state == PeerState::Connected || was_here(entry))
                    && entry
                        .record
                        .as_ref()
                        .is_some_and(|record| record.is_current(unix_millis))
            })
            .map(|(id, _)| id)
            .collect();
        self.rng.shuffle(&mut ids);
        ids.truncate(count);
        ids.iter()
            .filter_map(|&id| self.table.get(id)?.record.clone())
            .collect()
    }

    /// A peer answers; unasked answers are ignored.
    pub(super) fn on_peers(&mut self, now: Instant, peer: NodeId, answer: &Peers<'_>) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        let asked = |&mut (id, deadline): &mut (u64, Instant)| id == answer.id && deadline > now;
        let unsolicited = live.exchange.outstanding.take_if(asked).is_none();
        if unsolicited && !planted::is(Bug::UnsolicitedPeersBelieved) {
            self.counters.unsolicited += 1;
            return;
        }
        self.learn_records(now, peer, &answer.records);
    }

    /// Verifies records that `from` handed us and keeps those of nodes worth knowing. What would
    /// change nothing is passed over before its signature costs anything.
    pub(super) fn learn_records(
        &mut self,
        now: Instant,
        from: NodeId,
        records: &[SignedRecord<'_>],
    ) {
        let unix_millis = self.unix_millis(now);
        let Some(introducer) = self.live.get(&from).map(Live::remote) else {
            return;
        };
        for signed in records {
            let learned = CheckedRecord::check(signed, &self.config.network, unix_millis)
                .and_then(|record| self.learn_record(now, from, introducer, &record));
            match learned {
                Ok(true) => self.counters.records_learned += 1,
                Ok(false) | Err(RecordError::Time) => self.counters.records_refused += 1,
                Err(RecordError::Malformed | RecordError::Network | RecordError::Signature) => {
                    self.counters.records_refused += 1;
                    return self.on_violation(now, from, PeerViolation::RecordInvalid);
                }
            }
        }
    }

    /// Takes a record in, if it is news, there is room for it and it verifies. True: it did.
    fn learn_record(
        &mut self,
        now: Instant,
        from: NodeId,
        introducer: core::net::SocketAddr,
        record: &CheckedRecord<'_>,
    ) -> Result<bool, RecordError> {
        let (id, source) = (record.id(), PeerSource::Exchange(from));
        let addresses = record.addresses().iter().copied();
        let dialable: Vec<_> = addresses
            .filter(|&address| is_dialable(address, introducer.ip()))
            .collect();
        let is_news = id != self.me
            && !dialable.is_empty()
            && self.table.is_newer(id, record.sequence())
            && self.table.has_room(id, source);
        let group = Group::of(introducer);
        let has_place = |&address: &core::net::SocketAddr| self.table.has_place(address, group);
        let is_known = self.table.get(id).is_some();
        if !is_news || !(is_known || dialable.first().is_some_and(has_place)) {
            return Ok(false);
        }
        let record = record.verify(&*self.signatures)?;
        let known = self.table.insert(now, id, source, &mut self.out);
        if !known || !self.table.update_record(record, dialable) {
            return Ok(false);
        }
        self.table.place_new(id, group);
        // Vouched for again only once it is seen at one of its addresses.
        if let Some(entry) = self.table.get_mut(id)
            && !self.live.contains_key(&id)
        {
            entry.relayable = false;
        }
        Ok(true)
    }
}
