//! Who is taken as a peer, and who has to go for it: maxima in all, inbound, per address, subnet and
//! group; eviction by merit; peers that are configured are neither limited nor evicted.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::peers::eviction::{Candidate, choose};
use crate::peers::groups::{network, subnet};
use crate::peers::live::Live;
use crate::peers::state::{PeerState, StateReason};
use crate::peers::table::PeerSource;
use crate::types::DisconnectReason;

impl Overlay {
    /// Whether there is room for one more peer, now or by eviction. Asked when its hello comes.
    pub(super) fn has_room_for(&self, peer: NodeId) -> bool {
        let Some(newcomer) = self.live.get(&peer) else {
            return false;
        };
        let is_inbound = newcomer.is_inbound();
        if is_inbound && !self.is_protected(peer) && !self.is_within_groups(newcomer) {
            return false;
        }
        let accepted = |live: &&Live| live.hello.is_some();
        let count = self.live.values().filter(accepted).count();
        let silent = self.gossip.neighbours.silent();
        let is_full = count >= self.config.max_peers + silent;
        let inbound = self.live.values().filter(accepted);
        let inbound = inbound.filter(|live| live.is_inbound());
        let is_full_inbound = is_inbound && inbound.count() >= self.config.inbound_max() + silent;
        let can_evict = || is_inbound && self.victim_for(peer).is_some();
        !(is_full || is_full_inbound) || can_evict()
    }

    /// Whether the limits per address, subnet and group allow one more like this.
    fn is_within_groups(&self, newcomer: &Live) -> bool {
        let accepted = self.live.values().filter(|live| live.hello.is_some());
        let inbound = accepted.filter(|live| live.is_inbound());
        let present: Vec<_> = inbound.map(|live| live.remote().ip()).collect();
        let admission = &self.config.admission;
        admission.has_room(newcomer.remote().ip(), &present)
    }

    /// Whether a peer is neither limited nor evicted.
    pub(super) fn is_protected(&self, peer: NodeId) -> bool {
        let entry = self.table.get(peer);
        self.is_persistent(peer) || entry.is_some_and(|entry| entry.source == PeerSource::Bootstrap)
    }

    /// The connected inbound peer that would go for `newcomer`.
    fn victim_for(&self, newcomer: NodeId) -> Option<NodeId> {
        let live = self.live.get(&newcomer)?;
        let candidates = self
            .live
            .iter()
            .filter(|&(&peer, live)| {
                live.is_connected()
                    && live.is_inbound()
                    && peer != newcomer
                    && !self.is_protected(peer)
            })
            .filter_map(|(&peer, live)| self.candidate(peer, live))
            .collect();
        let diverse = !self.is_protected(newcomer);
        choose(
            candidates,
            network(live.remote().ip()),
            diverse,
            &self.eviction_key,
        )
    }

    fn candidate(&self, peer: NodeId, live: &Live) -> Option<Candidate> {
        let health = self.health_of(peer)?;
        Some(Candidate {
            id: peer,
            network: network(live.remote().ip()),
            connected_at: live.connected_at?,
            rtt: health.rtt,
            useful: live.counters.useful_deliveries,
            is_unhealthy: !health.is_healthy(),
        })
    }

    /// One peer more than there is room for: a silent one goes, or one that is evicted, or the newcomer,
    /// when those whose place it was promised are not to go any more.
    pub(super) fn make_room(&mut self, now: Instant, newcomer: NodeId) {
        let is_inbound = |live: &&Live| live.is_inbound();
        let newcomer_is_inbound = self
            .live
            .get(&newcomer)
            .is_some_and(|live| is_inbound(&live));
        let of_inbound = || {
            let connected = self.live.values().filter(|live| live.is_connected());
            connected.filter(is_inbound).count()
        };
        let is_over_inbound = newcomer_is_inbound && of_inbound() > self.config.inbound_max();
        if self.connected_count() <= self.config.max_peers && !is_over_inbound {
            return;
        }
        let silent = self.gossip.neighbours.iter().find(|(peer, of)| {
            let live = self.live.get(peer);
            of.is_silent() && (!is_over_inbound || live.is_some_and(|live| is_inbound(&live)))
        });
        let silent = silent.map(|(peer, _)| peer);
        if let Some(peer) = silent {
            return self.disconnect(now, peer, DisconnectReason::InactivityTimeout);
        }
        let evicted = newcomer_is_inbound.then(|| self.victim_for(newcomer));
        let Some(peer) = evicted.flatten() else {
            let reason = DisconnectReason::ConnectionLimitReached;
            return self.disconnect(now, newcomer, reason);
        };
        self.counters.evictions += 1;
        self.say_goodbye(peer, DisconnectReason::ConnectionLimitReached, now);
        self.drop_live(now, peer, PeerState::Disconnected, StateReason::Evicted);
    }

    /// Whether one more link from the subnet of an inbound link is within its rate.
    pub(super) fn is_within_connect_rate(
        &mut self,
        now: Instant,
        remote: std::net::IpAddr,
    ) -> bool {
        self.config.admission.is_exempt(remote) || self.connect_rates.admit(now, subnet(remote))
    }

    /// Links to connected peers that we opened.
    pub(super) fn outbound_links(&self) -> usize {
        self.live.outbound()
    }
}
