//! What counts for and against peers, and what follows from it.
//!
//! The other files report here what they saw; here it becomes evidence ([`crate::reputation`]), an event,
//! and, below a threshold, a consequence: who may not relay is *barred* (nobody's parent, announced to,
//! not followed when it claims to be faster), who falls further is disconnected or banned.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use super::banning::Verdict;
use crate::Instant;
use crate::error::PeerViolation;
use crate::event::{Event, LinkEndCause};
use crate::gossip::mask::Slot;
use crate::gossip::neighbours::Neighbour;
use crate::limits::TREE_ORIGINS_MAX;
use crate::peers::state::StateReason;
use crate::reputation::evidence::{self, Component, Evidence, Interaction};
use crate::reputation::standing::Standing;
use crate::reputation::{Reputation, ReputationConfig};
use crate::saved::{BanSubject, SavedReputation};
use crate::types::{BroadcastId, DisconnectReason};

/// In how many trees a neighbour has which place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TreePlaces {
    /// Origins whose broadcasts come from it.
    pub parent: usize,
    /// Origins whose broadcasts are pushed to it.
    pub pushed: usize,
}

impl Overlay {
    /// What is known of a peer's conduct; `None`: it was never met, and counts as a newcomer.
    #[must_use]
    pub fn reputation(&self, peer: NodeId) -> Option<Reputation> {
        self.reputations.view(&peer)
    }

    /// What is known of all peers' conduct, by ID.
    pub fn reputations(&self) -> impl Iterator<Item = Reputation> {
        self.reputations.views()
    }

    /// The `count` most trusted peers, the best first; of equals the one with the higher score, then
    /// the lower ID.
    #[must_use]
    pub fn top_peers(&self, count: usize) -> Vec<Reputation> {
        let mut all: Vec<Reputation> = self.reputations.views().collect();
        all.sort_by(|a, b| {
            let order = b.trust.total_cmp(&a.trust).then(b.score.cmp(&a.score));
            order.then(a.peer.cmp(&b.peer))
        });
        all.truncate(count);
        all
    }

