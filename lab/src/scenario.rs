//! What a run of two endpoints consists of, and how a seed becomes one.

use std::time::Duration;

use dunlin_session::CipherSuite;
use dunlin_transport::{EndpointConfig, Instant, StreamDirection};

use crate::link::Element;
use crate::profile::Profile;
use crate::rng::{Ppm, Rng};
use crate::workload::{Ending, Fate, Plan, Reader, StreamPlan};

/// A run of two endpoints: node 0 opens, node 1 answers.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How packets are protected.
    pub profile: Profile,
    /// Settings of both endpoints.
    pub config: [EndpointConfig; 2],
    /// The path from node 0 to node 1, and back.
    pub path: [Vec<Element>; 2],
    /// When the faults stop: from then on both directions are [`HEALED`].
    pub heal_at: Instant,
    /// What each side does.
    pub plans: [Plan; 2],
    /// The node that falls silent for ever, and when.
    pub death: Option<(usize, Instant)>,
    /// The node that is seen under another address, as behind a NAT that forgot it, so long after
    /// both ends are connected. It has to send something then to be found: give it a keep-alive.
    pub rebind: Option<(usize, Duration)>,
    /// Virtual time after healing within which everything must be done.
    pub patience: Duration,
    /// Events within which everything must be done.
    pub steps_max: u64,
}

/// The path once faults have stopped.
pub const HEALED: [Element; 1] = [Element::delay(Duration::from_millis(10))];

const MS: Duration = Duration::from_millis(1);

impl Scenario {
    /// A path without faults, an empty plan.
    #[must_use]
    pub fn new(path: &[Element]) -> Self {
        Self {
            profile: Profile::Plain,
            config: [EndpointConfig::default(), EndpointConfig::default()],
            path: [path.to_vec(), path.to_vec()],
            heal_at: Instant::ZERO + Duration::from_secs(5),
            plans: [
                Plan {
                    ending: Some(Ending::WhenDone),
                    ..Plan::default()
                },
                Plan::default(),
            ],
            death: None,
            rebind: None,
            patience: Duration::from_secs(120),
            steps_max: 2_000_000,
        }
    }

    /// The scenario of a seed: random paths with random faults, random settings and plans.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed).split(0x5ce0);
        let mut scenario = Self::new(&[]);
        scenario.path = if rng.chance(Ppm::percent(70)) {
            let path = random_path(&mut rng);
            [path.clone(), path]
        } else {
            [random_path(&mut rng), random_path(&mut rng)]
        };
        scenario.heal_at = Instant::ZERO + rng_duration(&mut rng, 500, 8_000);
        scenario.config = [random_config(&mut rng), random_config(&mut rng)];
        for node in 0..2 {
            scenario.plans[node] = random_plan(&mut rng, &scenario.config);
        }
        scenario.choose_ending(&mut rng);
        // The handshake in pure Rust costs as much as a thousand packets: not every seed pays it.
        if rng.chance(Ppm::percent(20)) {
            let ciphers = [CipherSuite::Aes128Gcm, CipherSuite::ChaCha20Poly1305];
            let cipher = rng
                .pick(&ciphers)
                .copied()
                .unwrap_or(CipherSuite::Aes128Gcm);
            scenario.profile = Profile::Sealed(cipher);
            if rng.chance(Ppm::percent(50)) {
                let node = usize::from(rng.chance(Ppm::percent(50)));
                scenario.rebind = Some((node, rng_duration(&mut rng, 1, 2_000)));
                scenario.config[node].transport.keep_alive = Some(Duration::from_secs(1));
            }
        }
        scenario
    }

    /// What no round trip can beat at `now`: the fixed delays, and those of [`HEALED`].
    #[must_use]
    pub fn rtt_floor(&self, now: Instant) -> Duration {
        let fixed = |path: &[Element]| -> Duration {
            let delays = path.iter().map(|element| match element {
                Element::Delay { fixed, .. } => *fixed,
                _ => Duration::ZERO,
            });
            delays.sum()
        };
        // After healing each way may be of either kind.
        let most = if now < self.heal_at {
            Duration::MAX
        } else {
            fixed(&HEALED)
        };
        self.path.iter().map(|path| fixed(path).min(most)).sum()
    }

    fn choose_ending(&mut self, rng: &mut Rng) {
        let node = usize::from(rng.chance(Ppm::percent(50)));
        let at = Instant::ZERO + rng_duration(rng, 1, 6_000);
        let ending = match rng.below(10) {
            0 => {
                self.death = Some((node, at));
                None
            }
            1 => Some(Ending::AbortAt(at)),
            2 | 3 => Some(Ending::CloseAt(at)),
            _ => Some(Ending::WhenDone),
        };
        for (index, plan) in self.plans.iter_mut().enumerate() {
            plan.ending = ending.filter(|_| index == node);
        }
    }
}

fn rng_duration(rng: &mut Rng, low_ms: u32, high_ms: u32) -> Duration {
    Duration::from_micros(rng.between(u64::from(low_ms) * 1_000, u64::from(high_ms) * 1_000))
}

