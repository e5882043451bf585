//! Random paths, settings, plans and faults: what a seed draws.

use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::{EndpointConfig, Instant, StreamDirection};

use super::{NatFault, NodeFaults};
use crate::link::capacity::Steps;
use crate::link::{
    Blackout, Capacity, CoDel, Distribution, DropTail, DualPi2, Element, GilbertElliott, Queue,
    RateTrace, Shape,
};
use crate::nat::{Dependence, NatConfig, Ports};
use crate::rng::{Ppm, Rng};
use crate::units::{BitRate, Time};
use crate::workload::{Fate, Plan, Reader, StreamPlan};

const MS: Duration = Duration::from_millis(1);

pub(super) fn rng_duration(rng: &mut Rng, low_ms: u32, high_ms: u32) -> Duration {
    Duration::from_micros(rng.between(u64::from(low_ms) * 1_000, u64::from(high_ms) * 1_000))
}

pub(super) fn random_path(rng: &mut Rng) -> Vec<Element> {
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

pub(super) fn pick<T: Copy + Default>(rng: &mut Rng, options: &[T]) -> T {
    rng.pick(options).copied().unwrap_or_default()
}

pub(super) fn random_delay(rng: &mut Rng) -> Element {
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

pub(super) fn random_loss(rng: &mut Rng) -> Element {
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

pub(super) fn random_bottleneck(rng: &mut Rng) -> Element {
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

pub(super) fn random_node_faults(rng: &mut Rng, heal_at: Instant) -> NodeFaults {
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

pub(super) fn random_nat(rng: &mut Rng, heal_at: Instant) -> NatFault {
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

pub(super) fn random_config(rng: &mut Rng) -> EndpointConfig {
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

pub(super) fn random_plan(rng: &mut Rng, configs: &[EndpointConfig; 2]) -> Plan {
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

pub(super) fn size(rng: &mut Rng, longest: u64) -> usize {
    usize::try_from(rng.between(0, longest)).unwrap_or(0)
}

pub(super) fn random_stream(rng: &mut Rng, bytes_max: u64) -> StreamPlan {
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
