//! What neighbours say about broadcasts besides passing them on: announcements, questions for what is
//! missing, changes of trees, comparisons of sets.
//!
//! Lists of IDs travel as one byte string of fixed-size entries: nothing is allocated to decode
//! them, and their number is known from their length.

use dunlin_session::NodeId;
use minicbor::decode::Error;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::limits;
use crate::types::ShortId;

/// Bytes of an announcement's entry: first half of the ID, then its age.
const ANNOUNCED_LEN: usize = 18;
const SHORT_LEN: usize = 16;
const NODE_LEN: usize = 32;

/// Says which broadcasts the sender has.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Announce<'b> {
    /// Those that are pushed along a tree: 18 bytes each, the first 16 of the ID and for how many
    /// milliseconds the sender has had it (big-endian, 65,535 for more).
    #[cbor(b(0), with = "minicbor::bytes")]
    pub(crate) pushed: &'b [u8],
    /// Those of which no copy comes unless it is asked for: 16 bytes each.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub(crate) offered: &'b [u8],
}

/// Asks for broadcasts.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Want<'b> {
    /// The first 16 bytes of each ID.
    #[cbor(b(0), with = "minicbor::bytes")]
    pub(crate) ids: &'b [u8],
    /// Push the broadcasts of their origins from now on.
    #[n(1)]
    pub(crate) graft: bool,
}

/// Changes along which links the broadcasts of origins are pushed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Tree<'b> {
    /// Node IDs of origins of which the sender wants announcements only.
    #[cbor(b(0), with = "minicbor::bytes")]
    pub(crate) prune: &'b [u8],
    /// Node IDs of origins of which it wants copies.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub(crate) graft: &'b [u8],
}

/// One message of a comparison of sets.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Reconcile {
    /// Drawn by who began; salts the fingerprints.
    #[n(0)]
    pub(crate) round: u64,
    /// How many messages of this comparison went before.
    #[n(1)]
    pub(crate) step: u8,
    /// What was signed after this is compared, in milliseconds since the Unix epoch.
    #[n(2)]
    pub(crate) after: u64,
    /// Ranges of time, each from the end of the one before.
    #[cbor(n(3), decode_with = "decode_parts")]
    pub(crate) parts: Vec<Part>,
}

/// A range of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Its last millisecond since the Unix epoch.
    pub(crate) upper: u64,
    pub(crate) kind: PartKind,
}

/// What is said of a range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PartKind {
    /// Nothing: the sides agree on it, or it is left for another time.
    Skip,
    /// What the sender has seen of it.
    Fingerprint(u64),
    /// What the sender holds of it.
    List(Vec<ShortId>),
}

impl Part {
    /// A range of which nothing is said.
    pub(crate) const fn skip(upper: u64) -> Self {
        let kind = PartKind::Skip;
        Self { upper, kind }
    }

    /// A range by its fingerprint.
    pub(crate) const fn fingerprint(upper: u64, fingerprint: u64) -> Self {
        let kind = PartKind::Fingerprint(fingerprint);
        Self { upper, kind }
    }
}

