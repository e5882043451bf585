//! Captures that Wireshark reads: pcap Next Generation (draft-ietf-opsawg-pcapng), written only.
//!
//! Datagrams get IP and UDP headers made from their addresses (link type RAW: a packet begins with
//! the IP header), so that a capture needs no right to listen on an interface, and a simulation has
//! one as well. Times are nanoseconds. What is made up: TTL 64, identification 0, no fragments.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::vec::Vec;

use crate::io::EcnMark;
use crate::protect::Flow;

/// Block types (draft §4).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// Reads as this number in the byte order of the writer: little-endian here.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// LINKTYPE_RAW: IPv4 or IPv6, told by the first half byte.
const LINK_TYPE_RAW: u16 = 101;

/// Options (draft §3.5, §4.1, §4.2, §4.3).
const END_OF_OPTIONS: u16 = 0;
const USER_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const TIME_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;

/// A datagram as a capture needs it.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Nanoseconds since 1970 UTC, or since the beginning of a simulation.
    pub at_nanos: u64,
    /// Seen at the interface: coming in or going out.
    pub flow: Flow,
    /// Source.
    pub from: SocketAddr,
    /// Destination; of the same family as the source, IPv4-mapped counting as IPv4.
    pub to: SocketAddr,
    /// Congestion mark.
    pub ecn: Option<EcnMark>,
    /// UDP payload, at most 65,507 bytes are kept.
    pub payload: &'a [u8],
}

/// An interface of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface(u32);

/// Writes a capture. Each block is handed to `W` in one call of `write_all`.
#[derive(Debug)]
pub struct PcapNg<W> {
    out: W,
    interfaces: u32,
    block: Vec<u8>,
}

impl<W: Write> PcapNg<W> {
    /// Begins a capture.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut capture = Self {
            out,
            interfaces: 0,
            block: Vec::new(),
        };
        capture.write_block(SECTION_HEADER, |block| {
            block.extend(BYTE_ORDER.to_le_bytes());
            block.extend(1u16.to_le_bytes());
            block.extend(0u16.to_le_bytes());
            // The section's length is not known.
            block.extend(u64::MAX.to_le_bytes());
            let name = concat!("dunlin ", env!("CARGO_PKG_VERSION"));
            option(block, USER_APPLICATION, name.as_bytes());
            option(block, END_OF_OPTIONS, &[]);
        })?;
        Ok(capture)
    }

    /// Adds an interface.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn add_interface(&mut self, name: &str) -> io::Result<Interface> {
        self.write_block(INTERFACE_DESCRIPTION, |block| {
            block.extend(LINK_TYPE_RAW.to_le_bytes());
            block.extend(0u16.to_le_bytes());
            // No limit on the bytes that are kept of a packet.
            block.extend(0u32.to_le_bytes());
            option(block, INTERFACE_NAME, name.as_bytes());
            option(block, TIME_RESOLUTION, &[9]);
            option(block, END_OF_OPTIONS, &[]);
        })?;
        self.interfaces += 1;
        Ok(Interface(self.interfaces - 1))
    }

    /// Adds a datagram that was seen at `interface`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, interface: Interface, datagram: &Captured<'_>) -> io::Result<()> {
        self.write_block(ENHANCED_PACKET, |block| {
            let [high, low] = [datagram.at_nanos >> 32, datagram.at_nanos & 0xffff_ffff];
            block.extend(interface.0.to_le_bytes());
            for half in [high, low] {
                block.extend(u32::try_from(half).unwrap_or(u32::MAX).to_le_bytes());
            }
            let lengths = block.len();
            block.extend([0; 8]);
            let start = block.len();
            packet(block, datagram);
            let length = u32::try_from(block.len() - start).unwrap_or(u32::MAX);
            for at in [lengths, lengths + 4] {
                block[at..at + 4].copy_from_slice(&length.to_le_bytes());
            }
            pad(block);
            let flags: u32 = match datagram.flow {
                Flow::Incoming => 1,
                Flow::Outgoing => 2,
            };
            option(block, PACKET_FLAGS, &flags.to_le_bytes());
            option(block, END_OF_OPTIONS, &[]);
        })
    }

    /// Hands on what the writer holds back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// `type ‖ length ‖ body ‖ length`.
    fn write_block(&mut self, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let block = &mut self.block;
        block.clear();
        block.extend(kind.to_le_bytes());
        block.extend([0; 4]);
        fill(block);
        let length = u32::try_from(block.len() + 4).unwrap_or(u32::MAX);
        block[4..8].copy_from_slice(&length.to_le_bytes());
        block.extend(length.to_le_bytes());
        self.out.write_all(block)
    }
}

