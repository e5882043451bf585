//! What third parties say of a peer: remembered, bounded, and worth little.
//!
//! Each statement weighs as much as its author is trusted above a stranger, from our own experience; so
//! strangers, of whom there can be any number, weigh nothing. The sum of all is cut to ±1 and multiplied
//! by [`HEARSAY_MAX_PERMILLE`]. It is added to what is shown as trust and to nothing else: no score, no ban, no
//! eager place and no statement of our own depends on it.

use std::collections::BTreeMap;

use dunlin_session::NodeId;

use crate::limits::{HEARSAY_MAX_PERMILLE, STATEMENTS_PER_PEER_MAX};
use crate::planted::{self, Bug};

/// The latest statement of each of a few authors, in thousandths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearsay(BTreeMap<NodeId, u16>);

impl Hearsay {
    /// An author says so. At the limit the first by ID leaves, unless the author has spoken before:
    /// which statements are kept does not matter, because all of them together count for little.
    pub(crate) fn note(&mut self, author: NodeId, permille: u16) {
        if self.0.len() >= STATEMENTS_PER_PEER_MAX && !self.0.contains_key(&author) {
            self.0.pop_first();
        }
        self.0.insert(author, permille.min(1000));
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What they add to the trust in their subject, given how much each author is trusted. `initial` is
    /// the trust in a stranger.
    pub(crate) fn sum(&self, trust_in: impl Fn(&NodeId) -> f64, initial: f64) -> f64 {
        let most = f64::from(HEARSAY_MAX_PERMILLE) / 1000.0;
        let mut sum = 0.0;
        for (author, &permille) in &self.0 {
            let weight = (trust_in(author) - initial).max(0.0);
            sum += weight * (f64::from(permille) / 1000.0 - initial);
        }
        if planted::is(Bug::HearsayUnbounded) {
            return sum;
        }
        // Four authors trusted without reserve who say the utmost reach the bound.
        sum.clamp(-1.0, 1.0) * most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: f64 = HEARSAY_MAX_PERMILLE as f64 / 1000.0;

    fn author(n: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn statements_are_kept_up_to_the_limit_and_one_more_takes_a_place() {
        let mut hearsay = Hearsay::default();
        for n in 0..=STATEMENTS_PER_PEER_MAX {
            hearsay.note(author(u16::try_from(n).unwrap()), 1000);
        }
        assert_eq!(hearsay.len(), STATEMENTS_PER_PEER_MAX);
    }

    #[test]
    fn strangers_weigh_nothing_however_many_they_are() {
        let mut hearsay = Hearsay::default();
        (0..1000).for_each(|n| hearsay.note(author(n), 0));
        assert!(hearsay.sum(|_| 0.5, 0.5).abs() < 1e-12);
        assert!(hearsay.sum(|_| 1.0, 0.5) < -0.04, "the trusted are heard");
    }

    proptest! {
        /// Any authors, any trust in them, any statements, in any order and number.
        #[test]
        fn no_set_of_statements_moves_trust_by_more_than_the_bound(
            statements in proptest::collection::vec((any::<u16>(), any::<u16>()), 0..200),
            trusts in proptest::collection::vec(0.0..=1.0_f64, 1..50),
            initial in 0.0..=1.0_f64,
        ) {
            let mut hearsay = Hearsay::default();
            for &(name, permille) in &statements {
                hearsay.note(author(name), permille);
            }
            let trust_in = |author: &NodeId| {
                let [high, low, ..] = *author.as_bytes();
                trusts[(usize::from(high) * 256 + usize::from(low)) % trusts.len()]
            };
            let sum = hearsay.sum(trust_in, initial);
            prop_assert!(sum.abs() <= MOST + 1e-12, "{sum}");
        }
    }
}
