//! Messages round-trip, are bounded, and look as the documentation says.

use proptest::prelude::*;

use super::*;
use crate::types::{Capabilities, Roles, ShortId};

fn record() -> VerifiedRecord {
    VerifiedRecord::sign(
        &dunlin_session::Identity::from_seed([9; 32]),
        &RecordFields {
            network: "test",
            sequence: 1,
            unix_millis: 2,
            addresses: &["127.0.0.1:9".parse().unwrap()],
            external: &[],
            capabilities: Capabilities::ALL,
            roles: Roles::FULL,
        },
    )
}

/// Encodes, decodes and compares; then appends a byte and cuts one off.
fn round_trip(message: &Message<'_>) {
    let bytes = message.encode();
    assert_eq!(decode(&bytes).as_ref(), Ok(&Some(message.clone())));
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(decode(&longer), Err(DecodeError::TrailingBytes));
    assert!(decode(&bytes[..bytes.len() - 1]).is_err());
}

proptest! {
    #[test]
    fn messages_with_text_round_trip(
        name in "\\PC{0,40}",
        payload in prop::collection::vec(any::<u8>(), 0..300),
        a: u64, b: u32, c: u16, d: u8, with_record: bool,
    ) {
        let kept = record();
        let signed = kept.signed();
        round_trip(&Message::Hello(Hello {
            version_min: c,
            version_max: c,
            network: &name,
            capabilities: a,
            roles: b,
            user_agent: &name,
            record: with_record.then_some(signed),
        }));
        round_trip(&Message::Direct(Direct { handler: &name, payload: &payload }));
        round_trip(&Message::Request(Request { id: a, handler: &name, payload: &payload }));
        round_trip(&Message::Response(Response { id: a, status: d, payload: &payload }));
        let mut signature = [0; 64];
        signature[usize::from(d % 64)] = d;
        round_trip(&Message::Broadcast(BroadcastFrame { hops: d, body: &payload, signature }));
    }

    #[test]
    fn messages_with_numbers_and_records_round_trip(
        a: u64, c: u16, d: u8, port: u16, v6: bool, count in 0usize..=limits::ALTERNATIVES_MAX,
    ) {
        let kept = record();
        let records = vec![kept.signed(); count];
        let ip: core::net::IpAddr = if v6 { "2001:db8::7" } else { "192.0.2.1" }.parse().unwrap();
        let observed = Some(WireAddress::Ip((ip, port).into()));
        for message in [
            Message::Ping(Ping { nonce: a }),
            Message::Pong(Ping { nonce: a }),
            Message::GetPeers(GetPeers { id: a, count: c }),
            Message::Peers(Peers { id: a, records: records.clone() }),
            Message::HelloReply(HelloReply { verdict: d, observed, alternatives: records }),
            Message::Disconnect(Disconnect { reason: d }),
            Message::DisconnectAck(DisconnectAck {}),
            Message::Announce(Announce { pushed: &[d; 36], offered: &[d; 16] }),
            Message::Want(Want { ids: &[d; 32], graft: v6 }),
            Message::Tree(Tree { prune: &[d; 32], graft: &[] }),
            Message::Reconcile(Reconcile {
                round: a,
                step: d,
                after: a,
                parts: vec![
                    Part::skip(a),
                    Part::fingerprint(a, u64::from(c)),
                    Part { upper: a, kind: PartKind::List(vec![ShortId([d; 16]); count]) },
                ],
            }),
        ] {
            round_trip(&message);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn unknown_types_and_unknown_fields_are_skipped() {
    // [99, {0: [1, 2]}]
    assert_eq!(decode(&[0x82, 0x18, 99, 0xa1, 0x00, 0x82, 1, 2]), Ok(None));
    // ping {0: 7, 5: {0: "x"}}
    let later = [0x82, 0x03, 0xa2, 0x00, 0x07, 0x05, 0xa1, 0x00, 0x61, b'x'];
    assert_eq!(decode(&later), Ok(Some(Message::Ping(Ping { nonce: 7 }))));
}

#[test]
fn encodings_are_those_of_the_documentation() {
    assert_eq!(
        Message::Ping(Ping { nonce: 7 }).encode(),
        [0x82, 0x03, 0xa1, 0x00, 0x07]
    );
    assert_eq!(
        Message::Direct(Direct {
            handler: "chat",
            payload: b"hi"
        })
        .encode(),
        b"\x82\x08\xa2\x00\x64chat\x01\x42hi"
    );
    assert_eq!(
        Message::Disconnect(Disconnect { reason: 5 }).encode(),
        [0x82, 0x0b, 0xa1, 0x00, 0x05]
    );
    assert_eq!(
        Message::DisconnectAck(DisconnectAck {}).encode(),
        [0x82, 0x0c, 0xa0]
    );
}

#[test]
fn a_message_is_decoded_at_the_length_limit_and_refused_one_past_it() {
    let with_payload = |len: usize| {
        Message::Direct(Direct {
            handler: "x",
            payload: &vec![0; len],
        })
        .encode()
    };
    let overhead = with_payload(100_000).len() - 100_000;
    let at = with_payload(limits::MESSAGE_LEN_MAX - overhead);
    assert_eq!(at.len(), limits::MESSAGE_LEN_MAX);
    assert!(matches!(decode(&at), Ok(Some(_))));
    assert_eq!(
        decode(&with_payload(limits::MESSAGE_LEN_MAX - overhead + 1)),
        Err(DecodeError::TooLong {
            max: limits::MESSAGE_LEN_MAX
        })
    );
    let largest = Message::Request(Request {
        id: u64::MAX,
        handler: &"h".repeat(limits::HANDLER_NAME_LEN_MAX),
        payload: &vec![0; limits::PAYLOAD_LEN_MAX],
    });
    assert!(
        decode(&largest.encode()).is_ok(),
        "the largest payload fits a message"
    );
}

#[test]
fn an_answer_holds_records_up_to_the_limit_and_not_one_more() {
    let kept = record();
    let answer = |count| {
        Message::Peers(Peers {
            id: 1,
            records: vec![kept.signed(); count],
        })
        .encode()
    };
    assert!(decode(&answer(limits::EXCHANGE_RECORDS_MAX)).is_ok());
    assert_eq!(
        decode(&answer(limits::EXCHANGE_RECORDS_MAX + 1)),
        Err(DecodeError::Schema)
    );
    let reply = |count| {
        Message::HelloReply(HelloReply {
            verdict: 3,
            observed: None,
            alternatives: vec![kept.signed(); count],
        })
        .encode()
    };
    assert!(decode(&reply(limits::ALTERNATIVES_MAX)).is_ok());
    assert_eq!(
        decode(&reply(limits::ALTERNATIVES_MAX + 1)),
        Err(DecodeError::Schema)
    );
}

#[test]
fn a_comparison_has_so_many_parts_and_ids_and_not_one_more() {
    let message = |parts| {
        Message::Reconcile(Reconcile {
            round: 1,
            step: 2,
            after: 3,
            parts,
        })
        .encode()
    };
    let fits = |parts: Vec<Part>| matches!(decode(&message(parts)), Ok(Some(_)));
    let parts = |count| vec![Part::skip(1); count];
    assert!(fits(parts(limits::RECONCILE_PARTS_MAX)));
    assert!(!fits(parts(limits::RECONCILE_PARTS_MAX + 1)));
    let list = |count| Part {
        upper: 1,
        kind: PartKind::List(vec![ShortId::MIN; count]),
    };
    assert!(fits(vec![list(limits::ANNOUNCE_MAX - 1), list(1)]));
    assert!(!fits(vec![list(limits::ANNOUNCE_MAX), list(1)]));
    assert!(!fits(vec![list(limits::ANNOUNCE_MAX + 1)]));
    // A list whose length is no multiple of 16.
    let odd = [
        &[0x82, 0x10, 0xa4, 0, 1, 1, 2, 2, 3, 3, 0x81, 0x82, 1, 0x51][..],
        &[0; 17],
    ]
    .concat();
    assert_eq!(decode(&odd), Err(DecodeError::Schema));
}

#[test]
fn messages_between_neighbours_look_as_documented() {
    let agreed = Reconcile {
        round: 7,
        step: 1,
        after: 0,
        parts: Vec::new(),
    };
    let bytes = Message::Reconcile(agreed).encode();
    assert_eq!(bytes, [0x82, 0x10, 0xa4, 0, 7, 1, 1, 2, 0, 3, 0x80]);
    let prune = Tree {
        prune: &[9; 32],
        graft: &[],
    };
    let expected = [&[0x82, 0x0f, 0xa2, 0, 0x58, 32][..], &[9; 32], &[1, 0x40]].concat();
    assert_eq!(Message::Tree(prune).encode(), expected);
}

#[test]
fn a_message_is_the_same_bytes_in_either_allocation_at_every_length() {
    let payload = [7; 2 * SHORT];
    for len in 0..payload.len() {
        let message = Message::Direct(Direct {
            handler: "h",
            payload: &payload[..len],
        });
        assert_eq!(message.encode(), message.encode_to_keep());
    }
}
