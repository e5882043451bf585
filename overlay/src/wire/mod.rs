//! Bytes ↔ overlay messages: CBOR (RFC 8949) after the schema in `docs/overlay.md` (RFC 8610).
//!
//! A message is `[type, body]`, its body a map with integer keys. Unknown types and unknown keys
//! are skipped, so that later versions can add both. [`profile`] bounds what the decoder meets.

mod address;
mod broadcast;
mod gossip;
pub(crate) mod profile;
mod record;
mod relay;
mod topics;
mod trust;

use bytes::Bytes;
use minicbor::encode::write::Cursor;
use minicbor::{Decode, Decoder, Encode};

pub(crate) use self::address::{Scope, WireAddress, canonical, is_dialable};
pub(crate) use self::broadcast::{
    BroadcastBody, BroadcastFrame, CheckedBroadcast, check_broadcast, sign_broadcast,
};
pub(crate) use self::gossip::{
    Announce, Part, PartKind, Reconcile, Tree, Want, announced, joined_announced, joined_ids,
    joined_nodes, node_ids, short_ids,
};
pub(crate) use self::record::{
    CheckedRecord, RECORD_CONTEXT, RecordError, RecordFields, SignedRecord, VerifiedRecord,
};
pub(crate) use self::relay::{CheckedRelay, Relay, RelayBody, RelayKind, check_relay, sign_relay};
pub(crate) use self::topics::TopicList;
pub(crate) use self::trust::{
    TrustUpdate, TrustedPeersRequest, TrustedPeersResponse, joined_trust, trust_entries,
};
use crate::error::DecodeError;
use crate::limits;

/// The hello that each side sends first on a link.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Hello<'b> {
    /// Lowest protocol version spoken.
    #[n(0)]
    pub(crate) version_min: u16,
    /// Highest protocol version spoken.
    #[n(1)]
    pub(crate) version_max: u16,
    /// Name of the network.
    #[b(2)]
    pub(crate) network: &'b str,
    /// Capability bitmap.
    #[n(3)]
    pub(crate) capabilities: u64,
    /// Role bitmap.
    #[n(4)]
    pub(crate) roles: u32,
    /// Software name and version.
    #[b(5)]
    pub(crate) user_agent: &'b str,
    /// The sender's own record with its listening addresses; absent when it does not listen.
    #[b(6)]
    pub(crate) record: Option<SignedRecord<'b>>,
}

/// The answer to a hello.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct HelloReply<'b> {
    /// 0: accepted; else a refusal code.
    #[n(0)]
    pub(crate) verdict: u8,
    /// The address the hello's sender is seen at; absent when it does not encode.
    #[b(1)]
    pub(crate) observed: Option<WireAddress<'b>>,
    /// In a refusal for lack of room: other peers to try.
    #[cbor(b(2), decode_with = "record::decode_alternatives")]
    pub(crate) alternatives: Vec<SignedRecord<'b>>,
}

/// Liveness probe; `Pong` has the same shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Ping {
    /// Chosen by the prober, returned unchanged.
    #[n(0)]
    pub(crate) nonce: u64,
}

/// Asks for peer records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct GetPeers {
    /// Chosen by the asker, returned in the answer.
    #[n(0)]
    pub(crate) id: u64,
    /// At most so many records.
    #[n(1)]
    pub(crate) count: u16,
}

/// Answers [`GetPeers`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Peers<'b> {
    /// That of the question.
    #[n(0)]
    pub(crate) id: u64,
    /// The records.
    #[cbor(b(1), decode_with = "record::decode_exchange")]
    pub(crate) records: Vec<SignedRecord<'b>>,
}

/// A message to a named handler, without an answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Direct<'b> {
    /// Name of the handler.
    #[b(0)]
    pub(crate) handler: &'b str,
    /// The application's bytes.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub(crate) payload: &'b [u8],
}

/// A message to a named handler that wants an answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Request<'b> {
    /// Chosen by the requester.
    #[n(0)]
    pub(crate) id: u64,
    /// Name of the handler.
    #[b(1)]
    pub(crate) handler: &'b str,
    /// The application's bytes.
    #[cbor(b(2), with = "minicbor::bytes")]
    pub(crate) payload: &'b [u8],
}

/// Answers [`Request`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Response<'b> {
    /// That of the request.
    #[n(0)]
    pub(crate) id: u64,
    /// 0: served; else a refusal code.
    #[n(1)]
    pub(crate) status: u8,
    /// The application's bytes; empty in a refusal.
    #[cbor(b(2), with = "minicbor::bytes")]
    pub(crate) payload: &'b [u8],
}

/// Announces that the sender gives up the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Disconnect {
    /// A `DisconnectReason` code.
    #[n(0)]
    pub(crate) reason: u8,
}

