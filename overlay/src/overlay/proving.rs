//! Re-authentication on demand: a peer proves once more that it has the key of its identity.
//!
//! The session does the proof (a signature over fresh randomness and the connection); the overlay says
//! when, and what follows. Who does not prove itself in time is left, not banned: it may only be slow.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::OverlayError;
use crate::event::{Action, Event};
use crate::peers::state::{PeerState, StateReason};
use crate::types::{DisconnectReason, LinkId};

/// A proof so young is as good as a new one; sessions refuse to ask again at once.
const FRESH: Duration = Duration::from_secs(2);

impl Overlay {
    /// Has a connected peer prove its identity again; [`Event::PeerProven`] or the end of its links
    /// follows, the latter after [`crate::OverlayConfig::challenge_timeout`] at most. One that is under
    /// way already goes on.
    ///
    /// # Errors
    /// [`OverlayError::NotConnected`].
    pub fn challenge(&mut self, now: Instant, peer: NodeId) -> Result<(), OverlayError> {
        let deadline = now + self.config.challenge_timeout;
        let live = self.live.get_mut(&peer).filter(|live| live.is_connected());
        let live = live.ok_or(OverlayError::NotConnected(peer))?;
        let is_fresh = |at: Instant| now < at + FRESH;
        if live.proved_at.is_some_and(is_fresh) {
            self.out.event(Event::PeerProven { peer });
        } else if live.challenge.is_none() {
            let link = live.link.id;
            live.challenge = Some((link, deadline));
            self.out.action(Action::ChallengePeer { peer, link });
        }
        Ok(())
    }

    /// What came of an [`Action::ChallengePeer`]: whether the peer has proved itself. Answers that are
    /// not waited for are ignored.
    pub fn handle_challenged(&mut self, now: Instant, peer: NodeId, link: LinkId, is_proven: bool) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        if live.challenge.take_if(|(of, _)| *of == link).is_none() {
            return;
        }
        if is_proven {
            live.proved_at = Some(now);
            self.out.event(Event::PeerProven { peer });
        } else {
            self.on_not_proven(now, peer);
        }
    }

    fn on_not_proven(&mut self, now: Instant, peer: NodeId) {
        self.say_goodbye(peer, DisconnectReason::ProtocolViolation, now);
        let (to, why) = (PeerState::Disconnected, StateReason::NotProven);
        self.drop_live(now, peer, to, why);
    }

    /// Leaves those that did not prove themselves in time.
    pub(super) fn expire_challenges(&mut self, now: Instant) {
        if !self.live.are_due(now) {
            return;
        }
        let is_late = |at: Option<(LinkId, Instant)>| at.is_some_and(|(_, until)| until <= now);
        let late = self.live.iter().filter(|(_, live)| is_late(live.challenge));
        let late: Vec<NodeId> = late.map(|(&peer, _)| peer).collect();
        for peer in late {
            self.on_not_proven(now, peer);
        }
    }
}
