//! The channel of the session layers: what they have to say to each other after the handshake, in
//! order and sealed (`docs/wire.md`, chapter "Session channel").
//!
//! Its bytes travel in SESSION frames, each message as `length (2) ‖ message`. They have an order of
//! their own and count against no flow control; at most [`SESSION_WINDOW`] of them are on their way.
//! While the session layer is not ready, the application hears nothing of the connection: its
//! events wait here.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use super::Connection;
use super::contents::Item;
use super::draft::Draft;
use crate::error::{CloseReason, PeerViolation};
use crate::ids::Side;
use crate::io::Event;
use crate::limits::{SESSION_MESSAGE_MAX, SESSION_WINDOW};
use crate::protect::SessionMessageError;
use crate::recv::assembler::Assembler;
use crate::rest::Rest;
use crate::send::buffer::SendBuffer;
use crate::streams::Placed;
use crate::time::Instant;
use crate::wire::frame::Frame;

/// Bytes of a SESSION frame beside its data, at most: type, length and an 8-byte offset.
const FRAME_OVERHEAD: usize = 1 + 2 + 8;
/// A piece is worth a frame from this many bytes on, or when it is all there is. A guess.
const PIECE_MIN: usize = 16;
/// Bytes of a message's length.
const LENGTH_LEN: usize = 2;

/// Both directions of the channel.
#[derive(Debug, Default)]
pub(super) struct SessionChannel {
    /// Made when something is first said: most connections say nothing.
    pipes: Option<Box<Pipes>>,
    /// The application waits for the session layer, until then.
    gate: Option<Instant>,
}

#[derive(Debug, Default)]
struct Pipes {
    outgoing: SendBuffer,
    incoming: Assembler,
    /// Bytes of a message that is not complete: at most its length and [`SESSION_MESSAGE_MAX`].
    partial: Vec<u8>,
}

impl Rest for SessionChannel {
    fn rest(&mut self) {
        if let Some(pipes) = &mut self.pipes {
            pipes.outgoing.rest();
            pipes.incoming.rest();
            pipes.partial.rest();
        }
    }
}

impl SessionChannel {
    pub(super) fn has_work(&self) -> bool {
        let pipes = self.pipes.as_ref();
        pipes.is_some_and(|pipes| pipes.outgoing.has_work(u64::MAX))
    }

    pub(super) fn is_drained(&self) -> bool {
        let pipes = self.pipes.as_ref();
        pipes.is_none_or(|pipes| pipes.outgoing.is_drained())
    }

    pub(super) const fn is_gated(&self) -> bool {
        self.gate.is_some()
    }

    /// When waiting for the session layer ends.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.gate
    }

    pub(super) fn on_acknowledged(&mut self, range: Range<u64>) {
        self.pipes().outgoing.on_acknowledged(range, false);
    }

    pub(super) fn on_lost(&mut self, range: Range<u64>) {
        self.pipes().outgoing.on_lost(range, false);
    }

    /// Room for one more message of any length.
    fn has_room(&self) -> bool {
        let pipes = self.pipes.as_ref();
        let buffered = pipes.map_or(0, |pipes| pipes.outgoing.buffered());
        buffered + (LENGTH_LEN + SESSION_MESSAGE_MAX) as u64 <= SESSION_WINDOW
    }

    fn write(&mut self, message: &[u8]) {
        debug_assert!(message.len() <= SESSION_MESSAGE_MAX, "see PacketProtection");
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        let outgoing = &mut self.pipes().outgoing;
        outgoing.write(&length.to_be_bytes());
        outgoing.write(message);
    }

    /// Stores a piece that came. Its bytes are within the window of what was read.
    fn insert(&mut self, offset: u64, data: &[u8]) -> Result<Placed, PeerViolation> {
        let end = offset.saturating_add(data.len() as u64);
        let incoming = &mut self.pipes().incoming;
        if end > incoming.read_offset() + SESSION_WINDOW {
            return Err(PeerViolation::SessionChannel);
        }
        if incoming.contradicts(offset, data) {
            return Err(PeerViolation::ContradictingData);
        }
        Ok(match incoming.insert(offset, data) {
            Ok(_) => Placed::Yes,
            Err(_) => Placed::No,
        })
    }

    /// The next message that is complete.
    fn next_message(&mut self) -> Result<Option<Vec<u8>>, PeerViolation> {
        let pipes = self.pipes();
        pipes.fill(LENGTH_LEN);
        let Some(length) = pipes.partial.first_chunk() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > SESSION_MESSAGE_MAX {
            return Err(PeerViolation::SessionChannel);
        }
        pipes.fill(LENGTH_LEN + length);
        if pipes.partial.len() < LENGTH_LEN + length {
            return Ok(None);
        }
        let message = pipes.partial.split_off(LENGTH_LEN);
        pipes.partial.clear();
        Ok(Some(message))
    }

    fn pipes(&mut self) -> &mut Pipes {
        self.pipes.get_or_insert_default()
    }
}

