//! Encoding and decoding of what is in every packet.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dunlin_benches::{PACKET_LEN, lossy_ranges, stream_header};
use dunlin_transport::wire::ack;
use dunlin_transport::wire::header::{HEADER_LEN, Header, route};

const SALT: u32 = 0x1234_5678;

fn header(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(1));
    let header = stream_header();
    let mut packet = [0x5a; PACKET_LEN];
    let start = packet
        .first_chunk_mut::<HEADER_LEN>()
        .expect("a packet is longer than its header");
    header.emit(start, SALT);

    group.bench_function("route", |bencher| {
        bencher.iter(|| route(black_box(&packet)));
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Header::parse(black_box(&packet), black_box(SALT)));
    });
    group.bench_function("emit", |bencher| {
        let mut out = [0; HEADER_LEN];
        bencher.iter(|| black_box(&header).emit(black_box(&mut out), black_box(SALT)));
    });
    group.finish();
}

fn acknowledgement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("acknowledgement");
    for count in [1, 8, 32] {
        let ranges = lossy_ranges(count);
        let largest = *ranges[0].end();
        let delay = Duration::from_micros(250);
        let mut value = Vec::new();
        ack::encode(&mut value, delay, &ranges, None);

        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("encode {count} ranges"), |bencher| {
            let mut out = Vec::with_capacity(value.len());
            bencher.iter(|| {
                out.clear();
                ack::encode(&mut out, delay, black_box(&ranges), None);
                black_box(out.len())
            });
        });
        group.bench_function(format!("decode {count} ranges"), |bencher| {
            bencher.iter(|| {
                let frame = ack::AckFrame::decode(black_box(&value)).expect("it was encoded above");
                frame
                    .ranges(largest)
                    .filter_map(Result::ok)
                    .map(|range| *range.end())
                    .max()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, header, acknowledgement);
criterion_main!(benches);
