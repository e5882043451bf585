//! What happens because time passes.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::peers::live::Live;
use crate::planted::{self, Bug};
use crate::types::DisconnectReason;
use crate::wire::{Message, Ping};

/// Pings missed in a row that end a link.
const MISSED_PINGS_MAX: u32 = 3;

impl Overlay {
    /// Does what is due. Calling it early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire_dials(now);
        self.expire_handshakes(now);
        self.expire_requests(now);
        self.expire_relayed(now);
        self.expire_seen(now);
        self.retire_links(now);
        self.close_overdue_links(now);
        self.end_bans(now);
        self.expire_challenges(now);
        self.ping_peers(now);
        self.probe_overdue(now);
        self.expire_validations(now);
        self.expire_audits(now);
        self.compare_if_due(now);
        self.ask_for_missing(now);
        self.flush_if_due(now);
        if self.next_record_renewal().is_some_and(|due| due <= now) {
            self.announce_own_record(now);
        }
        self.exchange_if_due(now);
        self.dial_more(now);
        self.rove_if_due(now);
    }

    /// When to call [`Self::handle_timeout`] next; a time that has passed means now.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of_parts = [
            self.live.next_due(),
            self.next_dial_deadline(),
            self.next_dial(),
            self.next_close(),
            self.next_exchange(),
            self.next_rove(),
            self.next_record_renewal(),
            self.requests.next_deadline(),
            self.relayed.next_deadline(),
            self.bans.next_end(),
            self.next_comparison(),
            self.gossip.neighbours.next_overdue(),
            self.gossip.wants.next_due(),
            self.gossip.audits.next_deadline(),
            self.gossip.flush_at,
            self.gossip.validations.next_deadline(),
        ];
        of_parts.into_iter().flatten().min()
    }

    fn ping_peers(&mut self, now: Instant) {
        if !self.live.are_due(now) {
            return;
        }
        let is_due = |live: &Live| match live.ping.outstanding {
            Some((_, _, deadline)) => deadline <= now,
            None => live.ping.due <= now,
        };
        let due: Vec<NodeId> = self
            .live
            .iter()
            .filter(|(_, live)| live.is_connected() && is_due(live))
            .map(|(&peer, _)| peer)
            .collect();
        for peer in due {
            let nonce = self.rng.next_u64();
            let next = now + self.jittered(self.config.ping_interval);
            let deadline = now + self.config.ping_timeout;
            let Some(live) = self.live.get_mut(&peer) else {
                continue;
            };
            let missed = live.ping.outstanding.take().is_some();
            let is_missed = missed && !planted::is(Bug::PingNeverMissed);
            if is_missed {
                live.ping.on_missed();
            }
            let is_gone = live.ping.missed >= MISSED_PINGS_MAX;
            if is_missed {
                self.note_unanswered(now, peer);
            }
            let Some(live) = self.live.get_mut(&peer) else {
                continue;
            };
            if is_gone {
                self.disconnect(now, peer, DisconnectReason::InactivityTimeout);
            } else {
                live.ping.outstanding = Some((nonce, now, deadline));
                live.ping.due = next;
                self.send_message(peer, &Message::Ping(Ping { nonce }));
            }
        }
    }

    pub(super) fn on_pong(&mut self, now: Instant, peer: NodeId, nonce: u64) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        if !live.ping.on_pong(now, nonce) {
            self.counters.unsolicited += 1;
        } else if let Some(nanos) = live.ping.smoothed_rtt_nanos {
            self.note_answer(now, peer, core::time::Duration::from_nanos(nanos));
        }
    }
}
