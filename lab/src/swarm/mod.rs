//! Networks of overlays without a transport below: ten thousand nodes in one process.
//!
//! [`Swarm`] is the simulator: production `dunlin_overlay::Overlay`s, links that behave as the
//! transport makes them, and what goes wrong ([`Swarm::crash`], [`Swarm::partition`] and their
//! kind). A [`Judge`] watches every delivery and every answer, the invariants of a node are checked
//! after what happens to it, and all of it goes into one fingerprint. [`run`] makes a
//! [`SwarmScenario`] happen and returns a [`SwarmReport`].
//!
//! [`Swarm::with_tamperer`] puts somebody between the nodes who repeats, changes and withholds
//! messages; [`crate::mesh`] is what small networks must come to then.
//!
//! [`Swarm::corrupt`] makes a node hostile; [`conduct`] measures what becomes of such nodes.
//!
//! What the overlay promises, and therefore what is checked: a broadcast is delivered at most once
//! in a node's life, unchanged, with its true origin; a request is answered or fails, once; no
//! honest node is accused. How soon a broadcast reaches everybody is a figure, not a failure;
//! [`gossip`] measures it while most nodes die, or half of them are apart. [`churn`] measures how peers
//! are kept while nodes come and go, [`overload`] what a flooder does to the others; [`aims`] puts all of
//! it into one table.

mod adversary;
pub mod aims;
pub mod churn;
pub mod conduct;
mod director;
mod faults;
mod flood;
pub mod gossip;
mod judge;
mod links;
pub mod overload;
mod partings;
mod report;
mod run;
mod scenario;
mod step;
mod tamper;
mod verdicts;
mod violation;
mod world;

pub use self::adversary::Adversary;
pub(crate) use self::adversary::statement;
pub(crate) use self::director::{Director, World};
pub use self::judge::{Judge, Reaction, TOPIC};
pub use self::partings::Partings;
pub use self::report::{BroadcastReport, Distribution, Requests, SwarmReport};
pub use self::run::run;
pub(crate) use self::run::{bootstraps, overlay_config};
pub use self::scenario::{
    Churn, Crash, Cuts, LatencyRange, NODES_MAX, Origin, Partition, Restart, SwarmScenario,
};
pub use self::violation::{SwarmFailure, SwarmViolation};
pub use self::world::{Climate, START_MILLIS, Swarm};
