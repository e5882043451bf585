//! Goodbyes: graceful disconnect with a reason and an acknowledgement, what leads to a ban, shutdown.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use super::banning::Verdict;
use crate::Instant;
use crate::error::PeerViolation;
use crate::event::{Action, CloseReason, Event, RequestFailure};
use crate::limits::{CLOSING_LINKS_MAX, RATE_DROPS_MAX, RATE_DROPS_WITHIN, VIOLATIONS_MAX};
use crate::peers::state::{PeerState, StateReason};
use crate::saved::BanSubject;
use crate::types::{DisconnectReason, LinkId, Refusal};
use crate::wire::{Disconnect, DisconnectAck, Message};

/// A connection that lasted this long clears the peer's record of failures.
const PROVEN_AFTER: Duration = Duration::from_secs(60);

/// A node without peers for so long was cut off from them.
const CUT_OFF_AFTER: Duration = Duration::from_secs(30);

/// A link on which a goodbye was said.
pub(super) struct Closing {
    peer: NodeId,
    reason: CloseReason,
    deadline: Instant,
}

impl Overlay {
    /// Says goodbye to a peer and closes its link once the goodbye is acknowledged (or after
    /// [`crate::OverlayConfig::disconnect_timeout`]). With [`DisconnectReason::Banned`] the peer is
    /// also banned for [`crate::OverlayConfig::ban_duration`]; with
    /// [`DisconnectReason::UserRequested`] it is not dialled again by itself. Without a link only
    /// these two have an effect, and only on a known peer.
    pub fn disconnect(&mut self, now: Instant, peer: NodeId, reason: DisconnectReason) {
        if reason == DisconnectReason::Banned {
            let duration = self.config.ban_duration;
            self.ban(now, BanSubject::Peer(peer), duration, "by the user");
            return;
        }
        if reason == DisconnectReason::UserRequested
            && let Some(entry) = self.table.get_mut(peer)
        {
            entry.held = true;
        }
        self.say_goodbye(peer, reason, now);
        let why = StateReason::LocalDisconnect(reason);
        self.drop_live(now, peer, PeerState::Disconnected, why);
    }

    /// Says goodbye to all, stops dialling, refuses links from now on.
    pub fn shutdown(&mut self, now: Instant) {
        self.shutting_down = true;
        self.stop_dialling(now);
        let peers: Vec<_> = self.live.keys().copied().collect();
        for peer in peers {
            self.disconnect(now, peer, DisconnectReason::Shutdown);
        }
    }

    /// Counts a proven fault; the last one that is tolerated bans the peer.
    pub(super) fn on_violation(&mut self, now: Instant, peer: NodeId, violation: PeerViolation) {
        self.counters.violations += 1;
        self.out.event(Event::PeerViolation { peer, violation });
        self.note_violation(now, peer, violation);
        let is_at_fault = self.is_at_fault(&peer);
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        live.meter.violations += 1;
        if live.meter.violations >= VIOLATIONS_MAX || is_at_fault {
            let reason = format!("too many violations; the last: it {violation}");
            let verdict = Verdict {
                why: StateReason::BannedForViolations,
                reason: &reason,
                goodbye: DisconnectReason::InvalidMessage,
            };
            let duration = self.config.violation_ban_duration;
            self.ban_for(now, BanSubject::Peer(peer), duration, &verdict);
        }
    }

    /// A peer goes on sending far more than it may.
    pub(super) fn on_flood(&mut self, now: Instant, peer: NodeId) {
        let seconds = RATE_DROPS_WITHIN.as_secs();
        let reason = format!("{RATE_DROPS_MAX} messages past its rate within {seconds} s");
        let verdict = Verdict {
            why: StateReason::BannedForFlooding,
            reason: &reason,
            goodbye: DisconnectReason::ProtocolViolation,
        };
        let duration = self.config.violation_ban_duration;
        self.ban_for(now, BanSubject::Peer(peer), duration, &verdict);
    }

    /// Sends a goodbye and lets the peer's links wait for the acknowledgement.
    pub(super) fn say_goodbye(&mut self, peer: NodeId, reason: DisconnectReason, now: Instant) {
        self.send_message(
            peer,
            &Message::Disconnect(Disconnect {
                reason: reason.code(),
            }),
        );
        self.close_links(now, peer, CloseReason::Disconnect(reason));
    }

