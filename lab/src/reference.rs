//! Runs whose outcome is known beforehand: a clean path, one fault at a time, and the figures that a
//! correct sender must reach.
//!
//! The torture scenario asks whether everything arrives in the end; here the question is how: no
//! packet counts as lost on a path that loses none, a single loss is mended without a probe timeout,
//! a blackout is left behind, streams share, a key is replaced. The bounds are wide (factors, not per
//! cent), so that a run never fails by an unlucky seed.

mod credit;

use std::time::Duration;

use dunlin_session::CipherSuite;
use dunlin_transport::wire::{Header, PacketType};
use dunlin_transport::{CloseReason, EcnMark, EndpointConfig, Instant, StreamDirection};

use crate::meddled_pair::{MeddledPair, Meddler, Passage, Setting};
use crate::profile::Profile;
use crate::rng::{Ppm, Rng};
use crate::violation::{Failure, Violation};
use crate::workload::{Ending, Fate, Plan, StreamPlan};

/// Kinds of reference runs; a seed is of the kind `seed % KINDS`.
pub const KINDS: u64 = 10;

const MS: Duration = Duration::from_millis(1);
/// Bytes of stream data in a full packet, at least.
const PACKET: u64 = 1_200;

/// Runs the reference scenario of `seed`.
///
/// # Errors
/// What a correct endpoint does not do.
pub fn run(seed: u64) -> Result<(), Failure> {
    let mut rng = Rng::new(seed).split(0x4ef);
    match seed % KINDS {
        0 => clean_bulk(seed, &mut rng),
        1 => conversation(seed, &mut rng),
        2 => swapped_neighbours(seed, &mut rng),
        3 => single_losses(seed, &mut rng),
        4 => blackout(seed, &mut rng),
        5 => fair_streams(seed, &mut rng),
        6 => marked_path(seed, &mut rng),
        7 => lost_echo(seed, &mut rng),
        8 => credit::by_frames_alone(seed, &mut rng),
        _ => key_updates(seed, &mut rng),
    }
}

fn setting(rng: &mut Rng) -> Setting {
    let delay = Duration::from_micros(rng.between(1_000, 60_000));
    let mut config = EndpointConfig::default();
    // Packets of one size, so that bytes can be counted in packets.
    config.transport.mtu_max = config.transport.mtu;
    Setting {
        profile: Profile::Plain,
        config: [config.clone(), config],
        plans: [
            Plan {
                ending: Some(Ending::WhenDone),
                ..Plan::default()
            },
            Plan::default(),
        ],
        delay,
    }
}

fn bulk(bytes: u64) -> StreamPlan {
    StreamPlan {
        direction: StreamDirection::Unidirectional,
        bytes,
        answer: 0,
        fate: Fate::Finish,
    }
}

/// Everything passes as it is.
struct Clean;

impl Meddler for Clean {
    fn on_datagram(&mut self, _: Instant, passage: Passage, out: &mut Vec<Passage>) {
        out.push(passage);
    }
}

/// Round trips that slow start needs for `bytes`, and some.
fn rounds(bytes: u64) -> u32 {
    let flights = bytes / (10 * PACKET) + 1;
    flights.ilog2() + 1
}

/// No loss, no probe, no byte twice, and in time.
fn check_clean<M: Meddler>(pair: &MeddledPair<M>, planned: [u64; 2]) -> Result<(), Failure> {
    for (node, planned) in planned.into_iter().enumerate() {
        let stats = pair.stats(node);
        let sent = pair.watch().ledger().data_bytes_sent(node);
        for (what, count) in [
            (
                "a packet counted as lost on a path without loss",
                stats.packets_lost,
            ),
            (
                "a probe timeout on a path without loss",
                stats.probe_timeouts,
            ),
            ("congestion on a path without any", stats.congestion_events),
            (
                "a packet came twice on a path without copies",
                stats.packets_duplicate,
            ),
            (
                "a packet was rejected on a path without faults",
                stats.packets_rejected,
            ),
            (
                "bytes were sent twice on a path without loss",
                sent.saturating_sub(planned),
            ),
        ] {
            if count > 0 {
                return Err(pair.unexpected(node, what, format!("{count}")));
            }
        }
    }
    Ok(())
}

fn clean_bulk(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    let bytes = rng.between(1, 600_000);
    setting.plans[0].streams = vec![bulk(bytes)];
    let round_trip = setting.delay * 2;
    let mut pair = MeddledPair::new(&setting, seed, Clean)?;
    // Handshake, slow start, the last bytes' acknowledgement, FIN and its echo.
    let limit = round_trip * (rounds(bytes) + 5) * 2 + 200 * MS;
    pair.run_to_end(Instant::ZERO + limit)?;
    check_clean(&pair, [bytes, 0])
}

