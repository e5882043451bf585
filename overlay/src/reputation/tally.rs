//! Evidence for and against in one component: a Beta posterior that forgets.
//!
//! The expectation of a Beta distribution after `for` successes and `against` failures is
//! (a + for) / (a + b + for + against), where a and b are the prior. The prior here is 3 and 2: a peer of
//! which nothing is known stands at 60 of 100, above every threshold (the highest is 50) and well below
//! one that has shown itself (up to 94). Its mass, five observations, is what it takes before conduct
//! outweighs ignorance.
//!
//! Both counts are capped, the good one lower: what a peer can save up for bad days is soon spent, what it
//! did wrong is remembered longer. Where faults are statistical (all but validity and consensus), each
//! success takes a fortieth of what is against, so that an honest peer which was unlucky recovers.

/// The prior.
const PRIOR_FOR: f64 = 3.0;
const PRIOR_AGAINST: f64 = 2.0;
/// Most of what counts against.
pub(crate) const AGAINST_MAX: f64 = 64.0;
/// Of what is against in a statistical component, a success takes this part.
const REPAIR: f64 = 1.0 / 40.0;

/// Evidence of one component, beyond the prior. Both are at least 0.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) favour: f64,
    pub(crate) against: f64,
}

impl Tally {
    /// The expectation, 0 to 1.
    pub(crate) fn mean(self) -> f64 {
        let favour = PRIOR_FOR + self.favour;
        favour / (favour + PRIOR_AGAINST + self.against)
    }

    /// Counts evidence; `favour_max` caps what speaks for the peer.
    pub(crate) fn add(&mut self, favour: f64, against: f64, favour_max: f64, repairs: bool) {
        if repairs {
            self.against -= self.against * REPAIR * favour.min(1.0);
        }
        self.favour = (self.favour + favour).min(favour_max);
        self.against = (self.against + against).min(AGAINST_MAX);
    }

    /// Keeps this part of the evidence: back towards the prior.
    pub(crate) fn fade(&mut self, keep: f64) {
        self.favour *= keep;
        self.against *= keep;
    }

    /// The same from a store, with nothing out of range in it.
    pub(crate) fn restored((favour, against): (f64, f64), favour_max: f64) -> Option<Self> {
        let is_sound = favour.is_finite() && against.is_finite() && favour >= 0.0 && against >= 0.0;
        is_sound.then(|| Self {
            favour: favour.min(favour_max),
            against: against.min(AGAINST_MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_stands_between_the_thresholds_and_a_good_peer() {
        let new = Tally::default().mean();
        assert!(new > 0.5);
        let mut good = Tally::default();
        good.add(1.0, 0.0, 12.0, true);
        assert!(good.mean() > new && good.mean() < 0.7, "one observation");
        (0..100).for_each(|_| good.add(1.0, 0.0, 12.0, true));
        assert!(good.mean() > 0.85);
    }

    #[test]
    fn good_is_forgotten_sooner_than_evil() {
        let mut tally = Tally::default();
        (0..1000).for_each(|_| tally.add(1.0, 0.0, 12.0, true));
        let mut falls = 0;
        while tally.mean() >= 0.4 {
            tally.add(0.0, 8.0, 12.0, true);
            falls += 1;
        }
        let mut rises = 0;
        while tally.mean() < 0.4 {
            tally.add(1.0, 0.0, 12.0, true);
            rises += 1;
        }
        assert!(falls <= 3, "a thousand good deeds last for {falls} faults");
        // The next fault bars again: what is against has hardly shrunk.
        tally.add(0.0, 8.0, 12.0, true);
        assert!(tally.mean() < 0.4);
        assert!(rises >= 1);
    }

    #[test]
    fn counts_stay_within_their_caps() {
        let mut tally = Tally::default();
        (0..1000).for_each(|_| tally.add(1.0, 8.0, 12.0, false));
        assert!((tally.favour - 12.0).abs() < 1e-9 && (tally.against - AGAINST_MAX).abs() < 1e-9);
        assert!(Tally::restored((f64::NAN, 0.0), 12.0).is_none());
        assert!(Tally::restored((0.0, -1.0), 12.0).is_none());
        let restored = Tally::restored((1e300, 1e300), 12.0).expect("cut");
        assert!((restored.favour - 12.0).abs() < 1e-9);
    }
}