impl<C> Encode<C> for Part {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let length = match self.kind {
            PartKind::Skip => 1,
            PartKind::Fingerprint(_) | PartKind::List(_) => 2,
        };
        encoder.array(length)?.u64(self.upper)?;
        match &self.kind {
            PartKind::Skip => {}
            PartKind::Fingerprint(fingerprint) => {
                encoder.u64(*fingerprint)?;
            }
            PartKind::List(ids) => {
                encoder.bytes(&joined_ids(ids))?;
            }
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Part {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let length = decoder.array()?;
        let upper = decoder.u64()?;
        let kind = match length {
            Some(1) => PartKind::Skip,
            Some(2) if decoder.datatype()? == minicbor::data::Type::Bytes => {
                let ids = decoder.bytes()?;
                let ids = short_ids(ids, limits::ANNOUNCE_MAX);
                PartKind::List(ids.ok_or_else(|| Error::message("a list of IDs"))?)
            }
            Some(2) => PartKind::Fingerprint(decoder.u64()?),
            _ => return Err(Error::message("one or two items")),
        };
        Ok(Self { upper, kind })
    }
}

fn decode_parts<C>(decoder: &mut Decoder<'_>, context: &mut C) -> Result<Vec<Part>, Error> {
    let count = decoder.array()?.unwrap_or(u64::MAX);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > limits::RECONCILE_PARTS_MAX {
        return Err(Error::message("too many parts"));
    }
    let mut listed = 0;
    (0..count)
        .map(|_| {
            let part = Part::decode(decoder, context)?;
            if let PartKind::List(ids) = &part.kind {
                listed += ids.len();
            }
            if listed > limits::ANNOUNCE_MAX {
                return Err(Error::message("too many IDs"));
            }
            Ok(part)
        })
        .collect()
}

/// A byte string of short IDs; `None`: of another length, or more than `max`.
pub(crate) fn short_ids(bytes: &[u8], max: usize) -> Option<Vec<ShortId>> {
    let (ids, rest) = bytes.as_chunks::<SHORT_LEN>();
    let fits = rest.is_empty() && ids.len() <= max;
    fits.then(|| ids.iter().copied().map(ShortId).collect())
}

/// A byte string of node IDs; `None`: of another length, or more than the limit.
pub(crate) fn node_ids(bytes: &[u8]) -> Option<Vec<NodeId>> {
    let (ids, rest) = bytes.as_chunks::<NODE_LEN>();
    let fits = rest.is_empty() && ids.len() <= limits::TREE_ORIGINS_MAX;
    fits.then(|| ids.iter().copied().map(NodeId::from_bytes).collect())
}

/// A byte string of announced IDs and their ages in milliseconds; `None` as above.
pub(crate) fn announced(bytes: &[u8]) -> Option<Vec<(ShortId, u16)>> {
    let (entries, rest) = bytes.as_chunks::<ANNOUNCED_LEN>();
    if !rest.is_empty() || entries.len() > limits::ANNOUNCE_MAX {
        return None;
    }
    let entry = |entry: &[u8; ANNOUNCED_LEN]| {
        let (id, age) = entry.split_first_chunk::<SHORT_LEN>()?;
        let (age, _) = age.split_first_chunk::<2>()?;
        Some((ShortId(*id), u16::from_be_bytes(*age)))
    };
    entries.iter().map(entry).collect()
}

/// The byte string of short IDs.
pub(crate) fn joined_ids(ids: &[ShortId]) -> Vec<u8> {
    ids.iter().flat_map(|ShortId(id)| *id).collect()
}

/// The byte string of node IDs.
pub(crate) fn joined_nodes(ids: &[NodeId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

/// The byte string of announced IDs with their ages.
pub(crate) fn joined_announced(entries: &[(ShortId, u16)]) -> Vec<u8> {
    let entry = |(ShortId(id), age): &(ShortId, u16)| [id.as_slice(), &age.to_be_bytes()].concat();
    entries.iter().flat_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_up_to_their_limit_and_refused_one_past_it() {
        let ids = |count| vec![7; count * SHORT_LEN];
        assert_eq!(short_ids(&ids(3), 3).unwrap().len(), 3);
        assert!(short_ids(&ids(4), 3).is_none() && short_ids(&ids(3)[1..], 3).is_none());
        let nodes = |count| vec![7; count * NODE_LEN];
        assert!(node_ids(&nodes(limits::TREE_ORIGINS_MAX)).is_some());
        assert!(node_ids(&nodes(limits::TREE_ORIGINS_MAX + 1)).is_none());
        let entries = |count| vec![7; count * ANNOUNCED_LEN];
        assert!(announced(&entries(limits::ANNOUNCE_MAX)).is_some());
        assert!(announced(&entries(limits::ANNOUNCE_MAX + 1)).is_none());
        assert!(announced(&entries(1)[1..]).is_none());
    }

    #[test]
    fn lists_round_trip() {
        let ids = [ShortId([1; 16]), ShortId([2; 16])];
        assert_eq!(short_ids(&joined_ids(&ids), 2).unwrap(), ids);
        let nodes = [NodeId::from_bytes([3; 32]), NodeId::from_bytes([4; 32])];
        assert_eq!(node_ids(&joined_nodes(&nodes)).unwrap(), nodes);
        let entries = [(ShortId([5; 16]), 0x1234), (ShortId([6; 16]), u16::MAX)];
        assert_eq!(announced(&joined_announced(&entries)).unwrap(), entries);
    }
}
