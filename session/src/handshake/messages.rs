//! Layout of the handshake messages (`docs/session.md` S-MSG). Every message has one size; every
//! reserved byte must be zero.

use crate::identity::PublicIdentity;
use crate::key_exchange::KeyExchange;
use crate::limits::{
    CAPABILITIES_MAX, CONFIRM_LEN, RETRY_LEN, SYN_ACK_LEN, SYN_LEN, TOKEN_LEN, USER_AGENT_MAX,
};
use crate::provider::{KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, TAG_LEN};
use crate::suite::CipherSuite;

/// Bytes of a first check and of the check of a RETRY.
pub(super) const MAC_LEN: usize = 16;
/// Bytes of the SYN that the transcript covers: all but token and mac1.
pub(super) const SYN_CONTENT_LEN: usize = SYN_LEN - TOKEN_LEN - MAC_LEN;
/// Bytes of the SYN_ACK that are not sealed.
pub(super) const SYN_ACK_CLEAR_LEN: usize = 4 + 32 + KEM_CIPHERTEXT_LEN;
/// Flag of an introduction: the sender asks for the receiver's ML-DSA-65 signature.
const ASKS_SECOND: u8 = 0x80;
/// Flag of an introduction: the sender takes part in fresh key exchanges.
const CAN_REKEY: u8 = 0x40;
const SYN_PADDING: usize = SYN_CONTENT_LEN - 8 - 32 - KEM_PUBLIC_LEN;

/// Reads bytes in order; never past the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A length byte and as many bytes.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let [count] = *self.array()?;
        self.bytes(usize::from(count))
    }

    /// The rest, which must be zeros.
    fn zeros(self) -> Option<()> {
        self.0.iter().all(|byte| *byte == 0).then_some(())
    }

    /// Nothing may be left.
    fn finish(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// What an initiator offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    pub(super) version_min: u8,
    pub(super) version_max: u8,
    /// Bit n: suite n + 1.
    pub(super) suites: u8,
    /// Bit n: cipher with the wire value n + 1.
    pub(super) ciphers: u8,
    /// Wire value of the cipher that it prefers.
    pub(super) preferred: u8,
}

/// A SYN, by its parts.
pub(super) struct Syn<'a> {
    /// What the transcript covers.
    pub(super) content: &'a [u8],
    /// What mac1 covers: content and token.
    pub(super) checked: &'a [u8],
    pub(super) offer: Offer,
    pub(super) x25519: &'a [u8; 32],
    /// Zeros when the classical key exchange alone is offered.
    pub(super) kem: &'a [u8; KEM_PUBLIC_LEN],
    pub(super) token: &'a [u8; TOKEN_LEN],
    pub(super) mac1: &'a [u8; MAC_LEN],
}

impl<'a> Syn<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let payload: &[u8; SYN_LEN] = payload.try_into().ok()?;
        let (content, _) = payload.split_at(SYN_CONTENT_LEN);
        let (checked, mac1) = payload.split_last_chunk()?;
        let mut reader = Reader(content);
        let [version_min, version_max, suites, ciphers, preferred] = *reader.array()?;
        Reader(reader.bytes(3)?).zeros()?;
        let x25519 = reader.array()?;
        let kem = reader.array()?;
        if suites == KeyExchange::Classical.bit() {
            Reader(kem).zeros()?;
        }
        reader.zeros()?;
        let (_, token) = checked.split_last_chunk()?;
        let offer = Offer {
            version_min,
            version_max,
            suites,
            ciphers,
            preferred,
        };
        Some(Self {
            content,
            checked,
            offer,
            x25519,
            kem,
            token,
            mac1,
        })
    }

    /// The content of a SYN: what follows is the token and mac1.
    pub(super) fn content(offer: Offer, x25519: &[u8; 32], kem: &[u8; KEM_PUBLIC_LEN]) -> Vec<u8> {
        let Offer {
            version_min,
            version_max,
            suites,
            ciphers,
            preferred,
        } = offer;
        let head = [
            version_min,
            version_max,
            suites,
            ciphers,
            preferred,
            0,
            0,
            0,
        ];
        [&head[..], x25519, kem, &[0; SYN_PADDING]].concat()
    }
}

