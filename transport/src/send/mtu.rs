//! Path MTU discovery with packets of our own (DPLPMTUD, RFC 8899): padded PINGs search upward from
//! a size that is known to pass; ICMP is not believed.
//!
//! The search climbs a ladder of usual sizes and halves the interval where a step fails (§5.3.2).
//! A size fails when three probes of it are lost; a probe's loss is no sign of congestion (RFC 9000
//! §14.4). Probes leave only while a connection sends full packets, so that a short exchange costs
//! nothing.
//!
//! A black hole (§4.3) is a path that stopped passing large packets while small ones pass. Random
//! loss must not look like one: since the last large packet that arrived, so many have to be lost
//! in a row that the loss seen before explains it with less than one in a thousand million, and small
//! packets sent in between have to arrive. Then the size falls to the base, and the search begins
//! anew.

use alloc::boxed::Box;
use core::time::Duration;

use crate::ids::PacketNumber;
use crate::time::Instant;

/// Sizes of UDP payload that paths usually end at: 1,500 bytes less 20 of PPPoE and tunnels, IPv6,
/// IPv4; 9,000 bytes (jumbo) with IPv6 and IPv4; 16 KiB; loopback with IPv6 and IPv4.
const LADDER: [usize; 8] = [1_404, 1_452, 1_472, 8_952, 8_972, 16_384, 65_487, 65_507];
/// Probes of one size that have to be lost before it counts as too large (MAX_PROBES, §5.1.2).
const PROBES_MAX: u8 = 3;
/// Full packets between two probes: the search costs less than a tenth of the bytes. Guess.
const PACKETS_BETWEEN_PROBES: u32 = 16;
/// The search ends when the largest size that may pass is not more than this above the one that
/// does.
const RESOLUTION: usize = 8;
/// The search begins again after this (PMTU_RAISE_TIMER, §5.1.1).
const RAISE_TIME: Duration = Duration::from_secs(600);
/// The chance that loss alone looks like a black hole, per run of lost packets: one in so many.
const CONFIDENCE: u64 = 1_000_000_000;
/// Loss is counted in this unit.
const WHOLE: u64 = 1 << 20;
/// The estimate of loss remembers about so many packets.
const LOSS_MEMORY: u64 = 256;
/// Of one run of lost packets so many count at most: an outage is not what a path is like.
const RUN_MAX: u32 = 64;
/// Loss that is assumed at least (1 %) and at most (1/2), in [`WHOLE`].
const LOSS_BOUNDS: (u64, u64) = (WHOLE / 100, WHOLE / 2);
/// Times that a small packet has to arrive between lost large ones: a pause of the path, or a full
/// queue, is over by then.
const CONTRASTS: u8 = 3;

/// A probe that is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
struct Probe {
    number: PacketNumber,
    size: usize,
}

/// Packets above the base that were lost since the last one that arrived.
#[derive(Clone, Copy, Default, Debug)]
struct Suspicion {
    lost: u32,
    /// The newest of them.
    newest: Option<PacketNumber>,
    /// Times that a smaller packet arrived which is newer than a lost one, and that one newer than
    /// the smaller packet of the time before.
    contrasts: u8,
    /// The smaller packet of the last time.
    contrasted_by: Option<PacketNumber>,
}

impl Suspicion {
    /// The large packet `lost` is lost and the small packet `arrived` is not.
    fn contrast(&mut self, lost: Option<PacketNumber>, arrived: Option<PacketNumber>) {
        if lost.is_some() && lost < arrived && lost > self.contrasted_by {
            self.contrasts = self.contrasts.saturating_add(1);
            self.contrasted_by = arrived;
        }
    }
}

/// The search of one path.
#[derive(Clone, Debug)]
pub struct MtuSearch {
    /// What passes in any case.
    base: usize,
    /// What is known to pass.
    current: usize,
    /// What may pass: the most that both ends allow, or less than what failed.
    highest: usize,
    /// The most that both ends allow.
    ceiling: usize,
    failures: u8,
    probe: Option<Probe>,
    /// Full packets since the last probe.
    packets: u32,
    /// When the search came to its end.
    finished: Option<Instant>,
    /// Something large was lost since the last large packet arrived.
    suspicion: Option<Box<Suspicion>>,
    /// The newest packet of at most the base that arrived.
    small_arrived: Option<PacketNumber>,
    /// Loss of all packets, in [`WHOLE`]: moves by a 256th with each packet.
    loss: u64,
}

/// What an event means for the size of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A larger size passes.
    Raised(usize),
    /// The path became a black hole for large packets: back to the base.
    Fallen(usize),
}

impl MtuSearch {
    /// A path that carries `base` bytes of UDP payload; both ends allow `ceiling`.
    #[must_use]
    pub fn new(base: usize, ceiling: usize) -> Self {
        let ceiling = ceiling.max(base);
        Self {
            base,
            current: base,
            highest: ceiling,
            ceiling,
            failures: 0,
            probe: None,
            packets: 0,
            finished: None,
            suspicion: None,
            small_arrived: None,
            loss: 0,
        }
    }

    /// Bytes of UDP payload that pass in any case.
    #[must_use]
    pub const fn base(&self) -> usize {
        self.base
    }

    /// Bytes of UDP payload that pass.
    #[must_use]
    pub const fn current(&self) -> usize {
        self.current
    }

