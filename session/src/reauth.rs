//! Asking a live peer to prove itself again (`docs/session.md` S-RA): a fresh nonce, and a signature over
//! it and over this connection.
//!
//! The keys of a connection show that the other end is the one that made the handshake. They do not show
//! that it still holds its identity's key: a process whose memory was read may be imitated by who has
//! the session keys. Nothing here has a time stamp; the nonce decides what is fresh.

use std::sync::Arc;

use dunlin_transport::protect::SessionMessageError;
use dunlin_transport::{Instant, Side};

use crate::error::Refusal;
use crate::identity::{Identity, separated};
use crate::limits::{PROOF_INTERVAL, PROOFS_AT_ONCE};
use crate::peer::PeerInfo;

/// First bytes of the two messages.
pub(crate) const CHALLENGE: u8 = 4;
pub(crate) const ANSWER: u8 = 5;
const INITIATOR_CONTEXT: &[u8] = b"dunlin reauthentication initiator v1";
const RESPONDER_CONTEXT: &[u8] = b"dunlin reauthentication responder v1";
const NONCE_LEN: usize = 32;
const SIGNATURE_LEN: usize = 64;

/// The challenges of one connection, in both directions.
pub(crate) struct Reauthentication {
    side: Side,
    identity: Arc<Identity>,
    peer: Arc<PeerInfo>,
    /// Ours that was not answered.
    open: Option<[u8; NONCE_LEN]>,
    /// It was answered, and nobody has been told.
    answered: bool,
    challenge: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
    now: Instant,
    /// When we may ask again.
    ask_at: Instant,
    /// When all answers that the peer had so far are earned.
    earned_at: Instant,
}

impl Reauthentication {
    pub(crate) fn new(side: Side, identity: &Arc<Identity>, peer: &Arc<PeerInfo>) -> Self {
        Self {
            side,
            identity: Arc::clone(identity),
            peer: Arc::clone(peer),
            open: None,
            answered: false,
            challenge: None,
            answer: None,
            now: Instant::ZERO,
            ask_at: Instant::ZERO,
            earned_at: Instant::ZERO,
        }
    }

    pub(crate) fn on_time(&mut self, now: Instant) {
        self.now = now;
    }

    /// Asks the peer; false: it has not answered the last time yet, or that was just now.
    pub(crate) fn challenge(&mut self, now: Instant, nonce: [u8; NONCE_LEN]) -> bool {
        if self.open.is_some() || now < self.ask_at {
            return false;
        }
        self.ask_at = now + PROOF_INTERVAL;
        self.open = Some(nonce);
        self.challenge = Some([&[CHALLENGE][..], &nonce].concat());
        true
    }

    /// Whether the last question was answered; true once.
    pub(crate) fn take_answer(&mut self) -> bool {
        core::mem::take(&mut self.answered)
    }

    /// The next message for the peer.
    pub(crate) fn poll(&mut self) -> Option<Vec<u8>> {
        self.answer.take().or_else(|| self.challenge.take())
    }

    /// A message that begins with one of the two bytes.
    pub(crate) fn on_message(&mut self, message: &[u8]) -> Result<(), SessionMessageError> {
        let malformed = SessionMessageError::Malformed;
        match message.split_first() {
            Some((&CHALLENGE, nonce)) => {
                let nonce: &[u8; NONCE_LEN] = nonce.try_into().map_err(|_| malformed)?;
                self.on_challenge(nonce)
            }
            Some((&ANSWER, signature)) => {
                let signature: &[u8; SIGNATURE_LEN] =
                    signature.try_into().map_err(|_| malformed)?;
                self.on_answer(signature)
            }
            _ => Err(malformed),
        }
    }

    /// Nobody asks again before he was answered, so one answer waits at most; and nobody asks all the
    /// time, because an answer costs a signature.
    fn on_challenge(&mut self, nonce: &[u8; NONCE_LEN]) -> Result<(), SessionMessageError> {
        let owed = self.earned_at.max(self.now) + PROOF_INTERVAL;
        if self.answer.is_some() || owed > self.now + PROOF_INTERVAL * PROOFS_AT_ONCE {
            return Err(SessionMessageError::Malformed);
        }
        self.earned_at = owed;
        let signed = self.signed(self.side, nonce);
        let provider = &*self.peer.provider;
        let signature = provider.ed25519_sign(self.identity.seed(), &signed);
        self.answer = Some([&[ANSWER][..], &signature].concat());
        Ok(())
    }

    fn on_answer(&mut self, signature: &[u8; SIGNATURE_LEN]) -> Result<(), SessionMessageError> {
        let Some(nonce) = self.open.take() else {
            return Err(SessionMessageError::Malformed);
        };
        let signed = self.signed(self.side.peer(), &nonce);
        let (provider, key) = (&*self.peer.provider, &self.peer.public.ed25519);
        if !provider.ed25519_verify(key, &signed, signature) {
            let refusal = Refusal::NotProvenAgain;
            return Err(SessionMessageError::Refused {
                code: refusal.code(),
                reason: refusal.reason(),
                own_reason: refusal.own_reason(),
            });
        }
        self.answered = true;
        Ok(())
    }

