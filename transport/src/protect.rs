//! The seam between packets and secrecy.
//!
//! The transport knows no cipher and no key. What it needs from a session layer is here, as four
//! traits: an [`Acceptor`] answers SYNs and makes [`Responder`]s, an [`Initiator`] opens, and both
//! ends obtain a [`PacketProtection`] that seals and opens packets. [`crate::plain`] implements
//! them with a CRC-32 and no secrecy; `dunlin-session` with a hybrid handshake and an AEAD.
//!
//! Rules that every implementation keeps (`docs/wire.md`, chapter "Handshake"):
//! - Over UDP anybody can forge a message. A step takes `&self`, computes the next state aside and
//!   returns it; a failed step changes nothing, so the genuine message still finds its state.
//! - The transport retransmits. A payload, once produced, is the same at every retransmission.
//! - A failed [`PacketProtection::open`] changes nothing but a counter of failures.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::net::SocketAddr;

use crate::ids::{ConnectionId, PacketNumber};
use crate::time::Instant;
use crate::wire::HEADER_LEN;
use crate::wire::reset::ResetToken;

/// Source of random bytes, injected so that a run can be replayed.
pub trait Random: Send {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);

    /// A random number.
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_be_bytes(bytes)
    }

    /// A random number.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

/// Who the peer is, as the session layer knows it. The transport only hands it on; a session crate
/// offers the typed view (a downcast).
pub type PeerIdentity = Arc<dyn Any + Send + Sync>;

/// Which way a packet travels, seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// We send it.
    Outgoing,
    /// We received it.
    Incoming,
}

/// Why a packet was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The trailer does not match: forged, corrupted, or sealed with other keys. Drop the packet.
    #[error("packet trailer does not match")]
    Mismatch,
    /// So many packets failed that the cipher's integrity limit is reached (RFC 9001 §6.6). The
    /// connection must close.
    #[error("the cipher's integrity limit is reached")]
    IntegrityLimit,
}

/// Seals and opens the packets of one established connection.
///
/// A packet is `header (32) ‖ payload ‖ trailer (trailer_len())`, in one slice.
pub trait PacketProtection: Send {
    /// Bytes that [`Self::seal`] adds after the payload: 4 (CRC-32) or 16 (AEAD tag).
    fn trailer_len(&self) -> usize;

    /// Payloads of a multiple of so many bytes cost least to seal and open: full packets are as long as the path
    /// lets a packet with such a payload be. 1, the default: it is all the same.
    fn payload_block(&self) -> usize {
        1
    }

    /// Whether payloads are encrypted and authenticated. Sets the SEALED flag; without it a
    /// connection does not migrate.
    fn is_sealed(&self) -> bool;

    /// Start value of the header checksum for packets of this flow (`docs/wire.md` W-HDR-7); 0
    /// in the plain profile.
    fn checksum_salt(&self, flow: Flow) -> u32;

    /// The KEY_PHASE bit of the next packet to seal.
    fn key_phase(&self) -> bool {
        false
    }

    /// Seals `packet` in place; its header stays clear until [`Self::mask_headers`], which has to follow before it
    /// leaves.
    ///
    /// On entry: the finished clear header, the clear payload, and `trailer_len()` bytes of room.
    /// `number` is never passed twice.
    fn seal_unmasked(&mut self, number: PacketNumber, packet: &mut [u8]);

    /// Masks the headers of sealed packets of `size` bytes each, one behind the other: those sealed since the
    /// last call, in their order. Nothing to do by default: profiles without secrecy mask none.
    fn mask_headers(&mut self, _packets: &mut [u8], _size: usize) {}

    /// Seals one packet in place and masks its header.
    fn seal(&mut self, number: PacketNumber, packet: &mut [u8]) {
        self.seal_unmasked(number, packet);
        self.mask_headers(packet, packet.len());
    }

    /// Removes the header masks of the packets at the starts of datagrams of `size` bytes each, of which the
    /// last may be shorter. Datagrams too short for any packet stay as they are. Applying it twice restores the
    /// input. Nothing to do by default, as in [`Self::mask_headers`].
    fn unmask_headers(&self, _datagrams: &mut [u8], _size: usize) {}