    /// Moves the links of a live peer to those that wait to be closed.
    pub(super) fn close_links(&mut self, now: Instant, peer: NodeId, reason: CloseReason) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        if let Some((link, _)) = live.retiring.take() {
            let reason = CloseReason::DuplicateLink;
            self.out.action(Action::CloseLink {
                peer,
                link: link.id,
                reason,
            });
        }
        let link = live.link.id;
        if self.closing.len() >= CLOSING_LINKS_MAX {
            self.out.action(Action::CloseLink { peer, link, reason });
            return;
        }
        let deadline = now + self.config.disconnect_timeout;
        self.closing.insert(
            link,
            Closing {
                peer,
                reason,
                deadline,
            },
        );
    }

    /// The peer says goodbye: acknowledge, and leave the closing of the link to it for a while.
    pub(super) fn on_disconnect(&mut self, now: Instant, peer: NodeId, message: Disconnect) {
        let reason = DisconnectReason::from_code(message.reason);
        self.send_message(peer, &Message::DisconnectAck(DisconnectAck {}));
        let closed_for = reason.unwrap_or(DisconnectReason::NetworkError);
        self.close_links(now, peer, CloseReason::Disconnect(closed_for));
        let why = StateReason::RemoteDisconnect(reason);
        self.drop_live(now, peer, PeerState::Disconnected, why);
    }

    /// A message on a link that waits to be closed: only goodbyes matter there.
    pub(super) fn on_message_while_closing(&mut self, peer: NodeId, message: &Message<'_>) {
        let links: Vec<LinkId> = self
            .closing
            .iter()
            .filter(|(_, c)| c.peer == peer)
            .map(|(&link, _)| link)
            .collect();
        for link in links {
            match message {
                Message::DisconnectAck(_) => self.close_now(link),
                Message::Disconnect(_) => {
                    let bytes = Message::DisconnectAck(DisconnectAck {}).encode_to_keep();
                    self.out.action(Action::Send { peer, link, bytes });
                }
                _ => {}
            }
        }
    }

    /// Closes the links whose goodbye was not acknowledged in time.
    pub(super) fn close_overdue_links(&mut self, now: Instant) {
        let due: Vec<LinkId> = self
            .closing
            .iter()
            .filter(|(_, c)| c.deadline <= now)
            .map(|(&link, _)| link)
            .collect();
        for link in due {
            self.close_now(link);
        }
    }

    fn close_now(&mut self, link: LinkId) {
        if let Some(Closing { peer, reason, .. }) = self.closing.remove(&link) {
            self.out.action(Action::CloseLink { peer, link, reason });
        }
    }

    /// When the next goodbye has waited long enough.
    pub(super) fn next_close(&self) -> Option<Instant> {
        self.closing.values().map(|closing| closing.deadline).min()
    }

    /// Forgets the live state of a peer: its requests fail, its state changes, and it is dialled
    /// again no sooner than its back-off says. Nothing when there is no live state.
    pub(super) fn drop_live(
        &mut self,
        now: Instant,
        peer: NodeId,
        to: PeerState,
        reason: StateReason,
    ) {
        let Some(live) = self.live.remove(&peer) else {
            return;
        };
        self.connected -= usize::from(live.is_connected());
        self.on_neighbour_down(now, peer);
        self.relayed.drop_relay(peer);
        for id in self.requests.drop_peer(peer) {
            let failure = RequestFailure::PeerGone;
            self.out.event(Event::RequestFailed { peer, id, failure });
        }
        let proven = live.connected_at.is_some_and(|at| now >= at + PROVEN_AFTER);
        if let Some(entry) = self.table.get_mut(peer) {
            if proven {
                entry.backoff.on_success();
            }
            if !is_blameless(reason, proven) {
                let (base, cap) = (self.config.backoff_base, self.config.backoff_max);
                entry.backoff.on_failure(now, base, cap, &mut self.rng);
            }
        }
        if self.connected_count() == 0 {
            self.alone_since.get_or_insert(now);
        }
        self.table.transition(now, peer, to, reason, &mut self.out);
        if live.is_connected() {
            self.out.event(Event::PeerDown { peer, reason });
        }
    }
    /// The first peer after a time without any: what was tried in vain meanwhile says nothing of
    /// those that were tried.
    pub(super) fn on_company(&mut self, now: Instant) {
        let alone_since = self.alone_since.take();
        if alone_since.is_some_and(|since| now >= since + CUT_OFF_AFTER) {
            self.table.retry_all();
        }
    }
}

/// Whether a link that ended so says nothing against its peer: one of us has peers enough. Who says
/// so at once, again and again, is not to be dialled at once, again and again.
fn is_blameless(reason: StateReason, proven: bool) -> bool {
    use DisconnectReason::ConnectionLimitReached as Enough;
    match reason {
        StateReason::RefusedByUs(Refusal::ConnectionLimit) => true,
        StateReason::LocalDisconnect(Enough) | StateReason::RemoteDisconnect(Some(Enough)) => {
            proven
        }
        StateReason::Evicted => true,
        _ => false,
    }
}
