//! go-ethereum: a peer-to-peer node.

use std::time::Duration;

use crate::support::{Bench, cbor};

/// Every ping of a peer started a task that waited to answer it. Here a ping is answered in the same
/// call, pings are rated like all messages of a peer, and what is over the rate costs nothing.
#[test]
fn cve_2023_40591() {
    let mut bench = Bench::new();
    let peer = bench.connect(1);
    let mut answers = 0;
    for nonce in 0..9_000u64 {
        bench.deliver(peer, &cbor::message(3, &[cbor::uint(nonce)]));
        assert!(bench.actions.len() <= 1);
        answers += bench.sent_to(peer).len();
    }
    assert!(answers <= 1_024, "{answers}: the burst of the rate");
    assert!(bench.overlay.stats().dropped_for_rate > 7_900);
    bench.advance(Duration::from_secs(2));
    bench.deliver(peer, &cbor::message(3, &[cbor::uint(1)]));
    assert_eq!(bench.sent_to(peer).len(), 1, "and the rate recovers");
}
