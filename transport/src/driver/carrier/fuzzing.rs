//! The body of the fuzz target of the framing: bytes of a TCP stream, cut anywhere.

use std::net::SocketAddr;

use super::framing::{Inbox, Outbox};
use crate::io::Transmit;
use crate::limits::UDP_PAYLOAD_MAX;
use crate::wire::HEADER_LEN;
use crate::wire::header::MAGIC;

/// The first two bytes say how the rest, a stream, is cut. What comes out is what the slow and obvious
/// reading of the whole finds, errors included; framed again it is the same stream.
///
/// # Panics
/// When a property is broken.
pub fn carrier_framing(data: &[u8]) {
    let Some((cut, stream)) = data.split_first_chunk() else {
        return;
    };
    let piece = usize::from(u16::from_be_bytes(*cut)) % 5_000 + 1;
    let (expected, is_broken) = read(stream);
    let mut inbox = Inbox::new();
    let (mut got, mut rest, mut failed) = (Vec::new(), stream, false);
    'stream: while !rest.is_empty() {
        let room = inbox.room();
        assert!(!room.is_empty(), "the stream would stand still");
        let count = room.len().min(piece).min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        inbox.on_filled(count);
        loop {
            match inbox.next() {
                Ok(Some(datagram)) => got.push(datagram.to_vec()),
                Ok(None) => break,
                Err(_) => {
                    failed = true;
                    break 'stream;
                }
            }
        }
    }
    assert_eq!(failed, is_broken);
    assert!(got == expected, "other datagrams");
    let again: Vec<u8> = got.iter().flat_map(|it| framed(it)).collect();
    assert_eq!(stream.get(..again.len()), Some(&again[..]));
}

/// All datagrams before the first broken rule, and whether there is one.
fn read(stream: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut rest, mut datagrams) = (stream, Vec::new());
    while let Some((prefix, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*prefix));
        let is_length = (HEADER_LEN..=UDP_PAYLOAD_MAX).contains(&length);
        if !is_length || behind.first().is_some_and(|first| *first != MAGIC) {
            return (datagrams, true);
        }
        let Some((datagram, after)) = behind.split_at_checked(length) else {
            break;
        };
        datagrams.push(datagram.to_vec());
        rest = after;
    }
    (datagrams, false)
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let (mut outbox, mut once) = (Outbox::default(), Some(datagram));
    outbox.fill(|batch| {
        let datagram = once.take()?;
        batch.clear();
        batch.extend_from_slice(datagram);
        Some(Transmit {
            destination: SocketAddr::from(([127, 0, 0, 1], 9)),
            ecn: None,
            size: datagram.len(),
            segment_size: None,
        })
    });
    outbox.waiting().to_vec()
}
