//! What turns a seed into a verdict.

use dunlin_session::CipherSuite;

use super::{Layer, fuzz, impostors};
use crate::pair;
use crate::profile::Profile;
use crate::scenario::Scenario;

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
const SEALED: &[Layer] = &[Layer::Session];
const PEERS: &[Layer] = &[Layer::Overlay];

/// Every instrument, in the order in which a seed visits them.
pub const INSTRUMENTS: &[Instrument] = &[
    Instrument {
        name: "torture",
        layers: PACKETS,
        run: torture,
    },
    Instrument {
        name: "sealed torture",
        layers: SEALED,
        run: sealed_torture,
    },
    Instrument {
        name: "reference",
        layers: &[Layer::Transport, Layer::Session],
        run: |seed| crate::reference::run(seed).map_err(|failure| failure.to_string()),
    },
    Instrument {
        name: "intruder",
        layers: &[Layer::Transport, Layer::Session],
        run: |seed| crate::intruder::run(seed).map_err(|failure| failure.to_string()),
    },
    Instrument {
        name: "fuzz connection_pair",
        layers: PACKETS,
        run: |seed| {
            fuzz::connection_pair(seed);
            Ok(())
        },
    },
    Instrument {
        name: "fuzz wire",
        layers: PACKETS,
        run: |seed| {
            fuzz::wire(seed);
            Ok(())
        },
    },
    Instrument {
        name: "impostors",
        layers: SEALED,
        run: impostors::run,
    },
    Instrument {
        name: "mesh",
        layers: PEERS,
        run: |seed| crate::mesh::run(seed),
    },
    Instrument {
        name: "fuzz handshake_messages",
        layers: SEALED,
        run: |seed| {
            fuzz::handshake(seed);
            Ok(())
        },
    },
    Instrument {
        name: "fuzz open_packet",
        layers: SEALED,
        run: |seed| {
            fuzz::open_packet(seed);
            Ok(())
        },
    },
    Instrument {
        name: "fuzz overlay_operations",
        layers: PEERS,
        run: |seed| {
            fuzz::overlay_operations(seed);
            Ok(())
        },
    },
];

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
