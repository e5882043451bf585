//! How many strangers are looked at in one go (`docs/threats.md` T4, ADR 0208).
//!
//! Under load each SYN costs hashes and an answer, which is many times what it costs to receive one. A
//! flood that is faster than that fills the receive buffer of the socket, and packets of connections are
//! lost with it. A driver reads the clock once for a batch of datagrams, so SYNs with the same time
//! came together: of those, only so many are looked at. While the endpoint keeps up with what comes,
//! batches are short and nobody is passed over.

use crate::limits::UNPROVEN_SYNS_AT_ONCE;
use crate::time::Instant;

/// Counts the SYNs of one moment.
#[derive(Default)]
pub(super) struct Surge {
    moment: Option<Instant>,
    seen: u32,
}

impl Surge {
    /// Whether one more SYN is looked at now.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        if self.moment != Some(now) {
            (self.moment, self.seen) = (Some(now), 0);
        }
        self.seen = self.seen.saturating_add(1);
        self.seen <= UNPROVEN_SYNS_AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_syns_of_one_moment_are_looked_at_and_not_one_more() {
        let mut surge = Surge::default();
        for second in 1..4 {
            let now = Instant::ZERO + core::time::Duration::from_secs(second);
            let admitted = (0..1_000).filter(|_| surge.admit(now)).count();
            assert_eq!(admitted, UNPROVEN_SYNS_AT_ONCE as usize);
        }
    }
}
