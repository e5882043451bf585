//! What turns a seed into a verdict.

use std::time::Duration;

use dunlin_session::CipherSuite;

use super::{Layer, fuzz, impostors};
use crate::pair;
use crate::profile::Profile;
use crate::rng::Ppm;
use crate::scenario::Scenario;
use crate::swarm::{self, Crash, Restart, SwarmScenario};

/// One way to look for mistakes.
#[derive(Clone, Copy, Debug)]
pub struct Instrument {
    /// Its name in the table.
    pub name: &'static str,
    /// The crates that it can judge.
    pub layers: &'static [Layer],
    /// One run.
    pub run: fn(u64) -> Result<(), String>,
}

const PACKETS: &[Layer] = &[Layer::Transport];
const BOTH: &[Layer] = &[Layer::Transport, Layer::Session];
const SEALED: &[Layer] = &[Layer::Session];
const PEERS: &[Layer] = &[Layer::Overlay];

const fn instrument(
    name: &'static str,
    layers: &'static [Layer],
    run: fn(u64) -> Result<(), String>,
) -> Instrument {
    Instrument { name, layers, run }
}

/// Every instrument, in the order in which a seed visits them.
pub const INSTRUMENTS: &[Instrument] = &[
    instrument("torture", PACKETS, torture),
    instrument("sealed torture", SEALED, sealed_torture),
    instrument("reference", BOTH, reference),
    instrument("intruder", BOTH, intruder),
    instrument("impostors", SEALED, impostors::run),
    instrument("mesh", PEERS, crate::mesh::run),
    instrument("swarm", PEERS, small_swarm),
    instrument("trees", PEERS, crate::mesh::trees::run),
    instrument("standing", PEERS, crate::mesh::standing::run),
    instrument("fuzz connection_pair", PACKETS, fuzz::connection_pair),
    instrument("fuzz endpoints", PACKETS, fuzz::endpoints),
    instrument("fuzz header", PACKETS, fuzz::header),
    instrument("fuzz ack_ranges", PACKETS, fuzz::ack_ranges),
    instrument("fuzz frames", PACKETS, fuzz::frames),
    instrument("fuzz assembler", PACKETS, fuzz::assembler),
    instrument("fuzz send_buffer", PACKETS, fuzz::send_buffer),
    instrument("fuzz messages_in", PACKETS, fuzz::messages_in),
    instrument("fuzz messages_out", PACKETS, fuzz::messages_out),
    instrument("fuzz received_packets", PACKETS, fuzz::received_packets),
    instrument("fuzz loss_recovery", PACKETS, fuzz::loss_recovery),
    instrument("fuzz flow_control", PACKETS, fuzz::flow_control),
    instrument("fuzz streams_pair", PACKETS, fuzz::streams_pair),
    instrument("fuzz streams_hostile", PACKETS, fuzz::streams_hostile),
    instrument("fuzz stream_fairness", PACKETS, fuzz::stream_fairness),
    instrument("fuzz handshake_messages", SEALED, fuzz::handshake_messages),
    instrument("fuzz open_packet", SEALED, fuzz::open_packet),
    instrument("fuzz overlay_operations", PEERS, fuzz::overlay_operations),
    instrument("fuzz overlay_message", PEERS, fuzz::overlay_message),
    instrument("fuzz seen_set", PEERS, fuzz::seen_set),
];

fn reference(seed: u64) -> Result<(), String> {
    crate::reference::run(seed).map_err(|failure| failure.to_string())
}

fn intruder(seed: u64) -> Result<(), String> {
    crate::intruder::run(seed).map_err(|failure| failure.to_string())
}

/// A dozen overlays, a crash, broadcasts and requests.
fn small_swarm(seed: u64) -> Result<(), String> {
    let second = Duration::from_secs(1);
    let scenario = SwarmScenario {
        nodes: 12,
        warm_up: 15 * second,
        broadcasts: 5,
        requests: 20,
        loss: Ppm::percent(1),
        crash: Some(Crash {
            at: 17 * second,
            fraction: Ppm::percent(25),
            restart_after: Some(5 * second),
            restart: Restart::KnownPeers,
        }),
        ..SwarmScenario::default()
    };
    swarm::run(&scenario, seed)
        .map(|_| ())
        .map_err(|failure| failure.to_string())
}

/// The torture scenario of `lab/tests/torture.rs`.
fn torture(seed: u64) -> Result<(), String> {
    judge(&Scenario::from_seed(seed), seed)
}

/// The same with the real handshake and cipher every time.
fn sealed_torture(seed: u64) -> Result<(), String> {
    let mut scenario = Scenario::from_seed(seed);
    scenario.profile = Profile::Sealed(if seed.is_multiple_of(2) {
        CipherSuite::Aes128Gcm
    } else {
        CipherSuite::ChaCha20Poly1305
    });
    judge(&scenario, seed)
}

fn judge(scenario: &Scenario, seed: u64) -> Result<(), String> {
    pair::run(scenario, seed)
        .map(|_| ())
        .map_err(|failure| failure.to_string())
}
