//! The 32-byte header (`docs/wire.md`, chapter "Header").
//!
//! | bytes | field |
//! |---|---|
//! | 0 | Magic |
//! | 1 | Version |
//! | 2 | Type |
//! | 3 | Flags |
//! | 4–7 | Sequence Number: low half of the packet number |
//! | 8–11 | Acknowledgment Number: low half of the largest packet number received |
//! | 12–13 | Window Size: connection credit limit in units of 2^s, modulo 2^16 |
//! | 14–15 | Checksum |
//! | 16–19 | Payload Length, trailer included |
//! | 20–23 | Fragment ID: low half of the stream's or message's number |
//! | 24–25 | Fragment Index |
//! | 26–27 | Fragment Total |
//! | 28–31 | Connection ID |
//!
//! Network byte order. One [`Header::parse`], one [`Header::emit`].

use core::ops::Range;

use super::{Checksums, DecodeError};
use crate::ids::ConnectionId;

/// Bytes of the header.
pub const HEADER_LEN: usize = 32;
/// Byte 0: a value that RFC 7983 and RFC 9443 leave unused, so that STUN, DTLS, TURN, QUIC, RTP and
/// WireGuard can share the port.
pub const MAGIC: u8 = 0x0d;
/// Byte 1: the version that this crate speaks.
pub const VERSION: u8 = 1;
/// The bytes that header protection masks: everything that is not needed to route a packet.
pub const MASKED: Range<usize> = 2..28;
/// The bytes from which the mask is sampled: the first 16 of payload and trailer.
pub const SAMPLE: Range<usize> = 32..48;

const CHECKSUM: Range<usize> = 14..16;
/// The low bits of the second of a header's [`words`] are the checksum.
pub(crate) const CHECKSUM_BITS: u32 = 16;

const _: () = {
    assert!(MAGIC >= 0x05 && MAGIC <= 0x0f);
    assert!(MASKED.end == HEADER_LEN - size_of::<ConnectionId>());
    assert!(SAMPLE.start == HEADER_LEN);
    assert!(CHECKSUM.start > MASKED.start && CHECKSUM.end < MASKED.end);
};

/// Byte 2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PacketType {
    /// Opens a connection.
    Syn = 1,
    /// Answers a SYN; with [`Flags::RETRY`] it asks for proof of the address instead.
    SynAck = 2,
    /// Carries acknowledgements and control frames only; unsealed, it completes the handshake.
    Ack = 3,
    /// Everything accepted has been delivered; closes.
    Fin = 4,
    /// Confirms a FIN.
    FinAck = 5,
    /// Ends the connection at once.
    Rst = 6,
    /// A whole message, or a piece of a stream.
    Data = 7,
    /// Asks for a PONG with the same token.
    Ping = 8,
    /// Answers a PING.
    Pong = 9,
    /// One fragment of a message.
    Fragment = 10,
    /// The receiver's verdict on a fragmented message: it was refused.
    FragmentAck = 11,
    /// The receiver names fragments of an unreliable message that it misses.
    Nack = 12,
}

impl PacketType {
    /// Every type, in wire order.
    pub const ALL: [Self; 12] = [
        Self::Syn,
        Self::SynAck,
        Self::Ack,
        Self::Fin,
        Self::FinAck,
        Self::Rst,
        Self::Data,
        Self::Ping,
        Self::Pong,
        Self::Fragment,
        Self::FragmentAck,
        Self::Nack,
    ];

    /// Whether the receiver has to acknowledge a packet of this type (RFC 9000 §13.2). An ACK
    /// packet does when one of its frames does.
    #[must_use]
    pub const fn is_ack_eliciting(self) -> bool {
        match self {
            Self::Data
            | Self::Fragment
            | Self::Ping
            | Self::Fin
            | Self::FragmentAck
            | Self::Nack => true,
            Self::Syn | Self::SynAck | Self::Ack | Self::FinAck | Self::Rst | Self::Pong => false,
        }
    }
}

impl TryFrom<u8> for PacketType {
    type Error = DecodeError;

