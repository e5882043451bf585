//! Bans: by whom they are pronounced here, an operator.

use dunlin_overlay::DisconnectReason;
use dunlin_session::NodeId;

use super::Operations;
use crate::control::model::{Ban, BanList, BanRequest, Changed, Problem};
use crate::control::records::reason_words;
use crate::control::snapshot::{Snapshot, whole_id};

impl Operations {
    /// The bans in force.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn bans(&self) -> Result<BanList, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let banned = snapshot.peers.iter().filter_map(|peer| {
            peer.banned_until.map(|until| Ban {
                subject: peer.id.to_string(),
                until: snapshot.time(until),
                reason: reason_words(peer.reason),
            })
        });
        Ok(BanList {
            bans: banned.collect(),
        })
    }

    /// Bans a peer: it is told, and neither dialled nor let in until the ban ends.
    ///
    /// # Errors
    /// No such peer, or several.
    pub async fn ban(&self, wish: BanRequest) -> Result<Changed, Problem> {
        let id = self.subject(&wish.subject).await?;
        self.node
            .with_overlay(move |overlay, now| overlay.disconnect(now, id, DisconnectReason::Banned))
            .await
            .ok_or_else(Problem::stopping)?;
        Ok(Changed {
            subject: id.to_string(),
            changed: true,
        })
    }

    /// Ends a ban.
    ///
    /// # Errors
    /// No such peer, or several.
    pub async fn unban(&self, text: &str) -> Result<Changed, Problem> {
        let id = self.subject(text).await?;
        let was_banned = self.node.with_overlay(move |overlay, now| {
            let was = overlay
                .peers()
                .any(|peer| peer.id == id && peer.banned_until.is_some());
            overlay.unban(now, id);
            was
        });
        Ok(Changed {
            subject: id.to_string(),
            changed: was_banned.await.ok_or_else(Problem::stopping)?,
        })
    }

    /// A known peer, or a whole ID of one that is not known.
    async fn subject(&self, text: &str) -> Result<NodeId, Problem> {
        if let Some(id) = whole_id(text) {
            return Ok(id);
        }
        let snapshot = Snapshot::take(&self.node).await?;
        snapshot.find(text).map(|peer| peer.id)
    }
}