/// Messages both ways: each is acknowledged without a probe.
fn conversation(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    let sizes = |rng: &mut Rng| -> Vec<usize> {
        let count = rng.between(1, 12);
        (0..count)
            .map(|_| usize::try_from(rng.between(0, 3_000)).unwrap_or(0))
            .collect()
    };
    setting.plans[0].messages = sizes(rng);
    setting.plans[1].messages = sizes(rng);
    let planned = setting
        .plans
        .each_ref()
        .map(|plan| plan.messages.iter().sum::<usize>() as u64);
    let mut pair = MeddledPair::new(&setting, seed, Clean)?;
    pair.run_to_end(Instant::ZERO + setting.delay * 30 + 500 * MS)?;
    check_clean(&pair, planned)
}

/// Lets single packets of node 0 be overtaken by the one behind them.
struct Swap {
    chance: Ppm,
    rng: Rng,
    /// When the last one is due, had it not been held back.
    last: Instant,
}

impl Meddler for Swap {
    fn on_datagram(&mut self, now: Instant, mut passage: Passage, out: &mut Vec<Passage>) {
        if passage.to == 1 {
            // Two nanoseconds apart at least; three more let one packet by.
            self.last = (now + passage.after).max(self.last + Duration::from_nanos(2));
            passage.after = self.last.saturating_duration_since(now);
            if self.rng.chance(self.chance) {
                passage.after += Duration::from_nanos(3);
            }
        }
        out.push(passage);
    }
}

/// Neighbours that change places are no loss: the threshold is three packets.
fn swapped_neighbours(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    let bytes = rng.between(50_000, 400_000);
    setting.plans[0].streams = vec![bulk(bytes)];
    let meddler = Swap {
        chance: Ppm::percent(10),
        rng: rng.split(1),
        last: Instant::ZERO,
    };
    let mut pair = MeddledPair::new(&setting, seed, meddler)?;
    pair.run_to_end(Instant::ZERO + setting.delay * 60 + 500 * MS)?;
    check_clean(&pair, [bytes, 0])
}

/// Loses the full packets of node 0 with these numbers, counted from the first.
struct Lose {
    which: Vec<u64>,
    seen: u64,
    lost: u64,
}

impl Meddler for Lose {
    fn on_datagram(&mut self, _: Instant, passage: Passage, out: &mut Vec<Passage>) {
        if passage.to == 1 && passage.bytes.len() > 1_000 {
            self.seen += 1;
            if self.which.contains(&(self.seen - 1)) {
                self.lost += 1;
                return;
            }
        }
        out.push(passage);
    }
}

/// A loss with something behind it is mended without a probe timeout, and nothing else is resent.
fn single_losses(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    // Sometimes so short that the packet threshold is never reached and the timer has to do it.
    let packets = match rng.below(2) {
        0 => rng.between(2, 5),
        _ => rng.between(10, 200),
    };
    let bytes = packets * 1_340 + rng.between(1, 500);
    setting.plans[0].streams = vec![bulk(bytes)];
    let meddler = Lose {
        which: vec![rng.below(packets - 1)],
        seen: 0,
        lost: 0,
    };
    let mut pair = MeddledPair::new(&setting, seed, meddler)?;
    pair.run_to_end(Instant::ZERO + setting.delay * 80 + 500 * MS)?;
    let (stats, lost) = (*pair.stats(0), pair.meddler.lost);
    let sent = pair.watch().ledger().data_bytes_sent(0);
    for (what, count, expected) in [
        ("packets counted as lost", stats.packets_lost, lost),
        (
            "probe timeouts where acknowledgements told of the loss",
            stats.probe_timeouts,
            0,
        ),
        (
            "bytes sent again beyond the lost ones",
            sent.saturating_sub(bytes + lost * 1_344),
            0,
        ),
    ] {
        if count != expected {
            return Err(pair.unexpected(0, what, format!("{count}, not {expected}")));
        }
    }
    Ok(())
}

/// Nothing passes for a while.
struct Blackout {
    from: Instant,
    until: Instant,
}

impl Meddler for Blackout {
    fn on_datagram(&mut self, now: Instant, passage: Passage, out: &mut Vec<Passage>) {
        if now < self.from || now >= self.until {
            out.push(passage);
        }
    }
}

/// A sender that a blackout has sent to its least window finds back to a useful one.
fn blackout(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    setting.delay = Duration::from_micros(rng.between(15_000, 40_000));
    let round_trip = setting.delay * 2;
    let bytes = 2_500 * PACKET;
    setting.plans[0].streams = vec![bulk(bytes)];
    let from = Instant::ZERO + round_trip * u32::try_from(rng.between(3, 5)).unwrap_or(4);
    let lasts = Duration::from_millis(rng.between(2_000, 4_000));
    let until = from + lasts;
    let mut pair = MeddledPair::new(&setting, seed, Blackout { from, until })?;
    // A probe leaves at the latest after as long again; then slow start, and one packet more a
    // round trip.
    pair.run_to_end(until + lasts * 2 + round_trip * 200)
}