    fn try_from(value: u8) -> Result<Self, DecodeError> {
        Self::ALL
            .get(usize::from(value.wrapping_sub(1)))
            .copied()
            .ok_or(DecodeError::PacketType(value))
    }
}

/// Byte 3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Flags(pub u8);

impl Flags {
    /// Acknowledgment Number is valid.
    pub const ACK: Self = Self(0x01);
    /// Payload and header are protected by the session.
    pub const SEALED: Self = Self(0x02);
    /// The payload ends with an extension block.
    pub const EXTENSION: Self = Self(0x04);
    /// The last bytes of a message or stream are in this packet.
    pub const END: Self = Self(0x08);
    /// On SYN_ACK only: a RETRY.
    pub const RETRY: Self = Self(0x08);
    /// Which keys sealed it.
    pub const KEY_PHASE: Self = Self(0x10);
    /// The data is retransmitted until acknowledged.
    pub const RELIABLE: Self = Self(0x20);
    /// The data has its place in a stream.
    pub const ORDERED: Self = Self(0x40);
    /// The sender asks for delivery ahead of others.
    pub const URGENT: Self = Self(0x80);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `other` when `condition` holds.
    #[must_use]
    pub const fn with_if(self, condition: bool, other: Self) -> Self {
        if condition { self.with(other) } else { self }
    }

    /// Without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Flags that a packet of type `kind` may carry (`docs/wire.md` W-HDR-5).
    const fn allowed_on(kind: PacketType) -> Self {
        let common = Self::ACK
            .with(Self::SEALED)
            .with(Self::EXTENSION)
            .with(Self::KEY_PHASE);
        match kind {
            PacketType::Syn => Self(0),
            PacketType::SynAck => Self::RETRY,
            PacketType::Data => Self(0xff),
            PacketType::Fragment => common
                .with(Self::END)
                .with(Self::RELIABLE)
                .with(Self::URGENT),
            PacketType::Ack
            | PacketType::Fin
            | PacketType::FinAck
            | PacketType::Rst
            | PacketType::Ping
            | PacketType::Pong
            | PacketType::FragmentAck
            | PacketType::Nack => common,
        }
    }
}

/// What a DATA packet's body is, told by its flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataKind {
    /// A piece of a stream; Index ‖ Total is the low half of its byte offset.
    Stream {
        /// The stream ends here.
        fin: bool,
    },
    /// A whole reliable message.
    Message,
    /// A whole unreliable message.
    Datagram,
    /// No body; frames only.
    Empty,
}

/// A parsed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Byte 2.
    pub kind: PacketType,
    /// Byte 3.
    pub flags: Flags,
    /// Low half of the packet number.
    pub sequence: u32,
    /// Low half of the largest packet number received; meaningless without [`Flags::ACK`].
    pub acknowledgment: u32,
    /// Connection credit, see `docs/wire.md` W-FLW-2.
    pub window: u16,
    /// Bytes after the header, trailer included.
    pub payload_len: u32,
    /// Low half of the stream's or message's number.
    pub fragment_id: u32,
    /// Position; the high half of the offset for a stream.
    pub fragment_index: u16,
    /// Number of fragments; the low half of the offset for a stream.
    pub fragment_total: u16,
    /// The receiver's connection ID.
    pub connection_id: ConnectionId,
}

impl Header {
    /// A header of type `kind` with everything else zero.
    #[must_use]
    pub const fn new(kind: PacketType, connection_id: ConnectionId) -> Self {
        Self {
            kind,
            flags: Flags(0),
            sequence: 0,
            acknowledgment: 0,
            window: 0,
            payload_len: 0,
            fragment_id: 0,
            fragment_index: 0,
            fragment_total: 0,
            connection_id,
        }
    }

    /// Parses the clear header at the start of `packet`, which may be longer.
    ///
    /// `salt` starts the checksum: 0 before keys exist, then the session's.
    ///
    /// # Errors
    /// The first broken rule, in the order of the checks below; [`DecodeError::HeaderChecksum`]
    /// comes right after magic and version, so garbage costs one short CRC.
    pub fn parse(packet: &[u8], salt: u32) -> Result<Self, DecodeError> {
        let header = Self::read(packet, salt)?;
        header.check()?;
        Ok(header)
    }

