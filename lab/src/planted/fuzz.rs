//! The bodies of the fuzz targets, on inputs drawn from a seed.

use dunlin_overlay::fuzzing as overlay;
use dunlin_transport::fuzzing as transport;
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

/// A body on `rounds` inputs of at most `longest` bytes. A seed is to be worth something, and
/// decoders are a thousand times as fast as connections.
fn body(seed: u64, rounds: u32, longest: u64, body: fn(&[u8])) {
    let mut rng = Rng::new(seed).split(0xf0);
    for _ in 0..rounds {
        body(&input(&mut rng, longest));
    }
}

/// Makes the run of an instrument out of a fuzz body, rounds and the longest input.
macro_rules! runs {
    ($($(#[$doc:meta])* $name:ident = $body:path, $rounds:literal, $longest:literal;)+) => {
        $($(#[$doc])* pub(super) fn $name(seed: u64) -> Result<(), String> {
            body(seed, $rounds, $longest, $body);
            Ok(())
        })+
    };
}

runs! {
    /// Arbitrary calls and packet faults on a pair of connections.
    connection_pair = crate::fuzzing::connection_pair, 1, 1_500;
    /// Several endpoints, addresses and strangers.
    endpoints = crate::fuzzing::endpoints, 1, 800;
    /// Headers.
    header = transport::header, 200, 120;
    /// Acknowledgements.
    ack_ranges = transport::ack_ranges, 200, 120;
    /// Frames.
    frames = transport::frames, 200, 120;
    /// Reassembly against an array of optional bytes.
    assembler = transport::assembler, 10, 300;
    /// The send buffer against a slow model.
    send_buffer = transport::send_buffer, 10, 300;
    /// Incoming messages against a slow model.
    messages_in = transport::messages_in, 10, 300;
    /// Outgoing messages against a slow model.
    messages_out = transport::messages_out, 10, 300;
    /// The replay window against a set.
    received_packets = transport::received_packets, 10, 300;
    /// Loss detection and congestion control.
    loss_recovery = transport::loss_recovery, 10, 300;
    /// Both directions of connection credit.
    flow_control = transport::flow_control, 10, 300;
    /// The streams of two ends against each other.
    streams_pair = transport::streams_pair, 10, 300;
    /// Streams against a peer that says anything.
    streams_hostile = transport::streams_hostile, 10, 300;
    /// Turns of streams.
    stream_fairness = transport::stream_fairness, 10, 300;
    /// A pair of packet protections driven by bytes.
    open_packet = dunlin_session::fuzzing::open_packet, 20, 300;
    /// An overlay driven by arbitrary inputs of driver, peers and application.
    overlay_operations = overlay::overlay_operations, 1, 1_500;
    /// Messages of the overlay.
    overlay_message = overlay::overlay_message, 100, 200;
    /// Deduplication against a slow model.
    seen_set = overlay::seen_set, 20, 300;
}

/// Every step of a handshake fed with changed messages.
pub(super) fn handshake_messages(seed: u64) -> Result<(), String> {
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
    Ok(())
}
