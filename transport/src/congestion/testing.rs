//! Scripted events for tests of controllers: packets of 1,000 bytes, times in milliseconds.

use core::ops::{Deref, DerefMut};
use core::time::Duration;

use super::{
    Acked, Congestion, CongestionKind, Controller, RateSample, RttEstimator, SpuriousLoss,
};
use crate::ids::PacketNumber;
use crate::send::loss::DeclaredLost;
use crate::time::Instant;

/// That many milliseconds after the origin.
pub(super) fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// A controller and the circumstances of its events.
pub(super) struct Script<C> {
    controller: C,
    pub(super) window_limited: bool,
    pub(super) in_flight_before: u64,
    /// Round-trip time of acknowledgements.
    pub(super) rtt: Duration,
}

impl<C: Controller> Script<C> {
    pub(super) fn new(controller: C) -> Self {
        Self {
            controller,
            window_limited: true,
            in_flight_before: u64::MAX,
            rtt: Duration::from_millis(50),
        }
    }

    /// A packet with number and time of sending `sent` is acknowledged a round trip later.
    pub(super) fn ack(&mut self, sent: u64, bytes: u64) {
        self.ack_number(sent, at(sent), bytes);
    }

    pub(super) fn ack_number(&mut self, number: u64, sent_at: Instant, bytes: u64) {
        let mut rtt = RttEstimator::new(self.rtt);
        rtt.on_sample(self.rtt, Duration::ZERO);
        self.controller.on_acked(&Acked {
            now: sent_at + self.rtt,
            largest: PacketNumber(number),
            largest_sent_at: sent_at,
            bytes,
            in_flight_before: self.in_flight_before,
            in_flight: 0,
            rtt: &rtt,
            rate: RateSample::default(),
            window_limited: self.window_limited,
            ecn: None,
        });
    }

    /// Congestion noticed at `now` about 1,000 bytes sent at `sent`.
    pub(super) fn lose(&mut self, now: u64, sent: u64, kind: CongestionKind) {
        self.controller.on_congestion(&Congestion {
            now: at(now),
            kind,
            sent_at: at(sent),
            bytes: 1_000,
            in_flight: 0,
        });
    }

    /// What was declared lost at `declared` comes back.
    pub(super) fn spurious(&mut self, declared: u64) {
        self.controller.on_spurious_loss(&SpuriousLoss {
            now: at(declared + 10),
            lost: DeclaredLost {
                at: at(declared),
                bytes: 1_000,
            },
        });
    }
}

impl<C> Deref for Script<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.controller
    }
}

impl<C> DerefMut for Script<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.controller
    }
}
