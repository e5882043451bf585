//! Instructions that single parts take, counted by valgrind and compared with a recorded baseline.
//!
//! ```text
//! cargo run --release -p dunlin-benches --example instructions -- check
//! cargo run --release -p dunlin-benches --example instructions -- record
//! ```
//!
//! A count hardly depends on what else the machine does, so a part that became slower shows on a busy
//! one. `check` fails when a part takes more than its tolerance above `benches/instructions.txt`, and
//! says so when it takes less; `record` writes that file. Counts belong to the release profile, to a
//! compiler and to x86-64: a new compiler moves them a little. Parts that use the processor's AES and
//! vector instructions have a wider tolerance, since libraries choose code by what they find (valgrind
//! shows them AVX2 and AES, and nothing newer).
//!
//! Each part runs in a process of its own under callgrind, which counts inside `counted_part` only. Half
//! the repetitions come first and are not counted: they fill caches of the allocator and grow
//! collections.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use dunlin_benches::session::Nodes;
use dunlin_benches::{PACKET_LEN, lossy_ranges, stream_header};
use dunlin_lab::goodput::probe_with;
use dunlin_lab::link::Element;
use dunlin_lab::profile::Profile;
use dunlin_session::{CipherSuite, provider};
use dunlin_transport::protect::PacketProtection;
use dunlin_transport::send::buffer::SendBuffer;
use dunlin_transport::send::in_flight::{Carried, SentPacket, SentPackets};
use dunlin_transport::wire::ack;
use dunlin_transport::wire::header::{HEADER_LEN, Header, route};
use dunlin_transport::{EndpointConfig, Instant, PacketNumber};

/// Percent that a count may rise before the check fails.
const TOLERANCE: u64 = 5;
/// The same for parts whose code depends on the processor.
const TOLERANCE_CRYPTO: u64 = 25;

/// A part: its name, how often it is repeated, its tolerance, and what runs it so often.
struct Part {
    name: &'static str,
    times: u64,
    tolerance: u64,
    run: fn(u64),
}

const fn part(name: &'static str, times: u64, run: fn(u64)) -> Part {
    Part {
        name,
        times,
        tolerance: TOLERANCE,
        run,
    }
}

const fn crypto(name: &'static str, times: u64, run: fn(u64)) -> Part {
    Part {
        name,
        times,
        tolerance: TOLERANCE_CRYPTO,
        run,
    }
}

const PARTS: [Part; 12] = [
    part("header route", 1_000, header_route),
    part("header parse", 1_000, header_parse),
    part("header emit", 1_000, header_emit),
    part("acknowledgement encode, 8 ranges", 1_000, ack_encode),
    part("acknowledgement decode, 8 ranges", 1_000, ack_decode),
    part("sent packets, 32 sent and acknowledged", 200, sent_packets),
    part(
        "sent packets, a run of 32 sent and acknowledged",
        200,
        sent_run,
    ),
    part(
        "send buffer, 64 KiB written, sent, acknowledged",
        50,
        buffer,
    ),
    crypto("packet seal, AES-128-GCM, AWS-LC", 500, packet_seal),
    crypto("packet open, AES-128-GCM, AWS-LC", 500, packet_open),
    crypto("handshake both ends, pure Rust", 4, handshake),
    part("connection step, a datagram in the simulator", 1, transfer),
];

/// What is counted: see `--toggle-collect` below.
#[inline(never)]
fn counted_part(times: u64, mut work: impl FnMut()) {
    for _ in 0..times {
        work();
    }
}

/// Half uncounted, the rest counted.
fn repeat(times: u64, mut work: impl FnMut()) {
    for _ in 0..times.div_ceil(2) {
        work();
    }
    counted_part(times, work);
}

fn clear_packet() -> [u8; PACKET_LEN] {
    let mut packet = [0x5a; PACKET_LEN];
    if let Some(start) = packet.first_chunk_mut::<HEADER_LEN>() {
        stream_header().emit(start, 0);
    }
    packet
}

fn header_route(times: u64) {
    let packet = clear_packet();
    repeat(times, || {
        black_box(route(black_box(&packet))).ok();
    });
}

