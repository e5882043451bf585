//! The bodies of the fuzz targets, on inputs drawn from a seed.

use dunlin_transport::protect::Random;

use crate::rng::Rng;

/// Arbitrary bytes: of any length up to `longest`, small values as often as large ones, and now
/// and then a run that a state machine can make sense of.
fn input(rng: &mut Rng, longest: u64) -> Vec<u8> {
    let mut data = vec![0; usize::try_from(rng.between(0, longest)).unwrap_or(0)];
    rng.fill(&mut data);
    if rng.below(3) == 0 {
        let cap = u8::try_from(rng.between(2, 40)).unwrap_or(16);
        data.iter_mut().for_each(|byte| *byte %= cap);
    }
    data
}

/// Arbitrary calls and packet faults on a pair of connections.
pub(super) fn connection_pair(seed: u64) {
    let mut rng = Rng::new(seed).split(0xc0);
    crate::fuzzing::connection_pair(&input(&mut rng, 1_500));
}

/// Headers, acknowledgements and frames.
pub(super) fn wire(seed: u64) {
    let mut rng = Rng::new(seed).split(0x31);
    // A seed is to be worth something: decoders are a thousand times as fast as connections.
    for _ in 0..200 {
        let data = input(&mut rng, 120);
        dunlin_transport::fuzzing::header(&data);
        dunlin_transport::fuzzing::ack_ranges(&data);
        dunlin_transport::fuzzing::frames(&data);
    }
}

/// Every step of a handshake fed with changed messages.
pub(super) fn handshake(seed: u64) {
    let mut rng = Rng::new(seed).split(0x45);
    let mut data = match rng.below(3) {
        0 => input(&mut rng, 1_400),
        1 => input(&mut rng, 20),
        _ => {
            let mut exact = vec![0; dunlin_session::limits::RETRY_LEN];
            rng.fill(&mut exact);
            exact
        }
    };
    // Where a message begins is where its fields are.
    if rng.below(2) == 0
        && let Some([high, low]) = data.first_chunk_mut()
    {
        (*high, *low) = (0, *low % 64);
    }
    // A small change of what is offered: the rest of the handshake can live with it.
    if rng.below(3) == 0 {
        // One byte among the first eight. Of this length, because the body takes an endpoint for
        // overloaded when the length divides by three.
        let [at, change] = [rng.below(8), rng.below(256)].map(|value| value.to_be_bytes()[7]);
        data = vec![0, at, change, 0];
    }
    dunlin_session::fuzzing::handshake_messages(&data);
}

/// A pair of packet protections driven by bytes.
pub(super) fn open_packet(seed: u64) {
    let mut rng = Rng::new(seed).split(0x0e);
    for _ in 0..20 {
        dunlin_session::fuzzing::open_packet(&input(&mut rng, 300));
    }
}

/// An overlay driven by arbitrary inputs of driver, peers and application.
pub(super) fn overlay_operations(seed: u64) {
    let mut rng = Rng::new(seed).split(0x0f);
    dunlin_overlay::fuzzing::overlay_operations(&input(&mut rng, 1_500));
}
