//! Every header of a small domain: all types × all flags × fragment fields at their edges, against
//! the tables of `docs/wire.md` written out a second time; and packet numbers over all distances.

use dunlin_transport::ids::reconstruct;
use dunlin_transport::wire::header::DataKind;
use dunlin_transport::wire::{DecodeError, Flags, HEADER_LEN, Header, MAGIC, PacketType, VERSION};

const ACK: u8 = 0x01;
const SEALED: u8 = 0x02;
const EXTENSION: u8 = 0x04;
const END: u8 = 0x08;
const KEY_PHASE: u8 = 0x10;
const RELIABLE: u8 = 0x20;
const ORDERED: u8 = 0x40;
const URGENT: u8 = 0x80;
/// What every packet of an established connection may carry.
const COMMON: u8 = ACK | SEALED | EXTENSION | KEY_PHASE;

/// Fragment ID, Index and Total that are tried on every type with every flag.
const FIELDS: [(u32, u16, u16); 10] = [
    (0, 0, 0),
    (0, 0, 1),
    (0, 1, 0),
    (1, 0, 0),
    (7, 0, 1),
    (7, 0, 2),
    (7, 1, 2),
    (7, 2, 2),
    (7, 65_534, 65_535),
    (7, 65_535, 65_535),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Accepted,
    UnknownType,
    Flags,
    Fragment,
}

fn verdict_when(condition: bool) -> Verdict {
    if condition {
        Verdict::Accepted
    } else {
        Verdict::Fragment
    }
}

/// The tables "Flags", "DATA" and "Packet types", rule W-HDR-4, then W-HDR-5, then W-HDR-9.
fn by_the_tables(kind: u8, flags: u8, (id, index, total): (u32, u16, u16)) -> Verdict {
    let allowed = match kind {
        1 => 0,
        2 => END,
        3..=6 | 8 | 9 | 11 | 12 => COMMON,
        7 => 0xff,
        10 => COMMON | END | RELIABLE | URGENT,
        _ => return Verdict::UnknownType,
    };
    if flags & !allowed != 0 {
        return Verdict::Flags;
    }
    let nothing = (id, index, total) == (0, 0, 0);
    match kind {
        7 => match (
            flags & RELIABLE != 0,
            flags & ORDERED != 0,
            flags & END != 0,
        ) {
            (true, true, _) => Verdict::Accepted,
            (true, false, true) | (false, false, true) => verdict_when((index, total) == (0, 1)),
            (false, false, false) => verdict_when(nothing),
            (true, false, false) | (false, true, _) => Verdict::Flags,
        },
        10 => {
            let last = u32::from(index) + 1 == u32::from(total);
            verdict_when(total >= 2 && index < total && (flags & END != 0) == last)
        }
        11 | 12 => verdict_when(total >= 2),
        _ => verdict_when(nothing),
    }
}

/// A header with these bytes and a right checksum.
fn header(kind: u8, flags: u8, (id, index, total): (u32, u16, u16)) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[0] = MAGIC;
    bytes[1] = VERSION;
    bytes[2] = kind;
    bytes[3] = flags;
    bytes[16..20].copy_from_slice(&4u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&id.to_be_bytes());
    bytes[24..26].copy_from_slice(&index.to_be_bytes());
    bytes[26..28].copy_from_slice(&total.to_be_bytes());
    bytes[31] = 9;
    let [.., high, low] = crc32fast::hash(&bytes).to_be_bytes();
    bytes[14] = high;
    bytes[15] = low;
    bytes
}

#[test]
fn every_type_with_every_flag_is_judged_by_the_tables() {
    let mut accepted = 0u32;
    for kind in 0..=u8::MAX {
        for flags in 0..=u8::MAX {
            for fields in FIELDS {
                let bytes = header(kind, flags, fields);
                let parsed = Header::parse(&bytes, 0);
                let verdict = match parsed {
                    Ok(_) => Verdict::Accepted,
                    Err(DecodeError::PacketType(seen)) if seen == kind => Verdict::UnknownType,
                    Err(DecodeError::Flags) => Verdict::Flags,
                    Err(DecodeError::Fragment) => Verdict::Fragment,
                    Err(other) => panic!("{kind} {flags:#x} {fields:?}: {other}"),
                };
                let expected = by_the_tables(kind, flags, fields);
                assert_eq!(verdict, expected, "type {kind} flags {flags:#x} {fields:?}");
                if let Ok(parsed) = parsed {
                    accepted += 1;
                    let mut again = [0; HEADER_LEN];
                    parsed.emit(&mut again, 0);
                    assert_eq!(again, bytes);
                }
            }
        }
    }
    // A change of the tables is seen even if both copies change alike.
    assert_eq!(accepted, 1_251);
}

