//! Elements of a path as simpler ones of about the same effect.

use crate::link::{Capacity, Distribution, Element, Queue, RateTrace};
use crate::rng::Ppm;

/// `element` as one of a simpler kind; None: it is simple. What comes of it is not simplified twice
/// for ever: each kind leads to a plainer one.
pub(super) fn simpler(element: &Element) -> Option<Element> {
    match element {
        Element::RandomDelay {
            distribution,
            in_order,
        } => {
            let fixed = match *distribution {
                Distribution::Normal { mean, .. } => mean,
                Distribution::Pareto { scale, .. } => scale,
            };
            Some(Element::Delay {
                fixed,
                jitter: std::time::Duration::ZERO,
                in_order: *in_order,
            })
        }
        Element::Delay { fixed, jitter, .. } if !jitter.is_zero() => Some(Element::delay(*fixed)),
        Element::GilbertElliott(model) => {
            // The share of time in the bad state is p / (p + r) (Gilbert 1960).
            let (enter, leave) = (
                u64::from(model.good_to_bad.0),
                u64::from(model.bad_to_good.0),
            );
            let lost = u64::from(model.loss_bad.0) * enter / (enter + leave).max(1);
            Some(Element::Loss(Ppm(u32::try_from(lost).unwrap_or(0))))
        }
        Element::MtuWithIcmp(bytes) => Some(Element::Mtu(*bytes)),
        Element::Bottleneck { capacity, queue } => Some(simpler_bottleneck(capacity, queue)),
        _ => None,
    }
}

/// A constant rate first, then a queue that drops nothing early.
fn simpler_bottleneck(capacity: &Capacity, queue: &Queue) -> Element {
    let bits_per_second = match capacity {
        Capacity::Constant(rate) => *rate,
        Capacity::Trace(trace) => {
            let fastest = match trace.as_ref() {
                RateTrace::Steps(list) => list.steps.iter().map(|(_, rate)| rate.0).max(),
                RateTrace::Opportunities(_) => None,
            };
            return Element::Bottleneck {
                capacity: Capacity::Constant(fastest.unwrap_or(DEFAULT_RATE).max(1)),
                queue: *queue,
            };
        }
    };
    let queue_bytes = match queue {
        Queue::DropTail(queue) => queue.bytes,
        Queue::CoDel(queue) => queue.bytes,
        Queue::DualPi2(queue) => queue.bytes,
    };
    Element::Rate {
        bits_per_second,
        queue_bytes,
    }
}

/// Instead of a recorded trace. A guess: what such traces carry in the mean.
const DEFAULT_RATE: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_element_becomes_simple_in_a_few_steps() {
        for seed in 0..200 {
            for element in Scenario::from_seed(seed).path.iter().flatten() {
                let mut element = element.clone();
                let mut steps = 0;
                while let Some(next) = simpler(&element) {
                    assert!(next.validate().is_ok(), "{next:?}");
                    element = next;
                    steps += 1;
                }
                assert!(steps <= 2, "{element:?}");
            }
        }
    }
}
