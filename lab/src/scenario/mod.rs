//! What a run of two endpoints consists of, and how a seed becomes one.

mod random;

use std::time::Duration;

use dunlin_session::CipherSuite;
use dunlin_transport::{EndpointConfig, Instant};

use crate::link::Element;
use crate::nat::NatConfig;
use crate::net::{Clock, Net};
use crate::profile::Profile;
use crate::rng::{Ppm, Rng};
use crate::watch::SKEW_SHARE;
use crate::workload::{Agent, Ending, Plan};
use random::{
    random_config, random_nat, random_node_faults, random_path, random_plan, rng_duration,
};

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
    /// Whether a node's socket gathers datagrams into trains ([`Net::gather`]).
    pub gathers: [bool; 2],
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
            gathers: [false; 2],
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
        scenario.gathers = [(); 2].map(|()| rng.chance(Ppm::percent(50)));
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
        // A clock that is slow reads less.
        floor - floor / SKEW_SHARE
    }

    /// What clocks that run fast or slow may have added up to at `now`.
    #[must_use]
    pub fn clock_slack(&self, now: Instant) -> Duration {
        if self.faults.iter().all(|faults| faults.skew_ppm == 0) {
            return Duration::ZERO;
        }
        now.saturating_duration_since(Instant::ZERO) / SKEW_SHARE
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
            "gathers: [true, false]",
            "gathers: [false, true]",
        ] {
            let found = scenarios
                .iter()
                .any(|scenario| format!("{scenario:?}").contains(wanted));
            assert!(found, "no seed has {wanted}");
        }
    }
}
