//! The cubic function in integers (RFC 9438 §4.2): W(t) = C·(t − K)³ + W_max, times in microseconds,
//! windows in bytes. The same on every machine.

use core::time::Duration;

/// C = 0.4 packets per second cubed (RFC 9438 §5), as a fraction.
const C: (u128, u128) = (2, 5);
/// Cubic microseconds of a cubic second.
const MICROS_CUBED: u128 = 1_000_000_000_000_000_000;
/// Distances from the plateau beyond this are cut: the window is out of all bounds there.
const DISTANCE_MAX: u64 = 1_000_000_000;

/// The curve of one congestion-avoidance stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Curve {
    /// Height of the plateau: W_max.
    plateau: u64,
    /// When it is reached, in microseconds after the stage began: K.
    reached_after: u64,
}

impl Curve {
    /// The curve that starts at `window` and has its plateau at `plateau`. A window above the
    /// plateau starts on the plateau.
    pub(super) fn new(window: u64, plateau: u64, mtu: u64) -> Self {
        let plateau = plateau.max(window);
        let climb = u128::from(plateau - window);
        let cubed = climb.saturating_mul(MICROS_CUBED) / (u128::from(mtu.max(1)) * C.0);
        Self {
            plateau,
            reached_after: cube_root(cubed.saturating_mul(C.1)),
        }
    }

    /// The window `elapsed` after the stage began.
    pub(super) fn at(&self, elapsed: Duration, mtu: u64) -> u64 {
        let elapsed = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let distance = u128::from(elapsed.abs_diff(self.reached_after).min(DISTANCE_MAX));
        let climb = distance * distance * distance * u128::from(mtu) * C.0 / (C.1 * MICROS_CUBED);
        let climb = u64::try_from(climb).unwrap_or(u64::MAX);
        if elapsed < self.reached_after {
            self.plateau.saturating_sub(climb)
        } else {
            self.plateau.saturating_add(climb)
        }
    }
}

/// The largest number whose cube is at most `value`, found bit by bit.
fn cube_root(value: u128) -> u64 {
    // The cube root of 2^128 is below 2^43.
    let mut root: u128 = 0;
    for bit in (0..43).rev() {
        let candidate = root | (1 << bit);
        if candidate.checked_pow(3).is_some_and(|cubed| cubed <= value) {
            root = candidate;
        }
    }
    u64::try_from(root).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_cube_root_is_exact(value: u128) {
            let root = u128::from(cube_root(value));
            prop_assert!(root.pow(3) <= value);
            prop_assert!((root + 1).checked_pow(3).is_none_or(|above| above > value));
        }

        #[test]
        fn a_curve_never_falls_and_never_overflows(
            window: u64, plateau: u64, mtu in 1u64..65_508, a: u64, b: u64,
        ) {
            let curve = Curve::new(window, plateau, mtu);
            let (early, late) = (a.min(b), a.max(b));
            let at = |nanos| curve.at(Duration::from_nanos(nanos), mtu);
            prop_assert!(at(early) <= at(late));
        }
    }

    #[test]
    fn the_curve_of_the_rfc() {
        // 70 of 100 packets left: K = cbrt(30 / 0.4) = 4.217 s.
        let curve = Curve::new(70_000, 100_000, 1_000);
        assert_eq!(curve.reached_after, 4_217_163);
        let at = |millis| curve.at(Duration::from_millis(millis), 1_000);
        assert_eq!(at(0), 70_001);
        assert_eq!(at(4_217), 100_000);
        // 0.4 · (6 − 4.217)³ = 2.267 packets.
        assert_eq!(at(6_000), 102_266);
    }
}