    /// Whether nothing more is searched for now.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// The path is another one: begins anew from the base. Returns it.
    pub fn restart(&mut self) -> usize {
        *self = Self {
            loss: self.loss,
            ..Self::new(self.base, self.ceiling)
        };
        self.base
    }

    /// So many datagrams of the current size left.
    pub const fn on_full_packets(&mut self, count: u32) {
        self.packets = self.packets.saturating_add(count);
    }

    /// The size to probe now, if a probe is due.
    pub fn poll_probe(&mut self, now: Instant) -> Option<usize> {
        if self
            .finished
            .is_some_and(|at| now.saturating_duration_since(at) >= RAISE_TIME)
        {
            self.finished = None;
            self.highest = self.ceiling;
        }
        let due = self.packets >= PACKETS_BETWEEN_PROBES
            && self.probe.is_none()
            && self.finished.is_none();
        if !due {
            return None;
        }
        let size = self.next_size();
        if size.is_none() {
            self.finished = Some(now);
        }
        size
    }

    /// A probe of `size` bytes left as `number`.
    pub const fn on_probe_sent(&mut self, number: PacketNumber, size: usize) {
        self.probe = Some(Probe { number, size });
        self.packets = 0;
    }

    /// A packet of `size` bytes arrived.
    pub fn on_acked(&mut self, number: PacketNumber, size: usize) -> Option<Change> {
        self.loss -= self.loss / LOSS_MEMORY;
        if let Some(probe) = self.probe
            && probe.number == number
        {
            self.probe = None;
            self.failures = 0;
            self.current = probe.size;
            self.suspicion = None;
            return Some(Change::Raised(probe.size));
        }
        if size > self.base {
            // What was lost in between was lost by chance.
            let lost = self.suspicion.as_ref().map_or(0, |it| it.lost);
            for _ in 0..lost.min(RUN_MAX) {
                self.count_loss();
            }
            self.suspicion = None;
            return None;
        }
        self.small_arrived = self.small_arrived.max(Some(number));
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.contrast(suspicion.newest, Some(number));
        }
        self.judge()
    }

    /// Packets of a run arrived, none of them a probe: `count` of `size` bytes each, from number `first` on. The
    /// same as [`Self::on_acked`] for each.
    pub fn on_run_acked(&mut self, first: PacketNumber, count: u64, size: usize) -> Option<Change> {
        let mut change = self.on_acked(first, size);
        let last = first.0 + count.saturating_sub(1);
        for number in first.0 + 1..=last {
            if self.suspicion.is_none() {
                // The last one speaks for the others, but for what each does to the share that is lost.
                for _ in number..last {
                    if self.loss < LOSS_MEMORY {
                        break;
                    }
                    self.loss -= self.loss / LOSS_MEMORY;
                }
                return self.on_acked(PacketNumber(last), size).or(change);
            }
            change = self.on_acked(PacketNumber(number), size).or(change);
        }
        change
    }

    /// A packet of `size` bytes was declared lost. Returns whether it was a probe, and what follows.
    pub fn on_lost(&mut self, number: PacketNumber, size: usize) -> (bool, Option<Change>) {
        if let Some(probe) = self.probe
            && probe.number == number
        {
            self.probe = None;
            self.failures += 1;
            if self.failures >= PROBES_MAX {
                self.failures = 0;
                self.highest = probe.size - 1;
            }
            return (true, None);
        }
        if size <= self.base {
            self.count_loss();
            return (false, None);
        }
        let suspicion = self.suspicion.get_or_insert_default();
        suspicion.lost = suspicion.lost.saturating_add(1);
        suspicion.newest = suspicion.newest.max(Some(number));
        suspicion.contrast(Some(number), self.small_arrived);
        (false, self.judge())
    }

    /// A packet was lost by chance.
    const fn count_loss(&mut self) {
        self.loss += (WHOLE - self.loss) / LOSS_MEMORY;
    }

    fn judge(&mut self) -> Option<Change> {
        let suspicion = self.suspicion.as_ref()?;
        let is_hole = suspicion.contrasts >= CONTRASTS && suspicion.lost >= self.run_needed();
        is_hole.then(|| Change::Fallen(self.restart()))
    }

    /// Packets that have to be lost in a row for loss alone to be the less likely explanation.
    fn run_needed(&self) -> u32 {
        let loss = self.loss.clamp(LOSS_BOUNDS.0, LOSS_BOUNDS.1);
        let (mut chance, mut run) = (WHOLE * CONFIDENCE, 0);
        while chance > WHOLE {
            chance = chance / WHOLE * loss + chance % WHOLE * loss / WHOLE;
            run += 1;
        }
        run
    }

    fn next_size(&self) -> Option<usize> {
        if self.highest.saturating_sub(self.current) < RESOLUTION {
            // The most that is allowed is tried even if it is a byte more.
            return (self.highest == self.ceiling && self.highest > self.current)
                .then_some(self.highest);
        }
        if self.highest < self.ceiling {
            return Some(usize::midpoint(self.current, self.highest + 1));
        }
        let step = LADDER
            .iter()
            .find(|size| **size >= self.current + RESOLUTION);
        Some(step.map_or(self.ceiling, |size| (*size).min(self.ceiling)))
    }
}

#[cfg(test)]
mod tests;
