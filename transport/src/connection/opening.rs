//! The initiator's side of the handshake: SYN until a SYN_ACK is believed.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::{ConnectionId, PacketNumber};
use crate::plain;
use crate::protect::{Established, HandshakeError, Initiator};
use crate::time::Instant;
use crate::wire::params::TransportParams;
use crate::wire::{Cursor, Flags, HEADER_LEN, Header, PacketType};

/// State while no SYN_ACK is believed.
pub(super) struct Opening {
    initiator: Box<dyn Initiator>,
    params: Vec<u8>,
    syn: Vec<u8>,
    number: PacketNumber,
    sent: u32,
    last_sent: Option<Instant>,
    next_send: Instant,
    timeout: Duration,
    deadline: Instant,
    retried: bool,
    /// A version reply came that names other versions.
    pub(super) other_version: bool,
}

/// What a believed SYN_ACK yields.
pub(super) struct Opened {
    pub(super) confirm: Vec<u8>,
    pub(super) params: TransportParams,
    pub(super) established: Established,
    /// Time from the only SYN to its answer; None when it was sent more than once.
    pub(super) rtt: Option<Duration>,
    pub(super) next_number: PacketNumber,
}

impl Opening {
    pub(super) fn new(
        now: Instant,
        mut initiator: Box<dyn Initiator>,
        params: &TransportParams,
        number: PacketNumber,
        first_timeout: Duration,
        give_up_after: Duration,
    ) -> Self {
        let params = params.encode();
        let syn = initiator.syn(&params, &[]);
        Self {
            initiator,
            params,
            syn,
            number,
            sent: 0,
            last_sent: None,
            next_send: now,
            timeout: first_timeout,
            deadline: now + give_up_after,
            retried: false,
            other_version: false,
        }
    }

    /// When to call again.
    pub(super) fn next_time(&self) -> Instant {
        self.next_send.min(self.deadline)
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now >= self.deadline
    }

    /// Writes the SYN if it is due, with a number of its own each time.
    pub(super) fn poll(&mut self, now: Instant, cid: ConnectionId, buf: &mut Vec<u8>) -> bool {
        if now < self.next_send {
            return false;
        }
        let mut payload = cid.0.to_be_bytes().to_vec();
        payload.extend_from_slice(&self.syn);
        let header = Header {
            sequence: self.number.truncated(),
            ..Header::new(PacketType::Syn, ConnectionId::NONE)
        };
        write_plain(buf, header, &payload);
        self.number = self.number.next();
        self.sent += 1;
        self.last_sent = Some(now);
        self.next_send = now + self.timeout;
        self.timeout *= 2;
        true
    }

    /// Number of the last SYN that was sent.
    pub(super) fn last_number(&self) -> PacketNumber {
        PacketNumber(self.number.0.saturating_sub(1))
    }

    /// Whether `sequence` belongs to a SYN that was sent.
    pub(super) const fn has_sent(&self, sequence: u32) -> bool {
        let back = self.number.truncated().wrapping_sub(sequence);
        back >= 1 && back <= self.sent
    }

    /// Takes a RETRY into account: the next SYN, due at once, carries its token. Only the first one
    /// counts.
    pub(super) fn on_retry(&mut self, now: Instant, payload: &[u8]) -> Result<(), HandshakeError> {
        if self.retried {
            return Err(HandshakeError::Rejected("a second retry"));
        }
        let token = self.initiator.on_retry(payload)?;
        self.retried = true;
        self.syn = self.initiator.syn(&self.params, &token);
        self.next_send = now;
        Ok(())
    }

    /// Checks a SYN_ACK; `self` is unchanged unless the caller drops it on `Ok`.
    pub(super) fn on_syn_ack(
        &self,
        now: Instant,
        payload: &[u8],
    ) -> Result<Opened, HandshakeError> {
        let mut cursor = Cursor::new(payload);
        let cut = |_| HandshakeError::Rejected("the SYN_ACK is cut off");
        let remote_cid = ConnectionId(cursor.u32().map_err(cut)?);
        let (confirm, established) = self.initiator.on_syn_ack(cursor.take_rest())?;
        let params = peer_params(&established, remote_cid)?;
        let once = self.last_sent.filter(|_| self.sent == 1);
        Ok(Opened {
            confirm,
            params,
            established,
            rtt: once.map(|sent| now.saturating_duration_since(sent)),
            next_number: self.number,
        })
    }
}

/// The peer's authenticated parameters, checked against the connection ID that travelled outside
/// the authenticated part (`docs/wire.md` W-HS-4).
pub(crate) fn peer_params(
    established: &Established,
    cid: ConnectionId,
) -> Result<TransportParams, HandshakeError> {
    let params = TransportParams::decode(&established.peer_params).map_err(|_| {
        let reason = "transport parameters out of range";
        // Only keys prove that it was the peer who said so.
        match established.protection.is_sealed() {
            true => HandshakeError::Fatal(reason),
            false => HandshakeError::Rejected(reason),
        }
    })?;
    if params.connection_id != cid {
        return Err(HandshakeError::Rejected(
            "connection ID differs from the authenticated one",
        ));
    }
    Ok(params)
}

/// Appends an unprotected packet: header, payload, CRC-32 trailer.
pub(crate) fn write_plain(buf: &mut Vec<u8>, mut header: Header, payload: &[u8]) {
    let start = buf.len();
    header.payload_len = u32::try_from(payload.len() + plain::TRAILER_LEN).unwrap_or(u32::MAX);
    let mut bytes = [0; HEADER_LEN];
    header.emit(&mut bytes, 0);
    buf.extend_from_slice(&bytes);
    buf.extend_from_slice(payload);
    plain::seal(buf, start);
}

/// Parses the unprotected packet at the start of `datagram`: header, payload, and bytes in all.
pub(crate) fn read_plain(datagram: &[u8]) -> Option<(Header, &[u8], usize)> {
    let header = Header::parse(datagram, 0).ok()?;
    if header.flags.contains(Flags::SEALED) {
        return None;
    }
    let total = HEADER_LEN.checked_add(usize::try_from(header.payload_len).ok()?)?;
    let payload = plain::open(datagram.get(..total)?).ok()?;
    Some((header, payload, total))
}
