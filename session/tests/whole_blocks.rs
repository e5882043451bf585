//! Full packets are as long as the path lets packets be whose text is whole blocks of the cipher (ADR 0622).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::provider::CryptoProvider;
use dunlin_session::{
    CipherSuite, Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::wire::HEADER_LEN;
use dunlin_transport::{Endpoint, EndpointConfig, Instant, StreamDirection};

const TAG_LEN: usize = 16;
/// What Ethernet carries of a datagram with IPv6.
const PATH: usize = 1_452;

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 1_000).into()
}

/// Hands over what waits at `from`, which has this address; the lengths of the datagrams of full batches.
fn exchange(
    now: Instant,
    address: SocketAddr,
    from: &mut Endpoint,
    to: &mut Endpoint,
) -> Vec<usize> {
    let (mut buffer, mut lengths) = (Vec::new(), Vec::new());
    while let Some(transmit) = from.poll_transmit(now, 16, &mut buffer) {
        lengths.extend(transmit.segment_size);
        let size = transmit.segment_size.unwrap_or(transmit.size);
        let came = &mut buffer[..transmit.size];
        to.handle_datagrams(now, address, None, came, size);
    }
    lengths
}

/// The lengths of a transfer's full packets.
fn full_packets(provider: fn() -> Arc<dyn CryptoProvider>, suite: CipherSuite) -> Vec<usize> {
    let mut random = SeededRandom::new(1);
    let server_id = Identity::from_seed([2; 32]);
    let node_id = server_id.node_id();
    let config = || SessionConfig {
        ciphers: vec![suite],
        ..SessionConfig::default()
    };
    let acceptor = SessionAcceptor::new(Arc::new(server_id), config(), provider(), &mut random);
    let endpoint = |seed, acceptor| {
        let mut config = EndpointConfig::default();
        (config.transport.mtu, config.transport.mtu_max) = (PATH, PATH);
        Endpoint::new(config, Box::new(SeededRandom::new(seed)), acceptor)
    };
    let mut client = endpoint(3, None);
    let mut server = endpoint(4, Some(Box::new(acceptor) as _));
    let ours = Arc::new(Identity::from_seed([1; 32]));
    let initiator = SessionInitiator::new(ours, config(), provider(), Some(node_id), &mut random);
    let mut now = Instant::ZERO;
    let handle = client
        .connect(now, address(2), Box::new(initiator))
        .unwrap();
    let (mut lengths, mut stream) = (Vec::new(), None);
    for _ in 0..200 {
        now = now + Duration::from_millis(5);
        client.handle_timeout(now);
        server.handle_timeout(now);
        let connection = client.connection_mut(handle).unwrap();
        if stream.is_none()
            && let Some(id) = connection.open_stream(StreamDirection::Unidirectional)
        {
            connection.write(id, &[7; 100_000]).unwrap();
            stream = Some(id);
        }
        lengths.extend(exchange(now, address(1), &mut client, &mut server));
        exchange(now, address(2), &mut server, &mut client);
    }
    lengths
}

#[test]
fn full_packets_are_whole_blocks_where_that_is_cheaper_and_as_long_as_the_path_elsewhere() {
    for suite in [CipherSuite::Aes256Gcm, CipherSuite::ChaCha20Poly1305] {
        for provider in [provider::aws_lc, provider::pure] {
            let block = provider().aead_block(suite);
            let around = HEADER_LEN + TAG_LEN;
            let expected = around + (PATH - around) / block * block;
            let lengths = full_packets(provider, suite);
            assert!(lengths.len() > 5, "{suite:?}: {lengths:?}");
            assert!(
                lengths.iter().all(|length| *length == expected),
                "{suite:?}, blocks of {block}: {lengths:?}"
            );
        }
    }
    assert_eq!(provider::pure().aead_block(CipherSuite::Aes256Gcm), 1);
}
