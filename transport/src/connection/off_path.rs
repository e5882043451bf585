//! Packets to addresses that are not the path: challenges, and answers to PINGs.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Connection;
use crate::io::Transmit;
use crate::time::Instant;
use crate::wire::{HEADER_LEN, PacketType};

/// Bytes of a PING or PONG: header, token, largest trailer.
pub(super) const PING_LEN: usize = HEADER_LEN + 8 + 16;

impl Connection {
    /// Challenges of a new path, and PONGs to where their PING came from.
    pub(super) fn poll_off_path(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let timeout = self.probe_timeout();
        let (kind, destination, token) =
            if let Some((to, token)) = self.path.poll_challenge(now, PING_LEN as u64, timeout) {
                (PacketType::Ping, to, token)
            } else {
                self.sync_candidate_id();
                let (to, token) = self.poll_pong_elsewhere()?;
                (PacketType::Pong, to, token)
            };
        let mut draft = self.draft(kind, self.mtu);
        draft.header.connection_id = self.id_towards(destination);
        self.write_packet(now, draft, &token.to_be_bytes(), buf);
        Some(self.finish_batch(destination, buf.len(), None))
    }

    /// The next PONG to an address that is not the path. One that the address has not paid for is
    /// dropped, as if it had been lost: the peer asks again.
    fn poll_pong_elsewhere(&mut self) -> Option<(SocketAddr, u64)> {
        loop {
            let (to, token) = *self.pongs.front()?;
            if to == self.path.remote() {
                return None;
            }
            self.pongs.pop_front();
            if self.path.spend(to, PING_LEN as u64) {
                return Some((to, token));
            }
        }
    }
}