    /// What the end on `side` signs when it is asked with this nonce.
    fn signed(&self, side: Side, nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
        let context = match side {
            Side::Initiator => INITIATOR_CONTEXT,
            Side::Responder => RESPONDER_CONTEXT,
        };
        let binding = self.peer.exporter(b"reauthentication");
        separated(context, &[&self.peer.provider.sha256(&[&binding, nonce])])
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::key_exchange::KeyExchange;
    use crate::suite::CipherSuite;
    use crate::testing::provider;

    const ONE: [u8; 32] = [1; 32];
    const TWO: [u8; 32] = [2; 32];

    /// The end with the key of `seed`, on a connection with this exporter, that takes its peer for
    /// the one with the key of `peer`.
    fn end(side: Side, seed: [u8; 32], peer: [u8; 32], exporter: u8) -> Reauthentication {
        let public = *Identity::from_seed(peer).public();
        let peer = Arc::new(PeerInfo {
            node_id: public.node_id(),
            post_quantum: false,
            public,
            capabilities: 0,
            user_agent: String::new(),
            version: 1,
            key_exchange: KeyExchange::Hybrid,
            cipher: CipherSuite::Aes128Gcm,
            exporter: Zeroizing::new([exporter; 32]),
            provider: provider(),
        });
        Reauthentication::new(side, &Arc::new(Identity::from_seed(seed)), &peer)
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + core::time::Duration::from_millis(millis)
    }

    fn pair() -> (Reauthentication, Reauthentication) {
        (
            end(Side::Initiator, ONE, TWO, 7),
            end(Side::Responder, TWO, ONE, 7),
        )
    }

    #[test]
    fn each_end_can_ask_the_other_as_often_as_it_is_answered() {
        let (mut one, mut two) = pair();
        for round in 0..9 {
            let now = at(u64::from(round) * 1_000);
            one.on_time(now);
            two.on_time(now);
            assert!(one.challenge(now, [round; 32]) && !one.challenge(now, [9; 32]));
            assert!(two.challenge(now, [round; 32]));
            two.on_message(&one.poll().unwrap()).unwrap();
            one.on_message(&two.poll().unwrap()).unwrap();
            assert!(one.take_answer() && !one.take_answer());
            one.on_message(&two.poll().unwrap()).unwrap();
            two.on_message(&one.poll().unwrap()).unwrap();
            assert!(two.take_answer());
            assert!(!one.challenge(now, [9; 32]), "it was just answered");
        }
        assert_eq!((one.poll(), two.poll()), (None, None));
    }

    #[test]
    fn an_answer_of_another_key_connection_side_or_nonce_ends_the_connection() {
        let refused = |mut answering: Reauthentication, nonce: [u8; 32]| {
            let (mut one, _) = pair();
            one.challenge(at(0), [5; 32]);
            answering.on_challenge(&nonce).unwrap();
            let answer = answering.poll().unwrap();
            one.on_message(&answer).is_err() && !one.take_answer()
        };
        let genuine = || end(Side::Responder, TWO, ONE, 7);
        assert!(!refused(genuine(), [5; 32]));
        assert!(refused(genuine(), [6; 32]), "nonce");
        assert!(refused(end(Side::Responder, ONE, ONE, 7), [5; 32]), "key");
        assert!(
            refused(end(Side::Responder, TWO, ONE, 8), [5; 32]),
            "connection"
        );
        assert!(refused(end(Side::Initiator, TWO, ONE, 7), [5; 32]), "side");
    }

    #[test]
    fn nothing_is_answered_twice_and_nothing_unasked_is_believed() {
        let (mut one, mut two) = pair();
        one.challenge(at(0), [5; 32]);
        let challenge = one.poll().unwrap();
        two.on_message(&challenge).unwrap();
        assert!(two.on_message(&challenge).is_err(), "one answer waits");
        let answer = two.poll().unwrap();
        one.on_message(&answer).unwrap();
        assert!(one.on_message(&answer).is_err(), "it was answered");
        for wrong in [
            &challenge[..32],
            &[challenge.clone(), vec![0]].concat(),
            &[6; 33],
            &[],
        ] {
            assert_eq!(two.on_message(wrong), Err(SessionMessageError::Malformed));
        }
    }

    #[test]
    fn so_many_answers_are_given_at_once_and_not_one_more() {
        let (_, mut two) = pair();
        let mut ask = |millis| {
            two.on_time(at(millis));
            let answered = two.on_challenge(&[5; 32]);
            two.poll();
            answered.is_ok()
        };
        let first = (0..PROOFS_AT_ONCE).filter(|_| ask(0)).count();
        assert_eq!(first, PROOFS_AT_ONCE as usize);
        assert!(!ask(999));
        assert!(ask(1_000) && !ask(1_000));
        let later = (0..100).filter(|_| ask(3_600_000)).count();
        assert_eq!(later, PROOFS_AT_ONCE as usize);
    }
}