    /// The same without [`Self::check`]: for who opens the packet first, to know who wrote it.
    ///
    /// # Errors
    /// As [`Self::parse`], but neither [`DecodeError::Flags`] nor [`DecodeError::Fragment`].
    pub fn read(packet: &[u8], salt: u32) -> Result<Self, DecodeError> {
        let bytes: &[u8; HEADER_LEN] = packet.first_chunk().ok_or(DecodeError::Truncated)?;
        if bytes[0] != MAGIC {
            return Err(DecodeError::Magic);
        }
        if bytes[1] != VERSION {
            return Err(DecodeError::Version(bytes[1]));
        }
        if checksum(bytes, salt).to_be_bytes() != [bytes[14], bytes[15]] {
            return Err(DecodeError::HeaderChecksum);
        }
        Ok(Self {
            kind: PacketType::try_from(bytes[2])?,
            flags: Flags(bytes[3]),
            sequence: u32::from_be_bytes(field(bytes, 4)),
            acknowledgment: u32::from_be_bytes(field(bytes, 8)),
            window: u16::from_be_bytes(field(bytes, 12)),
            payload_len: u32::from_be_bytes(field(bytes, 16)),
            fragment_id: u32::from_be_bytes(field(bytes, 20)),
            fragment_index: u16::from_be_bytes(field(bytes, 24)),
            fragment_total: u16::from_be_bytes(field(bytes, 26)),
            connection_id: ConnectionId(u32::from_be_bytes(field(bytes, 28))),
        })
    }

    /// The checksums of headers behind this one.
    #[must_use]
    pub fn checksums(&self, salt: u32) -> Checksums {
        let mut bytes = [0; HEADER_LEN];
        self.emit(&mut bytes, salt);
        Checksums::after(&bytes)
    }

    /// Writes the header with its checksum.
    pub fn emit(&self, out: &mut [u8; HEADER_LEN], salt: u32) {
        self.emit_fields(out);
        set_checksum(out, salt);
    }

    /// The same behind other headers, whose checksums are known to `sums`.
    pub fn emit_after(&self, out: &mut [u8; HEADER_LEN], sums: &mut Checksums) {
        self.emit_fields(out);
        let [high, low] = sums.next(out).to_be_bytes();
        out[14] = high;
        out[15] = low;
    }

    /// Writes everything but the checksum.
    fn emit_fields(&self, out: &mut [u8; HEADER_LEN]) {
        let [s0, s1, s2, s3] = self.sequence.to_be_bytes();
        let [a0, a1, a2, a3] = self.acknowledgment.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [l0, l1, l2, l3] = self.payload_len.to_be_bytes();
        let [f0, f1, f2, f3] = self.fragment_id.to_be_bytes();
        let [i0, i1] = self.fragment_index.to_be_bytes();
        let [t0, t1] = self.fragment_total.to_be_bytes();
        let [c0, c1, c2, c3] = self.connection_id.0.to_be_bytes();
        *out = [
            MAGIC,
            VERSION,
            self.kind as u8,
            self.flags.0,
            s0,
            s1,
            s2,
            s3,
            a0,
            a1,
            a2,
            a3,
            w0,
            w1,
            0,
            0,
            l0,
            l1,
            l2,
            l3,
            f0,
            f1,
            f2,
            f3,
            i0,
            i1,
            t0,
            t1,
            c0,
            c1,
            c2,
            c3,
        ];
    }

    /// What the body of a DATA packet is.
    ///
    /// # Errors
    /// [`DecodeError::Flags`] for a combination without meaning.
    pub const fn data_kind(&self) -> Result<DataKind, DecodeError> {
        let end = self.flags.contains(Flags::END);
        match (
            self.flags.contains(Flags::RELIABLE),
            self.flags.contains(Flags::ORDERED),
            end,
        ) {
            (true, true, fin) => Ok(DataKind::Stream { fin }),
            (true, false, true) => Ok(DataKind::Message),
            (false, false, true) => Ok(DataKind::Datagram),
            (false, false, false) => Ok(DataKind::Empty),
            _ => Err(DecodeError::Flags),
        }
    }