fn header_parse(times: u64) {
    let packet = clear_packet();
    repeat(times, || {
        black_box(Header::parse(black_box(&packet), 0)).ok();
    });
}

fn header_emit(times: u64) {
    let (header, mut out) = (stream_header(), [0; HEADER_LEN]);
    repeat(times, || {
        black_box(&header).emit(black_box(&mut out), black_box(7));
    });
}

fn ack_encode(times: u64) {
    let (ranges, mut out) = (lossy_ranges(8), Vec::new());
    repeat(times, || {
        out.clear();
        ack::encode(
            &mut out,
            Duration::from_micros(250),
            black_box(&ranges),
            None,
        );
        black_box(&out);
    });
}

fn ack_decode(times: u64) {
    let (ranges, mut out) = (lossy_ranges(8), Vec::new());
    ack::encode(&mut out, Duration::from_micros(250), &ranges, None);
    let largest = ranges.first().map_or(0, |range| *range.end());
    repeat(times, || {
        if let Ok(frame) = ack::AckFrame::decode(black_box(&out)) {
            black_box(frame.ranges(largest).filter_map(Result::ok).count());
        }
    });
}

/// Contents of the size of a packet's.
#[derive(Clone)]
struct Carrying([u64; 8]);

impl Carried for Carrying {
    fn nth(&self, _index: u64, _size: u32) -> Self {
        self.clone()
    }
}

fn sent_packets(times: u64) {
    let mut ring = SentPackets::new(PacketNumber(0));
    repeat(times, || {
        let first = ring.next_number().0;
        for _ in 0..32 {
            let packet = SentPacket {
                sent_at: Instant::ZERO,
                size: 1_452,
                contents: Carrying([0; 8]),
            };
            ring.push_run(packet, 1);
        }
        ring.take_range(&(first..=first + 31), |run| {
            black_box((run.first, run.packet.contents.0));
        });
    });
}

fn sent_run(times: u64) {
    let mut ring = SentPackets::new(PacketNumber(0));
    repeat(times, || {
        let first = ring.next_number().0;
        let packet = SentPacket {
            sent_at: Instant::ZERO,
            size: 1_452,
            contents: Carrying([0; 8]),
        };
        ring.push_run(packet, 32);
        ring.take_range(&(first..=first + 31), |run| {
            black_box((run.first, run.packet.contents.0));
        });
    });
}

fn buffer(times: u64) {
    let (mut buffer, mut out) = (SendBuffer::default(), Vec::new());
    let data = vec![0x5a; 65_536];
    repeat(times, || {
        buffer.write(black_box(&data));
        while let Some(piece) = buffer.poll(1_400, u64::MAX) {
            out.clear();
            buffer.copy(&piece.range, &mut out);
            black_box(&out);
            buffer.on_acknowledged(piece.range, false);
        }
    });
}

fn packet_seal(times: u64) {
    let mut nodes = Nodes::new(provider::aws_lc(), CipherSuite::Aes128Gcm);
    let mut sender = nodes.shake_hands().0.protection;
    let mut number = 0;
    repeat(times, || {
        let mut packet = clear_packet();
        sender.seal(PacketNumber(number), black_box(&mut packet));
        number += 1;
    });
}

fn packet_open(times: u64) {
    let mut nodes = Nodes::new(provider::aws_lc(), CipherSuite::Aes128Gcm);
    let (mut sender, mut receiver) = nodes.shake_hands();
    let mut packets = (0..).map(|number| {
        let mut packet = clear_packet();
        sender.protection.seal(PacketNumber(number), &mut packet);
        (PacketNumber(number), packet)
    });
    let mut open = |number, mut packet: [u8; PACKET_LEN]| {
        let protection: &mut dyn PacketProtection = &mut *receiver.protection;
        let opened =
            protection.unmask(&mut packet) && protection.open(number, false, &mut packet).is_ok();
        assert!(opened, "a genuine packet opens");
    };
    let count = usize::try_from(times).unwrap_or(usize::MAX);
    let prepared: Vec<_> = packets.by_ref().take(count + 1).collect();
    let mut prepared = prepared.into_iter();
    if let Some((number, packet)) = prepared.next() {
        open(number, packet);
    }
    counted_part(times, || {
        if let Some((number, packet)) = prepared.next() {
            open(number, packet);
        }
    });
}

