//! What a run of two endpoints consists of, and how a seed becomes one.

use std::sync::Arc;
use std::time::Duration;

use dunlin_session::CipherSuite;
use dunlin_transport::{EndpointConfig, Instant, StreamDirection};

use crate::link::capacity::Steps;
use crate::link::{
    Blackout, Capacity, CoDel, Distribution, DropTail, DualPi2, Element, GilbertElliott, Queue,
    RateTrace, Shape,
};
use crate::nat::{Dependence, NatConfig, Ports};
use crate::net::{Clock, Net};
use crate::profile::Profile;
use crate::rng::{Ppm, Rng};
use crate::units::{BitRate, Time};
use crate::workload::{Agent, Ending, Fate, Plan, Reader, StreamPlan};

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
    /// What else is wrong with each node.
    pub faults: [NodeFaults; 2],
    /// The NAT in front of node 0, if there is one. It has to be sealed: a plain connection does
    /// not move.
    pub nat: Option<NatFault>,
    /// Virtual time after healing within which everything must be done.
    pub patience: Duration,
    /// Events within which everything must be done.
    pub steps_max: u64,
}

/// What is wrong with a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeFaults {
    /// It does nothing from one time to another.
    pub pause: Option<(Instant, Instant)>,
    /// Until the faults stop each input costs it so much time.
    pub cost: Duration,
    /// Its clock gains so many millionths, to the end of the run.
    pub skew_ppm: i32,
}

/// A NAT that forgets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatFault {
    /// Its kind.
    pub config: NatConfig,
    /// When it forgets all it knows.
    pub forgets: Vec<Instant>,
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
            faults: [NodeFaults::default(); 2],
            nat: None,
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
        if scenario.path.iter().flatten().any(Element::limits_length) {
            // Acknowledgements ride on packets that are lost for their length until the path
            // heals. Round-trip times of many seconds are measured, and the time in which a closed
            // connection answers late packets is three probe timeouts: minutes, then.
            scenario.patience = Duration::from_secs(400);
        }
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
            if rng.chance(Ppm::percent(30)) {
                scenario.nat = Some(random_nat(&mut rng, scenario.heal_at));
                // What a NAT has forgotten is found again when node 0 says something.
                scenario.config[0].transport.keep_alive = Some(Duration::from_secs(1));
            } else if rng.chance(Ppm::percent(50)) {
                let node = usize::from(rng.chance(Ppm::percent(50)));
                scenario.rebind = Some((node, rng_duration(&mut rng, 1, 2_000)));
                scenario.config[node].transport.keep_alive = Some(Duration::from_secs(1));
            }
        }
        scenario.faults = [(); 2].map(|()| random_node_faults(&mut rng, scenario.heal_at));
        scenario
    }

    /// What no round trip can beat at `now`, by the clock of any node: the fixed delays, and those
    /// of [`HEALED`].
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
        let floor: Duration = self.path.iter().map(|path| fixed(path).min(most)).sum();
        // A clock that is slow by as much as the generator makes one reads less.
        floor - floor / 500
    }

    /// Brings the faults of nodes into a network whose first two nodes are those of the scenario.
    pub fn apply_faults(&self, net: &mut Net<Agent>) {
        for (node, faults) in self.faults.iter().enumerate() {
            net.set_clock(node, Clock::new(Duration::ZERO, faults.skew_ppm));
            if let Some((from, until)) = faults.pause {
                net.pause_at(from, until, node);
            }
            if !faults.cost.is_zero() {
                net.slow_at(Instant::ZERO, node, faults.cost);
                net.slow_at(self.heal_at, node, Duration::ZERO);
            }
        }
        if let Some(fault) = &self.nat {
            let nat = net.add_nat(fault.config);
            net.put_behind(0, nat);
            for at in &fault.forgets {
                net.forget_nat_at(*at, nat, None);
            }
        }
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
    let mut path = vec![random_delay(rng), random_loss(rng)];
    if rng.chance(percent(40)) {
        let chance = pick(rng, &[percent(1), percent(5), percent(25)]);
        path.push(Element::Reorder {
            chance,
            extra: rng_duration(rng, 1, 50),
        });
    }
    if rng.chance(percent(30)) {
        let chance = pick(rng, &[percent(1), percent(10), percent(50)]);
        path.push(Element::Duplicate(chance));
    }
    if rng.chance(percent(30)) {
        let chance = pick(rng, &[percent(1), percent(5), percent(20)]);
        path.push(Element::Corrupt(chance));
    }
    if rng.chance(percent(20)) {
        let chance = pick(rng, &[percent(1), percent(20), Ppm::ALWAYS]);
        path.push(Element::EcnMark(chance));
    }
    if rng.chance(percent(40)) {
        path.push(random_bottleneck(rng));
    }
    if rng.chance(percent(10)) {
        path.push(Element::Policer {
            bits_per_second: pick(rng, &[200_000, 2_000_000, 20_000_000]),
            burst_bytes: rng.between(5_000, 100_000),
        });
    }
    if rng.chance(percent(10)) {
        let chance = pick(rng, &[percent(10), Ppm::ALWAYS]);
        path.push(Element::EcnBleach(chance));
    }
    if rng.chance(percent(5)) {
        let bytes = usize::try_from(rng.between(500, 1_400)).unwrap_or(1_000);
        let silent = rng.chance(percent(50));
        path.push(if silent {
            Element::Mtu(bytes)
        } else {
            Element::MtuWithIcmp(bytes)
        });
    }
    if rng.chance(percent(15)) {
        let from = rng_duration(rng, 0, 6_000);
        let until = from + rng_duration(rng, 1, 2_000);
        path.push(Element::Blackout(Blackout::Windows(vec![[
            Time(from),
            Time(until),
        ]])));
    }
    path
}

