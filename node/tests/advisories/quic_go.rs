//! quic-go: QUIC in Go.

use std::time::Duration;

use dunlin_lab::adversary::own_address;
use dunlin_transport::wire::PacketType;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::{EndpointConfig, Side, StreamDirection, StreamId, limits};

use crate::support::{duel, is_open, violation};

/// Answers to path challenges piled up while the peer kept the window shut by not acknowledging.
/// Here eight answers wait at most; a further PING goes unanswered.
#[test]
fn cve_2023_49295() {
    let mut duel = duel();
    duel.drain();
    for token in 0..20_000u64 {
        let header = duel.header(PacketType::Ping);
        duel.send(header, &token.to_be_bytes(), &[]);
    }
    let pongs = duel.drain();
    let pongs = pongs.iter().filter(|it| it.header.kind == PacketType::Pong);
    assert_eq!(pongs.count(), limits::QUEUED_PONGS_MAX);
    assert!(is_open(&duel));
}

/// A peer made the other side queue retirements of connection IDs that it never acknowledged. There
/// are no such frames here; the control frames that a peer can provoke (credit and resets of its
/// streams) are one of a kind for each stream, and streams are granted by number. The peer provokes
/// all of them, acknowledges nothing, and the endpoint keeps sending no more than a flight of them.
#[test]
fn cve_2024_22189() {
    let mut duel = duel();
    let granted = EndpointConfig::default().transport.max_streams_bidi;
    for round in 0..5 {
        for index in 0..granted {
            let id = StreamId::new(Side::Initiator, StreamDirection::Bidirectional, index);
            duel.send_frames(&[
                Frame::StopSending { id, code: round },
                Frame::MaxStreamData { id, limit: 1 << 20 },
            ]);
            duel.drain();
        }
    }
    assert_eq!(violation(&duel), None);
    duel.advance(Duration::from_secs(2));
    let heard = duel.advance(Duration::from_secs(10));
    let bytes: usize = heard.iter().map(|it| it.length).sum();
    assert!(bytes < 200_000, "{bytes} bytes without an acknowledgement");
    assert!(duel.sent.iter().all(|(to, _)| *to == own_address()));
}
