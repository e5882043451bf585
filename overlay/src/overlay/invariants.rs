//! What must hold after every input; the fuzzer and the simulator check it.

use super::Overlay;
use crate::limits;
use crate::peers::state::PeerState;

impl Overlay {
    /// Panics when a bound or an agreement between the parts is broken. For tests and fuzzing:
    /// correct code never meets it, whatever peers send.
    pub(crate) fn assert_invariants(&self) {
        let handshaking = self.live.len() - self.connected_count();
        assert!(self.connected_count() <= self.config.max_peers, "max_peers");
        assert!(handshaking <= limits::HANDSHAKING_MAX, "HANDSHAKING_MAX");
        assert!(
            self.table.len() <= limits::KNOWN_PEERS_MAX,
            "KNOWN_PEERS_MAX"
        );
        assert!(
            self.closing.len() <= limits::CLOSING_LINKS_MAX,
            "CLOSING_LINKS_MAX"
        );
        assert!(
            self.dials.len() <= self.config.parallel_dials,
            "parallel_dials"
        );
        assert!(
            self.bootstraps.len() <= limits::BOOTSTRAP_MAX,
            "BOOTSTRAP_MAX"
        );
        assert!(
            self.seen.len() <= self.config.seen_capacity,
            "seen_capacity"
        );
        assert!(!self.live.contains_key(&self.me), "no link to ourselves");
        let mut banned = 0;
        for (id, entry) in self.table.iter() {
            let live = self.live.get(&id);
            let expected = live.map(|live| match live.is_connected() {
                true => PeerState::Connected,
                false => PeerState::Handshaking,
            });
            let has_link = matches!(entry.state, PeerState::Handshaking | PeerState::Connected);
            assert_eq!(
                expected,
                has_link.then_some(entry.state),
                "state and link of {id}"
            );
            assert_eq!(
                entry.banned_until.is_some(),
                entry.state == PeerState::Banned,
                "ban of {id}"
            );
            assert!(
                entry.addresses.len() <= limits::RECORD_ADDRESSES_MAX,
                "addresses of {id}"
            );
            banned += usize::from(entry.state == PeerState::Banned);
        }
        assert!(banned <= limits::BANS_MAX, "BANS_MAX");
        assert!(
            self.live.keys().all(|&id| self.table.get(id).is_some()),
            "live peers are known"
        );
    }
}
