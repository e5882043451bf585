//! Credit by frames alone (`docs/wire.md`, chapter "Flow control"; RFC 9000 §13.3).
//!
//! The limit of a connection travels twice: in every header, and in MAX_DATA, which is told again
//! when it is lost. As long as both ends are ours the header hides every fault of the frame. So
//! here the header says the first limit for ever, as from a peer that is sparing with its headers,
//! and the frames that raise the limit are lost while the sender has nothing left that it may send.

use std::time::Duration;

use dunlin_transport::plain::PlainProtection;
use dunlin_transport::protect::PacketProtection;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::wire::{HEADER_LEN, Header, PacketType};
use dunlin_transport::{Instant, PacketNumber};

use super::{bulk, setting};
use crate::meddled_pair::{MeddledPair, Meddler, Passage};
use crate::rng::Rng;
use crate::violation::Failure;
use crate::watch::parts_of;

/// The window of the connection, in bytes: the least that there is.
const WINDOW: u64 = 65_536;

/// What node 1 sends: its headers never grant more than the first one did, and its first MAX_DATA
/// are lost.
struct FramesAlone {
    /// The Window Size of its SYN_ACK.
    granted: u16,
    /// Packets with MAX_DATA that are lost yet.
    to_lose: u64,
    lost: u64,
}

impl FramesAlone {
    /// Rewrites the first packet of `bytes` and notes whether it has MAX_DATA; what follows it.
    /// None: there is no further packet.
    fn rewrite<'a>(&mut self, bytes: &'a mut [u8], raises: &mut bool) -> Option<&'a mut [u8]> {
        let mut header = Header::parse(bytes, 0).ok()?;
        let length = HEADER_LEN + usize::try_from(header.payload_len).ok()?;
        let (packet, rest) = bytes.split_at_mut_checked(length)?;
        if header.kind == PacketType::SynAck {
            self.granted = header.window;
            return Some(rest);
        }
        let end = packet.len().checked_sub(PlainProtection.trailer_len())?;
        let (_, frames) = parts_of(&header, packet.get(HEADER_LEN..end)?)?;
        *raises |= frames.iter().any(|it| matches!(it, Frame::MaxData(_)));
        header.window = self.granted;
        header.emit(packet.first_chunk_mut()?, 0);
        PlainProtection.seal(PacketNumber(0), packet);
        Some(rest)
    }
}

impl Meddler for FramesAlone {
    fn on_datagram(&mut self, _: Instant, mut passage: Passage, out: &mut Vec<Passage>) {
        if passage.to == 0 {
            let (mut rest, mut raises) = (passage.bytes.as_mut_slice(), false);
            while let Some(next) = self.rewrite(rest, &mut raises) {
                rest = next;
            }
            if raises && self.lost < self.to_lose {
                self.lost += 1;
                return;
            }
        }
        out.push(passage);
    }
}

/// Streams that together need more than the connection's window, and MAX_DATA lost once or twice.
///
/// # Errors
/// The transfer stands still, or no frame was there to lose.
pub(super) fn by_frames_alone(seed: u64, rng: &mut Rng) -> Result<(), Failure> {
    let mut setting = setting(rng);
    setting.config[1].transport.receive_window = WINDOW;
    setting.config[1].transport.stream_receive_window = WINDOW;
    // No stream is stopped by its own limit. Fewer bytes in all than the four windows within which
    // a header's field that stands still reads as an old one.
    setting.plans[0].streams = (0..rng.between(3, 4))
        .map(|_| bulk(rng.between(30_000, 50_000)))
        .collect();
    let meddler = FramesAlone {
        granted: 0,
        to_lose: rng.between(1, 2),
        lost: 0,
    };
    let to_lose = meddler.to_lose;
    let mut pair = MeddledPair::new(&setting, seed, meddler)?;
    pair.run_to_end(Instant::ZERO + setting.delay * 400 + Duration::from_secs(5))?;
    let lost = pair.meddler.lost;
    if lost == to_lose {
        return Ok(());
    }
    let detail = format!("{lost} of {to_lose} were there to be lost");
    Err(pair.unexpected(1, "a limit was not raised by frames", detail))
}
