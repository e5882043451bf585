//! Datagrams that came to the socket of another core than that of their connection.
//!
//! Where the system chooses the socket by connection ID ([`super::steer`]) there are hardly any; elsewhere,
//! and while sockets come and go, the core that received one passes it on.

use std::net::SocketAddr;
use std::sync::Arc;

use super::state::Shared;
use crate::ids::ConnectionId;
use crate::io::EcnMark;
use crate::limits::STRAY_BYTES_MAX;
use crate::shard::Shard;
use crate::wire::header::route;

/// A datagram on its way to its core.
pub(super) struct Stray {
    /// Where from.
    pub(super) from: SocketAddr,
    /// Its congestion mark.
    pub(super) ecn: Option<EcnMark>,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// What others have received for a core.
#[derive(Default)]
pub(super) struct Mailbox {
    strays: Vec<Stray>,
    bytes: usize,
}

impl Mailbox {
    /// Takes one, unless [`STRAY_BYTES_MAX`] would be exceeded: then it is lost, as on a full socket.
    pub(super) fn post(&mut self, stray: Stray) {
        let bytes = self.bytes + stray.bytes.len();
        if bytes <= STRAY_BYTES_MAX {
            self.bytes = bytes;
            self.strays.push(stray);
        }
    }

    /// All that wait.
    pub(super) fn empty(&mut self) -> Vec<Stray> {
        self.bytes = 0;
        std::mem::take(&mut self.strays)
    }
}

/// The cores behind one address, as the task of one of them knows them.
pub(super) struct Neighbours {
    own: Shard,
    cores: Arc<[Arc<Shared>]>,
    /// Received since the last delivery, and whose it is.
    strays: Vec<(u32, Stray)>,
}

impl Neighbours {
    /// Those of the core `own`, itself among them, in the order of their numbers.
    pub(super) fn new(own: Shard, cores: Arc<[Arc<Shared>]>) -> Self {
        Self {
            own,
            cores,
            strays: Vec::new(),
        }
    }

    /// Whether a datagram of a train is somebody else's, for whom it is kept. A SYN, and what is no packet of ours,
    /// is anybody's.
    pub(super) fn claim(&mut self, from: SocketAddr, ecn: Option<EcnMark>, bytes: &[u8]) -> bool {
        let whose = match route(bytes) {
            Ok(ConnectionId::NONE) | Err(_) => return false,
            Ok(id) => self.own.of(id),
        };
        if self.own.is(whose) {
            return false;
        }
        let stray = Stray {
            from,
            ecn,
            bytes: bytes.to_vec(),
        };
        self.strays.push((whose, stray));
        true
    }

    /// Passes on what was kept. Call without any core's lock.
    pub(super) fn deliver(&mut self) {
        for (whose, stray) in self.strays.drain(..) {
            let core = usize::try_from(whose)
                .ok()
                .and_then(|it| self.cores.get(it));
            if let Some(core) = core {
                core.act(|state| state.mailbox.post(stray));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stray(length: usize) -> Stray {
        Stray {
            from: SocketAddr::from(([127, 0, 0, 1], 9)),
            ecn: None,
            bytes: vec![0; length],
        }
    }

    fn packet_for(id: u32) -> [u8; crate::wire::HEADER_LEN] {
        let mut bytes = [0; crate::wire::HEADER_LEN];
        (bytes[0], bytes[1]) = (crate::wire::header::MAGIC, crate::wire::header::VERSION);
        bytes[28..].copy_from_slice(&id.to_be_bytes());
        bytes
    }

    #[test]
    fn what_names_a_connection_of_another_core_is_claimed_and_nothing_else() {
        let own = Shard::new(1, 3).unwrap();
        let mut neighbours = Neighbours::new(own, Arc::new([]));
        for (id, is_claimed) in [(0, false), (1, false), (2, true), (3, true), (4, false)] {
            let from = SocketAddr::from(([127, 0, 0, 1], 9));
            let claimed = neighbours.claim(from, None, &packet_for(id));
            assert_eq!(claimed, is_claimed, "{id}");
        }
        let whose: Vec<_> = neighbours.strays.iter().map(|(whose, _)| *whose).collect();
        assert_eq!(whose, [2, 0]);
    }

    #[test]
    fn a_mailbox_takes_so_many_bytes_and_not_one_more() {
        let mut mailbox = Mailbox::default();
        mailbox.post(stray(STRAY_BYTES_MAX - 1));
        mailbox.post(stray(1));
        mailbox.post(stray(1));
        let lengths: Vec<_> = mailbox.empty().iter().map(|it| it.bytes.len()).collect();
        assert_eq!(lengths, [STRAY_BYTES_MAX - 1, 1]);
        mailbox.post(stray(STRAY_BYTES_MAX));
        assert_eq!(mailbox.empty().len(), 1, "emptied, it takes as much again");
    }
}
