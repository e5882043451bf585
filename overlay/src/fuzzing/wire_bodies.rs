//! Everything that peers send, and the records and broadcasts inside that somebody signed.

use std::net::SocketAddr;

use dunlin_session::Identity;

use super::{CAST, Input, NETWORK, START_MILLIS};
use crate::address::PeerAddress;
use crate::wire::{
    self, BroadcastFrame, CheckedRecord, RECORD_CONTEXT, RecordFields, SignedRecord, VerifiedRecord,
};
use crate::{Capabilities, EachAnew, Roles, limits};

/// One overlay message, or an address as text: decoding must not panic, and what decodes must survive
/// a round trip.
///
/// # Panics
/// When a property breaks.
pub fn overlay_message(data: &[u8]) {
    if let Ok(Some(message)) = wire::decode(data) {
        let bytes = message.encode();
        assert_eq!(
            wire::decode(&bytes),
            Ok(Some(message)),
            "decode ∘ encode is the identity"
        );
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(address) = text.parse::<PeerAddress>()
    {
        assert_eq!(address.to_string().parse(), Ok(address), "prints back");
    }
    // The signed bodies, without their envelopes.
    let signed = SignedRecord {
        body: data,
        signature: [0; 64],
    };
    assert!(
        VerifiedRecord::verify(&signed, NETWORK, START_MILLIS).is_err(),
        "nobody signed it"
    );
    let frame = BroadcastFrame {
        hops: 1,
        body: data,
        signature: [0; 64],
    };
    let _ = wire::check_broadcast(frame, NETWORK, START_MILLIS);
}

/// A record that a node really signed, over fields and then a body of the fuzzer's choice: what is
/// believed is what was signed, by whom its key names, within all limits; and no signature fits
/// another body.
///
/// # Panics
/// When a property breaks.
pub fn overlay_record(data: &[u8]) {
    let mut input = Input { rest: data };
    CAST.with(|cast| {
        let identity = &cast.identities[usize::from(input.byte() % 5)];
        let addresses: Vec<SocketAddr> = (0..input.byte() % 7)
            .map(|index| {
                let port = u16::from(input.byte());
                if index % 2 == 0 {
                    SocketAddr::from(([10, 0, index, input.byte()], port))
                } else {
                    SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(index)], port))
                }
            })
            .collect();
        let fields = RecordFields {
            network: if input.byte() < 240 { NETWORK } else { "other" },
            sequence: u64::from(input.byte()) << (input.byte() % 57),
            unix_millis: START_MILLIS + u64::from(input.byte()) * 1_000,
            addresses: &addresses,
            external: &[],
            capabilities: Capabilities(input.byte().into()),
            roles: Roles(input.byte().into()),
        };
        let record = VerifiedRecord::sign(identity, &fields);
        let signed = record.signed();
        let believed = VerifiedRecord::verify(&signed, NETWORK, START_MILLIS);
        let current = fields.unix_millis <= START_MILLIS + 120_000;
        assert_eq!(believed.is_ok(), current && fields.network == NETWORK);
        assert!(believed.is_err() || believed.as_ref() == Ok(&record));

        // The node signs a body that its software would not make.
        let mut body = signed.body.to_vec();
        while !input.rest.is_empty() {
            let at = usize::from(input.byte()) * body.len() / 256;
            match body.get_mut(at) {
                Some(byte) => *byte ^= input.byte(),
                None => body.push(input.byte()),
            }
        }
        let changed = SignedRecord {
            body: &body,
            signature: signed.signature,
        };
        let same = body == signed.body;
        assert!(same || VerifiedRecord::verify(&changed, NETWORK, START_MILLIS).is_err());
        let resigned = SignedRecord {
            body: &body,
            signature: identity.sign(RECORD_CONTEXT, &body),
        };
        let checked = CheckedRecord::check(&resigned, NETWORK, START_MILLIS);
        if let Ok(checked) = checked
            && let Ok(record) = checked.verify(&EachAnew)
        {
            // Under another commitment to a second key the same key is another node.
            let mut others = cast.identities.iter().map(Identity::node_id);
            assert!(
                others.all(|id| id != record.id() || id == identity.node_id()),
                "nobody speaks for another"
            );
            assert!(checked.addresses().len() <= limits::RECORD_ADDRESSES_MAX);
            assert!(record.is_current(START_MILLIS));
            assert_eq!(record.signed(), resigned, "relayed as it was signed");
        }
    });
}