#[test]
fn every_flag_pattern_of_data_has_one_meaning() {
    for flags in 0..=u8::MAX {
        let mut header = Header::new(PacketType::Data, dunlin_transport::ConnectionId(9));
        header.flags = Flags(flags);
        let (reliable, ordered, end) = (
            flags & RELIABLE != 0,
            flags & ORDERED != 0,
            flags & END != 0,
        );
        let expected = if reliable && ordered {
            Some(DataKind::Stream { fin: end })
        } else if ordered {
            None
        } else if reliable {
            end.then_some(DataKind::Message)
        } else if end {
            Some(DataKind::Datagram)
        } else {
            Some(DataKind::Empty)
        };
        assert_eq!(header.data_kind().ok(), expected, "{flags:#x}");
    }
}

#[test]
fn every_single_bit_of_every_header_is_covered_by_the_checksum() {
    for kind in PacketType::ALL {
        let total = match kind {
            PacketType::Fragment | PacketType::FragmentAck | PacketType::Nack => (7, 0, 2),
            _ => (0, 0, 0),
        };
        let bytes = header(kind as u8, 0, total);
        assert!(Header::parse(&bytes, 0).is_ok(), "{kind:?}");
        for bit in 0..HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&flipped, 0).is_err(), "{kind:?} bit {bit}");
        }
        for length in 0..HEADER_LEN {
            assert_eq!(
                Header::parse(&bytes[..length], 0),
                Err(DecodeError::Truncated)
            );
        }
    }
}

/// The number with this low half that is nearest to `expected`, by looking at all; the lower one of
/// two that are equally near unless it would be negative.
fn nearest(low: u32, expected: u64) -> Vec<u64> {
    let window = 1u128 << 32;
    let middle = u128::from(expected) / window;
    let candidates = (middle.saturating_sub(2)..=middle + 2)
        .map(|high| high * window + u128::from(low))
        .filter_map(|candidate| u64::try_from(candidate).ok());
    let distance = |candidate: &u64| candidate.abs_diff(expected);
    let least = candidates.clone().map(|c| distance(&c)).min();
    candidates
        .filter(|candidate| Some(distance(candidate)) == least)
        .collect()
}

/// The window scaled down to eight bits: numbers are multiples of 2^24, so that the 32-bit window
/// holds 256 of them, and all of those are tried against all expectations in four windows, at the
/// bottom and at the top of the range.
#[test]
fn reconstruction_finds_the_nearest_number_for_every_value_of_a_scaled_window() {
    let scale = 1u64 << 24;
    for low in 0..256u32 {
        for expected in 0..1_024u64 {
            for base in [0, (1 << 32) * 5, u64::MAX - 1_024 * scale + 1] {
                let (low, expected) = (low << 24, base + expected * scale);
                let found = reconstruct(low, expected);
                assert!(
                    nearest(low, expected).contains(&found),
                    "{low:#x} near {expected:#x} is not {found:#x}"
                );
            }
        }
    }
}

/// The real window at its edges: every pair of offsets of up to four around 0, half a window and a
/// window.
#[test]
fn reconstruction_finds_the_nearest_number_at_the_edges_of_the_window() {
    let edges = || {
        [
            0u64,
            1 << 31,
            1 << 32,
            (1 << 32) + (1 << 31),
            1 << 33,
            1 << 62,
        ]
        .into_iter()
        .flat_map(|edge| (edge.saturating_sub(4)..=edge + 4).collect::<Vec<_>>())
    };
    for truth in edges() {
        for expected in edges() {
            let low = u32::try_from(truth & 0xffff_ffff).expect("32 bits");
            let found = reconstruct(low, expected);
            assert!(
                nearest(low, expected).contains(&found),
                "{truth:#x} {expected:#x}"
            );
            if truth.abs_diff(expected) < 1 << 31 {
                assert_eq!(found, truth, "near {expected:#x}");
            }
        }
    }
}