fn pick<T: Copy + Default>(rng: &mut Rng, options: &[T]) -> T {
    rng.pick(options).copied().unwrap_or_default()
}

fn random_delay(rng: &mut Rng) -> Element {
    let longest = pick(rng, &[1, 20, 150, 400]);
    let fixed = rng_duration(rng, 0, longest);
    let jitter = if rng.chance(Ppm::percent(50)) {
        rng_duration(rng, 0, 30)
    } else {
        Duration::ZERO
    };
    let in_order = rng.chance(Ppm::percent(50));
    let distribution = match rng.below(10) {
        0 | 1 => Distribution::Normal {
            mean: fixed,
            deviation: jitter,
        },
        2 | 3 => Distribution::Pareto {
            scale: fixed.max(MS),
            shape: Shape(u32::try_from(rng.between(800, 5_000)).unwrap_or(2_000)),
            cap: Duration::from_secs(1),
        },
        _ => {
            return Element::Delay {
                fixed,
                jitter,
                in_order,
            };
        }
    };
    Element::RandomDelay {
        distribution,
        in_order,
    }
}

fn random_loss(rng: &mut Rng) -> Element {
    let percent = Ppm::percent;
    if rng.chance(percent(25)) {
        return Element::GilbertElliott(GilbertElliott {
            good_to_bad: pick(rng, &[Ppm(1_000), percent(1), percent(5)]),
            bad_to_good: pick(rng, &[percent(5), percent(25), percent(50)]),
            loss_good: pick(rng, &[Ppm(0), Ppm(1_000), percent(2)]),
            loss_bad: pick(rng, &[percent(50), Ppm::ALWAYS]),
        });
    }
    let losses = [
        Ppm(0),
        Ppm(0),
        percent(1),
        percent(5),
        percent(20),
        percent(40),
    ];
    Element::Loss(pick(rng, &losses))
}

