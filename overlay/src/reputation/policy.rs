//! Weights and thresholds: those of seed Q by default, and what decays.

use super::evidence::Component;

/// What each component weighs in the score, in per cent. They sum to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weights([u8; 5]);

/// Weights that do not sum to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the five weights sum to {sum} per cent; they have to sum to 100")]
pub struct WeightsError {
    /// Their sum.
    pub sum: u32,
}

impl Weights {
    /// Weights in per cent: uptime, latency, validity, consensus, relay.
    ///
    /// # Errors
    /// [`WeightsError`] when they do not sum to 100.
    pub fn from_percent(percent: [u8; 5]) -> Result<Self, WeightsError> {
        let sum = percent.iter().map(|&weight| u32::from(weight)).sum();
        match sum {
            100 => Ok(Self(percent)),
            sum => Err(WeightsError { sum }),
        }
    }

    /// Of one component, in per cent.
    #[must_use]
    pub const fn of(&self, component: Component) -> u8 {
        let [uptime, latency, validity, consensus, relay] = self.0;
        match component {
            Component::Uptime => uptime,
            Component::Latency => latency,
            Component::Validity => validity,
            Component::Consensus => consensus,
            Component::Relay => relay,
        }
    }
}

impl Default for Weights {
    /// 20, 20, 30, 20, 10 (seed Q).
    fn default() -> Self {
        Self([20, 20, 30, 20, 10])
    }
}

/// How conduct is judged. Scores are 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReputationConfig {
    /// What the components weigh.
    pub weights: Weights,
    /// Below this score, or with a relay component below [`Self::min_relay_component`], a peer is nobody's
    /// parent here and is announced to instead of pushed to. Default 30 (seed Q).
    pub min_relay: u8,
    /// The same for the relay component alone, whose weight of a tenth never takes a score below a
    /// threshold by itself. Default 40: two broken promises bar who has served, until broadcasts were
    /// brought in some twenty heartbeats, and one bars a newcomer (chosen; `lab/examples/aims.rs` measures it).
    pub min_relay_component: u8,
    /// Below this an application should not count on a peer. Default 50 (seed Q).
    pub min_consensus: u8,
    /// Below this a peer is disconnected. Default 20 (seed Q).
    pub auto_disconnect: u8,
    /// Below this a peer is banned. Default 10 (seed Q).
    pub auto_ban: u8,
    /// How much of the evidence fades in a day, in per cent, hour by hour. Default 10 (seed Q).
    pub decay_percent: u8,
    /// Trust of who is not known, in thousandths. Default 500 (seed P).
    pub initial_trust_permille: u16,
    /// Below this a peer is not trusted, in thousandths. Default 100 (seed P).
    pub min_trust_permille: u16,
    /// How much of the distance to the initial trust fades in an hour, in thousandths. Default 10
    /// (seed P, which names no unit of time).
    pub trust_decay_permille: u16,
}

impl Default for ReputationConfig {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            min_relay: 30,
            min_relay_component: 40,
            min_consensus: 50,
            auto_disconnect: 20,
            auto_ban: 10,
            decay_percent: 10,
            initial_trust_permille: 500,
            min_trust_permille: 100,
            trust_decay_permille: 10,
        }
    }
}

impl ReputationConfig {
    /// The same with every number inside its range.
    pub(crate) fn bounded(mut self) -> Self {
        for score in [
            &mut self.min_relay,
            &mut self.min_relay_component,
            &mut self.min_consensus,
            &mut self.auto_disconnect,
            &mut self.auto_ban,
            &mut self.decay_percent,
        ] {
            *score = (*score).min(100);
        }
        self.initial_trust_permille = self.initial_trust_permille.min(1000);
        self.min_trust_permille = self.min_trust_permille.min(1000);
        self.trust_decay_permille = self.trust_decay_permille.min(1000);
        self
    }

    /// Trust of who is not known, 0 to 1.
    pub(crate) fn initial_trust(&self) -> f64 {
        f64::from(self.initial_trust_permille) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_do_not_sum_to_one_hundred_are_refused() {
        assert!(Weights::from_percent([20, 20, 30, 20, 10]).is_ok());
        let sum = |percent| Weights::from_percent(percent).unwrap_err().sum;
        assert_eq!(sum([20, 20, 30, 20, 11]), 101);
        assert_eq!(sum([255; 5]), 1275);
        let default = Weights::default();
        let total: u32 = Component::ALL
            .map(|c| u32::from(default.of(c)))
            .iter()
            .sum();
        assert_eq!(total, 100);
    }
}
