//! What a simulation of the full stack is to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::link::Element;
use crate::rng::Ppm;
use crate::swarm::SwarmScenario;
use crate::units;

/// A network of full-stack nodes: what a [`SwarmScenario`] says of nodes, traffic and faults, and
/// what its paths do to datagrams.
///
/// Of `network`, `latency` and `jitter` hold for datagrams; `loss` and `notice_after` are not used
/// (losses are those of the path, and the transport notices by itself); a cut link is a path that
/// is dead for a minute.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StackScenario {
    /// Nodes, traffic, faults of nodes and of the network.
    pub network: SwarmScenario,
    /// What every path does to datagrams.
    pub path: Path,
    /// Nodes that are seen under another address from some time on.
    pub rebinds: Option<Rebinds>,
    /// Nodes whose disk is full for a while.
    pub disk_full: Option<DiskFull>,
}

/// What a path does to datagrams, in each direction.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Path {
    /// Share that is lost.
    #[serde(with = "units::share")]
    pub loss: Ppm,
    /// Share that is held back by `reorder_by`, so that later ones overtake it.
    #[serde(with = "units::share")]
    pub reorder: Ppm,
    /// For how long.
    #[serde(with = "units::time")]
    pub reorder_by: Duration,
    /// Share that comes twice.
    #[serde(with = "units::share")]
    pub duplicate: Ppm,
    /// Share in which bits are flipped.
    #[serde(with = "units::share")]
    pub corrupt: Ppm,
    /// When all paths become clean; left out: never.
    #[serde(with = "units::optional_time", skip_serializing_if = "Option::is_none")]
    pub clean_from: Option<Duration>,
}

impl Path {
    /// The elements that stand behind the delay.
    pub(super) fn elements(&self) -> Vec<Element> {
        let elements = [
            (self.loss, Element::Loss(self.loss)),
            (
                self.reorder,
                Element::Reorder {
                    chance: self.reorder,
                    extra: self.reorder_by,
                },
            ),
            (self.duplicate, Element::Duplicate(self.duplicate)),
            (self.corrupt, Element::Corrupt(self.corrupt)),
        ];
        let happens = |(chance, element): (Ppm, Element)| (chance > Ppm(0)).then_some(element);
        elements.into_iter().filter_map(happens).collect()
    }
}

/// Nodes that are seen under another port from some time on, as behind a NAT that forgot them: at
/// random times, drawn among the running nodes. Five seconds later the node knows its new address
/// and tells its peers. A bootstrap that is drawn stays where it is: its address is all that a node
/// without memory knows, and a network whose bootstraps have all moved is lost to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebinds {
    /// When it begins.
    #[serde(with = "units::time")]
    pub from: Duration,
    /// When it ends.
    #[serde(with = "units::time")]
    pub until: Duration,
    /// In a minute, as a share of the nodes.
    #[serde(with = "units::share")]
    pub per_minute: Ppm,
}

/// Nodes whose disk is full for a while: the addresses of peers that they want to keep for their
/// next life are refused, and who restarts with known peers knows those of before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFull {
    /// When it begins.
    #[serde(with = "units::time")]
    pub from: Duration,
    /// When it ends.
    #[serde(with = "units::time")]
    pub until: Duration,
    /// Share of the nodes that it happens to.
    #[serde(with = "units::share")]
    pub fraction: Ppm,
}
