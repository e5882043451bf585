//! The table of half-open handshakes against a plain list; see [`crate::fuzzing`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use arbitrary::Arbitrary;

use super::half_open::{HalfOpen, HalfOpenTable};
use crate::fuzzing::operations;
use crate::ids::{ConnectionId, PacketNumber};
use crate::protect::{HandshakeError, Responder, Verdict};
use crate::time::Instant;

const LIFETIME: Duration = Duration::from_millis(100);
const MAX: usize = 6;
/// SYNs of one source and connection ID that are kept.
const VARIANTS: usize = 4;

#[derive(Arbitrary, Debug)]
enum Operation {
    Syn { source: u8, cid: u8, content: u8 },
    Confirm { which: u8 },
    Wait { millis: u8 },
}

/// One entry of the model, oldest first in its list.
struct Entry {
    cid: ConnectionId,
    source: (SocketAddr, ConnectionId),
    content: u8,
    until: Instant,
}

/// The table against a list: finds retransmissions, forgets the oldest at its bound and everything
/// after its lifetime, keeps four variants of one source, and holds no more than it lists.
///
/// # Panics
/// When they differ.
pub fn half_open(data: &[u8]) {
    let mut table = HalfOpenTable::default();
    let mut model: Vec<Entry> = Vec::new();
    let mut now = Instant::ZERO;
    let mut next_cid = 1;
    for operation in operations(data) {
        match operation {
            Operation::Syn {
                source,
                cid,
                content,
            } => {
                let port = u16::from(source % 3) + 1;
                let from = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let source = (from, ConnectionId(u32::from(cid % 3) + 1));
                let same = model
                    .iter()
                    .find(|entry| entry.source == source && entry.content == content)
                    .map(|entry| entry.cid);
                let found = table.find_same(from, source.1, &[content]);
                assert_eq!(found.map(|(cid, _)| cid), same);
                if same.is_some() {
                    continue;
                }
                let cid = ConnectionId(next_cid);
                next_cid += 1;
                table.insert(now, LIFETIME, MAX, cid, half(source, content));
                if model.len() >= MAX {
                    model.remove(0);
                }
                let variants = model.iter().filter(|entry| entry.source == source).count();
                if variants >= VARIANTS
                    && let Some(oldest) = model.iter().position(|it| it.source == source)
                {
                    model.remove(oldest);
                }
                let until = now + LIFETIME;
                model.push(Entry {
                    cid,
                    source,
                    content,
                    until,
                });
            }
            Operation::Confirm { which } => {
                if !model.is_empty() {
                    let entry = model.remove(usize::from(which) % model.len());
                    assert!(table.remove(entry.cid).is_some());
                }
            }
            Operation::Wait { millis } => {
                now = now + Duration::from_millis(u64::from(millis) / 2);
                table.expire(now);
                model.retain(|entry| entry.until > now);
            }
        }
        assert_eq!(table.len(), model.len());
        assert!(
            table.queued() <= 2 * table.len(),
            "the queue is bounded too"
        );
        for entry in &model {
            assert!(table.contains(entry.cid));
        }
        let due = model.first().map(|entry| entry.until);
        assert_eq!(table.deadline(), due, "the deadline of the oldest");
    }
}

fn half((from, remote_cid): (SocketAddr, ConnectionId), content: u8) -> HalfOpen {
    HalfOpen {
        responder: Box::new(Content([content])),
        from,
        remote_cid,
        next_number: PacketNumber(0),
        answered: 0,
        answered_at: Instant::ZERO,
    }
}

/// A responder that only knows its SYN.
struct Content([u8; 1]);

impl Responder for Content {
    fn syn_ack(&self) -> &[u8] {
        &[]
    }

    fn is_same_syn(&self, payload: &[u8]) -> bool {
        self.0 == payload
    }

    fn on_confirm(&self, _: &[u8]) -> Result<Verdict, HandshakeError> {
        Err(HandshakeError::Rejected("never confirmed here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flood of different SYNs for one source and connection ID keeps four of them; the queue of
    /// deadlines grew by one for each, without a bound.
    #[test]
    fn variants_of_one_syn_do_not_grow_the_queue() {
        let mut table = HalfOpenTable::default();
        let other = (SocketAddr::from((Ipv4Addr::LOCALHOST, 2)), ConnectionId(9));
        table.insert(
            Instant::ZERO,
            LIFETIME,
            1_024,
            ConnectionId(1),
            half(other, 0),
        );
        let flooder = (SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), ConnectionId(9));
        for index in 2..1_000 {
            let content = half(flooder, 0);
            table.insert(Instant::ZERO, LIFETIME, 1_024, ConnectionId(index), content);
        }
        assert_eq!(table.len(), 1 + VARIANTS);
        assert!(table.queued() <= 2 * table.len(), "{}", table.queued());
    }

    /// The endpoint woke for handshakes that were over.
    #[test]
    fn a_confirmed_handshake_leaves_no_deadline() {
        let mut table = HalfOpenTable::default();
        let source = (SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), ConnectionId(9));
        table.insert(Instant::ZERO, LIFETIME, 4, ConnectionId(1), half(source, 0));
        assert_eq!(table.deadline(), Some(Instant::ZERO + LIFETIME));
        assert!(table.remove(ConnectionId(1)).is_some());
        assert_eq!(table.deadline(), None);
    }
}