impl Pipes {
    /// Reads until `partial` has `length` bytes, or there are no more.
    fn fill(&mut self, length: usize) {
        let have = self.partial.len();
        if have < length {
            self.partial.resize(length, 0);
            let read = self.incoming.read(&mut self.partial[have..]);
            self.partial.truncate(have + read);
        }
    }
}

impl Connection {
    /// The handshake is complete: the session layers begin to talk, and the application waits if
    /// it has to.
    pub(super) fn start_session(&mut self, now: Instant) {
        let ready = self.protection.as_ref().is_none_or(|p| p.is_ready());
        self.session.gate = (!ready).then(|| now + self.config.handshake_timeout);
        self.pump_session();
    }

    /// An incoming connection that the application has never heard of.
    pub(crate) fn is_unannounced(&self) -> bool {
        self.session.is_gated() && self.side == Side::Responder
    }

    /// While the application waits it hears of nothing but the end of what it opened itself.
    pub(super) fn hold_events(&mut self) {
        if self.closing.reason().is_some() {
            let announced = !self.is_unannounced();
            self.events
                .retain(|event| announced && matches!(event, Event::Closed(_)));
        }
    }

    /// Asks the peer to prove, over `nonce`, that it still has the key of its identity:
    /// [`Event::PeerProven`] tells when it has, and the connection ends when it fails. `nonce` is fresh
    /// randomness. False, and nothing done: the session layer has no such proofs (the plain profile), or
    /// the connection is not established, or the last proof is still owed or was asked for just now.
    pub fn challenge_peer(&mut self, now: Instant, nonce: [u8; 32]) -> bool {
        let asked = self.is_established()
            && self
                .protection
                .as_mut()
                .is_some_and(|p| p.challenge_peer(now, nonce));
        self.pump_session();
        asked
    }

    /// Hands over what the session layer has to say.
    fn pump_session(&mut self) {
        if let Some(protection) = &mut self.protection {
            while self.session.has_room()
                && let Some(message) = protection.poll_session_message()
            {
                self.session.write(&message);
            }
        }
    }

    /// A SESSION frame came.
    pub(super) fn on_session_frame(
        &mut self,
        now: Instant,
        offset: u64,
        data: &[u8],
    ) -> Result<Placed, PeerViolation> {
        let placed = self.session.insert(offset, data)?;
        let timeout = self.probe_timeout();
        if let Some(protection) = &mut self.protection {
            protection.on_time(now, timeout);
        }
        while let Some(message) = self.session.next_message()? {
            let Some(protection) = &mut self.protection else {
                break;
            };
            match protection.on_session_message(&message) {
                Ok(()) => {}
                Err(SessionMessageError::Malformed) => return Err(PeerViolation::SessionChannel),
                Err(SessionMessageError::Refused {
                    code,
                    reason,
                    own_reason,
                }) => {
                    self.refuse_session(now, code, reason, own_reason);
                    return Ok(placed);
                }
            }
        }
        if self.protection.as_mut().is_some_and(|p| p.take_proof()) {
            self.events.push_back(Event::PeerProven);
        }
        self.pump_session();
        self.open_gate();
        Ok(placed)
    }

