//! Peer records: where a node can be reached, said and signed by the node itself.
//!
//! The body travels as the bytes that were signed (a byte string inside the message), so that any
//! hop can relay it unchanged and fields of a later version survive. The key is inside the body
//! and the node ID is computed from it: a record cannot speak for another node.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use dunlin_session::{Identity, NodeId, PublicIdentity};
use minicbor::decode::Error;
use minicbor::{Decode, Decoder, Encode};

use super::address::WireAddress;
use super::{profile, to_bytes};
use crate::address::HostPort;
use crate::limits;
use crate::signatures::{EachAnew, Signatures};
use crate::types::{Capabilities, Roles};

/// Context of a record's signature.
pub(crate) const RECORD_CONTEXT: &[u8] = b"dunlin overlay v1 peer record";

/// `[body, signature]` as it travels; nothing about it is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct SignedRecord<'b> {
    /// CBOR of the record's fields.
    #[cbor(b(0), with = "minicbor::bytes")]
    pub(crate) body: &'b [u8],
    /// Ed25519 over `body`.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) signature: [u8; 64],
}

/// The signed fields.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
struct RecordBody<'b> {
    #[b(0)]
    network: &'b str,
    #[cbor(n(1), with = "minicbor::bytes")]
    identity: [u8; PublicIdentity::LEN],
    #[n(2)]
    sequence: u64,
    #[n(3)]
    unix_millis: u64,
    #[cbor(b(4), decode_with = "decode_addresses")]
    addresses: Vec<WireAddress<'b>>,
    #[n(5)]
    capabilities: u64,
    #[n(6)]
    roles: u32,
}

/// Why a record is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Not the CBOR of a record, or too long.
    #[error("the record does not decode")]
    Malformed,
    /// Of another network.
    #[error("the record is of another network")]
    Network,
    /// Signed with another key or altered.
    #[error("the record's signature does not verify")]
    Signature,
    /// Signed too long ago, or too far in the future.
    #[error("the record's time is not acceptable")]
    Time,
}

/// A record that passed every check but the signature's.
pub(crate) struct CheckedRecord<'b> {
    signed: SignedRecord<'b>,
    identity: PublicIdentity,
    id: NodeId,
    sequence: u64,
    unix_millis: u64,
    addresses: Vec<SocketAddr>,
}

/// A record whose signature was checked (or made here): the only form that is kept or relayed.
/// Tables of peers consist of these, so it is small: one allocation, shared by its clones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct VerifiedRecord {
    /// Signature (64 bytes), then body.
    signed: Arc<[u8]>,
    id: NodeId,
    sequence: u64,
    unix_millis: u64,
}

/// What a node says in its own record.
pub(crate) struct RecordFields<'a> {
    pub(crate) network: &'a str,
    pub(crate) sequence: u64,
    pub(crate) unix_millis: u64,
    pub(crate) addresses: &'a [SocketAddr],
    /// Where it is reached besides: names, onion services, addresses before a NAT.
    pub(crate) external: &'a [HostPort],
    pub(crate) capabilities: Capabilities,
    pub(crate) roles: Roles,
}

impl VerifiedRecord {
    /// Signs a record of our own. Addresses past [`limits::RECORD_ADDRESSES_MAX`] are left out, and the last
    /// ones until the body is within [`limits::RECORD_LEN_MAX`].
    pub(crate) fn sign(identity: &Identity, fields: &RecordFields<'_>) -> Self {
        let listened = fields.addresses.iter().copied().map(WireAddress::Ip);
        let external = fields.external.iter().map(WireAddress::of);
        let addresses = listened.chain(external);
        let mut addresses: Vec<_> = addresses.take(limits::RECORD_ADDRESSES_MAX).collect();
        let body = loop {
            let body = to_bytes(RecordBody {
                network: fields.network,
                identity: identity.public().to_bytes(),
                sequence: fields.sequence,
                unix_millis: fields.unix_millis,
                addresses: addresses.clone(),
                capabilities: fields.capabilities.0,
                roles: fields.roles.0,
            });
            if body.len() <= limits::RECORD_LEN_MAX || addresses.pop().is_none() {
                break body;
            }
        };
        let signature = identity.sign(RECORD_CONTEXT, &body);
        Self {
            signed: EachAnew.keep(&signature, &body),
            id: identity.node_id(),
            sequence: fields.sequence,
            unix_millis: fields.unix_millis,
        }
    }

    /// Checks a record that came from outside, its signature included.
    ///
    /// # Errors
    /// [`RecordError`], the first check that failed.
    pub(crate) fn verify(
        signed: &SignedRecord<'_>,
        network: &str,
        unix_millis_now: u64,
    ) -> Result<Self, RecordError> {
        CheckedRecord::check(signed, network, unix_millis_now)?.verify(&EachAnew)
    }