    /// Removes the header mask of the packet at the start of one datagram (which may hold further packets
    /// behind it). Applying it twice restores the input. Returns false, having changed nothing, when there are
    /// too few bytes for a packet.
    fn unmask(&self, datagram: &mut [u8]) -> bool {
        let is_long_enough = datagram.len() >= HEADER_LEN + self.trailer_len();
        if is_long_enough {
            self.unmask_headers(datagram, datagram.len());
        }
        is_long_enough
    }

    /// Opens `packet` (clear header, exact length) in place and returns the payload's length; the
    /// payload is then at `packet[32..32 + length]`.
    ///
    /// # Errors
    /// [`OpenError`]; the packet's bytes are then unspecified, the protection's keys unchanged.
    fn open(
        &mut self,
        number: PacketNumber,
        key_phase: bool,
        packet: &mut [u8],
    ) -> Result<usize, OpenError>;

    /// Told about the largest packet number the peer has acknowledged, which confirms a key update.
    fn on_acknowledged(&mut self, _largest: PacketNumber) {}

    /// Told about the passing of time (on each batch), for key updates by age and for erasing old
    /// keys.
    fn on_time(&mut self, _now: Instant, _probe_timeout: core::time::Duration) {}

    /// Told that the connection has fallen silent: what can be made again from less, expanded keys above
    /// all, may go until the next packet.
    fn rest(&mut self) {}

    /// Whether the application may have the connection. A session layer that has more to prove
    /// than fits the handshake says no until the peer has said it through the channel; the
    /// connection then waits, for the handshake's time at most. Once true it stays true.
    fn is_ready(&self) -> bool {
        true
    }

    /// Asks the peer's session layer to prove, over `nonce`, that it still has the key of its identity.
    /// `nonce` was never used before. False, and nothing done: there are no such proofs here, or the
    /// last one is still owed, or was asked for just now.
    fn challenge_peer(&mut self, _now: Instant, _nonce: [u8; 32]) -> bool {
        false
    }

    /// Whether the peer has given the proof that it was asked for; true once. Asked after each message.
    fn take_proof(&mut self) -> bool {
        false
    }

    /// The next message for the peer's session layer, at most
    /// [`crate::limits::SESSION_MESSAGE_MAX`] bytes. The transport delivers it reliably, in order
    /// and sealed. Asked after the handshake, after each message and on time.
    fn poll_session_message(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Takes a message of the peer's session layer; [`Self::on_time`] has been told the time.
    ///
    /// # Errors
    /// [`SessionMessageError`]; the connection ends.
    fn on_session_message(&mut self, _message: &[u8]) -> Result<(), SessionMessageError> {
        Err(SessionMessageError::Malformed)
    }
}

/// Why a message between session layers ends the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionMessageError {
    /// No session layer says this, or not now.
    #[error("malformed message of the session layer")]
    Malformed,
    /// The peer has failed to prove what it must.
    #[error("{own_reason}")]
    Refused {
        /// Application error code that the peer sees.
        code: u64,
        /// A sentence for the peer's operator.
        reason: &'static str,
        /// A sentence for ours.
        own_reason: &'static str,
    },
}

/// What a finished handshake yields, on either side.
pub struct Established {
    /// Seals and opens from here on.
    pub protection: Box<dyn PacketProtection>,
    /// The peer's transport parameters, as it encoded them; authenticated by the handshake.
    pub peer_params: Vec<u8>,
    /// Who the peer is.
    pub peer: PeerIdentity,
    /// A name by which the endpoint counts the connections of one peer; None: they are not counted.
    pub peer_name: Option<[u8; 32]>,
}

