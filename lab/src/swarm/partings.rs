//! Why peers parted: every end of a connection and its reason, and the ends that nothing explains.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_overlay::{Instant, StateReason};

/// Both ends of a lost link ran for so long: then no death and no restart explains the loss. Longer than
/// a broken link stays unnoticed and a node that died stays away.
const EXPLAINS: Duration = Duration::from_secs(180);

/// The ends of connections.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partings {
    reasons: BTreeMap<StateReason, u64>,
    unexplained: u64,
}

impl Partings {
    /// A node lost a peer. `node_since` and `peer_since`: since when each runs.
    pub(super) fn note(
        &mut self,
        now: Instant,
        reason: StateReason,
        node_since: Option<Instant>,
        peer_since: Option<Instant>,
    ) {
        *self.reasons.entry(reason).or_default() += 1;
        let runs = |since: Option<Instant>| since.is_some_and(|since| now >= since + EXPLAINS);
        let is_loss = matches!(reason, StateReason::LinkLost(_));
        self.unexplained += u64::from(is_loss && runs(node_since) && runs(peer_since));
    }

    /// How often connections ended for which reason.
    pub fn reasons(&self) -> impl Iterator<Item = (StateReason, u64)> {
        self.reasons.iter().map(|(&reason, &count)| (reason, count))
    }

    /// Connections that were lost though both ends had run for three minutes without a break. In a
    /// network that nobody partitions there are none.
    #[must_use]
    pub const fn unexplained(&self) -> u64 {
        self.unexplained
    }
}