    /// The low half of the byte offset that a stream packet carries in Index ‖ Total.
    #[must_use]
    pub const fn stream_offset(&self) -> u32 {
        (self.fragment_index as u32) << 16 | self.fragment_total as u32
    }

    /// Sets Index ‖ Total to the low half of a byte offset.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is split in two"
    )]
    pub const fn set_stream_offset(&mut self, offset: u64) {
        self.fragment_index = (offset >> 16) as u16;
        self.fragment_total = offset as u16;
    }

    /// Whether flags and position mean something on this type of packet (`docs/wire.md` W-HDR-5,
    /// W-HDR-9).
    ///
    /// # Errors
    /// [`DecodeError::Flags`] or [`DecodeError::Fragment`].
    pub const fn check(&self) -> Result<(), DecodeError> {
        if !Flags::allowed_on(self.kind).contains(self.flags) {
            return Err(DecodeError::Flags);
        }
        let position = (self.fragment_index, self.fragment_total);
        let positioned = match self.kind {
            PacketType::Data => match self.data_kind() {
                Err(error) => return Err(error),
                Ok(DataKind::Stream { .. }) => true,
                Ok(DataKind::Message | DataKind::Datagram) => matches!(position, (0, 1)),
                Ok(DataKind::Empty) => matches!(position, (0, 0)) && self.fragment_id == 0,
            },
            PacketType::Fragment => {
                let last = self.fragment_index as u32 + 1 == self.fragment_total as u32;
                self.fragment_total >= 2
                    && self.fragment_index < self.fragment_total
                    && self.flags.contains(Flags::END) == last
            }
            PacketType::FragmentAck | PacketType::Nack => self.fragment_total >= 2,
            PacketType::Syn
            | PacketType::SynAck
            | PacketType::Ack
            | PacketType::Fin
            | PacketType::FinAck
            | PacketType::Rst
            | PacketType::Ping
            | PacketType::Pong => matches!(position, (0, 0)) && self.fragment_id == 0,
        };
        if positioned {
            Ok(())
        } else {
            Err(DecodeError::Fragment)
        }
    }
}

/// The `N` bytes from `at` on, which the caller knows to be within.
const fn field<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    let mut index = 0;
    while index < N {
        out[index] = bytes[at + index];
        index += 1;
    }
    out
}

/// Reads the connection ID of a packet whose header may still be masked, after checking magic and
/// version: all that routing needs.
///
/// # Errors
/// [`DecodeError::Truncated`], [`DecodeError::Magic`] or [`DecodeError::Version`].
pub fn route(packet: &[u8]) -> Result<ConnectionId, DecodeError> {
    let bytes: &[u8; HEADER_LEN] = packet.first_chunk().ok_or(DecodeError::Truncated)?;
    if bytes[0] != MAGIC {
        return Err(DecodeError::Magic);
    }
    if bytes[1] != VERSION {
        return Err(DecodeError::Version(bytes[1]));
    }
    Ok(ConnectionId(u32::from_be_bytes([
        bytes[28], bytes[29], bytes[30], bytes[31],
    ])))
}

/// Whether two packets have the same magic, version and connection ID: what [`route`] says of the one, it says of
/// the other. Without a whole header they have not.
pub(crate) fn same_route(one: &[u8], other: &[u8]) -> bool {
    match (
        one.first_chunk::<HEADER_LEN>(),
        other.first_chunk::<HEADER_LEN>(),
    ) {
        (Some(one), Some(other)) => one[..2] == other[..2] && one[28..] == other[28..],
        _ => false,
    }
}

/// A header in words of eight bytes: type, flags and number; acknowledgement, window and checksum; length and
/// stream or message; offset or position, and connection ID.
pub(crate) fn words(header: &[u8; HEADER_LEN]) -> [u64; 4] {
    let mut words = [0; 4];
    let (bytes, _) = header.as_chunks();
    for (word, bytes) in words.iter_mut().zip(bytes) {
        *word = u64::from_be_bytes(*bytes);
    }
    words
}