/// Why a handshake message was not believed. The state it was offered to is unchanged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It does not parse, or its checks fail: drop it and wait for the genuine one.
    #[error("handshake message rejected: {0}")]
    Rejected(&'static str),
    /// The genuine peer proved itself and is not the one we want, or nothing is acceptable to
    /// both. Final: the connection fails with this reason.
    #[error("handshake failed: {0}")]
    Fatal(&'static str),
}

/// Makes an initiator, with keys from the randomness it is given.
pub type MakeInitiator = Box<dyn FnOnce(&mut dyn Random) -> Box<dyn Initiator> + Send>;

/// Our side of a handshake that we open: SYN →, ← SYN_ACK, confirm →.
pub trait Initiator: Send {
    /// The session's part of the SYN payload. `params` are our transport parameters; the
    /// implementation delivers them to the peer, authenticated, in SYN or in the confirm message.
    /// Called once; the transport keeps the bytes for retransmission. `retry_token` is empty, or
    /// what a RETRY carried: then this is the second call.
    fn syn(&mut self, params: &[u8], retry_token: &[u8]) -> Vec<u8>;

    /// Handles a RETRY: the token to put into the next [`Self::syn`] call.
    ///
    /// # Errors
    /// [`HandshakeError::Rejected`] when the retry does not belong to our SYN.
    fn on_retry(&self, payload: &[u8]) -> Result<Vec<u8>, HandshakeError>;

    /// Handles the session's part of a SYN_ACK: the confirm message to send, and the connection.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    fn on_syn_ack(&self, payload: &[u8]) -> Result<(Vec<u8>, Established), HandshakeError>;

    /// Another handshake with the same peer for the same purpose, with keys of its own: a driver
    /// that tries two ways at once needs one for each, and completes only one of them. None, the
    /// default: there can be no second one.
    fn twin(&self) -> Option<MakeInitiator> {
        None
    }
}

/// What to do about a SYN.
pub enum SynDecision {
    /// Go on: keep this half-open handshake and send its SYN_ACK.
    Accept(Box<dyn Responder>),
    /// Keep nothing, send this RETRY payload (never longer than the SYN's).
    Retry(Vec<u8>),
    /// Keep nothing, send nothing.
    Ignore,
}

/// The SYN as the transport saw it.
pub struct Syn<'a> {
    /// Where it came from (not proven).
    pub from: SocketAddr,
    /// The session's part of its payload.
    pub payload: &'a [u8],
    /// The transport holds so many half-open handshakes that it wants a RETRY (proof of the
    /// address) first.
    pub under_load: bool,
}

/// Answers SYNs; one for an endpoint.
pub trait Acceptor: Send + Sync {
    /// Decides about a SYN. `params` are our transport parameters, `random` is fresh randomness.
    fn on_syn(
        &self,
        now: Instant,
        syn: &Syn<'_>,
        params: &[u8],
        random: &mut dyn Random,
    ) -> SynDecision;

    /// The stateless-reset token for packets that come from `address` to the connection ID `id`
    /// (`docs/wire.md` W-RST). The same after a restart, and known to nobody who was not told it.
    /// None: this endpoint sends no stateless resets.
    fn reset_token(&self, address: SocketAddr, id: ConnectionId) -> Option<ResetToken>;
}

/// A half-open handshake on the answering side.
pub trait Responder: Send {
    /// The session's part of the SYN_ACK payload; never longer than the SYN's.
    fn syn_ack(&self) -> &[u8];

    /// Whether `payload` is a retransmission of the SYN that made this responder.
    fn is_same_syn(&self, payload: &[u8]) -> bool;

    /// Handles the peer's confirm message. A peer that proved itself but is refused (allow-list,
    /// capabilities) is [`Verdict::Refuse`]d with a reason, which travels sealed.
    ///
    /// # Errors
    /// See [`HandshakeError`]; `self` is unchanged and usable after an error.
    fn on_confirm(&self, payload: &[u8]) -> Result<Verdict, HandshakeError>;
}

/// The responder's decision about a peer that has proved who it is.
pub enum Verdict {
    /// Welcome.
    Accept(Established),
    /// Proven, and not wanted: the connection is reset with this code and reason, sealed.
    Refuse {
        /// The keys to say it with.
        established: Established,
        /// Application error code that the peer sees.
        code: u64,
        /// A sentence for the peer's operator (UTF-8, at most 256 bytes are sent).
        reason: &'static str,
    },
}
