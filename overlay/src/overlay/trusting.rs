//! What nodes say to each other of the trust they have in third parties.
//!
//! Statements are bounded, rated, and count for little ([`crate::reputation`]); what we say ourselves is
//! our own experience only, so that nothing that is said travels further than one hop.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::OverlayError;
use crate::event::Event;
use crate::limits::TRUST_ENTRIES_MAX;
use crate::planted::{self, Bug};
use crate::reputation::Component;
use crate::wire::{
    Message, TrustUpdate, TrustedPeersRequest, TrustedPeersResponse, joined_trust, trust_entries,
};

impl Overlay {
    /// Asks a connected peer whom it trusts. The answer is [`Event::TrustStatements`], or nothing.
    ///
    /// # Errors
    /// [`OverlayError::NotConnected`].
    pub fn request_trusted_peers(
        &mut self,
        _now: Instant,
        peer: NodeId,
    ) -> Result<(), OverlayError> {
        let id = self.rng.next_u64();
        let neighbour = self.gossip.neighbours.get_mut(&peer);
        let neighbour = neighbour.ok_or(OverlayError::NotConnected(peer))?;
        neighbour.conduct.trust_asked = Some(id);
        let count = u16::try_from(TRUST_ENTRIES_MAX).unwrap_or(u16::MAX);
        let question = TrustedPeersRequest { id, count };
        self.send_message(peer, &Message::TrustedPeersRequest(question));
        Ok(())
    }

    /// Tells every connected peer whom we trust, by our own experience. To how many it went.
    pub fn share_trust(&mut self, _now: Instant) -> usize {
        let peers: Vec<NodeId> = self
            .gossip
            .neighbours
            .iter()
            .map(|(peer, _)| peer)
            .collect();
        for &peer in &peers {
            let entries = joined_trust(&self.trusted_by_us(peer, TRUST_ENTRIES_MAX));
            let update = TrustUpdate { entries: &entries };
            self.send_message(peer, &Message::TrustUpdate(update));
        }
        peers.len()
    }

    /// The peers that we trust most from our own experience, above a stranger; not the one that is told.
    fn trusted_by_us(&self, told: NodeId, count: usize) -> Vec<(NodeId, u16)> {
        let initial = self.reputations.config().initial_trust();
        let mut trusted: Vec<(NodeId, u16)> = self
            .reputations
            .iter()
            .filter(|(peer, standing)| *peer != told && standing.own_trust() > initial)
            .map(|(peer, standing)| (peer, permille(standing.own_trust())))
            .collect();
        trusted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        trusted.truncate(count.min(TRUST_ENTRIES_MAX));
        trusted
    }

    /// Whether one more message about trust is taken of a peer.
    fn admits_trust(&mut self, now: Instant, peer: NodeId) -> bool {
        let neighbour = self.gossip.neighbours.get_mut(&peer);
        let admitted = neighbour.is_some_and(|neighbour| neighbour.conduct.admit_trust(now));
        self.counters.trust_refused += u64::from(!admitted);
        admitted
    }

    /// A peer asks whom we trust.
    pub(super) fn on_trusted_peers_request(
        &mut self,
        now: Instant,
        peer: NodeId,
        question: TrustedPeersRequest,
    ) {
        if self.admits_trust(now, peer) {
            let entries = joined_trust(&self.trusted_by_us(peer, usize::from(question.count)));
            let answer = TrustedPeersResponse {
                id: question.id,
                entries: &entries,
            };
            self.send_message(peer, &Message::TrustedPeersResponse(answer));
        }
    }

    /// A peer answers; what was not asked for is ignored.
    pub(super) fn on_trusted_peers_response(
        &mut self,
        now: Instant,
        peer: NodeId,
        answer: &TrustedPeersResponse<'_>,
    ) {
        let neighbour = self.gossip.neighbours.get_mut(&peer);
        let is_asked = neighbour.is_some_and(|neighbour| {
            let asked = &mut neighbour.conduct.trust_asked;
            asked.take_if(|id| *id == answer.id).is_some()
        });
        if is_asked {
            self.on_statements(now, peer, answer.entries);
        } else {
            self.counters.unsolicited += 1;
        }
    }

    /// A peer says unasked whom it trusts.
    pub(super) fn on_trust_update(&mut self, now: Instant, peer: NodeId, update: &TrustUpdate<'_>) {
        if self.admits_trust(now, peer) {
            self.on_statements(now, peer, update.entries);
        }
    }

    /// Statements of a peer about others: kept of those that we have met, nobody is met by them.
    fn on_statements(&mut self, now: Instant, peer: NodeId, entries: &[u8]) {
        let Some(entries) = trust_entries(entries) else {
            return self.on_malformed_list(now, peer);
        };
        for &(subject, permille) in &entries {
            // Nobody speaks for himself.
            if subject != peer
                && let Some(standing) = self.reputations.get_mut(&subject)
            {
                standing.hearsay.note(peer, permille);
                if planted::is(Bug::HearsayMovesScores) {
                    standing.add(Component::Relay, 0.0, 1.0 - f64::from(permille) / 1000.0);
                }
            }
        }
        self.out.event(Event::TrustStatements { peer, entries });
    }
}

/// 0 to 1 in thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range"
)]
fn permille(share: f64) -> u16 {
    (share * 1000.0 + 0.5).clamp(0.0, 1000.0) as u16
}