fn random_bottleneck(rng: &mut Rng) -> Element {
    let rates = [200_000, 2_000_000, 20_000_000, 500_000_000];
    let bits_per_second = pick(rng, &rates);
    let bytes = rng.between(10_000, 500_000);
    let queue = match rng.below(8) {
        0 => Queue::CoDel(CoDel {
            bytes,
            ..CoDel::default()
        }),
        1 => Queue::DualPi2(DualPi2 {
            bytes,
            ..DualPi2::default()
        }),
        2 => Queue::DropTail(DropTail {
            bytes,
            mark_above: Some(bytes / 4),
        }),
        _ => {
            return Element::Rate {
                bits_per_second,
                queue_bytes: bytes,
            };
        }
    };
    let capacity = if rng.chance(Ppm::percent(30)) {
        // The rate halves and doubles, and there is an outage now and then.
        let second = rng_duration(rng, 50, 500);
        let rates = [bits_per_second, bits_per_second / 4, 0];
        let times = [Duration::ZERO, second, second * 2];
        let steps = times.map(Time).into_iter().zip(rates.map(BitRate));
        Capacity::Trace(Arc::new(RateTrace::Steps(Steps {
            steps: steps.collect(),
            repeat: Some(Time(second * 2 + rng_duration(rng, 1, 300))),
        })))
    } else {
        Capacity::Constant(bits_per_second)
    };
    Element::Bottleneck { capacity, queue }
}

fn random_node_faults(rng: &mut Rng, heal_at: Instant) -> NodeFaults {
    let mut faults = NodeFaults::default();
    if rng.chance(Ppm::percent(15)) {
        let from = Instant::ZERO + rng_duration(rng, 0, 6_000);
        let until = (from + rng_duration(rng, 1, 3_000)).min(heal_at);
        faults.pause = (from < until).then_some((from, until));
    }
    if rng.chance(Ppm::percent(15)) {
        faults.cost = Duration::from_micros(rng.between(1, 2_000));
    }
    if rng.chance(Ppm::percent(30)) {
        let skew = i32::try_from(rng.below(2_001)).unwrap_or(0);
        faults.skew_ppm = skew - 1_000;
    }
    faults
}

fn random_nat(rng: &mut Rng, heal_at: Instant) -> NatFault {
    let kinds = [
        Dependence::EndpointIndependent,
        Dependence::AddressDependent,
        Dependence::AddressAndPortDependent,
    ];
    let mut kind = || rng.pick(&kinds).copied().unwrap_or(kinds[0]);
    let config = NatConfig {
        mapping: kind(),
        filtering: kind(),
        ports: if rng.chance(Ppm::percent(50)) {
            Ports::Random
        } else {
            Ports::Sequential
        },
        timeout: rng_duration(rng, 30_000, 300_000),
        hairpinning: false,
    };
    let count = rng.below(4);
    let heal_ms = heal_at.as_nanos() / 1_000_000;
    let mut times = (0..count).map(|_| rng.between(0, heal_ms));
    let forgets = times
        .by_ref()
        .map(|ms| Instant::from_nanos(ms * 1_000_000))
        .collect();
    NatFault { config, forgets }
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
        let scenarios: Vec<_> = (0..400).map(Scenario::from_seed).collect();
        assert!(scenarios.iter().any(|scenario| scenario.death.is_some()));
        assert!(scenarios.iter().any(|scenario| scenario.rebind.is_some()));
        for wanted in [
            "WhenDone",
            "CloseAt",
            "AbortAt",
            "Corrupt",
            "Mtu",
            "MtuWithIcmp",
            "Rate",
            "Reset",
            "Paced",
            "Sealed",
            "Normal",
            "Pareto",
            "GilbertElliott",
            "CoDel",
            "DualPi2",
            "DropTail",
            "Steps",
            "EcnMark",
            "EcnBleach",
            "Policer",
            "Blackout",
            "pause: Some",
            "skew_ppm: -",
            "NatFault",
            "Duplicate",
            "Reorder",
        ] {
            let found = scenarios
                .iter()
                .any(|scenario| format!("{scenario:?}").contains(wanted));
            assert!(found, "no seed has {wanted}");
        }
    }
}
