//! Sessions that count how many packets they open, and how often the transport reads a header whole: what is
//! opened without that followed the packet before it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dunlin_transport::protect::{
    Acceptor, Established, Flow, HandshakeError, OpenError, PacketProtection, Random, Responder,
    SessionMessageError, Syn, SynDecision, Verdict,
};
use dunlin_transport::wire::reset::ResetToken;
use dunlin_transport::{ConnectionId, Instant, PacketNumber};

/// What was counted.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    opened: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
}

impl Counts {
    /// Packets that followed another one, at least.
    pub(crate) fn followed(&self) -> u64 {
        let [opened, read] = [&self.opened, &self.read].map(|it| it.load(Ordering::Relaxed));
        opened.saturating_sub(read)
    }
}

/// An acceptor whose connections are counted.
pub(crate) struct Counting<T>(pub(crate) T, pub(crate) Counts);

impl<T: Acceptor> Acceptor for Counting<T> {
    fn on_syn(
        &self,
        now: Instant,
        syn: &Syn<'_>,
        params: &[u8],
        random: &mut dyn Random,
    ) -> SynDecision {
        match self.0.on_syn(now, syn, params, random) {
            SynDecision::Accept(responder) => {
                SynDecision::Accept(Box::new(Counting(responder, self.1.clone())))
            }
            other => other,
        }
    }

    fn reset_token(&self, address: SocketAddr, id: ConnectionId) -> Option<ResetToken> {
        self.0.reset_token(address, id)
    }
}

impl Responder for Counting<Box<dyn Responder>> {
    fn syn_ack(&self) -> &[u8] {
        self.0.syn_ack()
    }

    fn is_same_syn(&self, payload: &[u8]) -> bool {
        self.0.is_same_syn(payload)
    }

    fn on_confirm(&self, payload: &[u8]) -> Result<Verdict, HandshakeError> {
        Ok(match self.0.on_confirm(payload)? {
            Verdict::Accept(established) => Verdict::Accept(Established {
                protection: Box::new(Counting(established.protection, self.1.clone())),
                ..established
            }),
            other => other,
        })
    }
}

impl PacketProtection for Counting<Box<dyn PacketProtection>> {
    fn trailer_len(&self) -> usize {
        self.0.trailer_len()
    }

    fn is_sealed(&self) -> bool {
        self.0.is_sealed()
    }

    fn checksum_salt(&self, flow: Flow) -> u32 {
        if flow == Flow::Incoming {
            self.1.read.fetch_add(1, Ordering::Relaxed);
        }
        self.0.checksum_salt(flow)
    }

    fn key_phase(&self) -> bool {
        self.0.key_phase()
    }

    fn seal_unmasked(&mut self, number: PacketNumber, packet: &mut [u8]) {
        self.0.seal_unmasked(number, packet);
    }

    fn mask_headers(&mut self, packets: &mut [u8], size: usize) {
        self.0.mask_headers(packets, size);
    }

    fn unmask_headers(&self, datagrams: &mut [u8], size: usize) {
        self.0.unmask_headers(datagrams, size);
    }

    fn open(
        &mut self,
        number: PacketNumber,
        key_phase: bool,
        packet: &mut [u8],
    ) -> Result<usize, OpenError> {
        let opened = self.0.open(number, key_phase, packet)?;
        self.1.opened.fetch_add(1, Ordering::Relaxed);
        Ok(opened)
    }

    fn on_acknowledged(&mut self, largest: PacketNumber) {
        self.0.on_acknowledged(largest);
    }

    fn on_time(&mut self, now: Instant, probe_timeout: Duration) {
        self.0.on_time(now, probe_timeout);
    }

    fn rest(&mut self) {
        self.0.rest();
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn challenge_peer(&mut self, now: Instant, nonce: [u8; 32]) -> bool {
        self.0.challenge_peer(now, nonce)
    }

    fn take_proof(&mut self) -> bool {
        self.0.take_proof()
    }

    fn poll_session_message(&mut self) -> Option<Vec<u8>> {
        self.0.poll_session_message()
    }

    fn on_session_message(&mut self, message: &[u8]) -> Result<(), SessionMessageError> {
        self.0.on_session_message(message)
    }
}
