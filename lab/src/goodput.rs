//! How much a path carries: one bulk stream in virtual time.

use std::time::Duration;

use dunlin_transport::{EndpointConfig, Instant, Side, Stats, StreamDirection};

use crate::link::{Element, LinkStats};
use crate::net::Net;
use crate::profile::Profile;
use crate::rng::Rng;
use crate::violation::{Failure, Violation};
use crate::workload::{Agent, Fate, Plan, StreamPlan};

/// What a bulk transfer reached.
#[derive(Clone, Copy, Debug)]
pub struct Goodput {
    /// Bytes that the reading application got per second, in bits.
    pub bits_per_second: u64,
    /// Counters of the sender.
    pub sender: Stats,
    /// What became of the datagrams on the way there.
    pub link: LinkStats,
    /// Events that were simulated.
    pub steps: u64,
    /// Datagrams that both sides sent.
    pub datagrams: u64,
}

/// Runs one stream without end over `forward` (acknowledgements return over `backward`) for
/// `time` and counts what arrives after `warm_up`.
///
/// # Errors
/// The connection failed.
pub fn probe(
    config: &EndpointConfig,
    path: (&[Element], &[Element]),
    times: (Duration, Duration),
    seed: u64,
) -> Result<Goodput, Failure> {
    probe_with(Profile::Plain, config, path, times, seed)
}

/// The same with packets protected as `profile` says.
///
/// # Errors
/// The connection failed.
pub fn probe_with(
    profile: Profile,
    config: &EndpointConfig,
    (forward, backward): (&[Element], &[Element]),
    (warm_up, time): (Duration, Duration),
    seed: u64,
) -> Result<Goodput, Failure> {
    let mut rng = Rng::new(seed);
    let mut net = Net::new(rng.split(2));
    let stream = StreamPlan {
        direction: StreamDirection::Unidirectional,
        bytes: 1 << 60,
        answer: 0,
        fate: Fate::Finish,
    };
    let sending = Plan {
        streams: vec![stream],
        ..Plan::default()
    };
    let sender = Agent::new(0, Side::Initiator, sending.clone(), Plan::default());
    net.add(
        profile.endpoint(0, config, false, &mut rng.split(0)),
        sender,
    );
    let receiver = Agent::new(1, Side::Responder, Plan::default(), sending);
    net.add(
        profile.endpoint(1, config, true, &mut rng.split(1)),
        receiver,
    );
    net.link(0, 1, forward);
    net.link(1, 0, backward);
    let remote = Net::<Agent>::address_of(1);
    let initiator = profile.initiator(0, 1, &mut rng);
    net.with(0, |now, endpoint, agent| {
        if let Ok(handle) = endpoint.connect(now, remote, initiator) {
            agent.set_connection(handle);
        }
    })?;
    let before = received_at(&mut net, Instant::ZERO + warm_up)?;
    let after = received_at(&mut net, Instant::ZERO + warm_up + time)?;
    let bits = u128::from(after - before) * 8 * 1_000_000_000 / time.as_nanos().max(1);
    let connection = net.app(0).and_then(Agent::connection);
    let sender = connection.and_then(|handle| net.endpoint(0)?.connection(handle));
    Ok(Goodput {
        bits_per_second: u64::try_from(bits).unwrap_or(u64::MAX),
        sender: sender
            .map(dunlin_transport::Connection::stats)
            .unwrap_or_default(),
        link: net.link_stats(0, 1).unwrap_or_default(),
        steps: net.steps(),
        datagrams: net.datagrams(),
    })
}

/// Runs until `at`; bytes the receiver has read by then.
fn received_at(net: &mut Net<Agent>, at: Instant) -> Result<u64, Failure> {
    while net.next_time().is_some_and(|next| next <= at) {
        net.step()?;
    }
    let receiver = net.app(1);
    if let Some(reason) = receiver.and_then(Agent::close_reason) {
        let (reason, expected) = (Some(reason.clone()), "an open connection");
        return Err(net.failure(Violation::Ending {
            node: 1,
            reason,
            expected,
        }));
    }
    Ok(receiver.map_or(0, |agent| {
        agent.read().values().map(|read| read.received).sum()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bottleneck_without_loss_is_filled_and_never_exceeded() {
        let delay = Element::delay(Duration::from_millis(10));
        let rate = Element::Rate {
            bits_per_second: 10_000_000,
            queue_bytes: 50_000,
        };
        let times = (Duration::from_secs(2), Duration::from_secs(3));
        let path: (&[Element], &[Element]) = (&[rate, delay.clone()], &[delay]);
        let result = probe(&EndpointConfig::default(), path, times, 1).unwrap();
        assert!(result.bits_per_second > 8_000_000, "{result:?}");
        assert!(result.bits_per_second <= 10_000_000, "{result:?}");
    }
}
