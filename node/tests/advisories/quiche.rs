//! quiche: QUIC in Rust.

use dunlin_transport::{PeerViolation, StreamDirection};

use crate::support::{duel, is_open, violation};

fn writes(duel: &mut dunlin_lab::adversary::Duel) {
    let connection = duel.connection_mut().expect("open");
    let stream = connection.open_stream(StreamDirection::Unidirectional);
    let stream = stream.expect("streams are granted");
    while connection.write(stream, &[7; 65_536]).is_ok() {}
}

/// Acknowledgements of packets that had not arrived opened the window without bound. Here who
/// acknowledges a number that was not sent yet is thrown out.
#[test]
fn cve_2025_4820() {
    let mut duel = duel();
    writes(&mut duel);
    duel.drain();
    let before = duel.connection().expect("open").stats().congestion_window;
    let largest = duel.largest;
    duel.acknowledge(&[0..=largest + 50], None);
    assert_eq!(violation(&duel), Some(PeerViolation::AckOfUnsentPacket));
    let after = duel.connection().expect("kept").stats().congestion_window;
    assert!(after <= before);
}

/// Ranges with numbers that were never sent opened the window. Here only packets in flight count,
/// each once; other numbers of a range win nothing.
#[test]
fn cve_2025_4821() {
    let mut duel = duel();
    writes(&mut duel);
    duel.drain();
    let largest = duel.largest;
    let before = duel.connection().expect("open").stats();
    let bytes = before.bytes_in_flight;
    duel.acknowledge(&[0..=largest], None);
    for _ in 0..100 {
        duel.acknowledge(&[0..=largest], None);
    }
    let after = duel.connection().expect("open").stats();
    assert!(is_open(&duel));
    let grown = after.congestion_window - before.congestion_window;
    assert!(grown <= bytes, "{grown} for {bytes} bytes that arrived");
}
