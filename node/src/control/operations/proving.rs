//! Having a peer prove its identity again.

use std::time::Duration;

use super::Operations;
use crate::control::model::{Code, Problem, Proof};
use crate::control::snapshot::Snapshot;

/// Longer than the overlay waits for a proof: then it leaves the peer, which is told here.
const PATIENCE: Duration = Duration::from_secs(30);

impl Operations {
    /// Has a connected peer prove its identity again, and waits until it has.
    ///
    /// # Errors
    /// No such peer, one that is not connected, or one that did not prove itself: that one is left.
    pub async fn challenge(&self, text: &str) -> Result<Proof, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let id = snapshot.find(text)?.id;
        // Before it is asked, so that its answer is not missed.
        let mut events = self.hub.subscribe();
        self.node
            .with_overlay(move |overlay, now| overlay.challenge(now, id))
            .await
            .ok_or_else(Problem::stopping)??;
        let peer = id.to_string();
        let proving = async {
            loop {
                // What was missed is followed by what is still there, and by the limit of time.
                let Ok(event) = events.recv().await else {
                    continue;
                };
                if event.peer.as_ref() != Some(&peer) {
                    continue;
                }
                match event.kind.as_str() {
                    "peer_proven" => return Some(event.time.clone()),
                    "peer_down" => return None,
                    _ => {}
                }
            }
        };
        let proved_at = tokio::time::timeout(PATIENCE, proving).await.ok().flatten();
        let proved_at = proved_at.ok_or_else(|| {
            Problem::new(
                Code::Unreachable,
                format!("{peer} has not proved its identity and is not connected any more; `dunlin peer why {peer}` says what happened"),
            )
        })?;
        Ok(Proof { peer, proved_at })
    }
}
