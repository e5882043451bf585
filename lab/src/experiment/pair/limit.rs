//! What a path allows at most: its slowest element, less what headers take.

use dunlin_transport::Instant;

use crate::experiment::model::{Experiment, Path, ProfileName};
use crate::link::{Capacity, Element, HEADER_BYTES, RateTrace};

/// A direction of the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// From client to server.
    Forward,
    /// From server to client.
    Backward,
}

/// The limit of application data over time.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// Paths and from when on they hold.
    paths: Vec<(Instant, Path)>,
    /// UDP payload of a full packet, after the search for the largest.
    mtu: u64,
    /// Bytes of it that are no application data.
    overhead: u64,
}

/// Bytes of one delivery opportunity of a trace (Mahimahi).
const OPPORTUNITY_BYTES: u64 = 1_504;
/// Header and CRC-32, or header and tag (`docs/wire.md`).
const PLAIN_OVERHEAD: u64 = 36;
const SEALED_OVERHEAD: u64 = 48;

impl Limit {
    pub(super) fn of(experiment: &Experiment) -> Self {
        let mut paths: Vec<(Instant, Path)> = experiment
            .path
            .iter()
            .map(|path| (Instant::ZERO, path.clone()))
            .collect();
        let changes = experiment.fault.iter().filter_map(|fault| {
            let path = fault.path.clone()?;
            Some((Instant::ZERO + fault.at.0, path))
        });
        paths.extend(changes);
        paths.sort_by_key(|(at, _)| *at);
        let configs = experiment.configs();
        let mtu = configs
            .iter()
            .map(|config| config.transport.mtu.max(config.transport.mtu_max))
            .min();
        Self {
            paths,
            mtu: mtu.unwrap_or(0) as u64,
            overhead: match experiment.profile {
                ProfileName::Plain => PLAIN_OVERHEAD,
                ProfileName::Sealed | ProfileName::SealedChacha20 => SEALED_OVERHEAD,
            },
        }
    }

    /// Bits per second of application data that the path allows at `at`; None: it has no bottleneck.
    pub(super) fn at(&self, way: Way, at: Instant) -> Option<u64> {
        let (_, path) = self.paths.iter().rev().find(|(since, _)| *since <= at)?;
        let elements = match way {
            Way::Forward => &path.forward,
            Way::Backward => &path.backward,
        };
        let now = at.as_nanos();
        let slowest = elements
            .iter()
            .filter_map(|element| rate(element, now))
            .min()?;
        let narrowest = elements.iter().filter_map(mtu).min();
        let mtu = narrowest.unwrap_or(self.mtu).min(self.mtu);
        let payload = mtu.saturating_sub(self.overhead);
        let data = u128::from(slowest) * u128::from(payload);
        u64::try_from(data / u128::from(mtu + HEADER_BYTES)).ok()
    }

    /// The mean between two times, looked at `count` times.
    pub(super) fn mean(&self, way: Way, (from, until): (Instant, Instant)) -> Option<u64> {
        const LOOKS: u64 = 1_000;
        let span = until.as_nanos().saturating_sub(from.as_nanos());
        let mut sum: u128 = 0;
        for look in 0..LOOKS {
            let at = from.as_nanos() + span / LOOKS * look;
            sum += u128::from(self.at(way, Instant::from_nanos(at))?);
        }
        u64::try_from(sum / u128::from(LOOKS)).ok()
    }
}

/// The largest UDP payload that an element lets through; None: any.
fn mtu(element: &Element) -> Option<u64> {
    match element {
        Element::Mtu(bytes) | Element::MtuWithIcmp(bytes) => Some(*bytes as u64),
        _ => None,
    }
}

/// The rate of an element at a time since the start, headers included.
fn rate(element: &Element, now: u64) -> Option<u64> {
    match element {
        Element::Rate {
            bits_per_second, ..
        }
        | Element::Policer {
            bits_per_second, ..
        } => Some(*bits_per_second),
        Element::Bottleneck { capacity, .. } => match capacity {
            Capacity::Constant(rate) => Some(*rate),
            Capacity::Trace(trace) => Some(trace_rate(trace, now)),
        },
        _ => None,
    }
}

fn trace_rate(trace: &RateTrace, now: u64) -> u64 {
    match trace {
        RateTrace::Steps(list) => {
            let nanos =
                |time: crate::units::Time| u64::try_from(time.0.as_nanos()).unwrap_or(u64::MAX);
            let now = match list.repeat.map(nanos) {
                Some(repeat) if repeat > 0 => now % repeat,
                _ => now,
            };
            let step = list
                .steps
                .iter()
                .rev()
                .find(|(from, _)| nanos(*from) <= now);
            step.map_or(0, |(_, rate)| rate.0)
        }
        RateTrace::Opportunities(list) => {
            let count = list.opportunities_ms.len() as u64;
            let span = list.opportunities_ms.last().copied().unwrap_or(1).max(1);
            count * OPPORTUNITY_BYTES * 8 * 1_000 / span
        }
    }
}