    /// Reads a record that came as bytes of its own, `[body, signature]`: from a name server or our
    /// store, not from a peer. It may be older than what peers are believed.
    ///
    /// # Errors
    /// [`RecordError`], the first check that failed.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        network: &str,
        unix_millis_now: u64,
    ) -> Result<(Self, Vec<SocketAddr>), RecordError> {
        profile::check(bytes).map_err(|_| RecordError::Malformed)?;
        let signed = minicbor::decode(bytes).map_err(|_| RecordError::Malformed)?;
        let age_max = limits::HINT_RECORD_AGE_MAX;
        let checked = CheckedRecord::check_aged(&signed, network, unix_millis_now, age_max)?;
        Ok((checked.verify(&EachAnew)?, checked.addresses))
    }

    /// Its bytes alone, as [`Self::from_bytes`] reads them.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self.signed())
    }

    /// The addresses in it that are not dialled as they are: names and onion services.
    pub(crate) fn named_addresses(&self) -> Vec<HostPort> {
        let body = minicbor::decode::<RecordBody<'_>>(self.signed().body);
        let addresses = body.map(|body| body.addresses).unwrap_or_default();
        let named = addresses.iter().filter(|address| address.ip().is_none());
        named.filter_map(WireAddress::text).collect()
    }

    /// As it travels.
    pub(crate) fn signed(&self) -> SignedRecord<'_> {
        let (signature, body) = self
            .signed
            .split_first_chunk()
            .expect("it was made of a signature and a body");
        SignedRecord {
            body,
            signature: *signature,
        }
    }

    /// The node that signed it.
    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    /// Its place among the records of that node: a larger number supersedes a smaller one.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was signed, in milliseconds since the Unix epoch.
    pub(crate) fn signed_at(&self) -> u64 {
        self.unix_millis
    }

    /// Whether it may still be relayed.
    pub(crate) fn is_current(&self, unix_millis_now: u64) -> bool {
        is_current(self.unix_millis, unix_millis_now, limits::RECORD_AGE_MAX)
    }
}

impl<'b> CheckedRecord<'b> {
    /// Every check of a record from outside that costs no cryptography.
    ///
    /// # Errors
    /// [`RecordError`], the first check that failed.
    pub(crate) fn check(
        signed: &SignedRecord<'b>,
        network: &str,
        unix_millis_now: u64,
    ) -> Result<Self, RecordError> {
        Self::check_aged(signed, network, unix_millis_now, limits::RECORD_AGE_MAX)
    }

    /// The same, of a record that may be so old.
    fn check_aged(
        signed: &SignedRecord<'b>,
        network: &str,
        unix_millis_now: u64,
        age_max: Duration,
    ) -> Result<Self, RecordError> {
        if signed.body.len() > limits::RECORD_LEN_MAX {
            return Err(RecordError::Malformed);
        }
        profile::check(signed.body).map_err(|_| RecordError::Malformed)?;
        let body: RecordBody<'_> =
            minicbor::decode(signed.body).map_err(|_| RecordError::Malformed)?;
        if body.network != network {
            return Err(RecordError::Network);
        }
        if !is_current(body.unix_millis, unix_millis_now, age_max) {
            return Err(RecordError::Time);
        }
        let identity = PublicIdentity::from_bytes(&body.identity);
        let addresses = body.addresses.iter().filter_map(WireAddress::ip);
        Ok(Self {
            signed: *signed,
            identity,
            id: identity.node_id(),
            sequence: body.sequence,
            unix_millis: body.unix_millis,
            addresses: addresses.collect(),
        })
    }

    /// The node that it says it is of (not yet proven).
    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    /// Its place among the records of that node (not yet proven).
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Where the node says it listens (not yet proven; at most [`limits::RECORD_ADDRESSES_MAX`]).
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether it is, to the byte, one that was verified before.
    pub(crate) fn is(&self, verified: &VerifiedRecord) -> bool {
        self.signed == verified.signed()
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`RecordError::Signature`].
    pub(crate) fn verify(&self, by: &dyn Signatures) -> Result<VerifiedRecord, RecordError> {
        let SignedRecord { body, signature } = self.signed;
        if !by.verify(&self.identity, RECORD_CONTEXT, body, &signature) {
            return Err(RecordError::Signature);
        }
        Ok(VerifiedRecord {
            signed: by.keep(&signature, body),
            id: self.id,
            sequence: self.sequence,
            unix_millis: self.unix_millis,
        })
    }
}

