//! Recordings of simulated networks: `dunlin lab record` writes one, `dunlin simulate --recorded` plays it
//! in the dashboard (`docs/dashboard.md`, ADR 0445).
//!
//! A recording is JSON lines: a [`Header`], then a [`Frame`] for each interval. Nodes are named by their
//! place in the header; links and whether a node runs are told when they change.
//!
//! | module | what it is |
//! |---|---|
//! | [`write`] | the laboratory's network of overlays, written down as it goes |
//! | [`read`] | frames of a file, checked |
//! | [`scene`] | the network at one moment |
//! | [`play`] | the dashboard of a recording |

pub mod limits;
pub mod play;
pub mod read;
pub mod scene;
pub mod write;

use serde::{Deserialize, Serialize};

/// The version of the form.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`VERSION`].
    pub dunlin_recording: u32,
    /// What was simulated, in words.
    pub title: String,
    /// The seed of the simulation.
    pub seed: u64,
    /// Milliseconds of simulated time from frame to frame.
    pub interval_ms: u64,
    /// The IDs of all nodes that ever run.
    pub nodes: Vec<String>,
}

/// What a node has counted so far: known peers, broadcasts received, further copies of them, copies
/// passed on.
pub type Counters = [u32; 4];

/// One moment, and what changed since the one before.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Simulated time in milliseconds.
    pub at_ms: u64,
    /// Nodes that run now and did not before.
    pub up: Vec<u32>,
    /// Nodes that do not run any more.
    pub down: Vec<u32>,
    /// Links that came; the lower place first.
    pub linked: Vec<(u32, u32)>,
    /// Links that ended.
    pub unlinked: Vec<(u32, u32)>,
    /// Nodes that broadcast something.
    pub broadcasts: Vec<u32>,
    /// Of each node.
    pub counters: Vec<Counters>,
    /// Messages that have arrived anywhere so far.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}
