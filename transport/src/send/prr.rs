//! Proportional Rate Reduction (RFC 9937): how much may leave while the flight shrinks to a window
//! that was reduced.
//!
//! Without it a sender whose window was halved is silent until half of its flight is acknowledged,
//! or, when most of the flight was lost, sends a window at once. Here what leaves stays in
//! proportion to what arrives. Controllers that cut a window ask for it
//! ([`crate::congestion::Controller::reduces_proportionally`]).
//!
//! Discrepancies: counted in bytes of packets, as there are no segments; what the pacer allows holds
//! in addition.

use alloc::boxed::Box;

use crate::time::Instant;

/// A reduction in progress.
#[derive(Clone, Copy, Debug)]
struct Reduction {
    /// Packets sent before this belong to the flight that shrinks.
    start: Instant,
    /// The window to arrive at (ssthresh).
    target: u64,
    /// Bytes in flight at the beginning, the lost ones included (RecoverFS).
    flight: u64,
    /// Bytes delivered since (prr_delivered).
    delivered: u64,
    /// Bytes sent since (prr_out).
    sent: u64,
    /// Bytes that may leave now (SndCnt).
    credit: u64,
    /// Something was lost since the last acknowledgement.
    lost: bool,
}

/// Proportional Rate Reduction of one path.
#[derive(Clone, Default, Debug)]
pub struct Reducer {
    reduction: Option<Box<Reduction>>,
}

impl Reducer {
    /// The window was reduced to `target` because of packets lost or marked; `flight` bytes were in
    /// flight, the lost ones included. One packet of `mtu` bytes may leave at once: the fast
    /// retransmission.
    pub fn begin(&mut self, now: Instant, target: u64, flight: u64, mtu: usize) {
        self.reduction = Some(Box::new(Reduction {
            start: now,
            target,
            flight: flight.max(1),
            delivered: 0,
            sent: 0,
            credit: mtu as u64,
            lost: true,
        }));
    }

    /// The reduction is over, or was undone.
    pub fn end(&mut self) {
        self.reduction = None;
    }

    /// More of the flight was lost.
    pub fn on_lost(&mut self) {
        if let Some(reduction) = &mut self.reduction {
            reduction.lost = true;
        }
    }

    /// Bytes left.
    pub fn on_sent(&mut self, bytes: u64) {
        if let Some(reduction) = &mut self.reduction {
            reduction.sent = reduction.sent.saturating_add(bytes);
            reduction.credit = reduction.credit.saturating_sub(bytes);
        }
    }

    /// An acknowledgement delivered `bytes`, the newest packet of which left at `newest`;
    /// `in_flight` bytes remain, and `window` is the controller's.
    pub fn on_acked(
        &mut self,
        (bytes, newest): (u64, Instant),
        (in_flight, window): (u64, u64),
        mtu: usize,
    ) {
        let Some(reduction) = &mut self.reduction else {
            return;
        };
        // A packet sent after the beginning ends it; a window above the target was given back.
        if newest > reduction.start || window > reduction.target {
            self.reduction = None;
            return;
        }
        let safe = !core::mem::take(&mut reduction.lost);
        reduction.target = reduction.target.min(window);
        reduction.delivered = reduction.delivered.saturating_add(bytes);
        reduction.credit = reduction.count(bytes, in_flight, safe, mtu as u64);
        if reduction.sent == 0 {
            // The fast retransmission.
            reduction.credit = reduction.credit.max(mtu as u64);
        }
    }

    /// Bytes that may leave now while the flight shrinks; None: it does not, the window decides.
    #[must_use]
    pub fn credit(&self) -> Option<u64> {
        self.reduction.as_ref().map(|reduction| reduction.credit)
    }
}

