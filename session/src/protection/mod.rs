//! Sealing and opening packets (`docs/session.md` S-PKT): AEAD with the packet number as nonce and
//! the header as associated data, a mask over the header, and the succession of keys.
//!
//! Key update follows RFC 9001 §6. A sender takes the next key after a number of packets, when the
//! current one is known to have reached the peer. A receiver keeps three keys: previous, current
//! and next. Phase bit and packet number tell which one to use, so a packet costs one AEAD
//! operation, whatever it is, and forged packets learn nothing from the time it takes.
//!
//! **Discrepancies** from RFC 9001: the header mask covers bytes 2–27 and its sample is at a fixed
//! place; receiving an update twice in a row is not an error but is followed.

mod keys;

use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::protect::{Flow, OpenError, PacketProtection, SessionMessageError};
use dunlin_transport::{Instant, PacketNumber};

use crate::key_log::ConnectionKeyLog;
use crate::limits::PREVIOUS_KEYS_PROBE_TIMEOUTS;
use crate::planted::{self, Bug};
use crate::provider::{CryptoProvider, Secret, TAG_LEN};
use crate::reauth::{self, Reauthentication};
use crate::rekey::{self, Fresh, Rekey};
use crate::second_proof::SecondProof;
use crate::suite::CipherSuite;
use keys::{HEADER_LEN, HeaderProtection, KeyChain, PacketKey};

/// How often keys are used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyLimits {
    /// Packets after which the next sending key is due.
    pub(crate) update: u64,
    /// Packets that one key may seal.
    pub(crate) confidentiality: u64,
    /// Packets of the connection that may fail to open.
    pub(crate) integrity: u64,
    /// Age at which the next sending key is due.
    pub(crate) interval: Duration,
}

impl KeyLimits {
    /// The limits of `suite`, with an update after `update` packets, but at least one and at most
    /// an eighth of what the cipher allows, or after `interval`.
    pub(crate) fn new(suite: CipherSuite, update: u64, interval: Duration) -> Self {
        let confidentiality = suite.confidentiality_limit();
        Self {
            update: update.clamp(1, confidentiality / 8),
            confidentiality,
            integrity: suite.integrity_limit(),
            interval,
        }
    }
}

/// The protection of one connection.
pub(crate) struct SealedProtection {
    send: SendKeys,
    receive: ReceiveKeys,
    limits: KeyLimits,
    proof: SecondProof,
    rekey: Option<Box<Rekey>>,
    reauthentication: Option<Box<Reauthentication>>,
}

impl SealedProtection {
    /// The same, with something still to be proven, with fresh key exchanges, and with proofs on demand.
    pub(crate) fn with_channel(
        mut self,
        proof: SecondProof,
        rekey: Option<Rekey>,
        reauthentication: Option<Reauthentication>,
    ) -> Self {
        self.proof = proof;
        self.rekey = rekey.map(Box::new);
        self.reauthentication = reauthentication.map(Box::new);
        self
    }

    /// From the secrets of the two directions.
    pub(crate) fn new(
        provider: &Arc<dyn CryptoProvider>,
        suite: CipherSuite,
        outgoing: Secret,
        incoming: Secret,
        limits: KeyLimits,
    ) -> Self {
        Self::logged(provider, suite, (outgoing, incoming), limits, None)
    }

    /// The same; `log` is told every secret.
    pub(crate) fn logged(
        provider: &Arc<dyn CryptoProvider>,
        suite: CipherSuite,
        (outgoing, incoming): (Secret, Secret),
        limits: KeyLimits,
        log: Option<ConnectionKeyLog>,
    ) -> Self {
        let (send_log, receive_log) = log.map(ConnectionKeyLog::split).unzip();
        let send_header = HeaderProtection::new(&**provider, suite, &outgoing);
        let receive_header = HeaderProtection::new(&**provider, suite, &incoming);
        let mut send_chain = KeyChain::new(Arc::clone(provider), suite, outgoing, send_log);
        let mut receive_chain = KeyChain::new(Arc::clone(provider), suite, incoming, receive_log);
        Self {
            send: SendKeys {
                current: send_chain.next_key(),
                chain: send_chain,
                header: send_header,
                generation: 0,
                sealed: 0,
                first: None,
                acknowledged: false,
                since: None,
                aged: false,
            },
            receive: ReceiveKeys {
                previous: None,
                current: receive_chain.next_key(),
                next: receive_chain.next_key(),
                chain: receive_chain,
                header: receive_header,
                generation: 0,
                failures: 0,
            },
            limits,
            proof: SecondProof::default(),
            rekey: None,
            reauthentication: None,
        }
    }

