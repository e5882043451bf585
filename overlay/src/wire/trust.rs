//! What nodes say to each other of the trust they have in third parties (the three messages of seed P).
//!
//! A list travels as one byte string of fixed-size entries: a node ID and the trust in thousandths,
//! big-endian.

use dunlin_session::NodeId;
use minicbor::{Decode, Encode};

use crate::limits::TRUST_ENTRIES_MAX;

/// Bytes of an entry: 32 of the node ID, 2 of the trust.
const ENTRY_LEN: usize = 34;

/// Asks whom the receiver trusts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct TrustedPeersRequest {
    /// Chosen by the asker, returned in the answer.
    #[n(0)]
    pub(crate) id: u64,
    /// At most so many.
    #[n(1)]
    pub(crate) count: u16,
}

/// Answers it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct TrustedPeersResponse<'b> {
    /// That of the question.
    #[n(0)]
    pub(crate) id: u64,
    /// Entries.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub(crate) entries: &'b [u8],
}

/// Says unasked how the sender's trust has changed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct TrustUpdate<'b> {
    /// Entries.
    #[cbor(b(0), with = "minicbor::bytes")]
    pub(crate) entries: &'b [u8],
}

/// The entries of a byte string; `None`: of another length, more than the limit, or a trust above 1,000.
pub(crate) fn trust_entries(bytes: &[u8]) -> Option<Vec<(NodeId, u16)>> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_LEN>();
    if !rest.is_empty() || entries.len() > TRUST_ENTRIES_MAX {
        return None;
    }
    let entry = |entry: &[u8; ENTRY_LEN]| {
        let (id, trust) = entry.split_first_chunk::<32>()?;
        let (trust, _) = trust.split_first_chunk::<2>()?;
        let permille = u16::from_be_bytes(*trust);
        (permille <= 1000).then(|| (NodeId::from_bytes(*id), permille))
    };
    entries.iter().map(entry).collect()
}

/// The byte string of entries.
pub(crate) fn joined_trust(entries: &[(NodeId, u16)]) -> Vec<u8> {
    let entry = |(id, permille): &(NodeId, u16)| {
        [id.as_bytes().as_slice(), &permille.to_be_bytes()].concat()
    };
    entries.iter().flat_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize) -> Vec<(NodeId, u16)> {
        vec![(NodeId::from_bytes([7; 32]), 1000); count]
    }

    #[test]
    fn lists_round_trip_up_to_the_limit_and_are_refused_one_past_it() {
        let most = entries(TRUST_ENTRIES_MAX);
        assert_eq!(trust_entries(&joined_trust(&most)), Some(most));
        let more = joined_trust(&entries(TRUST_ENTRIES_MAX + 1));
        assert_eq!(trust_entries(&more), None);
        assert_eq!(trust_entries(&joined_trust(&entries(2))[1..]), None);
    }

    #[test]
    fn a_trust_above_one_is_refused() {
        let id = NodeId::from_bytes([7; 32]);
        assert_eq!(trust_entries(&joined_trust(&[(id, 1001)])), None);
    }
}
