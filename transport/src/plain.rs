//! The plain profile: CRC-32 integrity, no secrecy, no identities (`docs/wire.md`, chapter
//! "Profiles").
//!
//! For packets before keys exist, for benchmarks, and for embedders who bring their own security.
//! [`PlainInitiator`] and [`PlainAcceptor`] are a handshake of parameters only.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::ids::{ConnectionId, PacketNumber};
use crate::protect::{
    Acceptor, Established, Flow, HandshakeError, Initiator, MakeInitiator, OpenError,
    PacketProtection, Random, Responder, Syn, SynDecision, Verdict,
};
use crate::time::Instant;
use crate::wire::HEADER_LEN;
use crate::wire::reset::ResetToken;

/// Bytes of the CRC-32 trailer.
pub const TRAILER_LEN: usize = 4;
/// Bytes to which a plain SYN is padded, so that the SYN_ACK (parameters of at most 128 bytes) is
/// never longer than the SYN.
const SYN_LEN: usize = 192;

/// Appends the trailer to `packet`, whose header is complete.
pub(crate) fn seal(packet: &mut Vec<u8>, start: usize) {
    let crc = crc32fast::hash(&packet[start..]);
    packet.extend_from_slice(&crc.to_be_bytes());
}

/// Checks the trailer of `packet`; returns the payload before it.
///
/// # Errors
/// [`OpenError::Mismatch`].
pub(crate) fn open(packet: &[u8]) -> Result<&[u8], OpenError> {
    let (body, trailer) = packet.split_last_chunk().ok_or(OpenError::Mismatch)?;
    if crc32fast::hash(body) != u32::from_be_bytes(*trailer) {
        return Err(OpenError::Mismatch);
    }
    body.get(HEADER_LEN..).ok_or(OpenError::Mismatch)
}

/// CRC-32 trailers; header not masked.
#[derive(Debug, Default)]
pub struct PlainProtection;

impl PacketProtection for PlainProtection {
    fn trailer_len(&self) -> usize {
        TRAILER_LEN
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn checksum_salt(&self, _: Flow) -> u32 {
        0
    }

    fn seal_unmasked(&mut self, _: PacketNumber, packet: &mut [u8]) {
        if let Some((body, trailer)) = packet.split_last_chunk_mut::<TRAILER_LEN>() {
            *trailer = crc32fast::hash(body).to_be_bytes();
        }
    }

    fn open(&mut self, _: PacketNumber, _: bool, packet: &mut [u8]) -> Result<usize, OpenError> {
        open(packet).map(<[u8]>::len)
    }
}

/// Opens connections in the plain profile.
#[derive(Debug, Default)]
pub struct PlainInitiator;

impl PlainInitiator {
    /// An initiator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Initiator for PlainInitiator {
    fn syn(&mut self, params: &[u8], _: &[u8]) -> Vec<u8> {
        let mut out = framed(params);
        out.resize(out.len().max(SYN_LEN), 0);
        out
    }

    fn on_retry(&self, _: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        Err(HandshakeError::Rejected("the plain profile knows no retry"))
    }

    fn on_syn_ack(&self, payload: &[u8]) -> Result<(Vec<u8>, Established), HandshakeError> {
        Ok((Vec::new(), established(payload)?))
    }

    fn twin(&self) -> Option<MakeInitiator> {
        Some(Box::new(|_| Box::new(Self)))
    }
}

/// Answers connections in the plain profile.
#[derive(Debug, Default)]
pub struct PlainAcceptor;

impl PlainAcceptor {
    /// An acceptor.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Acceptor for PlainAcceptor {
    fn on_syn(&self, _: Instant, syn: &Syn<'_>, params: &[u8], _: &mut dyn Random) -> SynDecision {
        if established(syn.payload).is_err() || syn.payload.len() < SYN_LEN {
            return SynDecision::Ignore;
        }
        SynDecision::Accept(Box::new(PlainResponder {
            syn: syn.payload.to_vec(),
            syn_ack: framed(params),
        }))
    }

    fn reset_token(&self, _: SocketAddr, _: ConnectionId) -> Option<ResetToken> {
        None
    }
}

struct PlainResponder {
    syn: Vec<u8>,
    syn_ack: Vec<u8>,
}

impl Responder for PlainResponder {
    fn syn_ack(&self) -> &[u8] {
        &self.syn_ack
    }

    fn is_same_syn(&self, payload: &[u8]) -> bool {
        self.syn == payload
    }

    fn on_confirm(&self, _: &[u8]) -> Result<Verdict, HandshakeError> {
        Ok(Verdict::Accept(established(&self.syn)?))
    }
}

/// `length (1) ‖ params`, possibly followed by padding.
fn framed(params: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(SYN_LEN);
    out.push(u8::try_from(params.len()).unwrap_or(0));
    out.extend_from_slice(params);
    out
}

fn established(payload: &[u8]) -> Result<Established, HandshakeError> {
    let params = payload
        .split_first()
        .and_then(|(length, rest)| rest.get(..usize::from(*length)))
        .ok_or(HandshakeError::Rejected("parameters are cut off"))?;
    Ok(Established {
        protection: Box::new(PlainProtection),
        peer_params: params.to_vec(),
        peer: Arc::new(()),
        peer_name: None,
    })
}
