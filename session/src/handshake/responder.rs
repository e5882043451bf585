//! The side that answers (`docs/session.md` S-HS).

use std::net::SocketAddr;
use std::sync::Arc;

use dunlin_transport::protect::{
    Acceptor, HandshakeError, Random, Responder, Syn as IncomingSyn, SynDecision, Verdict,
};
use dunlin_transport::secret::same_secret;
use dunlin_transport::wire::reset::ResetToken;
use dunlin_transport::{ConnectionId, Instant, Side};
use zeroize::Zeroizing;

use super::initiator::{first_half, retry_mac};
use super::messages::{Carrier, Introduction, Retry, SYN_ACK_CLEAR_LEN, Syn, SynAck};
use super::reset::{reset_key, reset_token};
use super::token::TokenMint;
use super::{
    Ends, INITIATOR_CONTEXT, PROTOCOL_VERSION, RESPONDER_CONTEXT, as_responder, established,
};
use crate::config::SessionConfig;
use crate::identity::{Identity, separated};
use crate::key_exchange::KeyExchange;
use crate::limits::CONFIRM_LEN;
use crate::node_id::NodeId;
use crate::planted::{self, Bug};
use crate::provider::{CryptoProvider, KEM_CIPHERTEXT_LEN, Secret, TAG_LEN};
use crate::schedule::{HandshakeSecrets, mac1_key, network_id, th1, th2, th3};
use crate::suite::CipherSuite;

/// Answers SYNs for one identity. Keeps nothing about who asks.
pub struct SessionAcceptor {
    shared: Arc<Shared>,
    /// Who we are to a dialler, with the key of its first check: by name, and anonymously.
    addressed: Vec<(NodeId, [u8; 32])>,
    tokens: TokenMint,
    /// Key of stateless resets; None in stealth, where a reset would show that somebody is here.
    resets: Option<Secret>,
}

/// What an acceptor and its responders have in common.
struct Shared {
    identity: Arc<Identity>,
    config: SessionConfig,
    provider: Arc<dyn CryptoProvider>,
    /// Hash of the network's name.
    network: [u8; 32],
}

impl SessionAcceptor {
    /// An acceptor. `random` is used for the secret behind RETRY tokens.
    #[must_use]
    pub fn new(
        identity: Arc<Identity>,
        config: SessionConfig,
        provider: Arc<dyn CryptoProvider>,
        random: &mut dyn Random,
    ) -> Self {
        let network = network_id(&*provider, &config.network);
        let nobody = config.open.then_some(NodeId::from_bytes([0; 32]));
        let addressed = std::iter::once(identity.node_id())
            .chain(nobody)
            .map(|id| (id, mac1_key(&*provider, &network, &id)))
            .collect();
        let tokens = TokenMint::new(random);
        let resets = config
            .open
            .then(|| reset_key(&*provider, identity.seed(), &network));
        Self {
            shared: Arc::new(Shared {
                identity,
                config,
                provider,
                network,
            }),
            addressed,
            tokens,
            resets,
        }
    }

    /// Lets it answer SYNs that address another node: for tests of who is believed.
    #[cfg(any(test, feature = "planted-bugs"))]
    pub fn answer_for(&mut self, node_id: NodeId) {
        let key = mac1_key(&*self.shared.provider, &self.shared.network, &node_id);
        self.addressed.push((node_id, key));
    }

    /// Answers with a key exchange and a cipher of its own choice: for tests of what is believed.
    #[cfg(test)]
    pub(super) fn answer_with(
        &self,
        payload: &[u8],
        chosen: (KeyExchange, CipherSuite),
        random: &mut dyn Random,
    ) -> Option<Box<dyn Responder>> {
        let syn = Syn::parse(payload)?;
        let (addressee, _) = self.addressee(&syn)?;
        Some(Box::new(self.answer(
            &syn,
            addressee,
            chosen,
            &[],
            random,
        )?))
    }