/// Whether a signed time is neither older than `age_max` nor further in the future than clocks may
/// differ. All in milliseconds since the Unix epoch.
pub(crate) fn is_current(signed: u64, now: u64, age_max: Duration) -> bool {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    signed <= now.saturating_add(millis(limits::CLOCK_SKEW_MAX))
        && signed >= now.saturating_sub(millis(age_max))
}

fn decode_addresses<'b, C>(
    decoder: &mut Decoder<'b>,
    context: &mut C,
) -> Result<Vec<WireAddress<'b>>, Error> {
    decode_list(decoder, context, limits::RECORD_ADDRESSES_MAX)
}

/// At most [`limits::EXCHANGE_RECORDS_MAX`] records.
pub(super) fn decode_exchange<'b, C>(
    decoder: &mut Decoder<'b>,
    context: &mut C,
) -> Result<Vec<SignedRecord<'b>>, Error> {
    decode_list(decoder, context, limits::EXCHANGE_RECORDS_MAX)
}

/// At most [`limits::ALTERNATIVES_MAX`] records.
pub(super) fn decode_alternatives<'b, C>(
    decoder: &mut Decoder<'b>,
    context: &mut C,
) -> Result<Vec<SignedRecord<'b>>, Error> {
    decode_list(decoder, context, limits::ALTERNATIVES_MAX)
}