/// A RETRY, by its parts.
pub(super) struct Retry<'a> {
    pub(super) token: &'a [u8; TOKEN_LEN],
    pub(super) mac: &'a [u8; MAC_LEN],
}

impl<'a> Retry<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(payload);
        let (token, mac) = (reader.array()?, reader.array()?);
        reader.finish()?;
        Some(Self { token, mac })
    }

    pub(super) fn emit(token: &[u8; TOKEN_LEN], mac: &[u8; MAC_LEN]) -> Vec<u8> {
        let payload = [&token[..], mac].concat();
        debug_assert_eq!(payload.len(), RETRY_LEN);
        payload
    }
}

/// A SYN_ACK, by its parts.
pub(super) struct SynAck<'a> {
    /// What the transcript covers before the keys exist.
    pub(super) clear: &'a [u8],
    pub(super) key_exchange: KeyExchange,
    pub(super) cipher: CipherSuite,
    pub(super) x25519: &'a [u8; 32],
    /// Zeros in the classical key exchange.
    pub(super) kem: &'a [u8; KEM_CIPHERTEXT_LEN],
    /// The sealed introduction.
    pub(super) sealed: &'a [u8],
}

impl<'a> SynAck<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let payload: &[u8; SYN_ACK_LEN] = payload.try_into().ok()?;
        let (clear, sealed) = payload.split_at(SYN_ACK_CLEAR_LEN);
        let mut reader = Reader(clear);
        let [version, suite, cipher, reserved] = *reader.array()?;
        if (version, reserved) != (super::PROTOCOL_VERSION, 0) {
            return None;
        }
        let key_exchange = KeyExchange::from_wire(suite)?;
        let cipher = CipherSuite::from_wire(cipher)?;
        let (x25519, kem) = (reader.array()?, reader.array()?);
        reader.finish()?;
        if key_exchange == KeyExchange::Classical {
            Reader(kem).zeros()?;
        }
        Some(Self {
            clear,
            key_exchange,
            cipher,
            x25519,
            kem,
            sealed,
        })
    }

    /// The clear part; the sealed introduction follows.
    pub(super) fn clear(
        key_exchange: KeyExchange,
        cipher: CipherSuite,
        x25519: &[u8; 32],
        kem: &[u8; KEM_CIPHERTEXT_LEN],
    ) -> Vec<u8> {
        let suite = key_exchange.wire();
        let head = [super::PROTOCOL_VERSION, suite, cipher.wire(), 0];
        [&head[..], x25519, kem].concat()
    }
}

/// Which message an introduction travels in; that fixes its size.
#[derive(Clone, Copy)]
pub(super) enum Carrier {
    SynAck,
    Confirm,
}

impl Carrier {
    /// Bytes of the sealed introduction without its tag.
    const fn len(self) -> usize {
        match self {
            Self::SynAck => SYN_ACK_LEN - SYN_ACK_CLEAR_LEN - TAG_LEN,
            Self::Confirm => CONFIRM_LEN - TAG_LEN,
        }
    }
}

/// What a side says about itself under encryption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Introduction<'a> {
    pub(super) public: PublicIdentity,
    pub(super) signature: [u8; 64],
    /// The sender asks for the receiver's ML-DSA-65 signature.
    pub(super) asks_second: bool,
    /// The sender takes part in fresh key exchanges.
    pub(super) can_rekey: bool,
    /// At most [`CAPABILITIES_MAX`].
    pub(super) capabilities: u64,
    /// Transport parameters.
    pub(super) params: &'a [u8],
    /// Printable ASCII.
    pub(super) user_agent: &'a str,
}