    /// The session layer is ready: the application hears of the connection, and of what has
    /// happened on it meanwhile.
    fn open_gate(&mut self) {
        if self.protection.as_ref().is_some_and(|p| p.is_ready()) {
            self.session.gate = None;
        }
    }

    /// What is due for the session layer.
    pub(super) fn on_session_time(&mut self, now: Instant) {
        self.pump_session();
        if self.session.gate.is_some_and(|until| until <= now) {
            self.lose(CloseReason::HandshakeTimeout {
                peer_speaks_other_version: false,
            });
        }
    }

    /// Adds a piece of the channel to a packet, if there is one and room for it.
    pub(super) fn add_session(&mut self, draft: &mut Draft) {
        let room = draft.data_room(0).saturating_sub(FRAME_OVERHEAD);
        if !self.session.has_work() || room < PIECE_MIN {
            return;
        }
        let outgoing = &mut self.session.pipes().outgoing;
        let Some(piece) = outgoing.poll(room, u64::MAX) else {
            return;
        };
        let mut data = Vec::new();
        outgoing.copy(&piece.range, &mut data);
        let (offset, range) = (piece.range.start, piece.range);
        let frame = Frame::Session {
            offset,
            data: &data,
        };
        frame.emit(&mut draft.frames);
        draft.contents.push(Item::Session { range });
        draft.ack_eliciting = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A channel whose peer has sent these bytes, one frame each.
    fn fed(pieces: &[(u64, &[u8])]) -> (SessionChannel, Result<Placed, PeerViolation>) {
        let mut channel = SessionChannel::default();
        let mut last = Ok(Placed::Yes);
        for (offset, data) in pieces {
            last = channel.insert(*offset, data);
        }
        (channel, last)
    }

    #[test]
    fn messages_come_whole_and_in_order_however_they_were_cut() {
        let (mut channel, _) = fed(&[(3, b"bc\x00"), (0, b"\x00\x03a"), (6, b"\x01d\x00\x00\x00")]);
        assert_eq!(channel.next_message(), Ok(Some(b"abc".to_vec())));
        assert_eq!(channel.next_message(), Ok(Some(b"d".to_vec())));
        assert_eq!(channel.next_message(), Ok(Some(Vec::new())));
        assert_eq!(channel.next_message(), Ok(None));
        assert_eq!(channel.insert(11, b"\x02e"), Ok(Placed::Yes));
        assert_eq!(channel.next_message(), Ok(None));
        assert_eq!(channel.insert(13, b"f"), Ok(Placed::Yes));
        assert_eq!(channel.next_message(), Ok(Some(b"ef".to_vec())));
    }

    #[test]
    fn rejects_bytes_beyond_the_window_and_accepts_the_last_within() {
        assert_eq!(fed(&[(SESSION_WINDOW - 1, b"x")]).1, Ok(Placed::Yes));
        let beyond = Err(PeerViolation::SessionChannel);
        assert_eq!(fed(&[(SESSION_WINDOW, b"x")]).1, beyond);
        assert_eq!(fed(&[(u64::MAX >> 2, b"xyz")]).1, beyond);
    }

    #[test]
    fn rejects_a_message_above_the_limit_by_its_length_alone() {
        let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let (mut channel, _) = fed(&[(0, &length(SESSION_MESSAGE_MAX))]);
        assert_eq!(channel.next_message(), Ok(None));
        let (mut channel, _) = fed(&[(0, &length(SESSION_MESSAGE_MAX + 1))]);
        assert_eq!(channel.next_message(), Err(PeerViolation::SessionChannel));
    }

    #[test]
    fn takes_no_further_message_while_the_window_is_full() {
        let mut channel = SessionChannel::default();
        assert!(channel.has_room());
        channel.write(&[0; SESSION_MESSAGE_MAX - 4]);
        assert!(channel.has_room());
        channel.write(&[]);
        assert!(!channel.has_room());
    }
}