fn handshake(times: u64) {
    let mut nodes = Nodes::new(provider::pure(), CipherSuite::ChaCha20Poly1305);
    repeat(times, || {
        black_box(nodes.shake_hands());
    });
}

/// A bulk transfer without keys: both ends, with all that they do for a datagram, and the simulated
/// link.
fn transfer(times: u64) {
    let mut datagrams = 0;
    counted_part(times, || datagrams += simulate());
    assert_eq!(datagrams, simulate(), "the simulator repeats itself");
}

fn simulate() -> u64 {
    let delay = Element::delay(Duration::from_millis(5));
    let rate = Element::Rate {
        bits_per_second: 100_000_000,
        queue_bytes: 250_000,
    };
    let path: (&[Element], &[Element]) = (&[rate, delay.clone()], &[delay]);
    let times = (Duration::from_millis(100), Duration::from_millis(400));
    let result = probe_with(Profile::Plain, &EndpointConfig::default(), path, times, 1);
    result.map_or(0, |result| result.datagrams)
}

/// Instructions of one repetition, rounded.
fn count(part: &Part) -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("callgrind");
    let status = Command::new("valgrind")
        .args(["-q", "--tool=callgrind", "--toggle-collect=*counted_part*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args(["run", part.name])
        .status()?;
    if !status.success() {
        return Err(format!("valgrind failed on {}", part.name).into());
    }
    let text = std::fs::read_to_string(out)?;
    let total = text.lines().find_map(|line| {
        let totals = line.strip_prefix("summary:");
        totals.and_then(|total| total.trim().parse::<u64>().ok())
    });
    let total = total.ok_or("callgrind tells a summary")?;
    // What a whole transfer takes is told for each of its datagrams.
    let divisor = match part.times {
        1 => simulate(),
        times => times,
    };
    Ok((total + divisor / 2) / divisor)
}

fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

/// The recorded counts: lines of `count<space>name`.
fn baseline() -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    let text = std::fs::read_to_string(baseline_file())?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (count, name) = line.split_once(' ').ok_or("a line is `count name`")?;
            Ok((name.to_owned(), count.parse()?))
        })
        .collect()
}

fn check() -> Result<ExitCode, Box<dyn Error>> {
    let recorded = baseline()?;
    let mut verdict = ExitCode::SUCCESS;
    for part in &PARTS {
        let now = count(part)?;
        let Some(before) = recorded.get(part.name).copied() else {
            println!("{:<50} {now:>12}  is not recorded: run `record`", part.name);
            verdict = ExitCode::FAILURE;
            continue;
        };
        let permille = (i128::from(now) - i128::from(before)) * 1_000 / i128::from(before.max(1));
        let change = format!("{:+.1} %", permille as f64 / 10.0);
        let note = if now * 100 > before * (100 + part.tolerance) {
            verdict = ExitCode::FAILURE;
            format!("FAILED: more than {} % above the baseline", part.tolerance)
        } else if now * 100 < before * (100 - part.tolerance) {
            "less: `record` keeps the gain".to_owned()
        } else {
            String::new()
        };
        println!("{:<50} {now:>12} {change:>9}  {note}", part.name);
    }
    Ok(verdict)
}

fn record() -> Result<ExitCode, Box<dyn Error>> {
    let mut text = String::from(
        "# Instructions that parts take, written by `cargo run --release -p dunlin-benches \\\n\
         # --example instructions -- record` on x86-64; see that example.\n",
    );
    for part in &PARTS {
        let line = format!("{} {}\n", count(part)?, part.name);
        print!("{line}");
        text += &line;
    }
    std::fs::write(baseline_file(), text)?;
    Ok(ExitCode::SUCCESS)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["check"] => check(),
        ["record"] => record(),
        ["run", name] => {
            let part = PARTS.iter().find(|part| part.name == name);
            let part = part.ok_or("there is no such part")?;
            (part.run)(part.times);
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("arguments: check | record".into()),
    }
}
