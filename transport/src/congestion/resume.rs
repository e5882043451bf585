//! Careful Resume (RFC 9959): a window remembered from an earlier connection over the same path, used
//! with care. For controllers that begin with slow start.
//!
//! First the initial window has to arrive without congestion, over a path whose round trip is like
//! the remembered one (Reconnaissance). Then the window jumps to half of what is remembered, paced
//! over a round trip (Unvalidated). Once the first of that is acknowledged, the window is what really
//! is in flight, and goes on as usual (Validating) until the last of it is acknowledged. Congestion
//! in between means that the path has become narrower: the window falls to half of what has arrived,
//! and does not grow until what was sent too boldly has left the path (Safe Retreat).
//!
//! Whether it is the same path, how old the memory may be, and that no two connections use it at
//! once, is for the caller to see to (RFC 9959 §3, §4).

use super::{Acked, Congestion, CongestionKind, SavedPath, Sent};
use crate::ids::PacketNumber;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Normal,
    /// So many bytes have arrived.
    Reconnaissance {
        arrived: u64,
    },
    /// From the first packet beyond what slow start would have sent.
    Unvalidated {
        first: PacketNumber,
        pipe: u64,
    },
    /// Up to the last packet that the jump allowed.
    Validating {
        last: PacketNumber,
        pipe: u64,
    },
    Retreat {
        last: PacketNumber,
        pipe: u64,
    },
}

/// What an acknowledgement means for the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Advice {
    /// Nothing: grow as usual.
    Usual,
    /// Do not grow.
    Hold,
    /// The window is this now.
    Window(u64),
    /// Slow start ends here.
    Threshold(u64),
}

/// The method of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct CarefulResume {
    saved: Option<SavedPath>,
    initial_window: u64,
    phase: Phase,
    next: PacketNumber,
}

impl CarefulResume {
    pub(super) const fn new(initial_window: u64) -> Self {
        Self {
            saved: None,
            initial_window,
            phase: Phase::Normal,
            next: PacketNumber(0),
        }
    }

    /// Remembers a path, before the first packet.
    pub(super) const fn start(&mut self, saved: SavedPath) {
        if self.next.0 == 0 {
            self.saved = Some(saved);
            self.phase = Phase::Reconnaissance { arrived: 0 };
        }
    }

