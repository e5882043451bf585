//! What a simulation of many nodes is to do, in words that a file can hold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::Ppm;
use crate::units;

/// Nodes of one simulation; a scenario with more runs with so many.
pub const NODES_MAX: u32 = 1_000_000;

/// A network of overlays: how it grows, what is sent, what goes wrong. Everything has a default;
/// unknown names are refused.
///
/// Times count from the start of the simulation. Without a fault of its own a scenario is a
/// broadcast among nodes that have found each other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwarmScenario {
    /// How many nodes (1 to [`NODES_MAX`]).
    pub nodes: u32,
    /// Peers that a node dials for (`OverlayConfig::target_peers`). The mean degree of the network
    /// comes out higher, since nodes are dialled too.
    pub degree: u32,
    /// Peers that a node admits (`OverlayConfig::max_peers`).
    pub max_peers: u32,
    /// The first so many nodes are known to all from the start (1 to 64).
    pub bootstraps: u32,
    /// Time over which the nodes join, one after the other.
    #[serde(with = "units::time")]
    pub join_over: Duration,
    /// One-way delay between two nodes, drawn once per pair.
    pub latency: LatencyRange,
    /// Most that is added to each message; without losses they keep their order.
    #[serde(with = "units::time")]
    pub jitter: Duration,
    /// Share of messages that the transport has to send again: they come late, and others overtake
    /// them.
    #[serde(with = "units::share")]
    pub loss: Ppm,
    /// How long a broken link stays unnoticed at most: the transport's idle timeout. It is noticed
    /// after three to four quarters of this.
    #[serde(with = "units::time")]
    pub notice_after: Duration,
    /// When the first broadcast is sent.
    #[serde(with = "units::time")]
    pub warm_up: Duration,
    /// How many broadcasts.
    pub broadcasts: u32,
    /// Between two of them.
    #[serde(with = "units::time")]
    pub broadcast_interval: Duration,
    /// Bytes of each (at least 8, at most 64 KiB).
    pub payload: u32,
    /// Who sends them.
    pub origin: Origin,
    /// How many requests; each goes from a random node to a random peer of it, spread evenly over
    /// the time of the broadcasts. The peer answers at once.
    pub requests: u32,
    /// Nodes that stop all at once, without a word.
    pub crash: Option<Crash>,
    /// A time during which the network is in two parts.
    pub partition: Option<Partition>,
    /// Nodes that come and go.
    pub churn: Option<Churn>,
    /// Links that break without a word.
    pub cuts: Option<Cuts>,
    /// When the simulation ends. Left out: 30 s after the last broadcast and the last fault.
    #[serde(with = "units::optional_time", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// The invariants of the node at which something happened are checked at every so many events
    /// of the simulation (0: only at the end, at all nodes).
    pub check_every: u32,
}

impl Default for SwarmScenario {
    fn default() -> Self {
        Self {
            nodes: 100,
            degree: 8,
            max_peers: 32,
            bootstraps: 1,
            join_over: Duration::from_secs(5),
            latency: LatencyRange::default(),
            jitter: Duration::from_millis(1),
            loss: Ppm(0),
            notice_after: Duration::from_secs(30),
            warm_up: Duration::from_secs(60),
            broadcasts: 10,
            broadcast_interval: Duration::from_secs(1),
            payload: 256,
            origin: Origin::Random,
            requests: 0,
            crash: None,
            partition: None,
            churn: None,
            cuts: None,
            duration: None,
            check_every: 1,
        }
    }
}

/// From where to where one-way delays reach; both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyRange {
    /// The shortest.
    #[serde(with = "units::time")]
    pub min: Duration,
    /// The longest.
    #[serde(with = "units::time")]
    pub max: Duration,
}

impl Default for LatencyRange {
    /// 10 to 50 ms, the range that the overlay's design notes measure other networks with.
    fn default() -> Self {
        Self {
            min: Duration::from_millis(10),
            max: Duration::from_millis(50),
        }
    }
}

