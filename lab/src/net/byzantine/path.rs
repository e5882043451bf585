//! Attackers on the path.

use std::net::SocketAddr;

use dunlin_transport::plain::PlainProtection;
use dunlin_transport::protect::PacketProtection;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header, PacketType};
use dunlin_transport::{Instant, PacketNumber};

use crate::link::Datagram;
use crate::net::Middlebox;
use crate::rng::{Ppm, Rng};

/// Datagrams that a [`Replayer`] remembers.
const REMEMBERED_MAX: usize = 1_024;

/// Sends datagrams of the past again, now and then from elsewhere.
#[derive(Debug)]
pub struct Replayer {
    chance: Ppm,
    elsewhere: Option<SocketAddr>,
    past: Vec<Datagram>,
    rng: Rng,
}

impl Replayer {
    /// Replays one behind each datagram with this chance; `elsewhere`: half of them seem to come
    /// from there.
    #[must_use]
    pub const fn new(chance: Ppm, elsewhere: Option<SocketAddr>, rng: Rng) -> Self {
        Self {
            chance,
            elsewhere,
            past: Vec::new(),
            rng,
        }
    }
}

impl Middlebox for Replayer {
    fn on_datagram(
        &mut self,
        _: Instant,
        datagram: &mut Datagram,
        extra: &mut Vec<Datagram>,
    ) -> bool {
        if self.rng.chance(self.chance)
            && let Some(old) = self.rng.pick(&self.past)
        {
            let mut old = old.clone();
            if let Some(elsewhere) = self.elsewhere.filter(|_| self.rng.chance(Ppm::percent(50))) {
                old.from = elsewhere;
            }
            extra.push(old);
        }
        if self.past.len() < REMEMBERED_MAX {
            self.past.push(datagram.clone());
        } else {
            let index = usize::try_from(self.rng.below(REMEMBERED_MAX as u64)).unwrap_or(0);
            if let Some(place) = self.past.get_mut(index) {
                *place = datagram.clone();
            }
        }
        true
    }
}

/// Flips one bit of a datagram, and the next bit of the next one: in the long run each position.
#[derive(Debug)]
pub struct BitFlipper {
    every: u64,
    seen: u64,
    bit: u64,
}

impl BitFlipper {
    /// Spoils every so-manieth datagram.
    #[must_use]
    pub const fn new(every: u64) -> Self {
        Self {
            every,
            seen: 0,
            bit: 0,
        }
    }
}

impl Middlebox for BitFlipper {
    fn on_datagram(&mut self, _: Instant, datagram: &mut Datagram, _: &mut Vec<Datagram>) -> bool {
        self.seen += 1;
        let bits = datagram.bytes.len() as u64 * 8;
        if self.seen.is_multiple_of(self.every.max(1)) && bits > 0 {
            let bit = self.bit % bits;
            self.bit += 1;
            let index = usize::try_from(bit / 8).unwrap_or(usize::MAX);
            if let Some(byte) = datagram.bytes.get_mut(index) {
                *byte ^= 1 << (bit % 8);
            }
        }
        true
    }
}

/// Cuts datagrams off, each at another place.
#[derive(Debug)]
pub struct Truncator {
    every: u64,
    seen: u64,
}

impl Truncator {
    /// Spoils every so-manieth datagram.
    #[must_use]
    pub const fn new(every: u64) -> Self {
        Self { every, seen: 0 }
    }
}

impl Middlebox for Truncator {
    fn on_datagram(&mut self, _: Instant, datagram: &mut Datagram, _: &mut Vec<Datagram>) -> bool {
        self.seen += 1;
        if self.seen.is_multiple_of(self.every.max(1)) {
            let length = (datagram.bytes.len() as u64).max(1);
            let keep = (self.seen / self.every.max(1)) % length;
            datagram.bytes.truncate(usize::try_from(keep).unwrap_or(0));
        }
        true
    }
}

/// A receiver that acknowledges what it has not got, to be sent to faster than is fair (Savage and
/// others, "TCP Congestion Control with a Misbehaving Receiver", 1999). It rewrites the
/// acknowledgments of an honest one, so it needs the plain profile, whose trailer anybody can make.
#[derive(Debug)]
pub struct OptimisticAcker {
    lead: u32,
}

impl OptimisticAcker {
    /// Acknowledges so many numbers ahead of the truth.
    #[must_use]
    pub const fn new(lead: u32) -> Self {
        Self { lead }
    }

    /// Rewrites the first packet of `bytes`; what follows it. None: there is no further packet.
    fn rewrite<'a>(&self, bytes: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let mut header = Header::parse(bytes, 0).ok()?;
        let length = HEADER_LEN + usize::try_from(header.payload_len).ok()?;
        let (packet, rest) = bytes.split_at_mut_checked(length)?;
        let opening = matches!(header.kind, PacketType::Syn | PacketType::SynAck);
        if header.flags.contains(Flags::ACK) && !opening {
            header.acknowledgment = header.acknowledgment.wrapping_add(self.lead);
            header.emit(packet.first_chunk_mut()?, 0);
            PlainProtection.seal(PacketNumber(0), packet);
        }
        Some(rest)
    }
}

impl Middlebox for OptimisticAcker {
    fn on_datagram(&mut self, _: Instant, datagram: &mut Datagram, _: &mut Vec<Datagram>) -> bool {
        let mut rest = datagram.bytes.as_mut_slice();
        while let Some(next) = self.rewrite(rest) {
            rest = next;
        }
        true
    }
}
