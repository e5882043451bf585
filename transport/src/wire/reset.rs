//! The stateless reset (`docs/wire.md` W-RST): an endpoint that has lost a connection says so to
//! who still sends, and proves by a token that it is the one that was sent to (the idea of RFC 9000
//! §10.3).
//!
//! `header (32)` and nothing else: magic, version 0, type RST, at 8 the token (16), at 28 the
//! connection ID of the packet that it answers; everything else zero. Version 0 because nobody ever
//! answers that (W-INV-2): so two endpoints cannot be set on each other.

use super::header::{HEADER_LEN, MAGIC, PacketType};
use super::version::REPLY_VERSION;
use super::{Cursor, DecodeError};
use crate::ids::ConnectionId;

/// Bytes of a token.
pub const TOKEN_LEN: usize = 16;
/// Bytes of a reset.
pub const RESET_LEN: usize = HEADER_LEN;
/// Bytes of the shortest sealed packet: what is shorter was not sealed and gets no answer. So an
/// answer has at most two thirds of the bytes it answers.
pub const ANSWERED_MIN: usize = HEADER_LEN + 16;

/// Proof that a reset comes from who issued a connection ID.
pub type ResetToken = [u8; TOKEN_LEN];

/// The reset for packets to `id`.
#[must_use]
pub fn emit(id: ConnectionId, token: &ResetToken) -> [u8; RESET_LEN] {
    let mut out = [0; RESET_LEN];
    out[0] = MAGIC;
    out[1] = REPLY_VERSION;
    out[2] = PacketType::Rst as u8;
    out[8..8 + TOKEN_LEN].copy_from_slice(token);
    out[28..].copy_from_slice(&id.0.to_be_bytes());
    out
}

/// If `datagram` is a stateless reset, whosever: the connection ID and the token.
#[must_use]
pub fn parse(datagram: &[u8]) -> Option<(ConnectionId, ResetToken)> {
    read(datagram).ok().flatten()
}

fn read(datagram: &[u8]) -> Result<Option<(ConnectionId, ResetToken)>, DecodeError> {
    let mut cursor = Cursor::new(datagram);
    let kind: [u8; 8] = cursor.array()?;
    let token = cursor.array()?;
    let zeros: [u8; 4] = cursor.array()?;
    let id = ConnectionId(cursor.u32()?);
    cursor.finish()?;
    let expected = [MAGIC, REPLY_VERSION, PacketType::Rst as u8, 0, 0, 0, 0, 0];
    Ok((kind == expected && zeros == [0; 4]).then_some((id, token)))
}

#[cfg(test)]
mod tests {
    use super::super::{header, version};
    use super::*;

    const ID: ConnectionId = ConnectionId(0xdead_beef);

    #[test]
    fn round_trips_and_is_shorter_than_what_it_answers() {
        let packet = emit(ID, &[7; TOKEN_LEN]);
        assert_eq!(parse(&packet), Some((ID, [7; TOKEN_LEN])));
        assert!(packet.len() * 3 <= ANSWERED_MIN * 2);
    }

    #[test]
    fn rejects_every_other_length_and_every_other_fixed_byte() {
        let packet = emit(ID, &[7; TOKEN_LEN]);
        assert_eq!(parse(&packet[..RESET_LEN - 1]), None);
        assert_eq!(parse(&[&packet[..], &[0]].concat()), None);
        for at in (0..8).chain(24..28) {
            let mut wrong = packet;
            wrong[at] ^= 1;
            assert_eq!(parse(&wrong), None, "byte {at}");
        }
    }

    #[test]
    fn is_no_version_reply_and_is_never_answered_by_one() {
        let packet = emit(ID, &[7; TOKEN_LEN]);
        assert_eq!(version::parse(&packet), None);
        assert_eq!(version::reply(&packet), None);
        assert_eq!(header::route(&packet), Err(DecodeError::Version(0)));
    }
}