fn random_path(rng: &mut Rng) -> Vec<Element> {
    let percent = Ppm::percent;
    let pick = |rng: &mut Rng, options: &[Ppm]| rng.pick(options).copied().unwrap_or_default();
    let mut path = Vec::new();
    let longest = rng.pick(&[1, 20, 150, 400]).copied().unwrap_or(1);
    path.push(Element::Delay {
        fixed: rng_duration(rng, 0, longest),
        jitter: if rng.chance(percent(50)) {
            rng_duration(rng, 0, 30)
        } else {
            Duration::ZERO
        },
        in_order: rng.chance(percent(50)),
    });
    let losses = [
        Ppm(0),
        Ppm(0),
        percent(1),
        percent(5),
        percent(20),
        percent(40),
    ];
    path.push(Element::Loss(pick(rng, &losses)));
    if rng.chance(percent(40)) {
        let chance = pick(rng, &[percent(1), percent(5), percent(25)]);
        path.push(Element::Reorder {
            chance,
            extra: rng_duration(rng, 1, 50),
        });
    }
    if rng.chance(percent(30)) {
        path.push(Element::Duplicate(pick(
            rng,
            &[percent(1), percent(10), percent(50)],
        )));
    }
    if rng.chance(percent(30)) {
        path.push(Element::Corrupt(pick(
            rng,
            &[percent(1), percent(5), percent(20)],
        )));
    }
    if rng.chance(percent(40)) {
        let rates = [200_000, 2_000_000, 20_000_000, 500_000_000];
        let bits_per_second = rng.pick(&rates).copied().unwrap_or(2_000_000);
        path.push(Element::Rate {
            bits_per_second,
            queue_bytes: rng.between(10_000, 500_000),
        });
    }
    if rng.chance(percent(5)) {
        path.push(Element::Mtu(
            usize::try_from(rng.between(500, 1_400)).unwrap_or(1_000),
        ));
    }
    path
}

fn random_config(rng: &mut Rng) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    let transport = &mut config.transport;
    // Longer than any fault phase: a connection may not die of faults that end.
    transport.handshake_timeout = Duration::from_secs(60);
    transport.idle_timeout = Duration::from_secs(60);
    if rng.chance(Ppm::percent(30)) {
        transport.receive_window = rng.between(65_536, 300_000);
        transport.stream_receive_window = rng.between(16_384, 100_000);
        transport.max_message_size = 60_000;
    }
    if rng.chance(Ppm::percent(30)) {
        transport.send_buffer = rng.between(65_536, 300_000);
    }
    if rng.chance(Ppm::percent(30)) {
        transport.max_streams_bidi = rng.between(1, 4);
        transport.max_streams_uni = rng.between(1, 4);
    }
    if rng.chance(Ppm::percent(30)) {
        // The wrap of the 32 bits in the header is near; not so near that it may pass before the
        // peer has opened its first packet, which tells it where the numbers are.
        let before = u32::try_from(rng.between(100, 400)).unwrap_or(100);
        transport.first_packet_number = Some(u32::MAX - before);
    }
    if rng.chance(Ppm::percent(20)) {
        transport.keep_alive = Some(rng_duration(rng, 20, 2_000));
    }
    transport.max_ack_delay = rng_duration(rng, 0, 60);
    transport.mtu = usize::try_from(rng.between(1_200, 1_400)).unwrap_or(1_344);
    config
}

fn random_plan(rng: &mut Rng, configs: &[EndpointConfig; 2]) -> Plan {
    let mut plan = Plan::default();
    let (streams, bytes_max) = match rng.below(8) {
        0 => (0, 0),
        1 => (1, 1_500_000),
        2 => (rng.between(20, 60), 3_000),
        _ => (rng.between(1, 5), 60_000),
    };
    plan.streams = (0..streams)
        .map(|_| random_stream(rng, bytes_max))
        .collect();
    let largest = configs
        .iter()
        .map(|config| config.transport.max_message_size)
        .min()
        .unwrap_or(0);
    if rng.chance(Ppm::percent(60)) {
        let count = rng.between(1, 80);
        let longest = rng.pick(&[100, 1_400, 10_000]).copied().unwrap_or(100);
        plan.messages = (0..count)
            .map(|_| size(rng, longest.min(largest)))
            .collect();
        if rng.chance(Ppm::percent(20)) {
            plan.messages.push(size(rng, largest.min(400_000)));
        }
    }
    if rng.chance(Ppm::percent(50)) {
        let count = rng.between(1, 40);
        plan.datagrams = (0..count).map(|_| size(rng, 3_000)).collect();
    }
    if rng.chance(Ppm::percent(20)) {
        let bytes = size(rng, 30_000).max(2_000);
        plan.reader = Reader::Paced {
            bytes,
            every: rng_duration(rng, 1, 20).max(MS),
        };
    }
    plan
}

fn size(rng: &mut Rng, longest: u64) -> usize {
    usize::try_from(rng.between(0, longest)).unwrap_or(0)
}

fn random_stream(rng: &mut Rng, bytes_max: u64) -> StreamPlan {
    let bytes = rng.between(0, bytes_max);
    let both = rng.chance(Ppm::percent(50));
    StreamPlan {
        direction: if both {
            StreamDirection::Bidirectional
        } else {
            StreamDirection::Unidirectional
        },
        bytes,
        answer: if both { rng.between(0, bytes_max) } else { 0 },
        fate: match rng.below(10) {
            0 => Fate::Reset(rng.between(0, bytes)),
            1 => Fate::Stop(rng.between(0, bytes)),
            _ => Fate::Finish,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_scenario() {
        let text = |seed| format!("{:?}", Scenario::from_seed(seed));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn seeds_reach_every_kind_of_ending_and_element() {
        let scenarios: Vec<_> = (0..200).map(Scenario::from_seed).collect();
        assert!(scenarios.iter().any(|scenario| scenario.death.is_some()));
        assert!(scenarios.iter().any(|scenario| scenario.rebind.is_some()));
        for wanted in [
            "WhenDone", "CloseAt", "AbortAt", "Corrupt", "Mtu", "Rate", "Reset", "Paced", "Sealed",
        ] {
            let found = scenarios
                .iter()
                .any(|scenario| format!("{scenario:?}").contains(wanted));
            assert!(found, "no seed has {wanted}");
        }
    }
}
