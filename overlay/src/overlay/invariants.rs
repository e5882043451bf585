//! What must hold after every input; the fuzzer and the simulator check it.

use super::Overlay;
use crate::limits;
use crate::peers::state::PeerState;

/// A bound or an agreement between the parts of an overlay that does not hold: a bug of this
/// crate, whatever peers sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the overlay breaks its own rule: {what}")]
pub struct BrokenInvariant {
    /// The rule.
    pub what: &'static str,
}

impl Overlay {
    /// Checks every bound and every agreement between the parts. For tests, simulators and
    /// fuzzing: its cost grows with the number of known peers.
    ///
    /// # Errors
    /// The first rule that does not hold. Correct code never returns one, whatever peers send.
    pub fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        let connected = self
            .live
            .values()
            .filter(|live| live.is_connected())
            .count();
        let handshaking = self.live.len() - self.connected_count();
        let bounds = [
            (self.connected_count() <= self.config.max_peers, "max_peers"),
            (handshaking <= limits::HANDSHAKING_MAX, "HANDSHAKING_MAX"),
            (
                self.table.len() <= limits::KNOWN_PEERS_MAX,
                "KNOWN_PEERS_MAX",
            ),
            (
                self.closing.len() <= limits::CLOSING_LINKS_MAX,
                "CLOSING_LINKS_MAX",
            ),
            (self.dials.len() <= limits::DIALS_MAX, "DIALS_MAX"),
            (
                self.bootstraps.len() <= limits::BOOTSTRAP_MAX + limits::PERSISTENT_MAX,
                "BOOTSTRAP_MAX and PERSISTENT_MAX",
            ),
            (self.hints.len() <= limits::HINTS_MAX, "HINTS_MAX"),
            (self.table.is_consistent(), "the book agrees with the table"),
            (
                self.seen.len() <= self.config.seen_capacity,
                "seen_capacity",
            ),
            (
                self.gossip.neighbours.len() == connected,
                "connected peers are neighbours",
            ),
            (
                self.gossip.store.len() <= self.config.store_messages
                    && self.gossip.store.bytes() <= self.config.store_bytes,
                "store_messages and store_bytes",
            ),
            (
                self.gossip.origins.len() <= limits::ORIGINS_MAX,
                "ORIGINS_MAX",
            ),
            (self.gossip.wants.len() <= limits::WANTS_MAX, "WANTS_MAX"),
            (
                self.gossip.declined.len() <= limits::DECLINED_MAX,
                "DECLINED_MAX",
            ),
            (
                self.gossip.validations.len() <= limits::VALIDATIONS_MAX,
                "VALIDATIONS_MAX",
            ),
            (self.gossip.audits.len() <= limits::AUDITS_MAX, "AUDITS_MAX"),
            (
                self.reputations.len() <= limits::REPUTATIONS_MAX + limits::PEERS_MAX,
                "REPUTATIONS_MAX",
            ),
            (connected == self.connected, "connected peers are counted"),
            (!self.live.contains_key(&self.me), "no link to ourselves"),
            (
                self.live.keys().all(|&id| self.table.get(id).is_some()),
                "live peers are known",
            ),
        ];
        bounds
            .into_iter()
            .try_for_each(|(holds, what)| rule(holds, what))?;
        self.check_admission()?;
        self.check_entries()
    }

    fn check_admission(&self) -> Result<(), BrokenInvariant> {
        let connected = self.live.values().filter(|live| live.is_connected());
        let inbound = connected.filter(|live| live.is_inbound());
        let (waiting, partners) = self.relayed.sizes();
        let bounds = [
            (self.bans.len() <= limits::BANS_MAX, "BANS_MAX"),
            (
                waiting <= limits::RELAYED_WAITING_MAX,
                "RELAYED_WAITING_MAX",
            ),
            (
                partners <= limits::RELAYED_PARTNERS_MAX,
                "RELAYED_PARTNERS_MAX",
            ),
            (
                self.connect_rates.len() <= limits::RATED_SUBNETS_MAX,
                "RATED_SUBNETS_MAX",
            ),
            (inbound.count() <= self.config.inbound_max(), "max_inbound"),
            (
                self.live.is_consistent(),
                "what is kept of all links is true of them",
            ),
            (
                self.gossip.neighbours.is_consistent(),
                "open questions are listed",
            ),
        ];
        let mut bounds = bounds.into_iter();
        bounds.try_for_each(|(holds, what)| rule(holds, what))
    }

    fn check_entries(&self) -> Result<(), BrokenInvariant> {
        let mut banned = 0;
        for (id, entry) in self.table.iter() {
            let has_link = matches!(entry.state, PeerState::Handshaking | PeerState::Connected);
            let is_banned = entry.state == PeerState::Banned;
            if has_link {
                let live = self.live.get(&id);
                let is_connected = entry.state == PeerState::Connected;
                rule(
                    live.is_some_and(|live| live.is_connected() == is_connected),
                    "a peer's state agrees with its link",
                )?;
            }
            rule(
                entry.banned_until.is_some() == is_banned,
                "banned peers have an end of their ban",
            )?;
            rule(
                is_banned == self.is_banned_peer(id),
                "banned peers are on the list of bans",
            )?;
            rule(
                entry.addresses.len() <= limits::RECORD_ADDRESSES_MAX,
                "RECORD_ADDRESSES_MAX",
            )?;
            banned += usize::from(is_banned);
        }
        let mut live = self.live.keys().filter_map(|&id| self.table.get(id));
        rule(
            live.all(|entry| matches!(entry.state, PeerState::Handshaking | PeerState::Connected)),
            "a link agrees with its peer's state",
        )?;
        rule(banned == self.table.banned(), "bans are counted")?;
        rule(banned <= limits::BANS_MAX, "BANS_MAX")
    }
}

/// `holds`, or the rule that does not.
fn rule(holds: bool, what: &'static str) -> Result<(), BrokenInvariant> {
    holds.then_some(()).ok_or(BrokenInvariant { what })
}