/// `code ‖ length ‖ value`, padded.
fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    block.extend(code.to_le_bytes());
    block.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    block.extend(value);
    pad(block);
}

/// Zeros up to a multiple of four.
fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

/// The datagram with its IP and UDP headers.
fn packet(out: &mut Vec<u8>, datagram: &Captured<'_>) {
    let payload = datagram.payload;
    let payload = payload.get(..payload.len().min(crate::limits::UDP_PAYLOAD_MAX));
    let payload = payload.unwrap_or_default();
    let udp_len = u16::try_from(UDP_HEADER + payload.len()).unwrap_or(u16::MAX);
    let mark = match datagram.ecn {
        None => 0,
        Some(EcnMark::Ect1) => 1,
        Some(EcnMark::Ect0) => 2,
        Some(EcnMark::Ce) => 3,
    };
    let mut sum = Sum::default();
    match family(datagram.from.ip(), datagram.to.ip()) {
        Family::V4(from, to) => {
            ipv4_header(out, mark, (from, to), udp_len);
            sum.add(&from.octets());
            sum.add(&to.octets());
        }
        Family::V6(from, to) => {
            ipv6_header(out, mark, (from, to), udp_len);
            sum.add(&from.octets());
            sum.add(&to.octets());
        }
    }
    // The pseudo-header (RFC 768; RFC 8200 §8.1): the zeros add nothing.
    sum.add(&[0, UDP]);
    sum.add(&udp_len.to_be_bytes());
    let start = out.len();
    out.extend(datagram.from.port().to_be_bytes());
    out.extend(datagram.to.port().to_be_bytes());
    out.extend(udp_len.to_be_bytes());
    out.extend([0; 2]);
    out.extend(payload);
    sum.add(&out[start..]);
    // Zero means that there is no checksum; its complement says the same.
    let checksum = match sum.finish() {
        0 => u16::MAX,
        other => other,
    };
    out[start + 6..start + 8].copy_from_slice(&checksum.to_be_bytes());
}

fn ipv4_header(out: &mut Vec<u8>, mark: u8, (from, to): (Ipv4Addr, Ipv4Addr), udp_len: u16) {
    let start = out.len();
    let total = u16::try_from(IPV4_HEADER).unwrap_or(0) + udp_len.min(u16::MAX - 20);
    out.extend([0x45, mark]);
    out.extend(total.to_be_bytes());
    // Identification 0, don't fragment (RFC 6864 allows that).
    out.extend([0, 0, 0x40, 0, TTL, UDP, 0, 0]);
    out.extend(from.octets());
    out.extend(to.octets());
    let mut sum = Sum::default();
    sum.add(&out[start..]);
    out[start + 10..start + 12].copy_from_slice(&sum.finish().to_be_bytes());
}

fn ipv6_header(out: &mut Vec<u8>, mark: u8, (from, to): (Ipv6Addr, Ipv6Addr), udp_len: u16) {
    let start = out.len();
    out.extend([0x60, mark << 4, 0, 0]);
    out.extend(udp_len.to_be_bytes());
    out.extend([UDP, TTL]);
    out.extend(from.octets());
    out.extend(to.octets());
    debug_assert_eq!(out.len() - start, IPV6_HEADER, "the header has one length");
}

