//! The long-term key of a node and what others know of it (`docs/session.md` S-ID).
//!
//! A node signs with Ed25519 (RFC 8032). A hybrid identity has an ML-DSA-65 key (FIPS 204) besides,
//! for peers that ask for it ([`crate::PostQuantum`]). The public identity has a slot for the
//! commitment to that key: its SHA-256, or zeros when there is none. So the node ID says which keys
//! a node has, and neither can be left out.
//!
//! Everything that is signed is separated by domain: 64 spaces, a context, a zero byte and then
//! the message (the shape of RFC 8446 §4.4.3). No context may contain a zero byte.

use std::fmt;
use std::sync::OnceLock;

use dunlin_transport::protect::Random;
use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use crate::node_id::NodeId;
use crate::provider::{CryptoProvider, Ed25519Key, MLDSA_PUBLIC_LEN, Secret};
use crate::strict;

/// What the world knows of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicIdentity {
    /// Its Ed25519 public key (RFC 8032 §5.1.5). Any 32 bytes may stand here; a value that is no
    /// key verifies nothing.
    pub ed25519: [u8; 32],
    /// SHA-256 of its ML-DSA-65 public key; zeros while it has none.
    pub mldsa_commitment: [u8; 32],
}

impl PublicIdentity {
    /// Bytes of its encoding.
    pub const LEN: usize = 64;

    /// Whether the node has an ML-DSA-65 key, and says so in its node ID.
    #[must_use]
    pub fn is_hybrid(&self) -> bool {
        self.mldsa_commitment != [0; 32]
    }

    /// The name of the node.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::of_keys(&self.ed25519, &self.mldsa_commitment)
    }

    /// Whether `signature` was made by this node over `message` in `context`.
    ///
    /// Strict verification: canonical encodings, neither key nor nonce point of small order. What verifies
    /// here verifies everywhere.
    #[must_use]
    pub fn verify(&self, context: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
        strict::verify(&self.ed25519, &separated(context, &[message]), signature)
    }

    /// `ed25519 ‖ mldsa_commitment`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (ed25519, mldsa) = bytes.split_at_mut(32);
        ed25519.copy_from_slice(&self.ed25519);
        mldsa.copy_from_slice(&self.mldsa_commitment);
        bytes
    }

    /// The inverse of [`Self::to_bytes`]; every 64 bytes are an identity (not always a usable one).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut identity = Self {
            ed25519: [0; 32],
            mldsa_commitment: [0; 32],
        };
        let (ed25519, mldsa) = bytes.split_at(32);
        identity.ed25519.copy_from_slice(ed25519);
        identity.mldsa_commitment.copy_from_slice(mldsa);
        identity
    }
}

impl fmt::Debug for PublicIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicIdentity({:?})", self.node_id())
    }
}

/// The secret of a node. Share it as `Arc<Identity>`; it cannot be copied, its `Debug` shows the
/// node ID only, and dropping it erases it.
pub struct Identity {
    key: SigningKey,
    /// The same as a provider expanded it, and which one, once it has signed.
    expanded: OnceLock<(&'static str, Box<dyn Ed25519Key>)>,
    second: Option<SecondKey>,
    public: PublicIdentity,
    node_id: NodeId,
}

/// The ML-DSA-65 key of a hybrid identity.
pub(crate) struct SecondKey {
    /// ξ of FIPS 204 algorithm 6.
    pub(crate) seed: Secret,
    pub(crate) public: Box<[u8; MLDSA_PUBLIC_LEN]>,
}

impl Identity {
    /// A fresh identity with both keys.
    #[must_use]
    pub fn generate_hybrid(random: &mut dyn Random, provider: &dyn CryptoProvider) -> Self {
        let (mut seed, mut second) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        random.fill(seed.as_mut());
        random.fill(second.as_mut());
        Self::hybrid(*seed, *second, provider)
    }

    /// The identity with this Ed25519 seed and this seed (ξ) of an ML-DSA-65 key; every 32 bytes
    /// are one.
    #[must_use]
    pub fn hybrid(seed: [u8; 32], mldsa_seed: [u8; 32], provider: &dyn CryptoProvider) -> Self {
        let mldsa_seed = Zeroizing::new(mldsa_seed);
        let public = provider.mldsa_public(&mldsa_seed);
        let mut identity = Self::from_seed(seed);
        identity.public.mldsa_commitment = provider.sha256(&[public.as_slice()]);
        identity.node_id = identity.public.node_id();
        identity.second = Some(SecondKey {
            seed: mldsa_seed,
            public,
        });
        identity
    }

