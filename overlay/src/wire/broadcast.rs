//! Broadcasts: what the origin signs, and what each hop may change.
//!
//! The origin signs the body (network, its identity, time, number, topic, payload and how many
//! hops it allows). The hop count is outside the signature because every relay raises it; it can
//! only be used to shorten a message's reach, never beyond [`HOP_LIMIT_MAX`] from where it is
//! reset. The signed bytes travel unchanged, so the signature survives every hop.

use dunlin_session::{Identity, PublicIdentity};
use minicbor::{Decode, Encode};

use super::record::is_current;
use super::{profile, to_bytes};
use crate::error::{DecodeError, PeerViolation};
use crate::limits::{BROADCAST_AGE_MAX, BROADCAST_PAYLOAD_LEN_MAX, HOP_LIMIT_MAX};
use crate::planted::{self, Bug};
use crate::signatures::Signatures;
use crate::types::{Priority, is_valid_name};

/// Context of a broadcast's signature.
pub(crate) const BROADCAST_CONTEXT: &[u8] = b"dunlin overlay v1 broadcast";

/// A broadcast as it travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct BroadcastFrame<'b> {
    /// Links travelled, this one included: 1 from the origin.
    #[n(0)]
    pub(crate) hops: u8,
    /// CBOR of [`BroadcastBody`].
    #[cbor(b(1), with = "minicbor::bytes")]
    pub(crate) body: &'b [u8],
    /// The origin's Ed25519 signature over `body`.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) signature: [u8; 64],
}

/// The signed fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct BroadcastBody<'b> {
    /// Name of the network.
    #[b(0)]
    pub(crate) network: &'b str,
    /// `PublicIdentity` of the origin; the node ID is computed from it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) origin: [u8; PublicIdentity::LEN],
    /// When it was signed, in milliseconds since the Unix epoch.
    #[n(2)]
    pub(crate) unix_millis: u64,
    /// When the origin's overlay started: with `sequence`, a position in the origin's stream.
    #[n(3)]
    pub(crate) epoch: u64,
    /// 1, 2, 3, … within the epoch, without holes.
    #[n(4)]
    pub(crate) sequence: u64,
    /// How many hops the origin allows; above [`HOP_LIMIT_MAX`] counts as that.
    #[n(5)]
    pub(crate) hop_limit: u8,
    /// Topic.
    #[b(6)]
    pub(crate) topic: &'b str,
    /// The application's bytes.
    #[cbor(b(7), with = "minicbor::bytes")]
    pub(crate) payload: &'b [u8],
    /// Code of a [`Priority`]; absent when it is normal.
    #[n(8)]
    pub(crate) priority: Option<u8>,
}

impl BroadcastBody<'_> {
    /// How urgent it is; codes of a later version count as normal.
    pub(crate) fn priority(&self) -> Priority {
        self.priority
            .and_then(Priority::from_code)
            .unwrap_or(Priority::Normal)
    }

    /// The hops it may travel here.
    pub(crate) fn effective_hop_limit(&self) -> u8 {
        self.hop_limit.min(HOP_LIMIT_MAX)
    }
}

/// A broadcast that passed every check but the signature's.
pub(crate) struct CheckedBroadcast<'b> {
    frame: BroadcastFrame<'b>,
    body: BroadcastBody<'b>,
}

/// Every check of a received broadcast that costs no cryptography. `None`: signed too long ago or in
/// the future; drop it, nobody is to blame.
///
/// # Errors
/// What the peer that sent it did wrong.
pub(crate) fn check_broadcast<'b>(
    frame: BroadcastFrame<'b>,
    network: &str,
    unix_millis_now: u64,
) -> Result<Option<CheckedBroadcast<'b>>, PeerViolation> {
    profile::check(frame.body).map_err(PeerViolation::Malformed)?;
    let body: BroadcastBody<'b> =
        minicbor::decode(frame.body).map_err(|_| PeerViolation::Malformed(DecodeError::Schema))?;
    if body.network != network {
        return Err(PeerViolation::BroadcastNetwork);
    }
    if frame.hops == 0 || frame.hops > body.effective_hop_limit() {
        return Err(PeerViolation::BroadcastHops);
    }
    if !is_valid_name(body.topic) || body.payload.len() > BROADCAST_PAYLOAD_LEN_MAX {
        return Err(PeerViolation::OutOfBounds);
    }
    if !is_current(body.unix_millis, unix_millis_now, BROADCAST_AGE_MAX) {
        return Ok(None);
    }
    Ok(Some(CheckedBroadcast { frame, body }))
}

impl<'b> CheckedBroadcast<'b> {
    /// The signed fields (not yet proven).
    pub(crate) fn body(&self) -> &BroadcastBody<'b> {
        &self.body
    }

    /// Links travelled, as the relays say.
    pub(crate) fn hops(&self) -> u8 {
        self.frame.hops
    }

    /// The origin, when its signature verifies.
    pub(crate) fn verify(&self, by: &dyn Signatures) -> Option<PublicIdentity> {
        let BroadcastFrame {
            body, signature, ..
        } = &self.frame;
        let origin = PublicIdentity::from_bytes(&self.body.origin);
        by.verify(&origin, BROADCAST_CONTEXT, body, signature)
            .then_some(origin)
    }

    /// What to pass on: one hop more, everything signed unchanged; `None` at the limit.
    pub(crate) fn next_hop(&self) -> Option<BroadcastFrame<'b>> {
        let beyond = u8::from(planted::is(Bug::RelayedBeyondLimit));
        let limit = self.body.effective_hop_limit() + beyond;
        (self.frame.hops < limit).then(|| BroadcastFrame {
            hops: self.frame.hops + u8::from(!planted::is(Bug::HopsNotCounted)),
            ..self.frame
        })
    }
}

/// Encodes and signs a body.
pub(crate) fn sign_broadcast(identity: &Identity, body: &BroadcastBody<'_>) -> (Vec<u8>, [u8; 64]) {
    let bytes = to_bytes(body);
    let signature = identity.sign(BROADCAST_CONTEXT, &bytes);
    (bytes, signature)
}
