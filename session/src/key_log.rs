//! The key log: the secrets of a connection's packets, handed to whoever analyses a capture of them
//! (`docs/session.md`, chapter "Key log").
//!
//! **Whoever has these lines reads the connection.** There is none unless the application sets
//! [`crate::SessionConfig::key_log`]; nothing else in this crate gives a secret away.

use std::fmt;
use std::sync::Arc;

use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::{ConnectionId, Side};

use crate::provider::Secret;

/// Takes secrets. Called in the middle of sealing and opening packets: it should not wait.
pub trait KeyLog: Send + Sync {
    /// The secret of a key phase, about to be used.
    fn log(&self, entry: &KeyLogEntry<'_>);
}

/// One secret. Displays as a line of a key-log file, without its end.
#[derive(Clone, Copy)]
pub struct KeyLogEntry<'a> {
    /// Whose packets it protects.
    pub sender: Side,
    /// Key updates of that sender before it.
    pub generation: u64,
    /// The connection ID that the initiator chose: in the packets of the responder.
    pub initiator_cid: ConnectionId,
    /// The connection ID that the responder chose: in the packets of the initiator.
    pub responder_cid: ConnectionId,
    /// The secret (`docs/session.md` S-KEY-3, S-KEY-4).
    pub secret: &'a [u8; 32],
}

impl fmt::Display for KeyLogEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sender = match self.sender {
            Side::Initiator => "INITIATOR",
            Side::Responder => "RESPONDER",
        };
        write!(
            f,
            "DUNLIN_{sender}_SECRET_{} {:08x}{:08x} ",
            self.generation, self.initiator_cid.0, self.responder_cid.0
        )?;
        self.secret
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyLogEntry<'_> {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLogEntry")
            .field("sender", &self.sender)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A shared [`KeyLog`], as a setting.
#[derive(Clone)]
pub struct KeyLogger(Arc<dyn KeyLog>);

impl KeyLogger {
    /// Logs to `log`.
    #[must_use]
    pub fn new(log: Arc<dyn KeyLog>) -> Self {
        Self(log)
    }
}

impl fmt::Debug for KeyLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLogger")
    }
}

/// The key log of one connection.
#[derive(Clone)]
pub(crate) struct ConnectionKeyLog {
    logger: KeyLogger,
    /// Our side.
    side: Side,
    initiator_cid: ConnectionId,
    responder_cid: ConnectionId,
}

impl ConnectionKeyLog {
    /// For a connection whose ends have these transport parameters, each as encoded.
    pub(crate) fn new(logger: &KeyLogger, side: Side, ours: &[u8], theirs: &[u8]) -> Self {
        let (initiator, responder) = match side {
            Side::Initiator => (ours, theirs),
            Side::Responder => (theirs, ours),
        };
        Self {
            logger: logger.clone(),
            side,
            initiator_cid: cid_of(initiator),
            responder_cid: cid_of(responder),
        }
    }

    /// The part for our packets, and the part for the peer's.
    pub(crate) fn split(self) -> (DirectionKeyLog, DirectionKeyLog) {
        let direction = |sender| DirectionKeyLog {
            log: self.clone(),
            sender,
            generation: 0,
        };
        (direction(self.side), direction(self.side.peer()))
    }
}

/// The key log of one direction, which counts generations.
pub(crate) struct DirectionKeyLog {
    log: ConnectionKeyLog,
    sender: Side,
    generation: u64,
}

impl DirectionKeyLog {
    /// The last generation comes again, with another secret.
    pub(crate) fn again(&mut self) {
        self.generation -= 1;
    }

    /// The secret of the next generation, the first time that of generation 0.
    pub(crate) fn next(&mut self, secret: &Secret) {
        self.log.logger.0.log(&KeyLogEntry {
            sender: self.sender,
            generation: self.generation,
            initiator_cid: self.log.initiator_cid,
            responder_cid: self.log.responder_cid,
            secret,
        });
        self.generation += 1;
    }
}

/// The connection ID in transport parameters; none when they are not the transport's.
fn cid_of(params: &[u8]) -> ConnectionId {
    TransportParams::decode(params).map_or(ConnectionId::NONE, |params| params.connection_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_line_and_its_debug_form_keeps_the_secret() {
        let entry = KeyLogEntry {
            sender: Side::Responder,
            generation: 3,
            initiator_cid: ConnectionId(0xa),
            responder_cid: ConnectionId(0xb00_0000c),
            secret: &[0x5e; 32],
        };
        let secret = "5e".repeat(32);
        assert_eq!(
            entry.to_string(),
            format!("DUNLIN_RESPONDER_SECRET_3 0000000ab000000c {secret}")
        );
        assert!(!format!("{entry:?}").contains("5e"));
    }
}