    /// A fresh identity.
    #[must_use]
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut());
        Self::from_seed(*seed)
    }

    /// The identity with this Ed25519 seed (RFC 8032 §5.1.5); every 32 bytes are one.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let key = SigningKey::from_bytes(&seed);
        let public = PublicIdentity {
            ed25519: key.verifying_key().to_bytes(),
            mldsa_commitment: [0; 32],
        };
        Self {
            key,
            expanded: OnceLock::new(),
            second: None,
            public,
            node_id: public.node_id(),
        }
    }

    /// Somebody who claims to be `public` and signs with the key of `seed`.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn claiming(public: PublicIdentity, seed: [u8; 32]) -> Self {
        Self {
            public,
            node_id: public.node_id(),
            ..Self::from_seed(seed)
        }
    }

    /// What others may know.
    #[must_use]
    pub fn public(&self) -> &PublicIdentity {
        &self.public
    }

    /// The name of the node.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Signs `message` in `context` (a fixed label without zero bytes). Deterministic.
    #[must_use]
    pub fn sign(&self, context: &[u8], message: &[u8]) -> [u8; 64] {
        self.key.sign(&separated(context, &[message])).to_bytes()
    }

    /// An identity that claims the keys of another: for tests of who is believed.
    #[cfg(test)]
    pub(crate) fn forged(seed: [u8; 32], claimed: PublicIdentity) -> Self {
        Self {
            public: claimed,
            node_id: claimed.node_id(),
            ..Self::from_seed(seed)
        }
    }

    /// Claims another second key than it has: for tests of who is believed.
    #[cfg(test)]
    pub(crate) fn claim_commitment(&mut self, commitment: [u8; 32]) {
        self.public.mldsa_commitment = commitment;
        self.node_id = self.public.node_id();
    }

    /// The second key, if it is a hybrid identity.
    pub(crate) fn second(&self) -> Option<&SecondKey> {
        self.second.as_ref()
    }

    /// Signs what is [`separated`] already, with a provider. The first provider's expanded key is kept:
    /// a node signs one handshake after the other.
    pub(crate) fn sign_with(&self, provider: &dyn CryptoProvider, separated: &[u8]) -> [u8; 64] {
        let expand = || (provider.name(), provider.ed25519_key(self.seed()));
        let (name, key) = self.expanded.get_or_init(expand);
        if *name == provider.name() {
            key.sign(separated)
        } else {
            provider.ed25519_sign(self.seed(), separated)
        }
    }

    /// The seed, for the key file and for providers.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, secret redacted)", self.node_id)
    }
}

/// The bytes that are signed: 64 × 0x20 ‖ `context` ‖ 0x00 ‖ `message`, which is the concatenation of its parts.
pub(crate) fn separated(context: &[u8], message: &[&[u8]]) -> Vec<u8> {
    debug_assert!(!context.contains(&0), "a zero byte ends the context");
    let length = message.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(64 + context.len() + 1 + length);
    bytes.extend([0x20; 64]);
    bytes.extend(context);
    bytes.push(0);
    message.iter().for_each(|part| bytes.extend(*part));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn signatures_verify_in_their_context_only(seed: [u8; 32], message: Vec<u8>, bit in 0usize..512) {
            let identity = Identity::from_seed(seed);
            let signature = identity.sign(b"a", &message);
            let public = identity.public();
            prop_assert!(public.verify(b"a", &message, &signature));
            prop_assert!(!public.verify(b"b", &message, &signature));
            prop_assert!(!public.verify(b"a", &[&message[..], b"x"].concat(), &signature));
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!public.verify(b"a", &message, &flipped));
        }

        #[test]
        fn public_identities_round_trip(bytes in prop::array::uniform32(any::<[u8; 2]>())) {
            let bytes: [u8; 64] = bytes.concat().try_into().unwrap();
            prop_assert_eq!(PublicIdentity::from_bytes(&bytes).to_bytes(), bytes);
        }

        #[test]
        fn any_key_and_signature_are_judged_without_panic(key: [u8; 32], signature in prop::array::uniform32(any::<[u8; 2]>())) {
            let public = PublicIdentity { ed25519: key, mldsa_commitment: [0; 32] };
            prop_assert!(!public.verify(b"c", b"m", &signature.concat().try_into().unwrap()));
        }
    }

    #[test]
    fn small_order_keys_verify_nothing() {
        // With the neutral element as key, R = neutral and S = 0 satisfy the plain equation.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let public = PublicIdentity {
            ed25519: neutral,
            mldsa_commitment: [0; 32],
        };
        assert!(!public.verify(b"c", b"m", &signature));
    }

    #[test]
    fn the_node_id_depends_on_both_keys() {
        let a = *Identity::from_seed([1; 32]).public();
        let b = PublicIdentity {
            mldsa_commitment: [1; 32],
            ..a
        };
        let c = PublicIdentity {
            ed25519: [9; 32],
            ..a
        };
        assert_ne!(a.node_id(), b.node_id());
        assert_ne!(a.node_id(), c.node_id());
    }

    #[test]
    fn every_provider_signs_the_same_whichever_signed_first() {
        let message = separated(b"a", &[b"message"]);
        let all = crate::testing::providers();
        for first in 0..all.len() {
            let identity = Identity::from_seed([7; 32]);
            let expected = identity.sign(b"a", b"message");
            let order = (0..all.len()).map(|at| &all[(first + at) % all.len()]);
            for provider in order {
                assert_eq!(identity.sign_with(&**provider, &message), expected);
            }
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", Identity::from_seed([0x5a; 32]));
        assert!(!text.contains("5a5a") && !text.contains("90, 90"), "{text}");
        assert!(text.contains("redacted"));
    }
}
