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
use crate::limits::{AUDIT_EVERY, TREE_ORIGINS_MAX};
use crate::peers::state::StateReason;
use crate::reputation::evidence::{self, Component, Evidence, Interaction};
use crate::reputation::standing::Standing;
use crate::reputation::{Reputation, ReputationConfig};
use crate::saved::{BanSubject, SavedReputation};
use crate::types::{BroadcastId, DisconnectReason, ShortId};
use crate::wire::{Message, Want, joined_ids};

/// A neighbour that served so lately need not be tested.
const SEEN_LATELY: Duration = Duration::from_secs(10);
/// Larger broadcasts are not asked for twice.
const AUDIT_LEN_MAX: usize = 2_048;

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
    fn weigh(
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
        self.bar_or_admit(now, peer);
    }

    fn weigh_trust(&mut self, peer: NodeId, success: bool, severity: f64) {
        if let Some(standing) = self.reputations.get_mut(&peer) {
            standing.change_trust(success, severity);
        }
    }

    /// Takes a neighbour's places when it may not relay any more, and lets it have some when it may
    /// again.
    fn bar_or_admit(&mut self, now: Instant, peer: NodeId) {
        let may_relay = self.reputations.may_relay(&peer);
        let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) else {
            return;
        };
        let was_barred = core::mem::replace(&mut neighbour.is_barred, !may_relay);
        let slot = neighbour.slot;
        if !may_relay && !was_barred {
            self.counters.barred += 1;
            self.dismiss(now, peer, slot);
        }
    }

    /// Whether a neighbour may neither be a parent nor be pushed to.
    pub(super) fn is_barred(&self, peer: &NodeId) -> bool {
        let neighbour = self.gossip.neighbours.get(peer);
        neighbour.is_some_and(|neighbour| neighbour.is_barred)
    }

    /// A barred neighbour is no parent any more, and told to announce instead of pushing.
    fn dismiss(&mut self, now: Instant, peer: NodeId, slot: Slot) {
        let children: Vec<NodeId> = self.gossip.origins.of_parent(slot).collect();
        self.on_slot_lost(now, slot);
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
        self.bar_or_admit(now, peer);
        self.enforce(now, peer, false);
    }

    /// A proven fault of a peer, over its own link.
    pub(super) fn note_violation(&mut self, now: Instant, peer: NodeId, violation: PeerViolation) {
        let evidence = Evidence::Violation(violation);
        self.note_fault(now, peer, evidence);
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

    /// A neighbour leaves: what it did in this heartbeat still counts.
    pub(super) fn close_conduct(&mut self, now: Instant, peer: NodeId) {
        self.count_heartbeat(now, peer);
    }

    /// Counts what neighbours did in the heartbeat that ends.
    pub(super) fn count_heartbeats(&mut self, now: Instant) {
        let peers: Vec<NodeId> = self
            .gossip
            .neighbours
            .iter()
            .map(|(peer, _)| peer)
            .collect();
        for peer in peers {
            self.count_heartbeat(now, peer);
        }
    }

    fn count_heartbeat(&mut self, now: Instant, peer: NodeId) {
        let neighbour = self.gossip.neighbours.get_mut(&peer);
        let heartbeat = neighbour.and_then(|neighbour| neighbour.end_heartbeat());
        let Some(heartbeat) = heartbeat else {
            return;
        };
        let weight = (heartbeat.favour, heartbeat.against);
        self.weigh(now, peer, Component::Relay, weight, heartbeat.evidence);
        let (worst, served) = (evidence::BROKEN, heartbeat.against <= 0.0);
        let severity = if served {
            0.2
        } else {
            heartbeat.against / worst / 2.0
        };
        self.weigh_trust(peer, served, severity);
    }

    /// A broadcast that is new came from `peer`. `asked`: who was asked for it last, and whether because
    /// the tree had not brought it.
    pub(super) fn note_news(
        &mut self,
        now: Instant,
        peer: NodeId,
        origin: NodeId,
        asked: Option<(Option<NodeId>, bool)>,
    ) -> Option<Slot> {
        self.gossip.audits.on_news();
        let weight = (evidence::VALID, 0.0);
        let valid = Evidence::ValidBroadcast;
        self.weigh(now, peer, Component::Validity, weight, valid);
        let asked_of = asked.and_then(|(of, _)| of);
        let neighbours = &mut self.gossip.neighbours;
        if (asked_of.is_none() || asked_of == Some(peer))
            && let Some(neighbour) = neighbours.get_mut(&peer)
        {
            neighbour.conduct.on_brought(now);
        }
        let was_missed = asked.is_some_and(|(of, grafts)| of.is_some() && grafts);
        let tree = self.gossip.origins.get_mut(&origin)?;
        // Of an origin at its rate the parent may have had to drop some.
        let is_owed = was_missed && !tree.is_strained(now);
        let parent = tree.parent.filter(|_| is_owed)?;
        let culprit = neighbours.holder(parent).filter(|&of| of != peer)?;
        let neighbour = neighbours.get_mut(&culprit)?;
        if neighbour.is_silent() || neighbour.is_spent(now) {
            return None;
        }
        neighbour.conduct.on_withheld(now);
        Some(parent)
    }

    /// The parent that was blamed for a broadcast turns out to have lacked it as well.
    pub(super) fn excuse(&mut self, peer: NodeId, key: ShortId) {
        let gossip = &mut self.gossip;
        let neighbour = gossip.neighbours.get_mut(&peer);
        if let (Some(held), Some(neighbour)) = (gossip.store.get_mut(&key), neighbour)
            && held.blamed == Some(neighbour.slot)
        {
            held.blamed = None;
            neighbour.conduct.on_excused();
        }
    }

    /// So it does when its copy comes soon after: it had to fetch it, as we had.
    pub(super) fn excuse_if_soon(&mut self, now: Instant, peer: NodeId, key: ShortId) {
        let held = self.gossip.store.get(&key);
        let patience = self.config.graft_after;
        if held.is_some_and(|held| now < held.arrived + patience) {
            self.excuse(peer, key);
        }
    }

    /// Peers were asked for what they had announced, and have not brought it.
    pub(super) fn note_broken(&mut self, now: Instant, peers: impl IntoIterator<Item = NodeId>) {
        for peer in peers {
            self.counters.promises_broken += 1;
            let mut is_strained = false;
            if let Some(live) = self.live.get_mut(&peer) {
                live.counters.promises_broken += 1;
                is_strained = live.meter.is_strained(now);
            }
            if !is_strained
                && let Some(neighbour) = self.gossip.neighbours.get_mut(&peer)
                && !neighbour.is_silent()
                && !neighbour.is_spent(now)
            {
                neighbour.conduct.on_broken(now);
            }
        }
    }

    /// A further copy came; if it was asked for as a test, the test is passed.
    pub(super) fn is_audit(&mut self, now: Instant, peer: NodeId, key: ShortId) -> bool {
        let is_audit = self.gossip.audits.on_copy(&key, peer);
        if is_audit && let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
            neighbour.conduct.on_brought(now);
        }
        is_audit
    }

    /// A neighbour announces what is here: perhaps it is asked whether it would bring it.
    pub(super) fn audit_perhaps(&mut self, now: Instant, peer: NodeId, key: ShortId) {
        let gossip = &mut self.gossip;
        if !gossip.audits.may_begin() {
            return;
        }
        let is_short = |len: usize| len <= AUDIT_LEN_MAX;
        let held = gossip.store.get(&key).map(|held| held.message.len());
        let neighbour = gossip.neighbours.get(&peer);
        let (Some(len), Some(neighbour)) = (held, neighbour) else {
            return;
        };
        let lately = neighbour.conduct.relied_at;
        let is_known = lately.is_some_and(|at| now < at + SEEN_LATELY);
        // Of whom much is known, nothing is learnt by one more.
        let is_proven = self.reputations.relay_evidence(&peer) > f64::from(AUDIT_EVERY);
        let patience = self.config.want_timeout;
        let begins = is_short(len) && !is_known && !is_proven;
        if begins && gossip.audits.begin(now, key, peer, patience) {
            self.counters.audits += 1;
            let ids = joined_ids(&[key]);
            let want = Want {
                ids: &ids,
                graft: false,
            };
            self.send_message(peer, &Message::Want(want));
            self.note_question(now, peer);
        }
    }

    /// Tests that were not passed.
    pub(super) fn expire_audits(&mut self, now: Instant) {
        if self
            .gossip
            .audits
            .next_deadline()
            .is_some_and(|due| due <= now)
        {
            let late = self.gossip.audits.overdue(now);
            self.note_broken(now, late);
        }
    }

    /// A neighbour said something of broadcasts.
    pub(super) fn on_word(&mut self, peer: &NodeId) {
        if let Some(neighbour) = self.gossip.neighbours.get_mut(peer) {
            neighbour.conduct.on_word();
        }
    }
}