    /// Takes the next sending key when it is due and allowed: the peer has answered the current
    /// one, and is no longer expecting packets of the one before.
    fn update_if_due(&mut self) {
        let send = &self.send;
        let answered = (send.acknowledged && self.receive.generation >= send.generation)
            || planted::is(Bug::UpdateBeforeAnswer);
        let settled = self.receive.previous.is_none();
        // Far beyond the due time an update no longer waits for late packets.
        let urgent = send.sealed >= self.limits.confidentiality / 2;
        let rekey = self.rekey.as_deref();
        let held = rekey.is_some_and(Rekey::holds_updates);
        let wanted = rekey.is_some_and(|rekey| rekey.wants_update(send.generation));
        let due = wanted || !held && (send.sealed >= self.limits.update || send.aged);
        if due && answered && (settled || urgent) {
            if planted::is(Bug::KeyUpdateTwice) {
                self.send.advance();
            }
            self.send.advance();
        }
    }

    /// Counts a packet that did not open.
    fn failed(&mut self) -> OpenError {
        self.receive.failures = self.receive.failures.saturating_add(1);
        if self.receive.failures >= self.limits.integrity {
            OpenError::IntegrityLimit
        } else {
            OpenError::Mismatch
        }
    }
}

impl PacketProtection for SealedProtection {
    fn trailer_len(&self) -> usize {
        TAG_LEN
    }

    fn payload_block(&self) -> usize {
        self.send.chain.text_block()
    }

    fn is_sealed(&self) -> bool {
        true
    }

    fn checksum_salt(&self, flow: Flow) -> u32 {
        match flow {
            Flow::Outgoing => self.send.header.checksum_salt,
            Flow::Incoming => self.receive.header.checksum_salt,
        }
    }

    fn key_phase(&self) -> bool {
        phase(self.send.generation)
    }

    fn seal_unmasked(&mut self, number: PacketNumber, packet: &mut [u8]) {
        if self.send.sealed >= self.limits.confidentiality {
            // Only a peer that never acknowledges gets here, after millions of packets. Rather a
            // packet of zeros that nobody can open than one more under this key; `open` reports
            // the limit, which closes the connection.
            packet.fill(0);
            return;
        }
        let send = &mut self.send;
        send.current.seal(&send.chain, number.0, packet);
        self.send.sealed += 1;
        if let Some(rekey) = &mut self.rekey {
            rekey.on_packet(packet.len());
        }
        self.send.first.get_or_insert(number);
        self.update_if_due();
    }

    fn mask_headers(&mut self, packets: &mut [u8], size: usize) {
        self.send.header.apply(&self.send.chain, packets, size);
    }

    fn unmask_headers(&self, datagrams: &mut [u8], size: usize) {
        self.receive
            .header
            .apply(&self.receive.chain, datagrams, size);
    }

    fn open(
        &mut self,
        number: PacketNumber,
        key_phase: bool,
        packet: &mut [u8],
    ) -> Result<usize, OpenError> {
        if self.send.sealed >= self.limits.confidentiality
            || self.receive.failures >= self.limits.integrity
        {
            return Err(OpenError::IntegrityLimit);
        }
        let Some(length) = packet.len().checked_sub(HEADER_LEN + TAG_LEN) else {
            return Err(OpenError::Mismatch);
        };
        let choice = self.receive.choose(number, key_phase);
        let receive = &mut self.receive;
        receive.wake();
        let key = match &choice {
            Choice::Previous => receive.previous.as_mut().map(|previous| &mut previous.key),
            Choice::Current => Some(&mut receive.current),
            Choice::Next => Some(&mut receive.next),
        };
        let opened = key.is_some_and(|key| key.open(&receive.chain, number.0, packet).is_ok());
        if !opened {
            return Err(self.failed());
        }
        if let Choice::Next = choice
            && !planted::is(Bug::KeyUpdateNotFollowed)
        {
            self.receive.advance(number);
            if self.send.generation < self.receive.generation {
                self.send.advance();
            }
        }
        if let Some(rekey) = &mut self.rekey {
            rekey.on_packet(packet.len());
            rekey.on_generation(self.receive.generation);
        }
        Ok(length)
    }

    fn on_acknowledged(&mut self, largest: PacketNumber) {
        if self.send.first.is_some_and(|first| largest >= first) {
            self.send.acknowledged = true;
            self.update_if_due();
        }
    }

    fn on_time(&mut self, now: Instant, probe_timeout: Duration) {
        if let Some(rekey) = &mut self.rekey {
            rekey.on_time(now);
        }
        if let Some(reauthentication) = &mut self.reauthentication {
            reauthentication.on_time(now);
        }
        let since = *self.send.since.get_or_insert(now);
        if now >= since + self.limits.interval && !self.send.aged {
            self.send.aged = true;
            self.update_if_due();
        }
        let Some(previous) = &mut self.receive.previous else {
            return;
        };
        let lifetime = probe_timeout.saturating_mul(PREVIOUS_KEYS_PROBE_TIMEOUTS);
        let erase_at = *previous.erase_at.get_or_insert(now + lifetime);
        if now >= erase_at {
            self.receive.previous = None;
        }
    }

    fn rest(&mut self) {
        self.send.current.rest();
        self.send.header.rest();
        self.receive.rest();
    }

    fn is_ready(&self) -> bool {
        self.proof.is_complete()
    }