impl<'a> Introduction<'a> {
    /// The introduction, padded, and room for the tag. The user agent is cut to what fits. `None`
    /// when the transport parameters do not fit.
    pub(super) fn emit(&self, carrier: Carrier) -> Option<Vec<u8>> {
        let params_len = u8::try_from(self.params.len()).ok()?;
        let asks = if self.asks_second { ASKS_SECOND } else { 0 };
        let flags = asks | if self.can_rekey { CAN_REKEY } else { 0 };
        let capabilities = u64::from(flags) << 56 | (self.capabilities & CAPABILITIES_MAX);
        let mut out = Vec::with_capacity(carrier.len() + TAG_LEN);
        out.extend(self.public.to_bytes());
        out.extend(self.signature);
        out.extend(capabilities.to_be_bytes());
        out.push(params_len);
        out.extend(self.params);
        let room = carrier
            .len()
            .checked_sub(out.len() + 1)?
            .min(USER_AGENT_MAX);
        let user_agent = self.user_agent.as_bytes();
        let (user_agent, _) = user_agent.split_at(room.min(user_agent.len()));
        out.push(u8::try_from(user_agent.len()).ok()?);
        out.extend_from_slice(user_agent);
        out.resize(carrier.len() + TAG_LEN, 0);
        Some(out)
    }

    /// Parses an opened introduction without its tag.
    pub(super) fn parse(carrier: Carrier, bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() != carrier.len() {
            return None;
        }
        let mut reader = Reader(bytes);
        let public = PublicIdentity::from_bytes(reader.array()?);
        let signature = *reader.array()?;
        let word: [u8; 8] = *reader.array()?;
        let [flags, ..] = word;
        if flags & !(ASKS_SECOND | CAN_REKEY) != 0 {
            return None;
        }
        let capabilities = u64::from_be_bytes(word) & CAPABILITIES_MAX;
        let params = reader.counted()?;
        let user_agent = reader.counted()?;
        let printable = user_agent.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if !printable || user_agent.len() > USER_AGENT_MAX {
            return None;
        }
        reader.zeros()?;
        let user_agent = str::from_utf8(user_agent).ok()?;
        Some(Self {
            public,
            signature,
            asks_second: flags & ASKS_SECOND != 0,
            can_rekey: flags & CAN_REKEY != 0,
            capabilities,
            params,
            user_agent,
        })
    }
}

/// Parses `data`, fitted to each carrier, as an introduction: what a proven peer may send. For the
/// fuzz target.
#[cfg(feature = "pure-rust")]
pub(crate) fn parse_any_introduction(data: &[u8]) {
    for carrier in [Carrier::SynAck, Carrier::Confirm] {
        let mut fitted = data.to_vec();
        fitted.resize(carrier.len(), 0);
        if let Some(introduction) = Introduction::parse(carrier, &fitted) {
            assert!(introduction.user_agent.len() <= USER_AGENT_MAX);
            let again = introduction
                .emit(carrier)
                .map(|emitted| emitted.starts_with(&fitted));
            assert_eq!(
                again,
                Some(true),
                "a parsed introduction encodes to the same bytes"
            );
        }
    }
}

