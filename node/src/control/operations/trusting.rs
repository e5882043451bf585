//! The conduct of peers, and whom they say that they trust.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_overlay::Reputation;
use dunlin_session::NodeId;

use super::Operations;
use crate::control::model::{
    Code, EventList, Problem, Statement, Statements, TrustEntry, TrustList,
};
use crate::control::snapshot::{Snapshot, reputation, status};

/// How long a peer may take to say whom it trusts.
const PATIENCE: Duration = Duration::from_secs(10);

impl Operations {
    /// What is known of the conduct of peers, the best first.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn trust(&self) -> Result<TrustList, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let known = self.reputations().await?;
        let mut peers: Vec<TrustEntry> = snapshot
            .peers
            .iter()
            .map(|peer| {
                let of = known.get(&peer.id);
                TrustEntry {
                    id: peer.id.to_string(),
                    status: status(peer.state),
                    reputation_score: reputation(peer),
                    trust: Some(peer.trust),
                    own_trust: of.map(|of| of.own_trust),
                    may_relay: of.is_none_or(|of| of.may_relay),
                    first_deliveries: peer.counters.first_deliveries,
                    promises_broken: peer.counters.promises_broken,
                }
            })
            .collect();
        peers.sort_by(|one, other| {
            let trust = |peer: &TrustEntry| peer.trust.unwrap_or_default();
            let by_trust = trust(other).total_cmp(&trust(one));
            by_trust.then(other.reputation_score.cmp(&one.reputation_score))
        });
        Ok(TrustList { peers })
    }

    /// The last events that concern the trust in peers.
    pub async fn trust_events(&self, count: usize) -> EventList {
        const KINDS: [&str; 5] = [
            "peer_violation",
            "broadcast_rejected",
            "score_changed",
            "banned",
            "unbanned",
        ];
        let recent = self.recent(usize::MAX, |kind| KINDS.contains(&kind)).events;
        let mut events = self.before(&recent, None).await;
        events.retain(|event| KINDS.contains(&event.kind.as_str()));
        events.extend(recent);
        events.drain(..events.len().saturating_sub(count));
        EventList { events }
    }

    /// Asks a connected peer whom it trusts, and waits for what it says.
    ///
    /// # Errors
    /// No such peer, one that is not connected, or one that says nothing.
    pub async fn ask_trusted(&self, text: &str) -> Result<Statements, Problem> {
        let peer = Snapshot::take(&self.node).await?.find(text)?.id;
        // Before it is asked, so that its answer is not missed.
        let stated = self.waiting.for_statements(peer);
        self.node
            .with_overlay(move |overlay, now| overlay.request_trusted_peers(now, peer))
            .await
            .ok_or_else(Problem::stopping)??;
        let stated = tokio::time::timeout(PATIENCE, stated).await;
        let Ok(Ok(stated)) = stated else {
            return Err(Problem::new(
                Code::Unreachable,
                format!(
                    "{peer} has not said whom it trusts; it answers six such questions a minute: ask again later"
                ),
            ));
        };
        let known = self.reputations().await?;
        let trusted = stated.into_iter().map(|(id, permille)| Statement {
            id: id.to_string(),
            stated: f64::from(permille) / 1_000.0,
            trust: known.get(&id).map(|of| of.trust),
            own_trust: known.get(&id).map(|of| of.own_trust),
        });
        Ok(Statements {
            peer: peer.to_string(),
            trusted: trusted.collect(),
        })
    }

    /// What is known of the conduct of all that were met.
    async fn reputations(&self) -> Result<BTreeMap<NodeId, Reputation>, Problem> {
        let known = self.node.with_overlay(|overlay, _| {
            let all = overlay.reputations();
            all.map(|of| (of.peer, of)).collect()
        });
        known.await.ok_or_else(Problem::stopping)
    }
}
