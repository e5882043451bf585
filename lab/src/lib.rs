//! The deterministic laboratory: production protocol code in virtual time.
//!
//! An endpoint of `dunlin-transport` takes time, bytes and randomness as arguments. Here all three
//! come from a seed: a [`scheduler`] keeps virtual time, a [`link`] is the path between two nodes
//! as a list of elements (delay, loss, a bottleneck, …), a [`net`] runs any number of endpoints
//! over links, and a [`pair`] runs two of them through a [`scenario`] drawn from a seed, checks
//! what must always hold after every event and what must come true at the end. The same seed gives
//! the same bytes at the same times on every machine ([`trace`]).
//!
//! [`adversary`] is a peer whose every packet a test writes. [`fuzzing`] drives a pair by bytes
//! instead of a seed; [`goodput`] measures a link.
//!
//! [`plot`] draws what was measured.
//!
//! What it deliberately does not: sockets, threads, the wall clock. `docs/lab.md` is its manual.

pub mod adversary;
pub mod capture;
pub mod experiment;
pub mod fuzzing;
pub mod goodput;
pub mod instruments;
pub mod intruder;
pub mod link;
pub mod meddled_pair;
pub mod mesh;
pub mod nat;
pub mod net;
pub mod pair;
pub mod payload;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod plot;
pub mod profile;
pub mod reference;
pub mod rng;
pub mod scenario;
pub mod scheduler;
pub mod seed;
pub mod shrink;
pub mod stack;
pub mod swarm;
pub mod trace;
pub mod units;
pub mod violation;
pub mod watch;
pub mod workload;
