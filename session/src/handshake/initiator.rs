//! The side that opens (`docs/session.md` S-HS).

use std::sync::Arc;

use dunlin_transport::Side;
use dunlin_transport::protect::{Established, HandshakeError, Initiator, MakeInitiator, Random};
use dunlin_transport::secret::same_secret;
use zeroize::Zeroizing;

use super::messages::{Carrier, Introduction, MAC_LEN, Offer, Retry, Syn, SynAck};
use super::{
    Ends, INITIATOR_CONTEXT, PROTOCOL_VERSION, RESPONDER_CONTEXT, as_initiator, established,
};
use crate::config::SessionConfig;
use crate::identity::{Identity, separated};
use crate::key_exchange::KeyExchange;
use crate::limits::TOKEN_LEN;
use crate::node_id::NodeId;
use crate::planted::{self, Bug};
use crate::provider::{CryptoProvider, KEM_PUBLIC_LEN, KemSecret, Secret, TAG_LEN, X25519Key};
use crate::schedule::{HandshakeSecrets, mac1_key, network_id, th1, th2, th3};

/// One handshake that we open. Its ephemeral keys are made here, used for this handshake only, and
/// erased when it is dropped.
pub struct SessionInitiator {
    identity: Arc<Identity>,
    config: SessionConfig,
    provider: Arc<dyn CryptoProvider>,
    expected: Option<NodeId>,
    x25519: Box<dyn X25519Key>,
    /// None in the classical key exchange.
    kem: Option<Box<dyn KemSecret>>,
    /// The SYN but for token and mac1.
    content: Vec<u8>,
    mac1_key: [u8; 32],
    /// Hash over the content: see [`th1`].
    th1: [u8; 32],
    /// Of the latest SYN.
    mac1: [u8; MAC_LEN],
    /// Our transport parameters, for the confirm message.
    params: Vec<u8>,
}

impl SessionInitiator {
    /// A handshake with the node `expected`, or with whoever answers.
    #[must_use]
    pub fn new(
        identity: Arc<Identity>,
        config: SessionConfig,
        provider: Arc<dyn CryptoProvider>,
        expected: Option<NodeId>,
        random: &mut dyn Random,
    ) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut());
        let x25519 = provider.x25519_key(&secret);
        let is_hybrid = config.key_exchange == KeyExchange::Hybrid;
        let kem = is_hybrid.then(|| provider.kem_generate(random));
        let kem_public = kem.as_ref().map_or([0; KEM_PUBLIC_LEN], |kem| kem.public());
        let offer = Offer {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            suites: config.key_exchange.bit(),
            ciphers: config.cipher_bits(),
            preferred: config.ciphers.first().map_or(0, |suite| suite.wire()),
        };
        let content = Syn::content(offer, &x25519.public(), &kem_public);
        let network = network_id(&*provider, &config.network);
        let responder = expected.unwrap_or(NodeId::from_bytes([0; 32]));
        Self {
            mac1_key: mac1_key(&*provider, &network, &responder),
            th1: th1(&*provider, &network, &content, &responder),
            identity,
            config,
            provider,
            expected,
            x25519,
            kem,
            content,
            mac1: [0; MAC_LEN],
            params: Vec::new(),
        }
    }

    /// The secrets that this SYN_ACK leads to; nothing about its sender is known yet.
    fn agree(
        &self,
        syn_ack: &SynAck<'_>,
        th2: &[u8; 32],
    ) -> Result<HandshakeSecrets, HandshakeError> {
        let provider = &*self.provider;
        let x25519 = self
            .x25519
            .agree(syn_ack.x25519)
            .map_err(|_| HandshakeError::Rejected("the X25519 value has small order"))?;
        let kem = self.kem.as_ref().map(|kem| kem.decapsulate(syn_ack.kem));
        let kem = kem
            .transpose()
            .map_err(|_| HandshakeError::Rejected("the ML-KEM ciphertext is unusable"))?;
        Ok(HandshakeSecrets::new(provider, th2, kem.as_ref(), &x25519))
    }

    /// Whether the responder is who it says, and who we want.
    fn check_peer(
        &self,
        introduction: &Introduction<'_>,
        th2: &[u8; 32],
    ) -> Result<(), HandshakeError> {
        let node_id = introduction.public.node_id();
        // Another node on the path may answer in its own name: not final, the one that we want
        // can still answer.
        let is_other = self.expected.is_some_and(|expected| expected != node_id);
        if is_other && !planted::is(Bug::NodeIdNotCompared) {
            return Err(HandshakeError::Rejected(
                "the SYN_ACK comes from another node",
            ));
        }
        let signed = separated(RESPONDER_CONTEXT, &[th2, node_id.as_bytes()]);
        if !self.provider.ed25519_verify(
            &introduction.public.ed25519,
            &signed,
            &introduction.signature,
        ) && !planted::is(Bug::ResponderSignatureNotChecked)
        {
            return Err(HandshakeError::Rejected(
                "the responder's signature is wrong",
            ));
        }
        self.config
            .judge(
                &introduction.public,
                introduction.capabilities,
                self.config.key_exchange,
            )
            .map_err(|refusal| HandshakeError::Fatal(refusal.own_reason()))
    }

    /// The confirm message, not yet sealed.
    fn introduce(&self, th3: &[u8; 32]) -> Option<Vec<u8>> {
        let node_id = self.identity.node_id();
        let signed = separated(INITIATOR_CONTEXT, &[th3, node_id.as_bytes()]);
        let introduction = Introduction {
            public: *self.identity.public(),
            signature: self.identity.sign_with(&*self.provider, &signed),
            asks_second: self.config.asks_second(),
            can_rekey: self.config.randomness.is_some(),
            capabilities: self.config.capabilities,
            params: &self.params,
            user_agent: &self.config.clean_user_agent(),
        };
        introduction.emit(Carrier::Confirm)
    }
}

