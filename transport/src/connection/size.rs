//! How large packets are: probes for larger ones, and what their fate changes (RFC 8899; the search is
//! [`crate::send::mtu`]).

use alloc::vec::Vec;

use super::Connection;
use super::state::State;
use crate::io::Transmit;
use crate::send::mtu::Change;
use crate::time::Instant;
use crate::trace::TraceEvent;
use crate::wire::{HEADER_LEN, PacketType};

impl Connection {
    /// A padded PING that finds out whether a larger packet passes (RFC 8899 §4.1), while there is
    /// data enough to make use of it.
    pub(super) fn poll_mtu_probe(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let busy = self.state == State::Established && self.confirm.is_none() && self.probes == 0;
        if !busy || !self.has_data() {
            return None;
        }
        let size = self.search.poll_probe(now)?;
        if !self.may_probe(now, size) {
            return None;
        }
        let number = self.sent.next_number();
        let draft = self.draft(PacketType::Ping, size);
        let body = size.saturating_sub(HEADER_LEN + self.trailer_len());
        self.write_packet(now, draft, &alloc::vec![0; body], buf);
        self.search.on_probe_sent(number, size);
        self.stats.mtu_probes_sent += 1;
        Some(self.finish_batch(self.path.remote(), buf.len(), None))
    }

    /// Packets have another size from now on.
    pub(super) fn on_mtu_change(&mut self, now: Instant, change: Option<Change>) {
        match change {
            None => return,
            Some(Change::Raised(_)) => {}
            Some(Change::Fallen(_)) => self.stats.mtu_black_holes += 1,
        }
        self.set_mtu(now);
    }

    /// Takes over the size that the search has found.
    pub(super) fn set_mtu(&mut self, now: Instant) {
        let (old, new) = (self.mtu, self.whole_blocks(self.search.current()));
        if old != new {
            self.mtu = new;
            self.congestion.on_mtu_change(new);
            self.ack_request_due = true;
            self.set_pace(now);
            self.trace(now, &TraceEvent::MtuUpdated { old, new });
        }
    }

    /// The longest packet of `size` bytes or less whose payload is made of whole blocks of the cipher (ADR 0622).
    pub(super) fn whole_blocks(&self, size: usize) -> usize {
        let block = self.protection.as_ref().map_or(1, |it| it.payload_block());
        rounded(size, HEADER_LEN + self.trailer_len(), block)
    }

    /// What the old path was like says nothing about the new one.
    pub(super) fn forget_path(&mut self, now: Instant) {
        self.search.restart();
        self.set_mtu(now);
        self.ecn.restart();
    }
}

/// The longest packet of `size` bytes or less of which all but the `around` bytes is a multiple of `block`.
fn rounded(size: usize, around: usize, block: usize) -> usize {
    size - size.saturating_sub(around) % block.max(1)
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn only_what_is_no_whole_block_is_left_out() {
        let sealed = |size| rounded(size, 48, 16);
        for whole in [1_200, 1_232, 1_440, 1_472, 65_504] {
            assert_eq!([sealed(whole), sealed(whole + 15)], [whole; 2]);
            assert_eq!(sealed(whole + 16), whole + 16);
        }
        assert_eq!(rounded(1_452, 48, 1), 1_452);
        assert_eq!((rounded(1_452, 36, 0), sealed(40)), (1_452, 40));
    }
}
