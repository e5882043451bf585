//! Shares of a link: what of an origin, and of what a neighbour brings, is passed on before the rest.
//!
//! What may be pushed to a neighbour is a bucket ([`super::neighbours`]). Who broadcasts much would
//! use all of it up, and everybody else would be announced instead of pushed. So a broadcast has a
//! *claim*. What is within the share of its origin and of the neighbour that brought it first may
//! use nearly all of the bucket; what exceeds either may use the upper half only. As long as nobody
//! else needs the link, an origin gets all of it; when somebody does, half of the bucket is there for
//! who is within its share, and each token that comes back goes to them first. The shares of
//! neighbours are for who has many names: they come through the same link.
//!
//! Nothing is queued, and nobody is told off: an honest relay passes on what it was sent.

use crate::Instant;
use crate::bucket::TokenBucket;
use crate::config::Rate;

/// Each so many bytes of a broadcast, begun ones included, cost a token of the shares.
const UNIT: usize = 16 * 1024;

/// How much of what may be sent to a neighbour a broadcast may use up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// All: urgent, or asked for.
    Urgent,
    /// All but an eighth.
    Fair,
    /// The upper half: what exceeds a share.
    Surplus,
}

impl Claim {
    /// What of a bucket of `burst` tokens it has to leave.
    pub(crate) const fn leaves(self, burst: u64) -> u64 {
        match self {
            Self::Urgent => 0,
            Self::Fair => burst / 8,
            Self::Surplus => burst / 2,
        }
    }
}

/// What an origin may bring, and what of that is its share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OriginRates {
    pub(crate) taken: Rate,
    pub(crate) share: Rate,
}

impl OriginRates {
    /// What an honest origin may send, a half of what is taken of it, and a quarter more: copies do not
    /// come as evenly as they were sent.
    pub(crate) fn lawful(&self) -> Rate {
        let of = |number: u64| (number / 2 + number / 8).max(1);
        Rate::new(of(self.taken.per_second), of(self.taken.burst))
    }
}

/// What a broadcast of `len` bytes costs of a share.
pub(crate) fn cost(len: usize) -> u64 {
    u64::try_from(len.div_ceil(UNIT).max(1)).unwrap_or(u64::MAX)
}

/// Takes a broadcast of `len` bytes from the share of its origin and from that of who brought it; from
/// neither when one of them has too little left.
pub(crate) fn take(
    now: Instant,
    len: usize,
    origin: &mut TokenBucket,
    bringer: Option<&mut TokenBucket>,
) -> bool {
    let cost = cost(len);
    match bringer {
        Some(bringer) => origin.has(now, cost) && bringer.take(now, cost) && origin.take(now, cost),
        None => origin.take(now, cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_leaves_its_part() {
        let left = [Claim::Urgent, Claim::Fair, Claim::Surplus].map(|claim| claim.leaves(512));
        assert_eq!(left, [0, 64, 256]);
    }

    #[test]
    fn each_begun_unit_costs_one() {
        let costs = [0, 1, UNIT, UNIT + 1, 4 * UNIT].map(cost);
        assert_eq!(costs, [1, 1, 1, 2, 4]);
    }

    #[test]
    fn what_exceeds_one_share_takes_nothing_of_the_other() {
        let now = Instant::ZERO;
        let bucket = |tokens| TokenBucket::new(now, 1, tokens);
        let (mut origin, mut bringer) = (bucket(1), bucket(3));
        assert!(take(now, 1, &mut origin, Some(&mut bringer)));
        assert!(!take(now, 1, &mut origin, Some(&mut bringer)));
        assert!(bringer.has(now, 2), "the origin's excess is not the link's");
        let mut another = bucket(9);
        assert!(!take(now, 3 * UNIT, &mut another, Some(&mut bringer)));
        assert!(another.has(now, 9) && take(now, 3 * UNIT, &mut another, None));
        assert!(!another.has(now, 7));
    }
}