/// Who sends broadcasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Another running node each time.
    #[default]
    Random,
    /// The running node with the lowest number.
    First,
}

/// Nodes that stop all at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// When.
    #[serde(with = "units::time")]
    pub at: Duration,
    /// Share of the nodes.
    #[serde(with = "units::share")]
    pub fraction: Ppm,
    /// How long after it they come back; left out: never.
    #[serde(
        default,
        with = "units::optional_time",
        skip_serializing_if = "Option::is_none"
    )]
    pub restart_after: Option<Duration>,
    /// With what they come back.
    #[serde(default)]
    pub restart: Restart,
}

/// With what a node comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Its identity and its configuration.
    #[default]
    Empty,
    /// The same, and the addresses of the peers that it knew.
    KnownPeers,
    /// Everything: it was not stopped but stood still, as a machine that slept.
    Resumed,
}

/// A time in two parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// When it begins.
    #[serde(with = "units::time")]
    pub at: Duration,
    /// When it ends.
    #[serde(with = "units::time")]
    pub until: Duration,
    /// Share of the nodes in the smaller part.
    #[serde(with = "units::share")]
    pub fraction: Ppm,
}

/// Nodes that come and go: leavers are drawn at random among the running nodes, at random times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// When it begins.
    #[serde(with = "units::time")]
    pub from: Duration,
    /// When it ends.
    #[serde(with = "units::time")]
    pub until: Duration,
    /// Share of the nodes that leave in a minute.
    #[serde(with = "units::share")]
    pub per_minute: Ppm,
    /// Share of the leavers that go without a word; the others say goodbye.
    #[serde(default = "all", with = "units::share")]
    pub silent: Ppm,
    /// How long a leaver stays away.
    #[serde(default = "ten_seconds", with = "units::time")]
    pub away: Duration,
    /// With what it comes back.
    #[serde(default)]
    pub restart: Restart,
}

/// Links that break without a word, drawn at random among all, at random times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cuts {
    /// When it begins.
    #[serde(with = "units::time")]
    pub from: Duration,
    /// When it ends.
    #[serde(with = "units::time")]
    pub until: Duration,
    /// Breaks in a minute, in shares of the number of nodes.
    #[serde(with = "units::share")]
    pub per_minute: Ppm,
}

const fn all() -> Ppm {
    Ppm::ALWAYS
}

const fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

impl SwarmScenario {
    /// How many nodes run.
    #[must_use]
    pub fn node_count(&self) -> usize {
        usize::try_from(self.nodes.clamp(1, NODES_MAX)).unwrap_or(1)
    }

    /// When the last of the faults is over; `None`: there are none.
    #[must_use]
    pub fn faults_end(&self) -> Option<Duration> {
        let crash = self
            .crash
            .map(|crash| crash.at + crash.restart_after.unwrap_or_default());
        let ends = [
            crash,
            self.partition.map(|partition| partition.until),
            self.churn.map(|churn| churn.until + churn.away),
            self.cuts.map(|cuts| cuts.until),
        ];
        ends.into_iter().flatten().max()
    }

    /// When the simulation ends.
    #[must_use]
    pub fn end(&self) -> Duration {
        let last_broadcast = self.warm_up + self.broadcast_interval * self.broadcasts;
        let last = self.join_over.max(last_broadcast);
        let last = last.max(self.faults_end().unwrap_or_default());
        self.duration.unwrap_or(last + Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_half_a_minute_after_the_last_thing_that_happens() {
        let mut scenario = SwarmScenario::default();
        assert_eq!(scenario.end(), Duration::from_secs(60 + 10 + 30));
        scenario.partition = Some(Partition {
            at: Duration::from_secs(10),
            until: Duration::from_secs(200),
            fraction: Ppm::percent(50),
        });
        assert_eq!(scenario.end(), Duration::from_secs(230));
        scenario.duration = Some(Duration::from_secs(7));
        assert_eq!(scenario.end(), Duration::from_secs(7));
    }
}
