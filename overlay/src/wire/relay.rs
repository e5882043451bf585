//! Messages through a third node: what their origin signs, and how they travel.
//!
//! The relay is handed the message by its origin and hands it to its target; it can read it and lose
//! it, and can neither change it nor make one up. It says so when it cannot hand it on.

use dunlin_session::{Identity, NodeId, PublicIdentity};
use minicbor::{Decode, Encode};

use super::record::is_current;
use super::{profile, to_bytes};
use crate::error::{DecodeError, PeerViolation};
use crate::limits::{RELAY_AGE_MAX, RELAYED_PAYLOAD_LEN_MAX};
use crate::signatures::Signatures;
use crate::types::is_valid_name;

/// Context of a relayed message's signature.
pub(crate) const RELAY_CONTEXT: &[u8] = b"dunlin overlay v1 relayed message";

/// What an origin gives a relay, a relay the target, or (a number alone) the relay back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Relay<'b> {
    /// CBOR of [`RelayBody`]; absent when the relay gives up.
    #[cbor(b(0), with = "minicbor::bytes")]
    pub(crate) body: Option<&'b [u8]>,
    /// The origin's Ed25519 signature over `body`.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) signature: Option<[u8; 64]>,
    /// The relay cannot hand on the message with this number.
    #[n(2)]
    pub(crate) undeliverable: Option<u64>,
}

/// What kind of message is relayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RelayKind {
    Direct,
    Request,
    Response,
}

impl RelayKind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Direct => 0,
            Self::Request => 1,
            Self::Response => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Direct),
            1 => Some(Self::Request),
            2 => Some(Self::Response),
            _ => None,
        }
    }
}

/// The signed fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct RelayBody<'b> {
    /// Name of the network.
    #[b(0)]
    pub(crate) network: &'b str,
    /// `PublicIdentity` of the origin.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) origin: [u8; PublicIdentity::LEN],
    /// Node ID of whom it is for.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) target: [u8; 32],
    /// When it was signed, in milliseconds since the Unix epoch.
    #[n(3)]
    pub(crate) unix_millis: u64,
    /// The origin's number for it.
    #[n(4)]
    pub(crate) number: u64,
    /// 0 direct, 1 request, 2 response.
    #[n(5)]
    pub(crate) kind: u8,
    /// Of a request and its response: chosen by the requester. 0 in a direct message.
    #[n(6)]
    pub(crate) request: u64,
    /// Of a response: 0 served, else a refusal code. 0 otherwise.
    #[n(7)]
    pub(crate) status: u8,
    /// Name of the handler; empty in a response.
    #[b(8)]
    pub(crate) handler: &'b str,
    /// The application's bytes.
    #[cbor(b(9), with = "minicbor::bytes")]
    pub(crate) payload: &'b [u8],
}

/// A relayed message that passed every check but the signature's.
pub(crate) struct CheckedRelay<'b> {
    pub(crate) body: RelayBody<'b>,
    pub(crate) kind: RelayKind,
    pub(crate) target: NodeId,
    bytes: &'b [u8],
    signature: [u8; 64],
    origin: PublicIdentity,
}

/// Every check that costs no cryptography. `None`: signed too long ago or in the future, or of a kind of
/// a later version; drop it, nobody is to blame.
///
/// # Errors
/// What the peer that sent it did wrong.
pub(crate) fn check_relay<'b>(
    bytes: &'b [u8],
    signature: [u8; 64],
    network: &str,
    unix_millis_now: u64,
) -> Result<Option<CheckedRelay<'b>>, PeerViolation> {
    profile::check(bytes).map_err(PeerViolation::Malformed)?;
    let body: RelayBody<'b> =
        minicbor::decode(bytes).map_err(|_| PeerViolation::Malformed(DecodeError::Schema))?;
    let Some(kind) = RelayKind::from_code(body.kind) else {
        return Ok(None);
    };
    if body.network != network {
        return Err(PeerViolation::RelayInvalid);
    }
    let is_named = match kind {
        RelayKind::Response => body.handler.is_empty(),
        RelayKind::Direct | RelayKind::Request => is_valid_name(body.handler),
    };
    if !is_named || body.payload.len() > RELAYED_PAYLOAD_LEN_MAX {
        return Err(PeerViolation::OutOfBounds);
    }
    if !is_current(body.unix_millis, unix_millis_now, RELAY_AGE_MAX) {
        return Ok(None);
    }
    Ok(Some(CheckedRelay {
        target: NodeId::from_bytes(body.target),
        origin: PublicIdentity::from_bytes(&body.origin),
        body,
        kind,
        bytes,
        signature,
    }))
}

impl<'b> CheckedRelay<'b> {
    /// Who is said to have signed it.
    pub(crate) fn origin(&self) -> NodeId {
        self.origin.node_id()
    }

    /// Whether it did.
    pub(crate) fn verifies(&self, by: &dyn Signatures) -> bool {
        by.verify(&self.origin, RELAY_CONTEXT, self.bytes, &self.signature)
    }

    /// The signed bytes.
    pub(crate) const fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The message as it came and is handed on: unchanged.
    pub(crate) const fn message(&self) -> Relay<'b> {
        Relay {
            body: Some(self.bytes),
            signature: Some(self.signature),
            undeliverable: None,
        }
    }
}

/// Encodes and signs a body.
pub(crate) fn sign_relay(identity: &Identity, body: &RelayBody<'_>) -> (Vec<u8>, [u8; 64]) {
    let bytes = to_bytes(body);
    let signature = identity.sign(RELAY_CONTEXT, &bytes);
    (bytes, signature)
}
