//! Bytes ↔ types: the 32-byte header, the extension block and its frames (`docs/wire.md`).
//!
//! Everything here is total: any bytes give a value or a [`DecodeError`] that names the broken
//! rule, and nothing allocates more than its input.

pub mod ack;
mod checksum;
mod cursor;
pub mod extension;
pub mod frame;
pub mod header;
pub mod params;
pub mod reset;
pub mod varint;
pub mod version;

pub use checksum::Checksums;
pub use cursor::Cursor;
pub use header::{Flags, HEADER_LEN, Header, MAGIC, PacketType, VERSION};

/// Why bytes are not a packet of this protocol. Names the broken rule of `docs/wire.md`; nothing
/// has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("W-HDR-1: input ends inside a field")]
    Truncated,
    /// Byte 0 is not the magic value.
    #[error("W-HDR-2: wrong magic byte")]
    Magic,
    /// Byte 1 names another version.
    #[error("W-HDR-3: unknown version {0}")]
    Version(u8),
    /// Byte 2 is not a packet type.
    #[error("W-HDR-4: unknown packet type {0}")]
    PacketType(u8),
    /// A flag that this packet type cannot carry, or a combination that means nothing.
    #[error("W-HDR-5: flags not allowed on this packet type")]
    Flags,
    /// The 16-bit header checksum does not match.
    #[error("W-HDR-7: header checksum mismatch")]
    HeaderChecksum,
    /// Payload Length runs past the datagram.
    #[error("W-HDR-8: payload length exceeds the datagram")]
    PayloadLength,
    /// Fragment Index and Total contradict each other or the packet type.
    #[error("W-HDR-9: impossible fragment position")]
    Fragment,
    /// The extension block's length runs past the payload.
    #[error("W-EXT-1: extension block exceeds the payload")]
    ExtensionLength,
    /// A frame is malformed.
    #[error("W-EXT-2: malformed frame")]
    Frame,
    /// A frame of an unknown type that must be understood.
    #[error("W-EXT-3: unknown critical frame 0x{0:02x}")]
    UnknownFrame(u8),
    /// Bytes are left over behind a complete value.
    #[error("W-EXT-4: trailing bytes")]
    TrailingBytes,
    /// Acknowledgement ranges go below zero or are empty.
    #[error("W-ACK-2: impossible acknowledgement ranges")]
    AckRanges,
    /// A transport parameter is malformed, repeated or out of range.
    #[error("W-PAR-2: impossible transport parameter")]
    Parameter,
    /// The body of a control packet has the wrong shape.
    #[error("W-TYP-1: wrong body for this packet type")]
    Body,
}
