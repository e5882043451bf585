//! How fast a subnet may connect: a bucket for each subnet that did lately, one more for all others
//! together when there are too many.

use std::collections::BTreeMap;

use crate::Instant;
use crate::bucket::TokenBucket;
use crate::config::Rate;
use crate::limits::RATED_SUBNETS_MAX;
use crate::prefix::IpPrefix;

/// The buckets. At most [`RATED_SUBNETS_MAX`]; subnets beyond share one, so that who connects from very
/// many subnets gets no more than one of them, and pushes out nobody's bucket.
pub(crate) struct SubnetRates {
    rate: Rate,
    buckets: BTreeMap<IpPrefix, TokenBucket>,
    others: TokenBucket,
}

impl SubnetRates {
    /// Nobody has connected yet.
    pub(crate) fn new(now: Instant, rate: Rate) -> Self {
        Self {
            rate,
            buckets: BTreeMap::new(),
            others: TokenBucket::new(now, rate.per_second, rate.burst),
        }
    }

    /// Whether one more connection from `subnet` is within its rate.
    pub(crate) fn admit(&mut self, now: Instant, subnet: IpPrefix) -> bool {
        if !self.buckets.contains_key(&subnet) && self.buckets.len() >= RATED_SUBNETS_MAX {
            // A bucket that is full again says the same as none.
            let burst = self.rate.burst;
            self.buckets.retain(|_, bucket| !bucket.has(now, burst));
        }
        if !self.buckets.contains_key(&subnet) && self.buckets.len() >= RATED_SUBNETS_MAX {
            return self.others.take(now, 1);
        }
        let Rate { per_second, burst } = self.rate;
        self.buckets
            .entry(subnet)
            .or_insert_with(|| TokenBucket::new(now, per_second, burst))
            .take(now, 1)
    }

    /// Subnets with a bucket.
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 1,
        burst: 4,
    };

    fn subnet(n: usize) -> IpPrefix {
        format!("{}.{}.{}.0/24", 20 + n / 65_536, n / 256 % 256, n % 256)
            .parse()
            .unwrap()
    }

    #[test]
    fn a_subnet_has_its_burst_and_not_one_more_and_its_rate_again_later() {
        let mut rates = SubnetRates::new(Instant::ZERO, RATE);
        for _ in 0..4 {
            assert!(rates.admit(Instant::ZERO, subnet(1)));
        }
        assert!(!rates.admit(Instant::ZERO, subnet(1)));
        assert!(
            rates.admit(Instant::ZERO, subnet(2)),
            "another one is not concerned"
        );
        let later = Instant::ZERO + Duration::from_secs(1);
        assert!(rates.admit(later, subnet(1)) && !rates.admit(later, subnet(1)));
    }

    #[test]
    fn subnets_past_the_limit_share_one_rate_until_others_rest() {
        let mut rates = SubnetRates::new(Instant::ZERO, RATE);
        for n in 0..RATED_SUBNETS_MAX {
            assert!(rates.admit(Instant::ZERO, subnet(n)));
        }
        let admitted =
            (0..100).filter(|n| rates.admit(Instant::ZERO, subnet(RATED_SUBNETS_MAX + n)));
        assert_eq!(admitted.count(), 4);
        assert_eq!(rates.len(), RATED_SUBNETS_MAX);
        assert!(
            rates.admit(Instant::ZERO, subnet(7)),
            "the others keep theirs"
        );
        let later = Instant::ZERO + Duration::from_secs(60);
        assert!(rates.admit(later, subnet(RATED_SUBNETS_MAX)));
        assert_eq!(rates.len(), 1);
    }
}