const _: () = assert!(SYN_ACK_LEN <= SYN_LEN && RETRY_LEN <= SYN_LEN);
const _: () = assert!(
    Carrier::SynAck.len() == 64 + 64 + 8 + 1 + crate::limits::RESPONDER_PARAMS_MAX + 1
        && Carrier::Confirm.len()
            == 64 + 64 + 8 + 1 + crate::limits::INITIATOR_PARAMS_MAX + 1 + USER_AGENT_MAX
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{INITIATOR_PARAMS_MAX, RESPONDER_PARAMS_MAX};
    use proptest::prelude::*;

    const OFFER: Offer = Offer {
        version_min: 1,
        version_max: 1,
        suites: 1,
        ciphers: 3,
        preferred: 1,
    };

    fn introduction<'a>(params: &'a [u8], user_agent: &'a str) -> Introduction<'a> {
        let public = PublicIdentity::from_bytes(&[7; 64]);
        Introduction {
            public,
            signature: [9; 64],
            asks_second: false,
            can_rekey: false,
            capabilities: 77,
            params,
            user_agent,
        }
    }

    #[test]
    fn syn_round_trips() {
        let content = Syn::content(OFFER, &[1; 32], &[2; KEM_PUBLIC_LEN]);
        let payload = [&content[..], &[3; TOKEN_LEN], &[4; MAC_LEN]].concat();
        let syn = Syn::parse(&payload).unwrap();
        assert_eq!(syn.offer, OFFER);
        assert_eq!((syn.x25519, syn.kem), (&[1; 32], &[2; KEM_PUBLIC_LEN]));
        assert_eq!((syn.token, syn.mac1), (&[3; TOKEN_LEN], &[4; MAC_LEN]));
        assert_eq!(syn.content, content);
        assert_eq!([syn.checked, syn.mac1].concat(), payload);
    }

    #[test]
    fn a_syn_ack_of_another_version_or_suite_is_refused() {
        let cipher = CipherSuite::ChaCha20Poly1305;
        let hybrid = KeyExchange::Hybrid;
        let mut payload = SynAck::clear(hybrid, cipher, &[1; 32], &[2; KEM_CIPHERTEXT_LEN]);
        payload.resize(SYN_ACK_LEN, 3);
        let parsed = SynAck::parse(&payload).unwrap();
        assert_eq!(
            (parsed.cipher, parsed.x25519, parsed.kem[0]),
            (cipher, &[1; 32], 2)
        );
        assert_eq!((parsed.clear.len(), parsed.sealed.len()), (1_124, 232));
        for (at, value) in [
            (0, 0),
            (0, 2),
            (1, 0),
            (1, 2),
            (1, 3),
            (2, 0),
            (2, 4),
            (3, 1),
        ] {
            let mut other = payload.clone();
            other[at] = value;
            assert!(SynAck::parse(&other).is_none(), "{at}: {value}");
        }
    }

    #[test]
    fn reserved_bytes_must_be_zero() {
        let content = Syn::content(OFFER, &[1; 32], &[2; KEM_PUBLIC_LEN]);
        let payload = [&content[..], &[0; TOKEN_LEN + MAC_LEN]].concat();
        for at in (5..8).chain(SYN_CONTENT_LEN - SYN_PADDING..SYN_CONTENT_LEN) {
            let mut wrong = payload.clone();
            wrong[at] = 1;
            assert!(Syn::parse(&wrong).is_none(), "byte {at}");
        }
        let params = [5; 20];
        let mut bytes = introduction(&params, "x").emit(Carrier::Confirm).unwrap();
        bytes.truncate(bytes.len() - TAG_LEN);
        assert!(Introduction::parse(Carrier::Confirm, &bytes).is_some());
        *bytes.last_mut().unwrap() = 1;
        assert!(Introduction::parse(Carrier::Confirm, &bytes).is_none());
    }

    #[test]
    fn what_the_classical_key_exchange_does_not_need_must_be_zero() {
        let offer = Offer { suites: 2, ..OFFER };
        let parses = |offer, kem: &[u8; KEM_PUBLIC_LEN]| {
            let content = Syn::content(offer, &[1; 32], kem);
            Syn::parse(&[&content[..], &[0; TOKEN_LEN + MAC_LEN]].concat()).is_some()
        };
        let mut kem = [0; KEM_PUBLIC_LEN];
        assert!(parses(offer, &kem));
        kem[KEM_PUBLIC_LEN - 1] = 1;
        assert!(!parses(offer, &kem));
        assert!(parses(Offer { suites: 3, ..offer }, &kem));
        let cipher = CipherSuite::ChaCha20Poly1305;
        let mut kem = [0; KEM_CIPHERTEXT_LEN];
        for (last, ok) in [(0, true), (1, false)] {
            kem[KEM_CIPHERTEXT_LEN - 1] = last;
            let mut payload = SynAck::clear(KeyExchange::Classical, cipher, &[1; 32], &kem);
            payload.resize(SYN_ACK_LEN, 3);
            assert_eq!(SynAck::parse(&payload).is_some(), ok);
        }
    }

    #[test]
    fn transport_parameters_fit_up_to_the_limit_and_not_beyond() {
        for (carrier, max) in [
            (Carrier::SynAck, RESPONDER_PARAMS_MAX),
            (Carrier::Confirm, INITIATOR_PARAMS_MAX),
        ] {
            let (at, past) = (vec![1; max], vec![1; max + 1]);
            let bytes = introduction(&at, "").emit(carrier).unwrap();
            let parsed = Introduction::parse(carrier, &bytes[..bytes.len() - TAG_LEN]).unwrap();
            assert_eq!(parsed.params, at);
            if let Carrier::SynAck = carrier {
                assert!(introduction(&past, "").emit(carrier).is_none());
            }
            assert!(introduction(&[1; 256], "").emit(carrier).is_none());
        }
    }

    #[test]
    fn user_agents_are_cut_and_unprintable_ones_refused() {
        let params = [1; RESPONDER_PARAMS_MAX - 12];
        let bytes = introduction(&params, "dunlin/0.1.0-and-more")
            .emit(Carrier::SynAck)
            .unwrap();
        let parsed = Introduction::parse(Carrier::SynAck, &bytes[..bytes.len() - TAG_LEN]).unwrap();
        assert_eq!(parsed.user_agent, "dunlin/0.1.0");
        for wrong in ["\n", "\u{1b}[2J", "ü", "\u{7f}"] {
            let bytes = introduction(&params, wrong).emit(Carrier::SynAck).unwrap();
            let bytes = &bytes[..bytes.len() - TAG_LEN];
            assert!(
                Introduction::parse(Carrier::SynAck, bytes).is_none(),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn an_overlong_user_agent_is_refused() {
        let params = [0; INITIATOR_PARAMS_MAX - 1];
        let mut bytes = introduction(&params, &"x".repeat(64))
            .emit(Carrier::Confirm)
            .unwrap();
        bytes.truncate(bytes.len() - TAG_LEN);
        let at = 64 + 64 + 8 + 1 + params.len();
        assert_eq!(bytes[at], 64);
        bytes[at] = 65;
        bytes[at + 65] = b'x';
        assert!(Introduction::parse(Carrier::Confirm, &bytes).is_none());
    }

    proptest! {
        #[test]
        fn introductions_round_trip(params in prop::collection::vec(any::<u8>(), 0..=58), user_agent in "[ -~]{0,11}", capabilities in 0..=CAPABILITIES_MAX, asks_second: bool, can_rekey: bool) {
            for carrier in [Carrier::SynAck, Carrier::Confirm] {
                let whole = Introduction { capabilities, asks_second, can_rekey, ..introduction(&params, &user_agent) };
                let bytes = whole.emit(carrier).unwrap();
                prop_assert_eq!(bytes.len(), carrier.len() + TAG_LEN);
                let parsed = Introduction::parse(carrier, &bytes[..carrier.len()]);
                prop_assert_eq!(parsed, Some(whole));
            }
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
            let _ = Syn::parse(&bytes);
            let _ = SynAck::parse(&bytes);
            let _ = Retry::parse(&bytes);
            for carrier in [Carrier::SynAck, Carrier::Confirm] {
                let mut fitted = bytes.clone();
                fitted.resize(carrier.len(), 0);
                let _ = Introduction::parse(carrier, &fitted);
            }
        }
    }
}
