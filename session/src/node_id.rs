//! The node ID: 32 bytes that commit to the keys of a node (`docs/session.md` S-ID-1).
//!
//! As text it is bech32m (BIP 350) with the human-readable part `dunlin`, so that a mistyped
//! character is noticed.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use sha2::{Digest, Sha256};

/// Name of a node: SHA-256 over a label, its Ed25519 key and the commitment to its ML-DSA key.
///
/// Ordered and hashed by its bytes. Nothing about it is secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// The ID of the node with these keys: SHA-256("dunlin node-id v1" ‖ `ed25519` ‖
    /// `mldsa_commitment`).
    #[must_use]
    pub fn of_keys(ed25519: &[u8; 32], mldsa_commitment: &[u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update(LABEL)
            .chain_update(ed25519)
            .chain_update(mldsa_commitment);
        Self(digest.finalize().into())
    }

    /// The ID with these bytes; any 32 bytes are one.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Ord for NodeId {
    /// By the bytes. The first eight nearly always decide, and a number is compared faster than bytes are.
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |id: &Self| id.0.first_chunk().map_or(0, |of| u64::from_be_bytes(*of));
        first(self)
            .cmp(&first(other))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, HRP, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for NodeId {
    /// The first four bytes in hexadecimal: enough to tell nodes apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "node:{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let parsed = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| NodeIdError::Damaged)?;
        if parsed.hrp() != HRP {
            return Err(NodeIdError::OtherKind);
        }
        let mut bytes = parsed.byte_iter();
        let mut id = [0; 32];
        for slot in &mut id {
            *slot = bytes.next().ok_or(NodeIdError::Length)?;
        }
        if bytes.next().is_some() {
            return Err(NodeIdError::Length);
        }
        Ok(Self(id))
    }
}

/// Why a text is not a node ID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NodeIdError {
    /// Not bech32m: a character is wrong, missing or swapped.
    #[error(
        "this is not a node ID: a character is wrong or missing; copy the whole text that `dunlin id` prints"
    )]
    Damaged,
    /// Valid bech32m that names something else.
    #[error("this is not a node ID: a node ID begins with `dunlin1`")]
    OtherKind,
    /// Valid bech32m of the wrong length.
    #[error("this is not a node ID: it has the wrong length; copy the whole text")]
    Length,
}

const LABEL: &[u8] = b"dunlin node-id v1";
const HRP: Hrp = Hrp::parse_unchecked("dunlin");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_are_in_the_order_of_their_bytes(a: [u8; 32], b: [u8; 32], same in 0usize..=32) {
            let mut near = b;
            near[..same].copy_from_slice(&a[..same]);
            for other in [b, near] {
                let (one, two) = (NodeId::from_bytes(a), NodeId::from_bytes(other));
                prop_assert_eq!(one.cmp(&two), a.cmp(&other));
                prop_assert_eq!(one.partial_cmp(&two), a.partial_cmp(&other));
            }
        }

        #[test]
        fn text_round_trips(bytes: [u8; 32]) {
            let id = NodeId::from_bytes(bytes);
            let text = id.to_string();
            prop_assert!(text.starts_with("dunlin1"));
            prop_assert_eq!(text.parse::<NodeId>(), Ok(id));
            prop_assert_eq!(text.to_uppercase().parse::<NodeId>(), Ok(id));
        }

        #[test]
        fn notices_one_wrong_character(bytes: [u8; 32], at in 7usize..65, with in 0usize..32) {
            let text = NodeId::from_bytes(bytes).to_string();
            let mut wrong = text.clone().into_bytes();
            wrong[at] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"[with];
            let wrong = String::from_utf8(wrong).unwrap();
            prop_assume!(wrong != text);
            prop_assert_eq!(wrong.parse::<NodeId>(), Err(NodeIdError::Damaged));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,100}") {
            let _ = text.parse::<NodeId>();
        }
    }

    #[test]
    fn refuses_other_kinds_and_lengths() {
        let other = bech32::encode::<Bech32m>(Hrp::parse_unchecked("npub"), &[7; 32]).unwrap();
        assert_eq!(other.parse::<NodeId>(), Err(NodeIdError::OtherKind));
        for length in [0, 31, 33] {
            let text = bech32::encode::<Bech32m>(HRP, &vec![7; length]).unwrap();
            assert_eq!(text.parse::<NodeId>(), Err(NodeIdError::Length));
        }
        assert_eq!("".parse::<NodeId>(), Err(NodeIdError::Damaged));
    }

    #[test]
    fn debug_is_short() {
        assert_eq!(
            format!("{:?}", NodeId::from_bytes([0xab; 32])),
            "node:abababab"
        );
    }
}
