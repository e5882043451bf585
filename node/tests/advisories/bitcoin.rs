//! Bitcoin: peers and gossip of an open network.

use std::time::Duration;

use dunlin_overlay::{Event, limits};

use crate::support::{
    Bench, Broadcast, START_MILLIS, address, cbor, frame, hello, identity, record,
};

/// One attacker filled the address table with addresses of his own, and all connections of a node
/// that restarted were his (Heilman and others, 2015). Here one peer may have introduced a quarter
/// of the table, hearsay never replaces who has been connected, and unasked records are not read.
/// Quotas for groups of addresses do not exist yet: see `docs/threats.md`.
#[test]
fn usenix_2015_eclipse() {
    let mut bench = Bench::new();
    let honest = bench.connect(1);
    let attacker = bench.connect(2);
    for batch in 0..200u16 {
        let records: Vec<Vec<u8>> = (0..32)
            .map(|n| {
                let own = identity(1_000 + batch * 32 + n);
                record(&own, &own, (1, START_MILLIS), address(2))
            })
            .collect();
        let answer = [cbor::uint(u64::from(batch)), cbor::array(&records)];
        bench.deliver(attacker, &cbor::message(6, &answer));
    }
    let stats = bench.overlay.stats();
    assert!(
        stats.known <= 2 + limits::KNOWN_PER_SOURCE_MAX,
        "{}",
        stats.known
    );
    assert!(stats.unsolicited > 100);
    assert!(bench.overlay.peers().any(|peer| peer.id == honest));
}

/// Announcements without end filled a queue of what to ask for (InvDoS). Here requests of a peer
/// that wait for the application are counted, and one more is answered "busy".
#[test]
fn cve_2018_17145() {
    let mut bench = Bench::new();
    bench
        .overlay
        .register_handler("files")
        .expect("a valid name");
    let peer = bench.connect(1);
    let (mut asked, mut refused) = (0, 0);
    for id in 0..500 {
        let fields = [cbor::uint(id), cbor::text("files"), cbor::bytes(b"?")];
        bench.deliver(peer, &cbor::message(9, &fields));
        let is_request = |event: &&Event| matches!(event, Event::Request { .. });
        asked += bench.events.iter().filter(is_request).count();
        refused += bench.sent_to(peer).len();
    }
    assert_eq!(asked, limits::INBOUND_REQUESTS_PER_PEER_MAX);
    assert!(refused > 400, "{refused}");
}

/// Times that peers said moved a node's own clock, and the sum overflowed. Here a peer's time is
/// compared and never adopted: after lies of every size our own records and broadcasts carry our
/// time still, and an honest peer's broadcast is taken.
#[test]
fn cve_2024_52912() {
    let mut bench = Bench::new();
    for n in 1..5u16 {
        let peer = bench.link(n);
        let own = identity(n);
        let millis = [0, u64::MAX, u64::MAX / 2, START_MILLIS * 2][usize::from(n) - 1];
        let lie = record(&own, &own, (1, millis), address(n));
        bench.deliver(peer, &hello(Some(lie)));
        bench.accept(peer);
        bench.advance(Duration::from_secs(1));
    }
    let honest = bench.connect(9);
    let origin = identity(9);
    let (body, signature) = Broadcast {
        origin: &origin,
        signer: &origin,
        millis: START_MILLIS + 4_000,
        sequence: 1,
        hop_limit: 8,
        topic: "news",
        payload: b"now",
    }
    .signed();
    bench.deliver(honest, &frame(1, &body, &signature));
    assert_eq!(bench.delivered(), 1);
}
