//! A fresh key exchange inside a connection (`docs/session.md` S-RK): new X25519 and ML-KEM-768 keys,
//! signed by both ends, go into the packet keys of both directions.
//!
//! A key update alone derives each key from the one before, so a key that leaks gives away all that
//! follow. After this exchange it does not, unless the thief took part in it. Each end signs what the
//! other has just made, so it shows as well that the peer still has its key.
//!
//! The initiator of the connection offers, when it is time; the responder answers and names the key
//! generation from which on both directions use the new secret. Between offer and answer the
//! initiator begins no key update, between answer and that generation the responder begins none:
//! so no update that crosses can be taken for the one that brings the secret.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::protect::{Random, SessionMessageError};
use dunlin_transport::{Instant, Side};
use zeroize::Zeroizing;

use crate::hkdf::extract;
use crate::identity::{Identity, separated};
use crate::peer::PeerInfo;
use crate::provider::{KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, KemSecret, Secret};

/// First bytes of the two messages.
pub(crate) const OFFER: u8 = 2;
pub(crate) const ANSWER: u8 = 3;
const INITIATOR_CONTEXT: &[u8] = b"dunlin rekey initiator v1";
const RESPONDER_CONTEXT: &[u8] = b"dunlin rekey responder v1";
const SIGNATURE_LEN: usize = 64;

/// Makes sources of fresh randomness, one for each connection.
#[derive(Clone)]
pub struct Randomness(Arc<dyn Fn() -> Box<dyn Random> + Send + Sync>);

impl Randomness {
    /// Calls `make` for each connection.
    #[must_use]
    pub fn new(make: impl Fn() -> Box<dyn Random> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn make(&self) -> Box<dyn Random> {
        (self.0)()
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}

/// When an exchange is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) interval: Duration,
    pub(crate) bytes: u64,
}

/// A secret that goes into the keys of both directions from a generation on.
pub(crate) struct Fresh {
    pub(crate) generation: u64,
    pub(crate) secret: Secret,
}

/// The exchanges of one connection.
pub(crate) struct Rekey {
    side: Side,
    identity: Arc<Identity>,
    peer: Arc<PeerInfo>,
    random: Box<dyn Random>,
    due: Due,
    /// When the secret in use was made, as far as we know.
    since: Option<Instant>,
    /// Bytes sealed and opened with it.
    bytes: u64,
    is_due: bool,
    state: State,
    outgoing: Option<Vec<u8>>,
}

enum State {
    Idle,
    /// We wait for the answer to this offer.
    Offered(Box<Offered>),
    /// Both ends have the secret; it is in use from this generation on.
    Agreed(u64),
}

struct Offered {
    x25519: Secret,
    kem: Box<dyn KemSecret>,
    message: Vec<u8>,
}

impl Rekey {
    pub(crate) fn new(
        (side, due): (Side, Due),
        identity: &Arc<Identity>,
        peer: &Arc<PeerInfo>,
        random: Box<dyn Random>,
    ) -> Self {
        Self {
            side,
            identity: Arc::clone(identity),
            peer: Arc::clone(peer),
            random,
            due,
            since: None,
            bytes: 0,
            is_due: false,
            state: State::Idle,
            outgoing: None,
        }
    }

    /// Binds the exchange to this connection.
    fn binding(&self) -> [u8; 32] {
        self.peer.exporter(b"rekey")
    }

