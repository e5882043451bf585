//! Maxima over recent bandwidth-probing cycles and recent rounds.

use super::constants::EXTRA_ACKED_ROUNDS;

/// The most of the current and the previous cycle (§5.5.6).
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct CycleMax {
    current: u64,
    previous: u64,
}

impl CycleMax {
    pub(super) fn update(&mut self, value: u64) {
        self.current = self.current.max(value);
    }

    /// Begins a cycle.
    pub(super) const fn advance(&mut self) {
        self.previous = self.current;
        self.current = 0;
    }

    pub(super) fn get(&self) -> u64 {
        self.current.max(self.previous)
    }
}

/// The most of the last rounds (§5.5.9).
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct RoundMax {
    rounds: [u64; EXTRA_ACKED_ROUNDS],
    /// Index of the current round.
    at: usize,
}

impl RoundMax {
    pub(super) fn update(&mut self, value: u64) {
        if let Some(current) = self.rounds.get_mut(self.at) {
            *current = value.max(*current);
        }
    }

    /// Begins a round and forgets the oldest.
    pub(super) fn advance(&mut self) {
        self.at = (self.at + 1) % EXTRA_ACKED_ROUNDS;
        if let Some(current) = self.rounds.get_mut(self.at) {
            *current = 0;
        }
    }

    /// The most of the current round.
    pub(super) fn latest(&self) -> u64 {
        self.rounds.get(self.at).copied().unwrap_or_default()
    }

    /// The most of all rounds.
    pub(super) fn get(&self) -> u64 {
        self.rounds.iter().copied().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_forgotten_after_the_next() {
        let mut most = CycleMax::default();
        most.update(9);
        most.advance();
        most.update(3);
        assert_eq!(most.get(), 9);
        most.advance();
        assert_eq!(most.get(), 3);
        most.advance();
        assert_eq!(most.get(), 0);
    }

    #[test]
    fn a_round_is_forgotten_after_ten() {
        let mut most = RoundMax::default();
        most.update(9);
        for _ in 1..EXTRA_ACKED_ROUNDS {
            most.advance();
            most.update(1);
            assert_eq!((most.get(), most.latest()), (9, 1));
        }
        most.advance();
        assert_eq!((most.get(), most.latest()), (1, 0));
    }
}