/// Streams that began together and are equally long come to their ends together.
fn fair_streams(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    let count = rng.between(2, 6);
    let bytes = rng.between(60_000, 150_000);
    setting.plans[0].streams = (0..count).map(|_| bulk(bytes)).collect();
    let mut pair = MeddledPair::new(&setting, seed, Clean)?;
    let limit = Instant::ZERO + setting.delay * 400 + Duration::from_secs(2);
    loop {
        let received: Vec<u64> = pair
            .agent(1)
            .read()
            .values()
            .map(|read| read.received)
            .collect();
        if received.contains(&bytes) {
            let least = received.iter().min().copied().unwrap_or(0);
            if (received.len() as u64) < count || least < bytes / 2 {
                let detail = format!("{received:?} of {bytes}");
                return Err(pair.unexpected(1, "one stream starves the others", detail));
            }
            return pair.run_to_end(limit);
        }
        if !pair.step(limit)? {
            let what = format!("{received:?} of {bytes} each");
            return Err(pair.failure(Violation::NotFinished { what }));
        }
    }
}

/// Marks packets of node 0.
struct Mark {
    chance: Ppm,
    rng: Rng,
    marked: u64,
}

impl Meddler for Mark {
    fn on_datagram(&mut self, _: Instant, mut passage: Passage, out: &mut Vec<Passage>) {
        if passage.to == 1 && passage.ecn.is_some() && self.rng.chance(self.chance) {
            passage.ecn = Some(EcnMark::Ce);
            self.marked += 1;
        }
        out.push(passage);
    }
}

/// Marks are congestion, each at most once, and no loss.
fn marked_path(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    let bytes = rng.between(50_000, 300_000);
    setting.plans[0].streams = vec![bulk(bytes)];
    let meddler = Mark {
        chance: Ppm::percent(3),
        rng: rng.split(1),
        marked: 0,
    };
    let mut pair = MeddledPair::new(&setting, seed, meddler)?;
    pair.run_to_end(Instant::ZERO + setting.delay * 400 + Duration::from_secs(2))?;
    let (stats, marked) = (*pair.stats(0), pair.meddler.marked);
    if stats.congestion_signals > marked || (marked > 0) != (stats.congestion_signals > 0) {
        let detail = format!("{} of {marked} marks", stats.congestion_signals);
        return Err(pair.unexpected(0, "reactions to marks", detail));
    }
    if stats.packets_lost > 0 {
        let detail = format!("{}", stats.packets_lost);
        return Err(pair.unexpected(0, "marked packets counted as lost", detail));
    }
    Ok(())
}

/// Nothing of node 1 arrives any more once it has seen FIN.
struct Deafen {
    deaf: bool,
}

impl Meddler for Deafen {
    fn on_datagram(&mut self, _: Instant, passage: Passage, out: &mut Vec<Passage>) {
        let kind = Header::parse(&passage.bytes, 0).map(|header| header.kind);
        self.deaf |= kind == Ok(PacketType::FinAck);
        if passage.to == 1 || !self.deaf {
            out.push(passage);
        }
    }
}

/// Of a graceful end the echo alone is lost: both ends have closed all the same.
fn lost_echo(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    let bytes = rng.between(0, 20_000);
    setting.plans[0].streams = vec![bulk(bytes)];
    for config in &mut setting.config {
        config.transport.idle_timeout = Duration::from_millis(rng.between(1_000, 5_000));
    }
    let mut pair = MeddledPair::new(&setting, seed, Deafen { deaf: false })?;
    pair.run_to_end(Instant::ZERO + Duration::from_secs(20))?;
    let ends = [0, 1].map(|node| pair.close_reason(node).cloned());
    let graceful = matches!(
        ends,
        [Some(CloseReason::Local), Some(CloseReason::Peer { .. })]
    );
    if graceful {
        return Ok(());
    }
    Err(pair.unexpected(0, "a graceful end whose echo was lost", format!("{ends:?}")))
}

/// A key is replaced when it is due, again and again.
fn key_updates(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    /// Five times what a key may seal; the rest is for the round trips that an update waits.
    const OF_ONE_KEY: u64 = 1_000;
    let mut setting = setting(rng);
    setting.profile = Profile::Sealed(CipherSuite::Aes128Gcm);
    setting.delay = Duration::from_micros(rng.between(8_000, 20_000));
    for config in &mut setting.config {
        config.transport.receive_window = 65_536;
        config.transport.max_ack_delay = MS;
    }
    let bytes = 2_000 * PACKET;
    setting.plans[0].streams = vec![bulk(bytes)];
    let mut pair = MeddledPair::new(&setting, seed, Clean)?;
    pair.run_to_end(Instant::ZERO + setting.delay * 400 + Duration::from_secs(2))?;
    let longest = pair.watch().ledger().packets_of_one_key(0);
    if longest > OF_ONE_KEY {
        return Err(pair.unexpected(0, "a key was not replaced", format!("{longest} packets")));
    }
    check_clean(&pair, [bytes, 0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{SeedGuard, seeds};

    #[test]
    fn reference_runs_reach_their_figures() {
        for seed in seeds(160) {
            let _guard = SeedGuard::new("reference", seed);
            if let Err(failure) = run(seed) {
                panic!("{failure}");
            }
        }
    }
}