enum Family {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// Both addresses in one family: IPv4 when one of them is (an unspecified IPv6 address is then the
/// unspecified one of IPv4).
fn family(from: IpAddr, to: IpAddr) -> Family {
    match (from.to_canonical(), to.to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Family::V4(from, to),
        (IpAddr::V4(from), IpAddr::V6(to)) if to.is_unspecified() => {
            Family::V4(from, Ipv4Addr::UNSPECIFIED)
        }
        (IpAddr::V6(from), IpAddr::V4(to)) if from.is_unspecified() => {
            Family::V4(Ipv4Addr::UNSPECIFIED, to)
        }
        (from, to) => Family::V6(as_v6(from), as_v6(to)),
    }
}

const fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The Internet checksum (RFC 1071). Pieces before the last have an even length.
#[derive(Default)]
struct Sum(u32);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            let high = pair.first().copied().unwrap_or(0);
            self.0 += u32::from(u16::from_be_bytes([high, low]));
            self.0 = (self.0 & 0xffff) + (self.0 >> 16);
        }
    }

    fn finish(&self) -> u16 {
        !u16::try_from(self.0).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        packet(
            &mut out,
            &Captured {
                at_nanos: 0,
                flow: Flow::Outgoing,
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                ecn: Some(EcnMark::Ce),
                payload,
            },
        );
        out
    }

    /// The sum over data with its own checksum is all ones.
    fn is_whole(pieces: &[&[u8]]) -> bool {
        let mut sum = Sum::default();
        for piece in pieces {
            sum.add(piece);
        }
        sum.finish() == 0
    }

    #[test]
    fn an_ipv4_datagram_has_both_checksums_right() {
        for payload in [&b"odd"[..], b"even", b""] {
            let bytes = captured("192.0.2.1:4000", "198.51.100.2:4600", payload);
            let (ip, udp) = bytes.split_at(IPV4_HEADER);
            assert_eq!(ip[..4], [0x45, 3, 0, 28 + payload.len() as u8]);
            assert!(is_whole(&[ip]));
            let length = (udp.len() as u16).to_be_bytes();
            assert!(is_whole(&[&ip[12..20], &[0, UDP], &length, udp]));
            assert_eq!(udp[UDP_HEADER..], *payload);
        }
    }

    #[test]
    fn an_ipv6_datagram_has_its_checksum_right() {
        let bytes = captured("[2001:db8::1]:4000", "[2001:db8::2]:4600", b"hello");
        let (ip, udp) = bytes.split_at(IPV6_HEADER);
        assert_eq!(ip[..8], [0x60, 0x30, 0, 0, 0, 13, UDP, TTL]);
        assert!(is_whole(&[&ip[8..40], &[0, UDP, 0, 13], udp]));
    }

    #[test]
    fn addresses_of_a_socket_for_both_families_are_told_as_ipv4() {
        let bytes = captured("[::]:4600", "[::ffff:192.0.2.1]:9", b"x");
        assert_eq!(bytes[0], 0x45);
        assert_eq!(bytes[12..20], [0, 0, 0, 0, 192, 0, 2, 1]);
    }

    #[test]
    fn blocks_are_framed_and_aligned() {
        let mut capture = PcapNg::new(Vec::new()).unwrap();
        let interface = capture.add_interface("node 0").unwrap();
        let datagram = Captured {
            at_nanos: (7 << 32) | 5,
            flow: Flow::Incoming,
            from: "192.0.2.1:1".parse().unwrap(),
            to: "192.0.2.2:2".parse().unwrap(),
            ecn: None,
            payload: b"abc",
        };
        capture.write(interface, &datagram).unwrap();
        let bytes = capture.into_inner();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut at = 0;
        let mut kinds = Vec::new();
        while at < bytes.len() {
            let length = word(at + 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(at + length - 4) as usize, length, "told at both ends");
            kinds.push((at, word(at)));
            at += length;
        }
        let found: Vec<_> = kinds.iter().map(|(_, kind)| *kind).collect();
        let expected = [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET];
        assert_eq!(found, expected);
        let (packet, _) = kinds[2];
        let fields: Vec<_> = (2..7).map(|index| word(packet + 4 * index)).collect();
        assert_eq!(fields, [0, 7, 5, 31, 31]);
    }
}