    /// Counts what the secret in use has protected.
    pub(crate) fn on_packet(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    pub(crate) fn on_time(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let old = now >= since + self.due.interval || self.bytes >= self.due.bytes;
        self.is_due = old && self.side == Side::Initiator;
    }

    /// Whether key updates of our own have to wait.
    pub(crate) fn holds_updates(&self) -> bool {
        match self.state {
            State::Idle => false,
            State::Offered(_) => true,
            State::Agreed(_) => self.side == Side::Responder,
        }
    }

    /// Whether the next key update is due because it brings the fresh secret.
    pub(crate) fn wants_update(&self, generation: u64) -> bool {
        matches!(self.state, State::Agreed(at) if self.side == Side::Initiator && generation < at)
    }

    /// The peer's packets have reached this generation.
    pub(crate) fn on_generation(&mut self, generation: u64) {
        if matches!(self.state, State::Agreed(at) if generation >= at) {
            self.state = State::Idle;
            self.since = None;
            self.bytes = 0;
            self.is_due = false;
        }
    }

    /// What to say to the peer, if there is something.
    pub(crate) fn poll(&mut self) -> Option<Vec<u8>> {
        if self.is_due && matches!(self.state, State::Idle) {
            self.is_due = false;
            self.offer();
        }
        self.outgoing.take()
    }

    fn offer(&mut self) {
        let x25519 = self.x25519_secret();
        let kem = self.peer.provider.kem_generate(&mut *self.random);
        let public = self.peer.provider.x25519_public(&x25519);
        let message = self.signed(&[], &[&[OFFER], public.as_slice(), &kem.public()].concat());
        self.outgoing = Some(message.clone());
        self.state = State::Offered(Box::new(Offered {
            x25519,
            kem,
            message,
        }));
    }

    /// Takes a message of the peer. `generation` is that of our sending key, which is never behind
    /// that of the peer's.
    pub(crate) fn on_message(
        &mut self,
        message: &[u8],
        generation: u64,
    ) -> Result<Fresh, SessionMessageError> {
        let fresh = match (message.first(), self.side) {
            (Some(&OFFER), Side::Responder) => self.on_offer(message, generation),
            (Some(&ANSWER), Side::Initiator) => self.on_answer(message, generation),
            _ => None,
        };
        let fresh = fresh.ok_or(SessionMessageError::Malformed)?;
        self.state = State::Agreed(fresh.generation);
        Ok(fresh)
    }

    fn on_offer(&mut self, message: &[u8], generation: u64) -> Option<Fresh> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        let content = self.verified(&[], message)?;
        let (_, content) = content.split_first()?;
        let (public, kem) = content.split_first_chunk::<32>()?;
        let kem: &[u8; KEM_PUBLIC_LEN] = kem.try_into().ok()?;
        let secret = self.x25519_secret();
        let shared = self.peer.provider.x25519(&secret, public).ok()?;
        let (ciphertext, kem) = self
            .peer
            .provider
            .kem_encapsulate(kem, &mut *self.random)
            .ok()?;
        let generation = generation.checked_add(1)?;
        let own = self.peer.provider.x25519_public(&secret);
        let content = [&[ANSWER][..], &generation.to_be_bytes(), &own, &ciphertext].concat();
        let answer = self.signed(message, &content);
        let secret = self.combine((message, &answer), &kem, &shared);
        self.outgoing = Some(answer);
        Some(Fresh { generation, secret })
    }

    fn on_answer(&self, message: &[u8], generation: u64) -> Option<Fresh> {
        let State::Offered(offered) = &self.state else {
            return None;
        };
        let content = self.verified(&offered.message, message)?;
        let (_, content) = content.split_first()?;
        let (at, content) = content.split_first_chunk::<8>()?;
        let at = u64::from_be_bytes(*at);
        if Some(at) != generation.checked_add(1) {
            return None;
        }
        let (public, ciphertext) = content.split_first_chunk::<32>()?;
        let ciphertext: &[u8; KEM_CIPHERTEXT_LEN] = ciphertext.try_into().ok()?;
        let shared = self.peer.provider.x25519(&offered.x25519, public).ok()?;
        let kem = offered.kem.decapsulate(ciphertext).ok()?;
        Some(Fresh {
            generation: at,
            secret: self.combine((&offered.message, message), &kem, &shared),
        })
    }

    fn x25519_secret(&mut self) -> Secret {
        let mut secret = Zeroizing::new([0; 32]);
        self.random.fill(secret.as_mut());
        secret
    }

    /// ML-KEM first, as in the handshake.
    fn combine(&self, (offer, answer): (&[u8], &[u8]), kem: &Secret, x25519: &Secret) -> Secret {
        let salt = self.peer.provider.sha256(&[&self.binding(), offer, answer]);
        extract(
            &*self.peer.provider,
            &salt,
            &[kem.as_slice(), x25519.as_slice()],
        )
    }

    /// `content` with our signature over it and over what came before it.
    fn signed(&self, before: &[u8], content: &[u8]) -> Vec<u8> {
        let signed = self.to_sign(self.side, before, content);
        let signature = self.identity.sign_with(&*self.peer.provider, &signed);
        [content, &signature].concat()
    }

    /// The content of a message that the peer has signed.
    fn verified<'a>(&self, before: &[u8], message: &'a [u8]) -> Option<&'a [u8]> {
        let (content, signature) = message.split_last_chunk::<SIGNATURE_LEN>()?;
        let signed = self.to_sign(self.side.peer(), before, content);
        let valid =
            self.peer
                .provider
                .ed25519_verify(&self.peer.public.ed25519, &signed, signature);
        valid.then_some(content)
    }

    fn to_sign(&self, side: Side, before: &[u8], content: &[u8]) -> Vec<u8> {
        let context = match side {
            Side::Initiator => INITIATOR_CONTEXT,
            Side::Responder => RESPONDER_CONTEXT,
        };
        let hash = self
            .peer
            .provider
            .sha256(&[&self.binding(), before, content]);
        separated(context, &[&hash])
    }
}

#[cfg(test)]
mod tests;