/// Whether a header has the checksum that it should have behind others, whose checksums `sums` knows.
pub(crate) fn is_sound(header: &[u8; HEADER_LEN], sums: &mut Checksums) -> bool {
    sums.next(header).to_be_bytes() == [header[14], header[15]]
}

/// Writes the checksum that `bytes` should have.
pub(crate) fn set_checksum(bytes: &mut [u8; HEADER_LEN], salt: u32) {
    let [high, low] = checksum(bytes, salt).to_be_bytes();
    bytes[14] = high;
    bytes[15] = low;
}

fn checksum(bytes: &[u8; HEADER_LEN], salt: u32) -> u16 {
    let mut clear = *bytes;
    clear[14] = 0;
    clear[15] = 0;
    super::checksum::checksum(clear, salt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(header: &Header, salt: u32) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        header.emit(&mut out, salt);
        out
    }

    proptest! {
        #[test]
        fn whatever_parses_is_emitted_to_the_same_bytes(mut bytes: [u8; HEADER_LEN], salt: u32) {
            bytes[0] = MAGIC;
            bytes[1] = VERSION;
            bytes[2] = bytes[2] % 12 + 1;
            set_checksum(&mut bytes, salt);
            if let Ok(header) = Header::parse(&bytes, salt) {
                prop_assert_eq!(emitted(&header, salt), bytes);
            }
        }

        #[test]
        fn what_is_emitted_behind_another_header_is_what_is_emitted_alone(
            mut one: [u8; HEADER_LEN],
            mut other: [u8; HEADER_LEN],
            salt: u32,
        ) {
            for bytes in [&mut one, &mut other] {
                (bytes[0], bytes[1], bytes[2]) = (MAGIC, VERSION, bytes[2] % 12 + 1);
                set_checksum(bytes, salt);
            }
            let mut out = [0; HEADER_LEN];
            let header = Header::read(&other, salt).unwrap();
            header.emit_after(&mut out, &mut Checksums::after(&one));
            prop_assert_eq!(out, other);
        }

        #[test]
        fn any_single_bit_flip_is_noticed(bit in 0..256usize, sequence: u32, salt: u32) {
            let mut header = Header::new(PacketType::Ping, ConnectionId(7));
            header.sequence = sequence;
            let mut bytes = emitted(&header, salt);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Header::parse(&bytes, salt).is_err());
        }
    }

    #[test]
    fn rejection_names_the_broken_rule() {
        let good = emitted(&Header::new(PacketType::Ping, ConnectionId(1)), 0);
        assert!(Header::parse(&good, 0).is_ok());
        assert_eq!(Header::parse(&good, 1), Err(DecodeError::HeaderChecksum));
        assert_eq!(Header::parse(&good[..31], 0), Err(DecodeError::Truncated));
        let broken = |change: fn(&mut Header)| {
            let mut header = Header::new(PacketType::Data, ConnectionId(1));
            header.flags = Flags::RELIABLE.with(Flags::END);
            header.fragment_total = 1;
            change(&mut header);
            Header::parse(&emitted(&header, 0), 0)
        };
        assert!(broken(|_| {}).is_ok());
        assert_eq!(broken(|h| h.fragment_total = 2), Err(DecodeError::Fragment));
        assert_eq!(
            broken(|h| h.flags = Flags::RELIABLE),
            Err(DecodeError::Flags)
        );
        assert_eq!(
            broken(|h| h.kind = PacketType::Fragment),
            Err(DecodeError::Fragment)
        );
        assert_eq!(
            broken(|h| h.kind = PacketType::Syn),
            Err(DecodeError::Flags)
        );
        let mut bytes = good;
        bytes[1] = 9;
        assert_eq!(Header::parse(&bytes, 0), Err(DecodeError::Version(9)));
        bytes[0] = 0x40;
        assert_eq!(Header::parse(&bytes, 0), Err(DecodeError::Magic));
    }

    #[test]
    fn every_type_round_trips_and_others_are_unknown() {
        for value in 0..=255 {
            match PacketType::try_from(value) {
                Ok(kind) => assert_eq!(kind as u8, value),
                Err(error) => {
                    assert!(value == 0 || value > 12);
                    assert_eq!(error, DecodeError::PacketType(value));
                }
            }
        }
    }
}