    /// The application says how a peer behaved: in what, whether well, and how much it matters, 0 to 1
    /// (a number outside is cut, one that is none is ignored). A failure of severity 1 weighs as much as
    /// a broken rule of the protocol. From the first report on [`Interaction::Consensus`] on, that
    /// component counts for all peers.
    pub fn report_conduct(
        &mut self,
        now: Instant,
        peer: NodeId,
        interaction: Interaction,
        success: bool,
        severity: f64,
    ) {
        if severity.is_nan() || peer == self.me {
            return;
        }
        let severity = severity.clamp(0.0, 1.0);
        if interaction == Interaction::Consensus {
            self.reputations.count_consensus();
        }
        let (favour, against) = match success {
            true => (severity, 0.0),
            false => (0.0, severity * evidence::FAULT),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the range"
        )]
        let evidence = Evidence::Reported {
            interaction,
            success,
            severity: (severity * 100.0) as u8,
        };
        let component = interaction.component();
        self.weigh(now, peer, component, (favour, against), evidence);
        self.weigh_trust(peer, success, severity);
        self.enforce(now, peer, !success);
    }

    /// The same by another name, as seed D has it.
    pub fn update(
        &mut self,
        now: Instant,
        peer: NodeId,
        interaction: Interaction,
        success: bool,
        severity: f64,
    ) {
        self.report_conduct(now, peer, interaction, success, severity);
    }

    /// In how many trees a neighbour has which place here; that of its own broadcasts is not counted.
    #[must_use]
    pub fn tree_places(&self, peer: NodeId) -> TreePlaces {
        let Some(neighbour) = self.gossip.neighbours.get(&peer) else {
            return TreePlaces::default();
        };
        let mut places = TreePlaces::default();
        for (origin, tree) in self.gossip.origins.iter() {
            if origin != peer {
                places.parent += usize::from(tree.parent == Some(neighbour.slot));
                let is_pushed = !tree.lazy.has(neighbour.slot) && !neighbour.is_barred;
                places.pushed += usize::from(is_pushed && neighbour.takes_broadcasts());
            }
        }
        places
    }

    /// All that is to outlive this process.
    pub fn saved_reputations(&self, now: Instant) -> impl Iterator<Item = SavedReputation> {
        let at = self.unix_millis(now);
        self.reputations
            .iter()
            .map(move |(peer, standing)| SavedReputation {
                peer,
                evidence: standing.all_evidence(),
                trust: standing.own_trust(),
                at,
            })
    }

    /// Takes back what an earlier process saved. Evidence fades for the time that has passed since; a
    /// value out of its range is left out, and so is a peer that was met meanwhile.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as the other forms of what is saved"
    )]
    pub fn restore_reputation(&mut self, now: Instant, saved: SavedReputation) {
        let millis = self.unix_millis(now).saturating_sub(saved.at);
        let hours = millis / 3_600_000;
        let config = *self.reputations.config();
        let SavedReputation {
            peer,
            evidence,
            trust,
            ..
        } = saved;
        if let Some(standing) = Standing::restored(now, evidence, trust, hours, &config) {
            self.reputations.restore(peer, standing);
        }
    }

    /// Counts evidence, and tells of it when the score moves or something counts against the peer.
    pub(super) fn weigh(
        &mut self,
        now: Instant,
        peer: NodeId,
        component: Component,
        (favour, against): (f64, f64),
        evidence: Evidence,
    ) {
        let before = self.reputations.score(&peer);
        let live = &self.live;
        let standing = self
            .reputations
            .meet(now, peer, |peer| live.contains_key(peer));
        standing.add(component, favour, against);
        let after = self.reputations.score(&peer);
        if before != after || against >= 1.0 {
            self.out.event(Event::ScoreChanged {
                peer,
                component,
                from: before,
                to: after,
                evidence,
            });
        }
        self.bar_or_admit(peer);
    }

    pub(super) fn weigh_trust(&mut self, peer: NodeId, success: bool, severity: f64) {
        if let Some(standing) = self.reputations.get_mut(&peer) {
            standing.change_trust(success, severity);
        }
    }

    /// Takes a neighbour's places when it may not relay any more, and lets it have some when it may
    /// again.
    fn bar_or_admit(&mut self, peer: NodeId) {
        let may_relay = self.reputations.may_relay(&peer);
        let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) else {
            return;
        };
        let was_barred = core::mem::replace(&mut neighbour.is_barred, !may_relay);
        let slot = neighbour.slot;
        if was_barred && may_relay {
            neighbour.conduct.suspend();
        }
        if !may_relay && !was_barred {
            self.counters.barred += 1;
            self.dismiss(peer, slot);
        }
    }

    /// Whether a neighbour may be a parent. One that is gone harms nobody.
    pub(super) fn may_be_parent(&self, peer: &NodeId) -> bool {
        let neighbour = self.gossip.neighbours.get(peer);
        neighbour.is_none_or(Neighbour::may_be_parent)
    }

    /// A neighbour that is barred or suspended is no parent any more, and told to announce instead of
    /// pushing. Who gets its places is watched: where one fails others may.
    pub(super) fn dismiss(&mut self, peer: NodeId, slot: Slot) {
        let children: Vec<NodeId> = self.gossip.origins.of_parent(slot).collect();
        let heirs = self.on_slot_lost(slot);
        self.gossip.neighbours.watch(&heirs);
        for some in children.chunks(TREE_ORIGINS_MAX) {
            self.send_tree(peer, some, &[]);
        }
    }

    /// Disconnects or bans whose score is past the threshold, and bans who has done too much that is
    /// proven. That is for new faults: after a ban a peer may come back, and the next fault ends it.
    fn enforce(&mut self, now: Instant, peer: NodeId, is_news: bool) {
        let ReputationConfig {
            auto_disconnect,
            auto_ban,
            ..
        } = *self.reputations.config();
        let Some(standing) = self.reputations.get(&peer) else {
            return;
        };
        let is_at_fault = is_news && standing.is_at_fault();
        let score = self.reputations.score(&peer);
        if is_at_fault || score < auto_ban {
            self.ban_for_score(now, peer);
        } else if score < auto_disconnect && self.live.contains_key(&peer) {
            self.disconnect(now, peer, DisconnectReason::ProtocolViolation);
        }
    }

    fn ban_for_score(&mut self, now: Instant, peer: NodeId) {
        let score = self.reputations.score(&peer);
        let verdict = Verdict {
            why: StateReason::BannedForScore,
            reason: &format!("its conduct: {score} of 100"),
            goodbye: DisconnectReason::Banned,
        };
        let duration = self.config.violation_ban_duration;
        self.ban_for(now, BanSubject::Peer(peer), duration, &verdict);
    }

    /// A peer is connected: what is remembered of it holds again.
    pub(super) fn on_conduct_known(&mut self, now: Instant, peer: NodeId) {
        let live = &self.live;
        self.reputations
            .meet(now, peer, |peer| live.contains_key(peer));
        // A new link ends no suspension.
        if self.reputations.has_failed(&peer)
            && let Some(neighbour) = self.gossip.neighbours.get_mut(&peer)
        {
            neighbour.conduct.suspend();
        }
        self.bar_or_admit(peer);
        self.enforce(now, peer, false);
    }

    /// A proven fault of a peer, over its own link.
    pub(super) fn note_violation(&mut self, now: Instant, peer: NodeId, violation: PeerViolation) {
        let evidence = Evidence::Violation(violation);
        self.note_fault(now, peer, evidence);
        // Who brings a forgery has not brought the broadcast.
        if violation == PeerViolation::BroadcastSignature
            && let Some(neighbour) = self.gossip.neighbours.get_mut(&peer)
        {
            neighbour.conduct.on_broken(now);
        }
    }

    /// A peer signed what the application rejects.
    pub(super) fn note_rejected(&mut self, now: Instant, origin: NodeId, id: BroadcastId) {
        if origin != self.me {
            self.note_fault(now, origin, Evidence::SignedInvalid(id));
            self.enforce(now, origin, true);
        }
    }

    fn note_fault(&mut self, now: Instant, peer: NodeId, evidence: Evidence) {
        let weight = (0.0, evidence::FAULT);
        self.weigh(now, peer, Component::Validity, weight, evidence);
        self.weigh_trust(peer, false, 1.0);
    }

    /// Whether a peer's faults, on whatever links, are past what is tolerated.
    pub(super) fn is_at_fault(&self, peer: &NodeId) -> bool {
        let standing = self.reputations.get(peer);
        standing.is_some_and(Standing::is_at_fault)
    }

    /// A ping was answered.
    pub(super) fn note_answer(&mut self, now: Instant, peer: NodeId, rtt: Duration) {
        let share = evidence::latency_share(rtt) * evidence::PING;
        let weight = (share, evidence::PING - share);
        let evidence = Evidence::Answered(rtt);
        self.weigh(now, peer, Component::Latency, weight, evidence);
        let weight = (evidence::PING, 0.0);
        self.weigh(now, peer, Component::Uptime, weight, evidence);
    }

    /// A ping was not.
    pub(super) fn note_unanswered(&mut self, now: Instant, peer: NodeId) {
        let weight = (0.0, evidence::LINK_LOST);
        self.weigh(now, peer, Component::Latency, weight, Evidence::Unanswered);
    }

    /// A peer fell silent.
    pub(super) fn note_silence(&mut self, now: Instant, peer: NodeId) {
        let weight = (0.0, evidence::LINK_LOST / 2.0);
        self.weigh(now, peer, Component::Uptime, weight, Evidence::Silent);
    }

    /// A link is over without a goodbye.
    pub(super) fn note_link_lost(&mut self, now: Instant, peer: NodeId, cause: LinkEndCause) {
        if cause == LinkEndCause::ClosedLocally {
            return;
        }
        let weight = (0.0, evidence::LINK_LOST);
        let evidence = Evidence::LinkLost(cause);
        self.weigh(now, peer, Component::Uptime, weight, evidence);
    }
}
