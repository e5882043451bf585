//! Which addresses were reached by TCP alone, so that the next attempt does not wait for UDP first.
//!
//! Only that is worth a note: UDP is tried at once in any case, and a success of UDP removes the
//! note. Bounded in number (the one longest unused makes room) and in age, because networks change.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Carrier;
use crate::Instant;
use crate::limits::CARRIER_MEMORY_MAX;

/// How long a note counts: a computer that moved to another network should not be slow to notice.
/// RFC 6555 names ten minutes for the same purpose.
const AGE_MAX: Duration = Duration::from_secs(600);

/// What an endpoint remembers.
#[derive(Default)]
pub(in crate::driver) struct Memory {
    notes: BTreeMap<SocketAddr, Note>,
    /// Addresses by their last use.
    order: BTreeMap<u64, SocketAddr>,
    uses: u64,
}

struct Note {
    learnt: Instant,
    last_use: u64,
}

impl Memory {
    /// What is known to work for `remote`.
    pub(in crate::driver) fn recall(
        &mut self,
        now: Instant,
        remote: SocketAddr,
    ) -> Option<Carrier> {
        let learnt = self.notes.get(&remote)?.learnt;
        if now.saturating_duration_since(learnt) >= AGE_MAX {
            self.forget(remote);
            return None;
        }
        self.note(remote, learnt);
        Some(Carrier::Tcp)
    }

    /// `carrier` has just reached `remote`, where both had their chance.
    pub(in crate::driver) fn learn(&mut self, now: Instant, remote: SocketAddr, carrier: Carrier) {
        match carrier {
            Carrier::Udp => self.forget(remote),
            Carrier::Tcp => {
                self.note(remote, now);
                while self.notes.len() > CARRIER_MEMORY_MAX {
                    let Some((_, oldest)) = self.order.pop_first() else {
                        break;
                    };
                    self.notes.remove(&oldest);
                }
            }
        }
    }

    /// Makes `remote` the one used last.
    fn note(&mut self, remote: SocketAddr, learnt: Instant) {
        self.forget(remote);
        self.uses += 1;
        let last_use = self.uses;
        self.notes.insert(remote, Note { learnt, last_use });
        self.order.insert(last_use, remote);
    }

    fn forget(&mut self, remote: SocketAddr) {
        if let Some(note) = self.notes.remove(&remote) {
            self.order.remove(&note.last_use);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(number: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], u16::try_from(number + 1).unwrap()))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn remembers_tcp_until_udp_works() {
        let mut memory = Memory::default();
        assert_eq!(memory.recall(at(0), remote(1)), None);
        memory.learn(at(0), remote(1), Carrier::Tcp);
        assert_eq!(memory.recall(at(1), remote(1)), Some(Carrier::Tcp));
        assert_eq!(memory.recall(at(1), remote(2)), None);
        memory.learn(at(2), remote(1), Carrier::Udp);
        assert_eq!(memory.recall(at(2), remote(1)), None);
        assert!(memory.order.is_empty());
    }

    #[test]
    fn forgets_after_ten_minutes_however_often_it_was_asked() {
        let mut memory = Memory::default();
        memory.learn(at(0), remote(1), Carrier::Tcp);
        assert!(memory.recall(at(300), remote(1)).is_some());
        assert!(memory.recall(at(599), remote(1)).is_some());
        assert!(memory.recall(at(600), remote(1)).is_none());
        assert!(memory.notes.is_empty() && memory.order.is_empty());
    }

    #[test]
    fn the_one_longest_unused_makes_room_at_the_limit() {
        let mut memory = Memory::default();
        for number in 0..CARRIER_MEMORY_MAX {
            memory.learn(at(0), remote(number), Carrier::Tcp);
        }
        assert_eq!(memory.notes.len(), CARRIER_MEMORY_MAX);
        assert!(memory.recall(at(1), remote(0)).is_some());
        memory.learn(at(1), remote(CARRIER_MEMORY_MAX), Carrier::Tcp);
        assert_eq!(memory.notes.len(), CARRIER_MEMORY_MAX);
        assert_eq!(memory.order.len(), CARRIER_MEMORY_MAX);
        assert!(
            memory.recall(at(1), remote(0)).is_some(),
            "it was just used"
        );
        assert!(memory.recall(at(1), remote(1)).is_none());
        assert!(memory.recall(at(1), remote(CARRIER_MEMORY_MAX)).is_some());
    }
}
