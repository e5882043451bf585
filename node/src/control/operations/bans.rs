//! Bans: by whom they are pronounced here, an operator.

use std::time::Duration;

use dunlin_overlay::saved::BanSubject;

use super::Operations;
use crate::control::limits::BAN_DEFAULT;
use crate::control::model::{Ban, BanList, BanRequest, Changed, Code, Problem};
use crate::control::records::time;
use crate::control::snapshot::Snapshot;

/// The reason of a ban for which none was given.
const NO_REASON: &str = "the operator banned it";

impl Operations {
    /// The bans in force.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn bans(&self) -> Result<BanList, Problem> {
        let bans = self.node.with_overlay(|overlay, _| overlay.saved_bans());
        let bans = bans.await.ok_or_else(Problem::stopping)?;
        let shown = bans.into_iter().map(|ban| Ban {
            subject: ban.subject.to_string(),
            since: time(ban.since),
            until: time(ban.until),
            reason: ban.reason,
        });
        Ok(BanList {
            bans: shown.collect(),
        })
    }

    /// Bans a peer, an address or a range: it is told, and neither dialled nor let in until the ban
    /// ends. A ban that is there already is replaced.
    ///
    /// # Errors
    /// No such peer, or several; this node itself, or what is on the allow list.
    pub async fn ban(&self, wish: BanRequest) -> Result<Changed, Problem> {
        let subject = self.subject(&wish.subject).await?;
        let duration = wish.duration_s.map_or(BAN_DEFAULT, Duration::from_secs);
        let reason = wish.reason.unwrap_or_else(|| NO_REASON.to_owned());
        let banned = self
            .node
            .with_overlay(move |overlay, now| overlay.ban(now, subject, duration, &reason));
        if !banned.await.ok_or_else(Problem::stopping)? {
            return Err(Problem::new(
                Code::Refused,
                format!("{subject} is this node itself or on its allow list; nothing was banned"),
            ));
        }
        Ok(Changed {
            subject: subject.to_string(),
            changed: true,
            is_only_in_memory: !self.settle().await,
        })
    }

    /// Ends a ban.
    ///
    /// # Errors
    /// No such peer, or several.
    pub async fn unban(&self, text: &str) -> Result<Changed, Problem> {
        let subject = self.subject(text).await?;
        let was_banned = self
            .node
            .with_overlay(move |overlay, now| overlay.unban(now, subject));
        let changed = was_banned.await.ok_or_else(Problem::stopping)?;
        Ok(Changed {
            subject: subject.to_string(),
            changed,
            is_only_in_memory: !self.settle().await,
        })
    }

    /// An address, a range, a whole ID, or the abbreviated one of a known peer.
    async fn subject(&self, text: &str) -> Result<BanSubject, Problem> {
        match text.parse::<BanSubject>() {
            Ok(subject) => Ok(subject),
            // A slash is in no ID: it was meant as a range, and its mistake is the one to tell.
            Err(error) if text.contains('/') => {
                Err(Problem::new(Code::BadRequest, error.to_string()))
            }
            Err(_) => {
                let snapshot = Snapshot::take(&self.node).await?;
                snapshot.find(text).map(|peer| BanSubject::Peer(peer.id))
            }
        }
    }
}
