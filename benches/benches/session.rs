//! Sealing and opening of full packets, and whole handshakes, for each provider of cryptography.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dunlin_benches::session::Nodes;
use dunlin_benches::{PACKET_LEN, stream_header};
use dunlin_session::{CipherSuite, CryptoProvider, provider};
use dunlin_transport::PacketNumber;
use dunlin_transport::protect::PacketProtection;
use dunlin_transport::wire::header::HEADER_LEN;

/// Packets that one pair of keys seals here; far below where keys have to change.
const PACKETS_PER_KEY: u64 = 256;

fn providers() -> [(&'static str, Arc<dyn CryptoProvider>); 2] {
    [
        ("AWS-LC", provider::aws_lc()),
        ("pure Rust", provider::pure()),
    ]
}

fn clear_packet() -> [u8; PACKET_LEN] {
    let mut packet = [0x5a; PACKET_LEN];
    let start = packet
        .first_chunk_mut::<HEADER_LEN>()
        .expect("a packet is longer than its header");
    stream_header().emit(start, 0);
    packet
}

/// Seals `count` fresh packets as numbers 0, 1, ….
fn seal(sender: &mut dyn PacketProtection, count: u64) -> (Vec<[u8; PACKET_LEN]>, Duration) {
    let mut packets: Vec<_> = (0..count).map(|_| clear_packet()).collect();
    let began = now();
    for (number, packet) in (0..).zip(&mut packets) {
        sender.seal(PacketNumber(number), black_box(packet));
    }
    let took = began.elapsed();
    (packets, took)
}

fn open(receiver: &mut dyn PacketProtection, packets: &mut [[u8; PACKET_LEN]]) -> Duration {
    let began = now();
    for (number, packet) in (0..).zip(packets) {
        assert!(receiver.unmask(packet));
        let opened = receiver.open(PacketNumber(number), false, black_box(packet));
        assert!(opened.is_ok());
    }
    began.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Calls `batch` for at most [`PACKETS_PER_KEY`] packets at a time until `count` are done.
fn in_batches(count: u64, mut batch: impl FnMut(u64) -> Duration) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let now = left.min(PACKETS_PER_KEY);
        total += batch(now);
        left -= now;
    }
    total
}

fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    group.throughput(Throughput::Bytes(PACKET_LEN as u64));
    for (name, provider) in providers() {
        for suite in [CipherSuite::Aes128Gcm, CipherSuite::ChaCha20Poly1305] {
            let mut nodes = Nodes::new(provider.clone(), suite);
            group.bench_function(format!("seal, {suite:?}, {name}"), |bencher| {
                bencher.iter_custom(|count| {
                    in_batches(count, |count| {
                        let (mut sender, _) = nodes.shake_hands();
                        seal(&mut *sender.protection, count).1
                    })
                });
            });
            group.bench_function(format!("open, {suite:?}, {name}"), |bencher| {
                bencher.iter_custom(|count| {
                    in_batches(count, |count| {
                        let (mut sender, mut receiver) = nodes.shake_hands();
                        let mut packets = seal(&mut *sender.protection, count).0;
                        open(&mut *receiver.protection, &mut packets)
                    })
                });
            });
        }
    }
    group.finish();
}

fn handshake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    for (name, provider) in providers() {
        let mut nodes = Nodes::new(provider, CipherSuite::Aes128Gcm);
        group.bench_function(format!("both ends, {name}"), |bencher| {
            bencher.iter(|| nodes.shake_hands());
        });
    }
    group.finish();
}

criterion_group!(benches, packets, handshake);
criterion_main!(benches);
