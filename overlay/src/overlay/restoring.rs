//! What an overlay is given back after a restart besides peers, bans and reputations, and what of its
//! settings may change while it runs.

use super::Overlay;
use crate::Instant;
use crate::limits::{BROADCAST_AGE_MAX, PEERS_MAX};
use crate::types::BroadcastId;

impl Overlay {
    /// Remembers a broadcast that was delivered before a restart, so that it is not delivered again
    /// when a neighbour brings it: neighbours hold what is at most [`BROADCAST_AGE_MAX`] old. An older
    /// one is left out, because its age refuses it anyway.
    pub fn restore_seen(&mut self, now: Instant, unix_millis: u64, id: BroadcastId) {
        let age = u64::try_from(BROADCAST_AGE_MAX.as_millis()).unwrap_or(u64::MAX);
        if unix_millis >= self.unix_millis(now).saturating_sub(age) {
            self.seen.insert(unix_millis, id);
        }
    }

    /// Changes how many peers are wanted: at least, aimed at, at most. Each is cut to the next, the
    /// last to [`PEERS_MAX`]. Who is connected stays connected.
    pub fn set_peer_limits(&mut self, min: usize, target: usize, max: usize) {
        self.config.max_peers = max.min(PEERS_MAX);
        self.config.target_peers = target.min(self.config.max_peers);
        self.config.min_peers = min.min(self.config.target_peers);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dunlin_session::Identity;

    use super::*;
    use crate::config::{OverlayConfig, WallClock};
    use crate::gossip::seen::Seen;

    const NOW: u64 = 1_800_000_000_000;

    fn overlay() -> Overlay {
        let wall_clock = WallClock {
            at: Instant::ZERO,
            unix_millis: NOW,
        };
        let identity = Arc::new(Identity::from_seed([7; 32]));
        Overlay::new(OverlayConfig::new(wall_clock), identity, [1; 32])
    }

    #[test]
    fn what_was_delivered_before_the_restart_is_a_duplicate_and_what_is_too_old_is_forgotten() {
        let mut overlay = overlay();
        let id = BroadcastId::from_bytes([9; 32]);
        let age = u64::try_from(BROADCAST_AGE_MAX.as_millis()).unwrap();
        for (unix_millis, is_kept) in [(NOW, true), (NOW - age, true), (NOW - age - 1, false)] {
            overlay.restore_seen(Instant::ZERO, unix_millis, id);
            let is_known = overlay.seen.lookup(unix_millis, id) == Seen::Duplicate;
            assert_eq!(is_known, is_kept, "{unix_millis}");
        }
    }

    #[test]
    fn peer_limits_are_cut_to_each_other_and_to_the_bound() {
        let mut overlay = overlay();
        overlay.set_peer_limits(9, 7, PEERS_MAX + 1);
        let config = &overlay.config;
        let limits = [config.min_peers, config.target_peers, config.max_peers];
        assert_eq!(limits, [7, 7, PEERS_MAX]);
    }
}