impl Initiator for SessionInitiator {
    fn syn(&mut self, params: &[u8], retry_token: &[u8]) -> Vec<u8> {
        params.clone_into(&mut self.params);
        // A token of another length is not one of ours: as good as none.
        let token: [u8; TOKEN_LEN] = retry_token.try_into().unwrap_or([0; TOKEN_LEN]);
        let mac = self
            .provider
            .hmac_sha256(&self.mac1_key, &[&self.content, &token]);
        self.mac1 = first_half(&mac);
        [&self.content[..], &token, &self.mac1].concat()
    }

    fn on_retry(&self, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let retry = Retry::parse(payload)
            .ok_or(HandshakeError::Rejected("the RETRY has the wrong length"))?;
        let expected = retry_mac(&*self.provider, &self.mac1_key, &self.mac1, retry.token);
        if same_secret(&expected, retry.mac) || planted::is(Bug::RetryNotAuthenticated) {
            Ok(retry.token.to_vec())
        } else {
            Err(HandshakeError::Rejected(
                "the RETRY does not belong to our SYN",
            ))
        }
    }

    fn on_syn_ack(&self, payload: &[u8]) -> Result<(Vec<u8>, Established), HandshakeError> {
        let provider = &*self.provider;
        let syn_ack =
            SynAck::parse(payload).ok_or(HandshakeError::Rejected("the SYN_ACK is malformed"))?;
        let cipher = syn_ack.cipher;
        if syn_ack.key_exchange != self.config.key_exchange {
            return Err(HandshakeError::Rejected(
                "a key exchange was selected that we did not offer",
            ));
        }
        if !self.config.ciphers.contains(&cipher) {
            return Err(HandshakeError::Rejected(
                "a cipher was selected that we did not offer",
            ));
        }
        let th2 = th2(provider, &self.th1, syn_ack.clear);
        let secrets = self.agree(&syn_ack, &th2)?;
        let mut opened = syn_ack.sealed.to_vec();
        secrets
            .syn_ack_key(provider, cipher)
            .open(&th2, &mut opened)
            .ok_or(HandshakeError::Rejected("the SYN_ACK does not open"))?;
        let opened = opened
            .len()
            .checked_sub(TAG_LEN)
            .and_then(|length| opened.get(..length));
        let introduction = opened
            .and_then(|opened| Introduction::parse(Carrier::SynAck, opened))
            .ok_or(HandshakeError::Rejected(
                "the responder's introduction is malformed",
            ))?;
        self.check_peer(&introduction, &th2)?;

        let th3 = th3(provider, &th2, syn_ack.sealed, &self.identity.node_id());
        let mut confirm = self.introduce(&th3).ok_or(HandshakeError::Fatal(
            "our transport parameters are too long",
        ))?;
        secrets
            .confirm_key(provider, cipher, syn_ack.sealed)
            .seal(&th2, &mut confirm);
        let keys = as_initiator(secrets.finish(provider, &th3));
        Ok((
            confirm,
            established(
                &Ends {
                    identity: &self.identity,
                    config: &self.config,
                    provider: &self.provider,
                    side: Side::Initiator,
                    own_params: &self.params,
                },
                (syn_ack.key_exchange, cipher),
                keys,
                introduction,
                true,
            ),
        ))
    }

    /// The same identity asks for the same peer; the ephemeral keys are others.
    fn twin(&self) -> Option<MakeInitiator> {
        let (identity, provider) = (Arc::clone(&self.identity), Arc::clone(&self.provider));
        let (config, expected) = (self.config.clone(), self.expected);
        Some(Box::new(move |random| {
            Box::new(Self::new(identity, config, provider, expected, random))
        }))
    }
}

/// The check of a RETRY: only who saw our SYN, and knows whom it was for, can make it.
pub(super) fn retry_mac(
    provider: &dyn CryptoProvider,
    mac1_key: &[u8; 32],
    mac1: &[u8; MAC_LEN],
    token: &[u8; TOKEN_LEN],
) -> [u8; MAC_LEN] {
    first_half(&provider.hmac_sha256(mac1_key, &[b"retry", mac1, token]))
}

/// A MAC cut to 16 bytes.
pub(super) fn first_half(mac: &Secret) -> [u8; MAC_LEN] {
    let mut half = [0; MAC_LEN];
    for (slot, byte) in half.iter_mut().zip(mac.iter()) {
        *slot = *byte;
    }
    half
}
