//! Whether the path passes congestion marks (RFC 9000 §13.4.2, appendix A.4).
//!
//! Every packet leaves as ECT(0) until that turns out not to work: the peer reports no counts, too
//! few, more than were sent, or a mark that we do not use; or nothing marked arrives at all while
//! the connection is young. Then packets leave unmarked, until the path changes.

use crate::planted::{self, Bug};
use crate::wire::ack::EcnCounts;

/// Probe timeouts in a row after which a path that never acknowledged a marked packet counts as one
/// that drops them (RFC 9000 A.4 suggests three).
const SILENT_PROBES: u32 = 3;

/// What is known of the marks of one path.
#[derive(Clone, Copy, Debug)]
pub struct EcnValidation {
    usable: bool,
    /// A marked packet was acknowledged.
    confirmed: bool,
    /// Marked packets sent.
    sent: u64,
    /// Counts of the newest acknowledgement.
    reported: EcnCounts,
}

impl Default for EcnValidation {
    fn default() -> Self {
        Self {
            usable: true,
            confirmed: false,
            sent: 0,
            reported: EcnCounts::default(),
        }
    }
}

impl EcnValidation {
    /// Whether packets are to be marked.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.usable
    }

    /// Counts that the peer reported last.
    #[must_use]
    pub const fn reported(&self) -> EcnCounts {
        self.reported
    }

    /// A packet left; it was marked if [`Self::is_usable`].
    pub const fn on_sent(&mut self) {
        if self.usable {
            self.sent += 1;
        }
    }

    /// The path is another one: marks are tried again.
    pub const fn restart(&mut self) {
        self.usable = true;
        self.confirmed = false;
    }

    /// The probe timer went off `count` times in a row.
    pub const fn on_probe_timeout(&mut self, count: u32) {
        if !self.confirmed && count >= SILENT_PROBES {
            self.usable = false;
        }
    }

    /// An acknowledgement newly covered `marked` packets that left marked, and reported `counts`;
    /// `newest` when it is the newest so far. Returns how many marks of congestion are new.
    ///
    /// Counts of an older acknowledgement are not compared: it was overtaken (RFC 9000 §13.4.2.1).
    pub fn on_acked(&mut self, marked: u64, counts: Option<EcnCounts>, newest: bool) -> u64 {
        let Some(counts) = counts else {
            if marked > 0 {
                self.usable = false;
            }
            return 0;
        };
        let known = self.reported;
        let congested = counts.ce.saturating_sub(known.ce);
        if !newest {
            return if planted::is(Bug::EcnCountsRegress) {
                congested + u64::from(counts.ce != known.ce)
            } else {
                0
            };
        }
        self.confirmed |= marked > 0;
        let total = counts.ect0.saturating_add(counts.ce);
        let grown = total.saturating_sub(known.ect0.saturating_add(known.ce));
        if grown < marked || total > self.sent || counts.ect1 > 0 {
            self.usable = false;
        }
        self.reported = EcnCounts {
            ect0: known.ect0.max(counts.ect0),
            ect1: known.ect1.max(counts.ect1),
            ce: known.ce.max(counts.ce),
        };
        congested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ect0: u64, ect1: u64, ce: u64) -> Option<EcnCounts> {
        Some(EcnCounts { ect0, ect1, ce })
    }

    fn sent(packets: u64) -> EcnValidation {
        let mut ecn = EcnValidation::default();
        for _ in 0..packets {
            ecn.on_sent();
        }
        ecn
    }

    #[test]
    fn marks_that_come_back_are_congestion_once() {
        let mut ecn = sent(10);
        assert_eq!(ecn.on_acked(4, counts(3, 0, 1), true), 1);
        assert_eq!(ecn.on_acked(2, counts(5, 0, 1), true), 0);
        assert!(ecn.is_usable());
        assert_eq!(ecn.on_acked(1, counts(4, 0, 1), false), 0, "overtaken");
        assert!(ecn.is_usable());
    }

    #[test]
    fn rejects_missing_short_excessive_and_foreign_counts() {
        for (reported, why) in [
            (None, "no counts"),
            (counts(3, 0, 0), "a mark was taken off"),
            (counts(11, 0, 0), "more than were sent"),
            (counts(4, 1, 0), "a mark that was not sent"),
            (counts(0, 4, 0), "marks rewritten"),
        ] {
            let mut ecn = sent(10);
            ecn.on_acked(4, reported, true);
            assert!(!ecn.is_usable(), "{why}");
        }
    }

    #[test]
    fn acknowledgements_that_were_lost_do_not_matter() {
        let mut ecn = sent(10);
        ecn.on_acked(2, counts(9, 0, 1), true);
        assert!(ecn.is_usable());
    }

    #[test]
    fn a_path_that_drops_marked_packets_gets_unmarked_ones_until_it_changes() {
        let mut ecn = sent(3);
        ecn.on_probe_timeout(SILENT_PROBES - 1);
        assert!(ecn.is_usable());
        ecn.on_probe_timeout(SILENT_PROBES);
        assert!(!ecn.is_usable());
        ecn.restart();
        assert!(ecn.is_usable());
        ecn.on_sent();
        ecn.on_acked(1, counts(1, 0, 0), true);
        ecn.on_probe_timeout(20);
        assert!(ecn.is_usable(), "marked packets have arrived");
    }
}
