//! LSQUIC: QUIC in C.

use dunlin_lab::rng::Rng;
use dunlin_transport::wire::{HEADER_LEN, MAGIC, VERSION, reset};
use dunlin_transport::{EndpointConfig, Instant, limits};

use crate::support::SEALED;

/// Packets coalesced behind one for another connection were kept and never freed, before any
/// handshake. Here packets are looked at in place, nothing of them is kept, and no more than 64 of
/// a datagram are looked at.
#[test]
fn cve_2025_54939() {
    let mut rng = Rng::new(1);
    let mut server = SEALED.endpoint(1, &EndpointConfig::default(), true, &mut rng);
    for round in 0..2_000u32 {
        let mut datagram = Vec::new();
        for index in 0..limits::PACKETS_PER_DATAGRAM_MAX + 10 {
            let mut packet = [0; HEADER_LEN + 4];
            (packet[0], packet[1], packet[2]) = (MAGIC, VERSION, 7);
            packet[19] = 4;
            let id = round.wrapping_mul(100) + u32::try_from(index).expect("small") + 1;
            packet[28..32].copy_from_slice(&id.to_be_bytes());
            datagram.extend_from_slice(&packet);
        }
        let from = (
            [192, 0, 2, 1],
            u16::try_from(round % 60_000).expect("small") + 1,
        )
            .into();
        let came = datagram.len();
        server.handle_datagram(Instant::ZERO, from, None, &mut datagram);
        // One stateless reset at most, for the first of them.
        let mut answer = Vec::new();
        if server
            .poll_transmit(Instant::ZERO, 1, &mut answer)
            .is_some()
        {
            assert!(reset::parse(&answer).is_some() && answer.len() < came);
        }
        let more = server.poll_transmit(Instant::ZERO, 1, &mut answer);
        assert!(more.is_none());
    }
    assert_eq!(
        (server.connection_count(), server.half_open_count()),
        (0, 0)
    );
    assert_eq!(server.poll_timeout(), None);
}