impl Reduction {
    /// SndCnt of RFC 9937 §6.2 after an acknowledgement; `safe` when it told of no loss.
    fn count(&self, bytes: u64, in_flight: u64, safe: bool, mtu: u64) -> u64 {
        if in_flight > self.target {
            let share = u128::from(self.delivered) * u128::from(self.target);
            let share = share.div_ceil(u128::from(self.flight));
            return u64::try_from(share)
                .unwrap_or(u64::MAX)
                .saturating_sub(self.sent);
        }
        // Below the target: as much as was delivered, and a packet more while nothing is lost.
        let conserved = self.delivered.saturating_sub(self.sent).max(bytes);
        let bound = if safe { conserved + mtu } else { conserved };
        (self.target - in_flight).min(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const MTU: usize = 1_000;
    const BEFORE: Instant = Instant::ZERO;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Acknowledges one packet after the other and sends what is allowed; bytes in flight after
    /// each.
    fn shrink(reducer: &mut Reducer, mut in_flight: u64, target: u64, acks: u32) -> [u64; 2] {
        let mut most = 0;
        for _ in 0..acks {
            in_flight -= 1_000;
            reducer.on_acked((1_000, BEFORE), (in_flight, target), MTU);
            let mut burst = 0;
            while reducer.credit().unwrap() >= 1_000 {
                reducer.on_sent(1_000);
                in_flight += 1_000;
                burst += 1_000;
            }
            most = most.max(burst);
        }
        [in_flight, most]
    }

    #[test]
    fn half_of_what_arrives_leaves_until_the_flight_is_halved() {
        let mut reducer = Reducer::default();
        reducer.begin(at(1), 50_000, 100_000, MTU);
        assert_eq!(reducer.credit(), Some(1_000), "the fast retransmission");
        reducer.on_sent(1_000);
        // One packet is lost, one was sent again: 99 others are acknowledged.
        let [half_way, burst] = shrink(&mut reducer, 100_000, 50_000, 50);
        assert_eq!([half_way, burst], [74_000, 1_000]);
        let [in_flight, burst] = shrink(&mut reducer, half_way, 50_000, 49);
        assert!((49_000..=51_000).contains(&in_flight), "{in_flight}");
        assert_eq!(burst, 1_000);
    }

    #[test]
    fn after_heavy_loss_the_flight_grows_like_slow_start_and_no_burst_leaves() {
        let mut reducer = Reducer::default();
        reducer.begin(at(1), 50_000, 100_000, MTU);
        reducer.on_sent(1_000);
        // Ninety packets are lost.
        let [in_flight, burst] = shrink(&mut reducer, 11_000, 50_000, 10);
        assert!((11_000..=22_000).contains(&in_flight), "{in_flight}");
        assert!(burst <= 2_000, "{burst}");
    }

    #[test]
    fn a_loss_takes_the_extra_packet_away() {
        let mut reducer = Reducer::default();
        reducer.begin(at(1), 50_000, 100_000, MTU);
        reducer.on_acked((1_000, BEFORE), (10_000, 50_000), MTU);
        assert_eq!(reducer.credit(), Some(1_000));
        reducer.on_sent(1_000);
        reducer.on_acked((1_000, BEFORE), (10_000, 50_000), MTU);
        assert_eq!(reducer.credit(), Some(2_000));
        reducer.on_lost();
        reducer.on_acked((1_000, BEFORE), (10_000, 50_000), MTU);
        assert!(reducer.credit() <= Some(2_000));
    }

    #[test]
    fn ends_with_the_first_packet_after_it_or_when_the_window_is_given_back() {
        let mut reducer = Reducer::default();
        reducer.begin(at(1), 50_000, 100_000, MTU);
        reducer.on_acked((1_000, at(2)), (10_000, 50_000), MTU);
        assert_eq!(reducer.credit(), None);
        reducer.begin(at(1), 50_000, 100_000, MTU);
        reducer.on_acked((1_000, BEFORE), (90_000, 100_000), MTU);
        assert_eq!(reducer.credit(), None);
    }

    #[test]
    fn never_lets_the_flight_grow_above_the_target() {
        let mut reducer = Reducer::default();
        reducer.begin(at(1), 5_000, 100_000, MTU);
        reducer.on_sent(1_000);
        for in_flight in [4_900, 5_000, 0, u64::MAX] {
            reducer.on_acked((90_000, BEFORE), (in_flight, 5_000), MTU);
            let credit = reducer.credit().unwrap();
            assert!(in_flight > 5_000 || in_flight + credit <= 5_000, "{credit}");
        }
    }
}
