//! The standings of all peers that were met: bounded, and the worst are forgotten last.
//!
//! They are kept by node ID and outlive links. One more than [`REPUTATIONS_MAX`] takes the place of the
//! peer without a link of which least is known against, then for it. So who misbehaved cannot be made
//! forgotten by strangers; a friend who is forgotten becomes a stranger, which costs little.

use std::collections::BTreeMap;

use dunlin_session::NodeId;

use super::policy::ReputationConfig;
use super::standing::{Reputation, Standing};
use crate::Instant;
use crate::limits::REPUTATIONS_MAX;

/// All standings.
pub(crate) struct Reputations {
    config: ReputationConfig,
    entries: BTreeMap<NodeId, Standing>,
    /// An application has reported on consensus: from then on that component counts.
    counts_consensus: bool,
}

impl Reputations {
    /// None yet.
    pub(crate) fn new(config: ReputationConfig) -> Self {
        Self {
            config,
            entries: BTreeMap::new(),
            counts_consensus: false,
        }
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// From now on consensus counts.
    pub(crate) fn count_consensus(&mut self) {
        self.counts_consensus = true;
    }

    /// The settings.
    pub(crate) const fn config(&self) -> &ReputationConfig {
        &self.config
    }

    /// The standing of a peer.
    pub(crate) fn get(&self, peer: &NodeId) -> Option<&Standing> {
        self.entries.get(peer)
    }

    /// The standing of a peer that is already known.
    pub(crate) fn get_mut(&mut self, peer: &NodeId) -> Option<&mut Standing> {
        self.entries.get_mut(peer)
    }

    /// The standing of a peer, a newcomer's if it is not known; `has_link` says who must stay.
    pub(crate) fn meet(
        &mut self,
        now: Instant,
        peer: NodeId,
        has_link: impl Fn(&NodeId) -> bool,
    ) -> &mut Standing {
        if !self.entries.contains_key(&peer) {
            self.make_room(has_link);
        }
        let config = &self.config;
        let standing = self
            .entries
            .entry(peer)
            .or_insert_with(|| Standing::new(now, config));
        standing.fade(now, config);
        standing
    }

    /// Takes a standing from a store; one that is known already is not replaced.
    pub(crate) fn restore(&mut self, peer: NodeId, standing: Standing) {
        if self.entries.len() < REPUTATIONS_MAX {
            self.entries.entry(peer).or_insert(standing);
        }
    }

    fn make_room(&mut self, has_link: impl Fn(&NodeId) -> bool) {
        if self.entries.len() < REPUTATIONS_MAX {
            return;
        }
        let sums = |standing: &Standing| {
            let all = standing.all_evidence();
            let sum = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>();
            (sum(|e| e.1), sum(|e| e.0))
        };
        let victim = self
            .entries
            .iter()
            .filter(|(peer, _)| !has_link(peer))
            .min_by(|(_, a), (_, b)| {
                let ((a_against, a_for), (b_against, b_for)) = (sums(a), sums(b));
                a_against
                    .total_cmp(&b_against)
                    .then(a_for.total_cmp(&b_for))
            })
            .map(|(&peer, _)| peer);
        if let Some(victim) = victim {
            self.entries.remove(&victim);
        }
    }

    /// The score of a peer; of one that is not known, a newcomer's.
    pub(crate) fn score(&self, peer: &NodeId) -> u8 {
        let newcomer = Standing::new(Instant::ZERO, &self.config);
        let standing = self.entries.get(peer).unwrap_or(&newcomer);
        standing.score(&self.config, self.counts_consensus)
    }

    /// Whether a peer may be a parent and is pushed to.
    pub(crate) fn may_relay(&self, peer: &NodeId) -> bool {
        let standing = self.entries.get(peer);
        standing.is_none_or(|standing| standing.may_relay(&self.config, self.counts_consensus))
    }

    /// Whether a peer failed when it was relied upon, so that it stands below a newcomer.
    pub(crate) fn has_failed(&self, peer: &NodeId) -> bool {
        self.entries.get(peer).is_some_and(Standing::has_failed)
    }

    /// Whether a peer has ever brought what it was relied upon for.
    pub(crate) fn has_served(&self, peer: &NodeId) -> bool {
        self.entries.get(peer).is_some_and(Standing::has_served)
    }

    /// Whether a peer has brought what it was relied upon for, and has not failed lately.
    pub(crate) fn has_proven_itself(&self, peer: &NodeId) -> bool {
        let standing = self.entries.get(peer);
        standing.is_some_and(Standing::has_proven_itself)
    }

    /// What is shown of a peer.
    pub(crate) fn view(&self, peer: &NodeId) -> Option<Reputation> {
        let standing = self.entries.get(peer)?;
        let initial = self.config.initial_trust();
        let trust_in = |author: &NodeId| {
            self.entries
                .get(author)
                .map_or(initial, Standing::own_trust)
        };
        let hearsay = standing.hearsay.sum(trust_in, initial);
        Some(standing.view(*peer, &self.config, self.counts_consensus, hearsay))
    }

    /// All of them, by ID.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Standing)> {
        self.entries
            .iter()
            .map(|(&peer, standing)| (peer, standing))
    }

    /// What is shown of all, by ID.
    pub(crate) fn views(&self) -> impl Iterator<Item = Reputation> {
        self.entries.keys().filter_map(|peer| self.view(peer))
    }
}

#[cfg(test)]
mod tests;