    /// Whom the SYN addresses, with the key of its first check; `None` when the check fails.
    fn addressee(&self, syn: &Syn<'_>) -> Option<&(NodeId, [u8; 32])> {
        let provider = &*self.shared.provider;
        self.addressed.iter().find(|(_, key)| {
            let mac = provider.hmac_sha256(key, &[syn.checked]);
            same_secret(&first_half(&mac), syn.mac1)
        })
    }

    /// Key exchange and cipher for this offer; `None` when we have nothing in common.
    fn select(&self, syn: &Syn<'_>) -> Option<(KeyExchange, CipherSuite)> {
        let offer = syn.offer;
        let versions = offer.version_min..=offer.version_max;
        let ours = &self.shared.config.ciphers;
        if !versions.contains(&PROTOCOL_VERSION) {
            return None;
        }
        let cipher = CipherSuite::select(ours, offer.ciphers, offer.preferred)?;
        Some((KeyExchange::select(offer.suites)?, cipher))
    }

    /// The half-open handshake; `None` when the SYN's keys are unusable or our own parameters do
    /// not fit.
    fn answer(
        &self,
        syn: &Syn<'_>,
        addressee: &NodeId,
        (key_exchange, cipher): (KeyExchange, CipherSuite),
        params: &[u8],
        random: &mut dyn Random,
    ) -> Option<SessionResponder> {
        let shared = &self.shared;
        let provider = &*shared.provider;
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut());
        let key = provider.x25519_key(&secret);
        let x25519 = key.agree(syn.x25519).ok()?;
        let (ciphertext, kem) = match key_exchange {
            KeyExchange::Classical => ([0; KEM_CIPHERTEXT_LEN], None),
            KeyExchange::Hybrid => {
                let (ciphertext, kem) = provider.kem_encapsulate(syn.kem, random).ok()?;
                (ciphertext, Some(kem))
            }
        };
        let clear = SynAck::clear(key_exchange, cipher, &key.public(), &ciphertext);
        let th1 = th1(provider, &shared.network, syn.content, addressee);
        let th2 = th2(provider, &th1, &clear);
        let secrets = HandshakeSecrets::new(provider, &th2, kem.as_ref(), &x25519);

        let node_id = shared.identity.node_id();
        let signed = separated(RESPONDER_CONTEXT, &[&th2, node_id.as_bytes()]);
        let introduction = Introduction {
            public: *shared.identity.public(),
            signature: shared.identity.sign_with(provider, &signed),
            asks_second: shared.config.asks_second(),
            can_rekey: shared.config.randomness.is_some(),
            capabilities: shared.config.capabilities,
            params,
            user_agent: &shared.config.clean_user_agent(),
        };
        let mut sealed = introduction.emit(Carrier::SynAck)?;
        secrets
            .syn_ack_key(provider, cipher)
            .seal(&th2, &mut sealed);
        Some(SessionResponder {
            shared: Arc::clone(shared),
            key_exchange,
            cipher,
            addressee: *addressee,
            th1,
            syn_ack: [clear, sealed].concat(),
            th2,
            secrets,
            params: match shared.config.key_log {
                Some(_) => params.to_vec(),
                None => Vec::new(),
            },
        })
    }
}

impl Acceptor for SessionAcceptor {
    fn on_syn(
        &self,
        now: Instant,
        syn: &IncomingSyn<'_>,
        params: &[u8],
        random: &mut dyn Random,
    ) -> SynDecision {
        let (from, under_load) = (syn.from, syn.under_load);
        let provider = &*self.shared.provider;
        let Some(syn) = Syn::parse(syn.payload) else {
            return SynDecision::Ignore;
        };
        let Some((addressee, key)) = self.addressee(&syn) else {
            return SynDecision::Ignore;
        };
        let Some(chosen) = self.select(&syn) else {
            return SynDecision::Ignore;
        };
        if under_load
            && !self
                .tokens
                .is_valid(provider, now, from, syn.content, syn.token)
        {
            let token = self.tokens.mint(provider, now, from, syn.content);
            let mac = retry_mac(provider, key, syn.mac1, &token);
            return SynDecision::Retry(Retry::emit(&token, &mac));
        }
        match self.answer(&syn, addressee, chosen, params, random) {
            Some(responder) => SynDecision::Accept(Box::new(responder)),
            None => SynDecision::Ignore,
        }
    }