    fn poll_session_message(&mut self) -> Option<Vec<u8>> {
        let ours = self.proof.take_ours();
        let ours = ours.or_else(|| self.rekey.as_deref_mut().and_then(Rekey::poll));
        ours.or_else(|| self.reauthentication.as_deref_mut()?.poll())
    }

    fn challenge_peer(&mut self, now: Instant, nonce: [u8; 32]) -> bool {
        let reauthentication = self.reauthentication.as_deref_mut();
        reauthentication.is_some_and(|it| it.challenge(now, nonce))
    }

    fn take_proof(&mut self) -> bool {
        let reauthentication = self.reauthentication.as_deref_mut();
        reauthentication.is_some_and(Reauthentication::take_answer)
    }

    fn on_session_message(&mut self, message: &[u8]) -> Result<(), SessionMessageError> {
        if let (Some(&(reauth::CHALLENGE | reauth::ANSWER)), Some(reauthentication)) =
            (message.first(), &mut self.reauthentication)
        {
            return reauthentication.on_message(message);
        }
        match (message.first(), &mut self.rekey) {
            (Some(&(rekey::OFFER | rekey::ANSWER)), Some(rekey)) => {
                let fresh = rekey.on_message(message, self.send.generation)?;
                self.receive.mix(&fresh);
                self.send.chain.plan(fresh);
                self.update_if_due();
                Ok(())
            }
            _ => self.proof.on_message(message),
        }
    }
}

struct SendKeys {
    chain: KeyChain,
    current: PacketKey,
    header: HeaderProtection,
    /// Key updates so far.
    generation: u64,
    /// Packets sealed with the current key.
    sealed: u64,
    /// Number of the first of them.
    first: Option<PacketNumber>,
    /// Whether the peer has acknowledged one of them.
    acknowledged: bool,
    /// When it was first seen in use.
    since: Option<Instant>,
    /// It has been in use for so long that the next one is due.
    aged: bool,
}

impl SendKeys {
    fn advance(&mut self) {
        self.current = self.chain.next_key();
        self.generation += 1;
        self.sealed = 0;
        self.first = None;
        self.acknowledged = false;
        self.since = None;
        self.aged = false;
    }
}

struct ReceiveKeys {
    chain: KeyChain,
    previous: Option<Box<Previous>>,
    current: PacketKey,
    /// Made ahead, so that a packet of the next phase costs what any other does.
    next: PacketKey,
    header: HeaderProtection,
    /// Key updates of the peer so far.
    generation: u64,
    /// Packets that did not open.
    failures: u64,
}

struct Previous {
    key: PacketKey,
    /// Number of the packet that brought the update: all packets under this key are below it.
    below: PacketNumber,
    /// Set on the first tick after the update.
    erase_at: Option<Instant>,
}

enum Choice {
    Previous,
    Current,
    Next,
}

impl ReceiveKeys {
    /// The only key that can fit: numbers rise with phases, so a packet of the other phase is old
    /// when it is numbered below the current phase and new when above.
    fn choose(&self, number: PacketNumber, key_phase: bool) -> Choice {
        if key_phase == phase(self.generation) {
            Choice::Current
        } else if self
            .previous
            .as_ref()
            .is_some_and(|previous| number < previous.below)
        {
            Choice::Previous
        } else {
            Choice::Next
        }
    }

    fn keys(&mut self) -> impl Iterator<Item = &mut PacketKey> {
        let previous = self.previous.iter_mut().map(|previous| &mut previous.key);
        [&mut self.current, &mut self.next]
            .into_iter()
            .chain(previous)
    }

    /// Forgets the expanded keys.
    fn rest(&mut self) {
        self.header.rest();
        self.keys().for_each(PacketKey::rest);
    }

    /// Expands all keys if they rest, and not just the one that is needed: the time it takes must not
    /// tell which one that is.
    fn wake(&mut self) {
        if self.current.is_resting() {
            let Self {
                chain,
                previous,
                current,
                next,
                ..
            } = self;
            let previous = previous.as_mut().map(|previous| &mut previous.key);
            for key in [current, next].into_iter().chain(previous) {
                key.wake(chain);
            }
        }
    }

    /// A fresh secret goes into the keys from its generation on: the next one, which is there already,
    /// or the one after it.
    fn mix(&mut self, fresh: &Fresh) {
        if fresh.generation == self.generation + 1 {
            self.next = self.chain.make_again(&fresh.secret);
        } else {
            self.chain.plan(Fresh {
                generation: fresh.generation,
                secret: fresh.secret.clone(),
            });
        }
    }

    fn advance(&mut self, number: PacketNumber) {
        let next = std::mem::replace(&mut self.next, self.chain.next_key());
        let key = std::mem::replace(&mut self.current, next);
        self.previous = Some(Box::new(Previous {
            key,
            below: number,
            erase_at: None,
        }))
        .filter(|_| !planted::is(Bug::OldKeyDroppedAtOnce));
        self.generation += 1;
    }
}

/// The KEY_PHASE bit of a generation.
const fn phase(generation: u64) -> bool {
    generation & 1 == 1
}

#[cfg(test)]
mod tests;
