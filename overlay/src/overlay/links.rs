//! Links come up and end; two links to one peer collapse to one.
//!
//! When both sides dial each other at once there are two links. Both ends keep the one whose
//! opener has the lower node ID and close the other after a short linger, so that nothing on its
//! way is lost and no end closes what the other has just chosen. Of two links by the same opener,
//! or when the older link is old (then the peer may have restarted without our noticing), the
//! newer one wins; of two by the same opener only the opener closes one.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::event::{Action, CloseReason, Direction, Event, LinkEnd, LinkInfo};
use crate::limits::{HANDSHAKING_MAX, PEERS_MAX};
use crate::peers::live::Live;
use crate::peers::state::{PeerState, StateReason};
use crate::peers::table::PeerSource;
use crate::types::DisconnectReason;

/// Beyond this many lingers, an older link is not taken for a simultaneous connect.
const SIMULTANEOUS_LINGERS: u32 = 5;

impl Overlay {
    /// An authenticated link came up. `link.public` is the identity whose node ID is `peer`.
    pub fn handle_connected(&mut self, now: Instant, peer: NodeId, link: LinkInfo) {
        debug_assert_eq!(
            link.public.node_id(),
            peer,
            "the session proves the peer's identity"
        );
        if link.direction == Direction::Outbound {
            self.on_dial_succeeded(now, peer, link.remote);
        }
        if let Some(reason) = self.link_refusal(now, peer, &link) {
            return self.turn_away(now, peer, link, reason);
        }
        if self.live.contains_key(&peer) {
            self.on_second_link(now, peer, link);
        } else {
            let source = match link.direction {
                Direction::Inbound => PeerSource::Inbound,
                Direction::Outbound => PeerSource::Bootstrap,
            };
            if !self.table.insert(now, peer, source, &mut self.out) {
                let reason = CloseReason::Disconnect(DisconnectReason::ConnectionLimitReached);
                return self.turn_away(now, peer, link, reason);
            }
            self.live.insert(peer, Live::new(now, link, &self.config));
            let (to, reason) = (PeerState::Handshaking, StateReason::LinkUp);
            self.table.transition(now, peer, to, reason, &mut self.out);
        }
        self.send_hello(now, peer, link.id);
    }

    /// Closes a link that is not wanted; if it is one we dialled, the dial has failed.
    fn turn_away(&mut self, now: Instant, peer: NodeId, link: LinkInfo, reason: CloseReason) {
        self.out.action(Action::CloseLink {
            peer,
            link: link.id,
            reason,
        });
        self.out.event(Event::LinkRefused {
            peer,
            remote: link.remote,
            reason,
        });
        let dialled = self
            .table
            .get(peer)
            .is_some_and(|e| e.state == PeerState::Connecting);
        if dialled && link.direction == Direction::Outbound {
            let why = match reason {
                CloseReason::Disconnect(reason) => StateReason::LocalDisconnect(reason),
                CloseReason::DuplicateLink | CloseReason::OwnIdentity => StateReason::DialFailed,
            };
            self.table
                .transition(now, peer, PeerState::Failed, why, &mut self.out);
        }
    }

    /// Why a link to this peer is not wanted at all.
    fn link_refusal(&mut self, now: Instant, peer: NodeId, link: &LinkInfo) -> Option<CloseReason> {
        let (remote, is_inbound) = (link.remote.ip(), link.direction == Direction::Inbound);
        if peer == self.me {
            Some(CloseReason::OwnIdentity)
        } else if self.shutting_down {
            Some(CloseReason::Disconnect(DisconnectReason::Shutdown))
        } else if self.is_banned_peer(peer) || self.is_banned_address(remote) {
            Some(CloseReason::Disconnect(DisconnectReason::Banned))
        } else if !self.live.contains_key(&peer) && self.is_full_of_links()
            || is_inbound && !self.is_within_connect_rate(now, remote)
        {
            Some(CloseReason::Disconnect(
                DisconnectReason::ConnectionLimitReached,
            ))
        } else {
            None
        }
    }

    fn is_full_of_links(&self) -> bool {
        let handshaking = self.live.len() - self.connected_count();
        handshaking >= HANDSHAKING_MAX || self.live.len() >= PEERS_MAX + HANDSHAKING_MAX
    }

    fn on_second_link(&mut self, now: Instant, peer: NodeId, new: LinkInfo) {
        let linger = self.config.duplicate_linger;
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        let old = live.link;
        if new.id == old.id {
            return;
        }
        live.on_another_link(new.direction);
        let age = now.saturating_duration_since(live.link_since);
        let same_opener = new.direction == old.direction;
        let keep_new = if same_opener || age >= linger * SIMULTANEOUS_LINGERS {
            true
        } else {
            (new.direction == Direction::Outbound) == (self.me < peer)
        };
        let loser = if keep_new { old } else { new };
        let patience = match same_opener && new.direction == Direction::Inbound {
            true => SIMULTANEOUS_LINGERS,
            false => 1,
        };
        if keep_new {
            live.link = new;
            live.link_since = now;
            if live.is_connected() {
                self.out.event(Event::LinkReplaced {
                    peer,
                    remote: new.remote,
                    direction: new.direction,
                });
            }
        }
        let earlier = live.retiring.replace((loser, now + linger * patience));
        if let Some((earlier, _)) = earlier {
            let reason = CloseReason::DuplicateLink;
            self.out.action(Action::CloseLink {
                peer,
                link: earlier.id,
                reason,
            });
        }
    }

    /// Closes the losing links whose linger is over.
    pub(super) fn retire_links(&mut self, now: Instant) {
        if !self.live.are_due(now) {
            return;
        }
        for (peer, live) in self.live.iter_mut() {
            if let Some((link, _)) = live.retiring.take_if(|(_, at)| *at <= now) {
                let reason = CloseReason::DuplicateLink;
                self.out.action(Action::CloseLink {
                    peer,
                    link: link.id,
                    reason,
                });
            }
        }
    }

    /// A link ended, for whatever reason, ours included.
    pub fn handle_disconnected(&mut self, now: Instant, peer: NodeId, reason: LinkEnd) {
        if self.closing.remove(&reason.link).is_some() {
            return;
        }
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        if live
            .retiring
            .take_if(|(link, _)| link.id == reason.link)
            .is_some()
        {
            return;
        }
        if live.link.id != reason.link {
            return;
        }
        if let Some((other, _)) = live.retiring.take() {
            live.link = other;
            live.link_since = now;
            return;
        }
        let to = if live.is_connected() {
            PeerState::Disconnected
        } else {
            PeerState::Failed
        };
        self.note_link_lost(now, peer, reason.cause);
        self.drop_live(now, peer, to, StateReason::LinkLost(reason.cause));
    }
}