    fn reset_token(&self, address: SocketAddr, id: ConnectionId) -> Option<ResetToken> {
        let key = self.resets.as_ref()?;
        Some(reset_token(&*self.shared.provider, key, address, id))
    }
}

/// A half-open handshake that we answer: the SYN_ACK and the secrets, about 1.6 kB.
struct SessionResponder {
    shared: Arc<Shared>,
    key_exchange: KeyExchange,
    cipher: CipherSuite,
    /// Whom the SYN addresses, and the hash of that and its content.
    addressee: NodeId,
    th1: [u8; 32],
    syn_ack: Vec<u8>,
    th2: [u8; 32],
    secrets: HandshakeSecrets,
    /// Our transport parameters, for the key log; empty when there is none.
    params: Vec<u8>,
}

impl SessionResponder {
    /// The sealed part of the SYN_ACK.
    fn sealed(&self) -> &[u8] {
        self.syn_ack
            .get(SYN_ACK_CLEAR_LEN..)
            .expect("a SYN_ACK has one length")
    }
}

impl Responder for SessionResponder {
    fn syn_ack(&self) -> &[u8] {
        &self.syn_ack
    }

    /// Token and mac1 do not count: a SYN sent again after a RETRY is the same SYN.
    fn is_same_syn(&self, payload: &[u8]) -> bool {
        let Shared {
            provider, network, ..
        } = &*self.shared;
        Syn::parse(payload)
            .is_some_and(|syn| th1(&**provider, network, syn.content, &self.addressee) == self.th1)
    }

    fn on_confirm(&self, payload: &[u8]) -> Result<Verdict, HandshakeError> {
        let provider = &*self.shared.provider;
        if payload.len() != CONFIRM_LEN {
            return Err(HandshakeError::Rejected(
                "the confirm message has the wrong length",
            ));
        }
        let mut opened = payload.to_vec();
        self.secrets
            .confirm_key(provider, self.cipher, self.sealed())
            .open(&self.th2, &mut opened)
            .ok_or(HandshakeError::Rejected(
                "the confirm message does not open",
            ))?;
        let introduction = opened
            .get(..CONFIRM_LEN - TAG_LEN)
            .and_then(|opened| Introduction::parse(Carrier::Confirm, opened))
            .ok_or(HandshakeError::Rejected(
                "the initiator's introduction is malformed",
            ))?;
        let node_id = introduction.public.node_id();
        let th3 = th3(provider, &self.th2, self.sealed(), &node_id);
        let signed = separated(INITIATOR_CONTEXT, &[&th3, node_id.as_bytes()]);
        if !provider.ed25519_verify(
            &introduction.public.ed25519,
            &signed,
            &introduction.signature,
        ) && !planted::is(Bug::InitiatorSignatureNotChecked)
        {
            return Err(HandshakeError::Rejected(
                "the initiator's signature is wrong",
            ));
        }

        let keys = as_responder(self.secrets.finish(provider, &th3));
        let config = &self.shared.config;
        let judgement = config.judge(
            &introduction.public,
            introduction.capabilities,
            self.key_exchange,
        );
        let established = established(
            &Ends {
                identity: &self.shared.identity,
                config,
                provider: &self.shared.provider,
                side: Side::Responder,
                own_params: &self.params,
            },
            (self.key_exchange, self.cipher),
            keys,
            introduction,
            judgement.is_ok(),
        );
        if let (Err(refusal), Some(log)) = (judgement, &config.refusals) {
            log.tell(&node_id, refusal);
        }
        Ok(match judgement {
            Ok(()) => Verdict::Accept(established),
            Err(refusal) => Verdict::Refuse {
                established,
                code: refusal.code(),
                reason: refusal.reason(),
            },
        })
    }
}