/// An array of at most `max` items; its size is checked before anything is allocated.
fn decode_list<'b, C, T: Decode<'b, C>>(
    decoder: &mut Decoder<'b>,
    context: &mut C,
    max: usize,
) -> Result<Vec<T>, Error> {
    let len = decoder.array()?.and_then(|len| usize::try_from(len).ok());
    let len = len
        .filter(|&len| len <= max)
        .ok_or_else(|| Error::message("too many items"))?;
    (0..len).map(|_| decoder.decode_with(context)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn sample(seed: u8, addresses: usize) -> VerifiedRecord {
        let addresses: Vec<SocketAddr> = (1000u16..)
            .take(addresses)
            .map(|i| SocketAddr::from(([127, 0, 0, 1], i)))
            .collect();
        VerifiedRecord::sign(
            &Identity::from_seed([seed; 32]),
            &RecordFields {
                network: "test",
                sequence: 7,
                unix_millis: NOW,
                addresses: &addresses,
                external: &[],
                capabilities: Capabilities::ALL,
                roles: Roles::FULL,
            },
        )
    }

    #[test]
    fn signed_records_verify_to_what_was_signed() {
        let record = sample(1, 2);
        assert_eq!(
            VerifiedRecord::verify(&record.signed(), "test", NOW),
            Ok(record.clone())
        );
        assert_eq!(record.id(), Identity::from_seed([1; 32]).node_id());
    }

    #[test]
    fn rejects_every_flipped_bit_of_body_and_signature() {
        let record = sample(1, 1);
        for bit in 0..record.signed().body.len() * 8 {
            let mut body = record.signed().body.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let forged = SignedRecord {
                body: &body,
                signature: record.signed().signature,
            };
            assert!(
                VerifiedRecord::verify(&forged, "test", NOW).is_err(),
                "bit {bit}"
            );
        }
        for bit in 0..512 {
            let mut forged = record.signed();
            forged.signature[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                VerifiedRecord::verify(&forged, "test", NOW),
                Err(RecordError::Signature),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn rejects_another_network_and_unacceptable_times() {
        let record = sample(1, 1);
        let verify = |network, now| VerifiedRecord::verify(&record.signed(), network, now).err();
        let age = u64::try_from(limits::RECORD_AGE_MAX.as_millis()).unwrap();
        let skew = u64::try_from(limits::CLOCK_SKEW_MAX.as_millis()).unwrap();
        assert_eq!(verify("other", NOW), Some(RecordError::Network));
        assert_eq!(verify("test", NOW + age), None);
        assert_eq!(verify("test", NOW + age + 1), Some(RecordError::Time));
        assert_eq!(verify("test", NOW - skew), None);
        assert_eq!(verify("test", NOW - skew - 1), Some(RecordError::Time));
    }

    #[test]
    fn a_record_of_its_own_bytes_is_believed_for_longer_and_not_one_millisecond_more() {
        let bytes = sample(1, 2).to_bytes();
        let age = u64::try_from(limits::HINT_RECORD_AGE_MAX.as_millis()).unwrap();
        let (record, addresses) = VerifiedRecord::from_bytes(&bytes, "test", NOW + age).unwrap();
        assert_eq!((record.to_bytes(), addresses.len()), (bytes.clone(), 2));
        assert!(
            !record.is_current(NOW + age),
            "nobody is told of it any more"
        );
        let late = VerifiedRecord::from_bytes(&bytes, "test", NOW + age + 1);
        assert_eq!(late, Err(RecordError::Time));
        let trailing = [&bytes[..], &[0]].concat();
        let read = VerifiedRecord::from_bytes(&trailing, "test", NOW);
        assert_eq!(read, Err(RecordError::Malformed));
    }

    #[test]
    fn names_and_onion_services_in_a_record_are_shown_and_not_dialled() {
        let identity = Identity::from_seed([1; 32]);
        let body = to_bytes(RecordBody {
            network: "test",
            identity: identity.public().to_bytes(),
            sequence: 7,
            unix_millis: NOW,
            addresses: vec![
                WireAddress::Name("host.example", 4600),
                WireAddress::Ip(SocketAddr::from(([1, 1, 1, 1], 1))),
                WireAddress::Onion([7; 32], 80),
                WireAddress::Later,
            ],
            capabilities: 0,
            roles: 0,
        });
        let signature = identity.sign(RECORD_CONTEXT, &body);
        let signed = SignedRecord {
            body: &body,
            signature,
        };
        let checked = CheckedRecord::check(&signed, "test", NOW).ok().unwrap();
        assert_eq!(checked.addresses(), [SocketAddr::from(([1, 1, 1, 1], 1))]);
        let named = checked.verify(&EachAnew).unwrap().named_addresses();
        let ports: Vec<_> = named.iter().map(HostPort::port).collect();
        assert_eq!(ports, [4600, 80]);
    }

    #[test]
    fn our_own_record_names_external_addresses_as_far_as_there_is_room() {
        let identity = Identity::from_seed([1; 32]);
        let sign = |external: &[String]| {
            let external: Vec<HostPort> = external.iter().map(|of| of.parse().unwrap()).collect();
            let fields = RecordFields {
                network: "test",
                sequence: 7,
                unix_millis: NOW,
                addresses: &[SocketAddr::from(([10, 0, 0, 1], 1))],
                external: &external,
                capabilities: Capabilities::ALL,
                roles: Roles::FULL,
            };
            let record = VerifiedRecord::sign(&identity, &fields);
            let checked = CheckedRecord::check(&record.signed(), "test", NOW);
            let dialled = checked.map(|of| of.addresses().len()).ok().unwrap();
            (dialled, record.named_addresses().len())
        };
        let onion = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:80";
        let few = ["host.example:4600", "203.0.113.7:4600", onion].map(str::to_owned);
        assert_eq!(sign(&few), (2, 2));
        assert_eq!(
            sign(&[few.as_slice(), &few].concat()),
            (2, 2),
            "four in all"
        );
        let long = format!("{}example:4600", format!("{}.", "x".repeat(60)).repeat(4));
        assert_eq!(sign(&vec![long; 3]), (1, 1), "two do not fit");
    }

    #[test]
    fn addresses_are_taken_up_to_the_limit_and_refused_one_past_it() {
        let max = limits::RECORD_ADDRESSES_MAX;
        let full = sample(1, max + 1);
        let checked = CheckedRecord::check(&full.signed(), "test", NOW);
        assert_eq!(
            checked.map(|checked| checked.addresses().len()).ok(),
            Some(max)
        );
        let body = |count: usize| {
            to_bytes(RecordBody {
                network: "test",
                identity: Identity::from_seed([1; 32]).public().to_bytes(),
                sequence: 7,
                unix_millis: NOW,
                addresses: vec![WireAddress::Ip(SocketAddr::from(([1, 1, 1, 1], 1))); count],
                capabilities: 0,
                roles: 0,
            })
        };
        assert!(minicbor::decode::<RecordBody<'_>>(&body(max)).is_ok());
        assert!(minicbor::decode::<RecordBody<'_>>(&body(max + 1)).is_err());
    }

    #[test]
    fn a_body_is_taken_up_to_the_limit_and_refused_one_past_it() {
        // A field of a later version fills the body; the signature stays good.
        let identity = Identity::from_seed([1; 32]);
        let padded = |len: usize| {
            let mut body = sample(1, 1).signed().body.to_vec();
            body[0] += 1; // one more entry in the map
            body.push(0x18);
            body.push(99);
            body.extend([0x59, 0, 0]);
            let filler = len - body.len();
            let at = body.len() - 2;
            body[at..].copy_from_slice(&u16::try_from(filler).unwrap().to_be_bytes());
            body.resize(len, 0);
            let signature = identity.sign(RECORD_CONTEXT, &body);
            VerifiedRecord::verify(
                &SignedRecord {
                    body: &body,
                    signature,
                },
                "test",
                NOW,
            )
        };
        assert!(padded(limits::RECORD_LEN_MAX).is_ok());
        assert_eq!(
            padded(limits::RECORD_LEN_MAX + 1),
            Err(RecordError::Malformed)
        );
    }
}
