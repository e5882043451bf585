//! Loss that comes in bursts: the model of Gilbert ("Capacity of a Burst-Noise Channel", 1960) with
//! losses in the good state too (Elliott, 1963).

use serde::{Deserialize, Serialize};

use super::element::{ElementError, positive, probability};
use crate::rng::{Ppm, Rng};

/// A channel with two states, each with a loss of its own. It may change state before each
/// datagram. In the long run it is bad in good_to_bad / (good_to_bad + bad_to_good) of all cases,
/// and a bad time lasts 1 / bad_to_good datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GilbertElliott {
    /// From good to bad (p).
    pub good_to_bad: Ppm,
    /// From bad to good (r).
    pub bad_to_good: Ppm,
    /// Loss in the good state. Default: none (Gilbert).
    #[serde(default)]
    pub loss_good: Ppm,
    /// Loss in the bad state. Default: everything.
    #[serde(default = "always")]
    pub loss_bad: Ppm,
}

const fn always() -> Ppm {
    Ppm::ALWAYS
}

impl GilbertElliott {
    /// Checks that its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), ElementError> {
        for (what, chance) in [
            ("good_to_bad", self.good_to_bad),
            ("bad_to_good", self.bad_to_good),
            ("loss_good", self.loss_good),
            ("loss_bad", self.loss_bad),
        ] {
            probability(what, chance)?;
        }
        // Once bad, for ever bad.
        positive("bad_to_good", u64::from(self.bad_to_good.0))
    }

    /// Whether the next datagram is lost; `bad` is the state.
    pub(super) fn loses(&self, bad: &mut bool, rng: &mut Rng) -> bool {
        let (change, _) = self.now(*bad);
        if rng.chance(change) {
            *bad = !*bad;
        }
        rng.chance(self.now(*bad).1)
    }

    /// Chances of a change of state and of a loss.
    const fn now(&self, bad: bool) -> (Ppm, Ppm) {
        if bad {
            (self.bad_to_good, self.loss_bad)
        } else {
            (self.good_to_bad, self.loss_good)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_come_in_bursts_of_the_right_length_and_as_often_as_the_chain_says() {
        let model = GilbertElliott {
            good_to_bad: Ppm::percent(2),
            bad_to_good: Ppm::percent(25),
            loss_good: Ppm(0),
            loss_bad: Ppm::ALWAYS,
        };
        let (mut rng, mut bad) = (Rng::new(3), false);
        let lost: Vec<_> = (0..100_000)
            .map(|_| model.loses(&mut bad, &mut rng))
            .collect();
        let count = lost.iter().filter(|lost| **lost).count();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        // 2 / (2 + 25) of all, in bursts of four.
        assert!((6_900..7_900).contains(&count), "{count}");
        assert!(
            (370..430).contains(&(count * 100 / bursts)),
            "{count} in {bursts}"
        );
    }

    #[test]
    fn each_state_has_a_loss_of_its_own() {
        let model = |loss_good, loss_bad| GilbertElliott {
            good_to_bad: Ppm::percent(50),
            bad_to_good: Ppm::percent(50),
            loss_good,
            loss_bad,
        };
        let count = |model: GilbertElliott| {
            let (mut rng, mut bad) = (Rng::new(4), false);
            (0..10_000)
                .filter(|_| model.loses(&mut bad, &mut rng))
                .count()
        };
        assert_eq!(count(model(Ppm(0), Ppm(0))), 0);
        assert!((900..1_100).contains(&count(model(Ppm::percent(20), Ppm(0)))));
        assert!((900..1_100).contains(&count(model(Ppm(0), Ppm::percent(20)))));
    }
}