    /// The name of its phase, while it has a say.
    pub(super) const fn phase(&self) -> Option<&'static str> {
        match self.phase {
            Phase::Normal => None,
            Phase::Reconnaissance { .. } => Some("reconnaissance"),
            Phase::Unvalidated { .. } => Some("unvalidated"),
            Phase::Validating { .. } => Some("validating"),
            Phase::Retreat { .. } => Some("safe_retreat"),
        }
    }

    /// The window is twice what may be sent in a round trip without more evidence: pace it evenly.
    pub(super) const fn wants_even_pace(&self) -> bool {
        matches!(self.phase, Phase::Unvalidated { .. })
    }

    pub(super) const fn on_sent(&mut self, sent: &Sent) {
        self.next = sent.number.next();
    }

    pub(super) fn on_acked(&mut self, acked: &Acked<'_>, window: u64) -> Advice {
        match self.phase {
            Phase::Normal => Advice::Usual,
            Phase::Reconnaissance { arrived } => self.reconnoitre(acked, arrived, window),
            Phase::Unvalidated { first, pipe } => {
                let pipe = pipe.saturating_add(acked.bytes);
                if acked.largest < first {
                    self.phase = Phase::Unvalidated { first, pipe };
                    return Advice::Hold;
                }
                let last = PacketNumber(self.next.0.saturating_sub(1));
                self.phase = Phase::Validating { last, pipe };
                Advice::Window(acked.in_flight.saturating_add(acked.bytes))
            }
            Phase::Validating { last, pipe } => {
                let pipe = pipe.saturating_add(acked.bytes);
                self.phase = if acked.largest >= last {
                    Phase::Normal
                } else {
                    Phase::Validating { last, pipe }
                };
                Advice::Usual
            }
            Phase::Retreat { last, pipe } => {
                let pipe = pipe.saturating_add(acked.bytes);
                if acked.largest < last {
                    self.phase = Phase::Retreat { last, pipe };
                    return Advice::Hold;
                }
                self.phase = Phase::Normal;
                Advice::Threshold(pipe)
            }
        }
    }

    /// The initial window has to arrive, the path to be the remembered one, and more to be wanted.
    fn reconnoitre(&mut self, acked: &Acked<'_>, arrived: u64, window: u64) -> Advice {
        let arrived = arrived.saturating_add(acked.bytes);
        self.phase = Phase::Reconnaissance { arrived };
        let Some(saved) = self.saved else {
            self.phase = Phase::Normal;
            return Advice::Usual;
        };
        let (jump, rtt) = (saved.window / 2, acked.rtt.minimum());
        if rtt < saved.rtt / 2 || rtt > saved.rtt.saturating_mul(10) || window >= jump {
            self.phase = Phase::Normal;
            return Advice::Usual;
        }
        if arrived < self.initial_window || !acked.window_limited {
            return Advice::Usual;
        }
        self.saved = None;
        let (first, pipe) = (self.next, window);
        self.phase = Phase::Unvalidated { first, pipe };
        Advice::Window(jump)
    }

    /// Congestion; Some: the window has to fall to this, whatever the controller thinks.
    pub(super) fn on_congestion(&mut self, congestion: &Congestion) -> Option<u64> {
        let (last, pipe) = match self.phase {
            _ if congestion.kind == CongestionKind::Persistent => {
                self.phase = Phase::Normal;
                return None;
            }
            Phase::Normal => return None,
            Phase::Reconnaissance { .. } => {
                self.phase = Phase::Normal;
                return None;
            }
            Phase::Unvalidated { pipe, .. } => (PacketNumber(self.next.0.saturating_sub(1)), pipe),
            Phase::Validating { last, pipe } | Phase::Retreat { last, pipe } => (last, pipe),
        };
        let is_first = !matches!(self.phase, Phase::Retreat { .. });
        self.phase = Phase::Retreat { last, pipe };
        is_first.then_some(pipe / 2)
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use core::time::Duration;

    use super::super::testing_path::Path;
    use super::super::{Controller, Cubic, NewReno, Setup};
    use super::*;

    const RATE: u64 = 10_000_000;
    const BDP: u64 = 500_000;
    const SAVED: SavedPath = SavedPath {
        window: BDP * 3 / 2,
        rtt: Duration::from_millis(50),
    };

    fn reno(saved: Option<SavedPath>, rate: u64, queue: u64) -> Path<NewReno> {
        let mut controller = NewReno::new(&Setup::new(1_000, 10));
        saved.into_iter().for_each(|saved| controller.resume(saved));
        Path::new(controller, rate, queue)
    }

    #[test]
    fn a_remembered_path_is_filled_sooner() {
        let time = Duration::from_millis(250);
        let (fresh, resumed) = (
            reno(None, RATE, BDP).run(time),
            reno(Some(SAVED), RATE, BDP).run(time),
        );
        assert!(resumed > fresh * 2, "{fresh} {resumed}");
        let mut cubic = Cubic::new(&Setup::new(1_000, 10));
        cubic.resume(SAVED);
        assert!(Path::new(cubic, RATE, BDP).run(time) > fresh * 2);
    }

    #[test]
    fn the_phases_follow_each_other_and_the_jump_is_half() {
        let mut path = reno(Some(SAVED), RATE, BDP);
        let mut most = 0;
        while path.controller.phase() != "validating" {
            path.run(Duration::from_millis(1));
            if path.controller.phase() == "unvalidated" {
                most = path.controller.window();
            }
        }
        assert_eq!(most, SAVED.window / 2);
        assert_eq!(path.dropped, 0, "a paced jump overflows no queue");
        path.run(Duration::from_millis(300));
        assert_eq!(
            path.phases[..4],
            ["reconnaissance", "unvalidated", "validating", "slow_start"]
        );
    }

    #[test]
    fn a_path_of_another_length_is_not_the_remembered_one() {
        for millis in [101, 4] {
            let saved = SavedPath {
                rtt: Duration::from_millis(millis),
                ..SAVED
            };
            let mut path = reno(Some(saved), RATE, BDP);
            path.run(Duration::from_millis(200));
            assert!(!path.phases.contains(&"unvalidated"), "{millis} ms");
        }
    }

    #[test]
    fn a_path_that_became_narrower_is_given_way_to() {
        let mut path = reno(Some(SAVED), RATE / 20, 30_000);
        path.run(Duration::from_millis(100));
        while path.controller.phase() != "safe_retreat" {
            path.run(Duration::from_millis(1));
        }
        assert!(path.controller.window() < BDP / 10, "{:?}", path.controller);
        path.run(Duration::from_secs(2));
        assert_ne!(path.controller.phase(), "safe_retreat");
        assert!(path.controller.slow_start_threshold() < Some(BDP / 2));
        let delivered = path.run(Duration::from_secs(2));
        assert!(delivered > 2 * RATE / 20 * 9 / 10, "{delivered}");
    }

    #[test]
    fn loss_of_the_initial_window_ends_it() {
        let mut path = reno(Some(SAVED), RATE, BDP);
        path.loses = Box::new(|number| number == 3);
        path.run(Duration::from_millis(300));
        assert!(!path.phases.contains(&"unvalidated"));
    }
}