/// Acknowledges [`Disconnect`]: nothing more will be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct DisconnectAck {}

/// Defines [`Message`] with its type numbers, encoder and decoder.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $kind:literal,)+) => {
        /// One overlay message, borrowing from the bytes it came in.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub(crate) enum Message<'b> {
            $($(#[$doc])* $name($body),)+
        }

        impl Message<'_> {
            /// The message in bytes.
            pub(crate) fn encode(&self) -> Vec<u8> {
                match self {
                    $(Self::$name(body) => to_bytes(Framed($kind, body)),)+
                }
            }

            /// The same to be sent or kept: in an allocation of that size.
            pub(crate) fn encode_to_keep(&self) -> Bytes {
                match self {
                    $(Self::$name(body) => to_exact_bytes(&Framed($kind, body)),)+
                }
            }
        }

        impl<'b> Message<'b> {
            fn decode_body(
                kind: u32,
                decoder: &mut Decoder<'b>,
            ) -> Result<Option<Self>, minicbor::decode::Error> {
                Ok(match kind {
                    $($kind => Some(Self::$name(decoder.decode()?)),)+
                    _ => None,
                })
            }
        }
    };
}

messages! {
    /// First on a link.
    Hello(Hello<'b>) = 1,
    /// Answer to a hello.
    HelloReply(HelloReply<'b>) = 2,
    /// Probe.
    Ping(Ping) = 3,
    /// Answer to a probe.
    Pong(Ping) = 4,
    /// Question for peers.
    GetPeers(GetPeers) = 5,
    /// Answer with peers.
    Peers(Peers<'b>) = 6,
    /// A relayed, signed message to all.
    Broadcast(BroadcastFrame<'b>) = 7,
    /// A message to one handler.
    Direct(Direct<'b>) = 8,
    /// A question to one handler.
    Request(Request<'b>) = 9,
    /// Its answer.
    Response(Response<'b>) = 10,
    /// End of the link.
    Disconnect(Disconnect) = 11,
    /// Acknowledged end.
    DisconnectAck(DisconnectAck) = 12,
    /// Broadcasts that the sender has.
    Announce(Announce<'b>) = 13,
    /// A question for broadcasts.
    Want(Want<'b>) = 14,
    /// Changes of trees.
    Tree(Tree<'b>) = 15,
    /// A comparison of sets.
    Reconcile(Reconcile) = 16,
    /// Change of the sender's trust in others.
    TrustUpdate(TrustUpdate<'b>) = 17,
    /// Question whom the receiver trusts.
    TrustedPeersRequest(TrustedPeersRequest) = 18,
    /// Its answer.
    TrustedPeersResponse(TrustedPeersResponse<'b>) = 19,
    /// A message through a third node.
    Relay(Relay<'b>) = 20,
    /// The topics that the sender takes.
    Topics(TopicList<'b>) = 21,
}

/// `[type, body]`.
struct Framed<'a, T>(u32, &'a T);

impl<C, T: Encode<C>> Encode<C> for Framed<'_, T> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder
            .array(2)?
            .u32(self.0)?
            .encode_with(self.1, context)?
            .ok()
    }
}

/// The CBOR of `value`.
pub(crate) fn to_bytes<T: Encode<()>>(value: T) -> Vec<u8> {
    minicbor::to_vec(value)
        .expect("a vector takes every write, and no encoder of this crate returns an error itself")
}

/// Most messages are shorter; they are encoded on the stack first, in place of growing a vector.
const SHORT: usize = 512;

/// The same in an allocation of that size.
fn to_exact_bytes<T: Encode<()>>(value: &T) -> Bytes {
    let mut buffer = [0; SHORT];
    let mut cursor = Cursor::new(buffer.as_mut_slice());
    match minicbor::encode(value, &mut cursor) {
        Ok(()) => {
            let len = cursor.position();
            Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default())
        }
        Err(_) => Bytes::from(to_bytes(value).into_boxed_slice()),
    }
}

/// Decodes one message; `None` is a type that this version does not know.
///
/// # Errors
/// [`DecodeError`]; the input is checked against its bounds before anything is allocated.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Message<'_>>, DecodeError> {
    if bytes.len() > limits::MESSAGE_LEN_MAX {
        return Err(DecodeError::TooLong {
            max: limits::MESSAGE_LEN_MAX,
        });
    }
    profile::check(bytes)?;
    let mut decoder = Decoder::new(bytes);
    let kind = (|| match decoder.array()? {
        Some(2) => decoder.u32(),
        _ => Err(minicbor::decode::Error::message("not a pair")),
    })()
    .map_err(|_| DecodeError::Schema)?;
    Message::decode_body(kind, &mut decoder).map_err(|_| DecodeError::Schema)
}

#[cfg(test)]
mod tests;
