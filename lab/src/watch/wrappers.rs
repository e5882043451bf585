//! The traits of the protection seam, passed through and written down.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::protect::{
    Acceptor, Established, Flow, HandshakeError, Initiator, OpenError, PacketProtection, Random,
    Responder, SessionMessageError, Syn, SynDecision, Verdict,
};
use dunlin_transport::wire::reset::ResetToken;
use dunlin_transport::wire::{HEADER_LEN, Header};
use dunlin_transport::{ConnectionId, Instant, PacketNumber};

use super::Watch;

pub(super) struct WatchedAcceptor {
    pub(super) inner: Box<dyn Acceptor>,
    pub(super) node: usize,
    pub(super) watch: Watch,
}

impl Acceptor for WatchedAcceptor {
    fn on_syn(
        &self,
        now: Instant,
        syn: &Syn<'_>,
        params: &[u8],
        random: &mut dyn Random,
    ) -> SynDecision {
        match self.inner.on_syn(now, syn, params, random) {
            SynDecision::Accept(inner) => SynDecision::Accept(Box::new(WatchedResponder {
                inner,
                node: self.node,
                watch: self.watch.clone(),
            })),
            other => other,
        }
    }

    fn reset_token(&self, address: SocketAddr, id: ConnectionId) -> Option<ResetToken> {
        self.inner.reset_token(address, id)
    }
}

struct WatchedResponder {
    inner: Box<dyn Responder>,
    node: usize,
    watch: Watch,
}

impl Responder for WatchedResponder {
    fn syn_ack(&self) -> &[u8] {
        self.inner.syn_ack()
    }

    fn is_same_syn(&self, payload: &[u8]) -> bool {
        self.inner.is_same_syn(payload)
    }

    fn on_confirm(&self, payload: &[u8]) -> Result<Verdict, HandshakeError> {
        Ok(match self.inner.on_confirm(payload)? {
            Verdict::Accept(established) => {
                Verdict::Accept(watched(self.node, &self.watch, established))
            }
            refusal @ Verdict::Refuse { .. } => refusal,
        })
    }
}

pub(super) struct WatchedInitiator {
    pub(super) inner: Box<dyn Initiator>,
    pub(super) node: usize,
    pub(super) watch: Watch,
}

impl Initiator for WatchedInitiator {
    fn syn(&mut self, params: &[u8], retry_token: &[u8]) -> Vec<u8> {
        self.inner.syn(params, retry_token)
    }

    fn on_retry(&self, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        self.inner.on_retry(payload)
    }

    fn on_syn_ack(&self, payload: &[u8]) -> Result<(Vec<u8>, Established), HandshakeError> {
        let (confirm, established) = self.inner.on_syn_ack(payload)?;
        Ok((confirm, watched(self.node, &self.watch, established)))
    }
}

fn watched(node: usize, watch: &Watch, established: Established) -> Established {
    let protection = Box::new(WatchedProtection {
        inner: established.protection,
        node,
        watch: watch.clone(),
        unmasked: VecDeque::new(),
    });
    Established {
        protection,
        ..established
    }
}

struct WatchedProtection {
    inner: Box<dyn PacketProtection>,
    node: usize,
    watch: Watch,
    /// Sealed packets whose headers are not masked yet: numbers, headers.
    unmasked: VecDeque<(PacketNumber, [u8; HEADER_LEN])>,
}

impl PacketProtection for WatchedProtection {
    fn trailer_len(&self) -> usize {
        self.inner.trailer_len()
    }

    fn payload_block(&self) -> usize {
        self.inner.payload_block()
    }

    fn is_sealed(&self) -> bool {
        self.inner.is_sealed()
    }

    fn checksum_salt(&self, flow: Flow) -> u32 {
        self.inner.checksum_salt(flow)
    }

    fn key_phase(&self) -> bool {
        self.inner.key_phase()
    }

    fn seal_unmasked(&mut self, number: PacketNumber, packet: &mut [u8]) {
        let salt = self.inner.checksum_salt(Flow::Outgoing);
        let body_end = packet.len().saturating_sub(self.inner.trailer_len());
        let clear: Option<[u8; HEADER_LEN]> = packet.first_chunk().copied();
        if let (Ok(header), Some(payload)) = (
            Header::parse(packet, salt),
            packet.get(HEADER_LEN..body_end),
        ) {
            let mut ledger = self.watch.ledger();
            ledger.on_sealing(self.node, number.0, &header, payload, packet.len() as u64);
        }
        self.inner.seal_unmasked(number, packet);
        if let (true, Some(clear)) = (self.inner.is_sealed(), clear) {
            self.unmasked.push_back((number, clear));
        }
    }

    fn mask_headers(&mut self, packets: &mut [u8], size: usize) {
        self.inner.mask_headers(packets, size);
        let mut ledger = self.watch.ledger();
        for packet in packets.chunks(size) {
            if let Some((number, clear)) = self.unmasked.pop_front() {
                ledger.on_masked(self.node, &clear, packet);
                ledger.on_sealed(self.node, number.0, &clear, packet);
            }
        }
    }

    fn unmask_headers(&self, datagrams: &mut [u8], size: usize) {
        self.inner.unmask_headers(datagrams, size);
    }

    fn open(
        &mut self,
        number: PacketNumber,
        key_phase: bool,
        packet: &mut [u8],
    ) -> Result<usize, OpenError> {
        let genuine = self.watch.ledger().is_genuine(self.node, number.0, packet);
        let result = self.inner.open(number, key_phase, packet);
        let salt = self.inner.checksum_salt(Flow::Incoming);
        let mut ledger = self.watch.ledger();
        match &result {
            Ok(length) => {
                let payload = packet.get(HEADER_LEN..HEADER_LEN + length);
                if let (Ok(header), Some(payload)) = (Header::parse(packet, salt), payload) {
                    ledger.on_opened(self.node, number.0, &header, payload);
                }
            }
            Err(_) => {
                if let Some(sent_at) = genuine {
                    ledger.on_refused(self.node, number.0, sent_at);
                }
            }
        }
        result
    }

    fn on_acknowledged(&mut self, largest: PacketNumber) {
        self.inner.on_acknowledged(largest);
    }

    fn on_time(&mut self, now: Instant, probe_timeout: Duration) {
        self.inner.on_time(now, probe_timeout);
    }

    fn rest(&mut self) {
        self.inner.rest();
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready()
    }

    fn challenge_peer(&mut self, now: Instant, nonce: [u8; 32]) -> bool {
        self.inner.challenge_peer(now, nonce)
    }

    fn take_proof(&mut self) -> bool {
        self.inner.take_proof()
    }

    fn poll_session_message(&mut self) -> Option<Vec<u8>> {
        self.inner.poll_session_message()
    }

    fn on_session_message(&mut self, message: &[u8]) -> Result<(), SessionMessageError> {
        self.inner.on_session_message(message)
    }
}
