//! Attacks on the address of a peer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_lab::adversary::{Duel, own_address};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_session::CipherSuite;
use dunlin_transport::wire::PacketType;
use dunlin_transport::{EndpointConfig, StreamDirection};

use crate::times;

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);

fn victim(n: u64) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, u8::try_from(n).unwrap_or(0)], 53))
}

/// Attack T12: the peer claims to be at addresses of others while the endpoint has a lot to send.
/// No such address gets more bytes than bear its name, at any step of any schedule.
#[test]
fn addresses_that_a_peer_claims_get_no_more_bytes_than_came_from_them() {
    for seed in 0..times(40) as u64 {
        let mut rng = Rng::new(seed);
        let mut duel = Duel::new(SEALED, &EndpointConfig::default(), seed).expect("a handshake");
        let connection = duel.connection_mut().expect("a connection");
        let stream = connection.open_stream(StreamDirection::Unidirectional);
        let stream = stream.expect("streams are granted");
        while connection.write(stream, &[7; 65_536]).is_ok() {}
        let mut came: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        let mut ledgered = 0;
        for _ in 0..100 {
            let from = match rng.below(4) {
                0 => own_address(),
                which => victim(which),
            };
            let padding = usize::try_from(rng.below(200)).unwrap_or(0);
            let body = vec![0; 8 + padding];
            let kind = *rng
                .pick(&[PacketType::Ping, PacketType::Pong])
                .expect("two");
            let header = duel.header(kind);
            let packet = duel.next_packet(header, &body, &[]);
            *came.entry(from).or_default() += packet.len();
            duel.deliver(from, &packet);
            let pause = Duration::from_millis(rng.below(300));
            duel.advance(pause);
            for (to, bytes) in &duel.sent[ledgered..] {
                if *to != own_address() {
                    let left = came.get_mut(to).and_then(|it| it.checked_sub(*bytes));
                    *came.entry(*to).or_default() = left.expect("no more than came");
                }
            }
            ledgered = duel.sent.len();
        }
        let remote = duel
            .connection()
            .map(dunlin_transport::Connection::remote_address);
        assert_eq!(
            remote,
            Some(own_address()),
            "an unproven address became the path"
        );
    }
}

/// Attack T12: somebody on the path sends a copy of each packet ahead of it from his own address.
/// The endpoint asks that address to prove itself, which only who has the keys can do.
#[test]
fn copies_from_elsewhere_never_take_the_path() {
    let mut duel = Duel::new(SEALED, &EndpointConfig::default(), 5).expect("a handshake");
    for turn in 0..200u64 {
        let header = duel.header(PacketType::Ping);
        let packet = duel.next_packet(header, &turn.to_be_bytes(), &[]);
        duel.deliver(victim(1), &packet);
        duel.advance(Duration::from_millis(10));
        duel.deliver(own_address(), &packet);
        // What the thief overheard he can only send back as it is.
        duel.deliver(victim(1), &packet);
        duel.advance(Duration::from_millis(40));
    }
    let connection = duel.connection().expect("a connection");
    assert_eq!(connection.remote_address(), own_address());
    assert_eq!(connection.stats().path_changes, 0);
    assert!(connection.is_established());
}

/// Attack T12, plain profile: nobody can tell who moved, so nobody moves.
#[test]
fn an_unprotected_connection_stays_where_it_is() {
    let mut duel = Duel::new(Profile::Plain, &EndpointConfig::default(), 6).expect("a handshake");
    for turn in 0..50u64 {
        let header = duel.header(PacketType::Ping);
        let packet = duel.next_packet(header, &turn.to_be_bytes(), &[]);
        duel.deliver(victim(2), &packet);
        duel.advance(Duration::from_millis(50));
    }
    assert!(duel.sent.iter().all(|(to, _)| *to == own_address()));
}
