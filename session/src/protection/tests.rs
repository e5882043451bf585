//! Packets against tampering, and key updates against loss and reordering.

use std::collections::BTreeSet;

use super::*;
use crate::fuzzing::SeededRandom;
use crate::testing::providers;
use dunlin_transport::protect::Random;
use proptest::prelude::*;
use zeroize::Zeroizing;

const PROBE_TIMEOUT: Duration = Duration::from_millis(100);

fn ends(
    provider: &Arc<dyn CryptoProvider>,
    suite: CipherSuite,
    limits: KeyLimits,
) -> (SealedProtection, SealedProtection) {
    let secret = |byte| Zeroizing::new([byte; 32]);
    (
        SealedProtection::new(provider, suite, secret(1), secret(2), limits),
        SealedProtection::new(provider, suite, secret(2), secret(1), limits),
    )
}

fn limits(update: u64) -> KeyLimits {
    KeyLimits {
        update,
        confidentiality: 1 << 20,
        integrity: 1 << 20,
        interval: Duration::from_secs(3_600),
    }
}

/// Every cipher on every provider, with ends of the same provider.
fn all_ends(limits: KeyLimits) -> Vec<(SealedProtection, SealedProtection)> {
    let mut all = Vec::new();
    for provider in providers() {
        for suite in CipherSuite::ALL {
            all.push(ends(&provider, suite, limits));
        }
    }
    all
}

/// A clear packet: a header that begins with `number`, and room for the tag.
fn clear(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut header = [0x55; HEADER_LEN];
    header[4..12].copy_from_slice(&number.to_be_bytes());
    [&header[..], payload, &[0; TAG_LEN]].concat()
}

/// A packet on the wire, with what the receiver would read from its header.
#[derive(Clone)]
struct Wire {
    number: PacketNumber,
    key_phase: bool,
    bytes: Vec<u8>,
}

fn seal(end: &mut SealedProtection, number: u64, payload: &[u8]) -> Wire {
    let key_phase = end.key_phase();
    let mut bytes = clear(number, payload);
    end.seal(PacketNumber(number), &mut bytes);
    Wire {
        number: PacketNumber(number),
        key_phase,
        bytes,
    }
}

fn open(end: &mut SealedProtection, wire: &Wire) -> Result<Vec<u8>, OpenError> {
    let mut bytes = wire.bytes.clone();
    assert!(end.unmask(&mut bytes));
    let length = end.open(wire.number, wire.key_phase, &mut bytes)?;
    Ok(bytes[HEADER_LEN..HEADER_LEN + length].to_vec())
}

#[test]
fn packets_round_trip_across_providers() {
    let all = providers();
    for suite in CipherSuite::ALL {
        for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (mut sender, _) = ends(&all[from], suite, limits(1 << 18));
            let (_, mut receiver) = ends(&all[to], suite, limits(1 << 18));
            for (number, length) in [(0, 0), (1, 1), (u64::from(u32::MAX), 16), (1 << 61, 1_200)] {
                let payload = vec![7; length];
                let wire = seal(&mut sender, number, &payload);
                assert_eq!(open(&mut receiver, &wire), Ok(payload));
            }
        }
    }
}

#[test]
fn providers_produce_identical_packets() {
    let all = providers();
    for suite in CipherSuite::ALL {
        let [a, b] = [&all[0], &all[1]].map(|provider| {
            let (mut sender, _) = ends(provider, suite, limits(4));
            sender.on_acknowledged(PacketNumber(0));
            let salts = [Flow::Outgoing, Flow::Incoming].map(|flow| sender.checksum_salt(flow));
            let packets: Vec<_> = (0..16)
                .map(|n| seal(&mut sender, n, b"same").bytes)
                .collect();
            (salts, packets)
        });
        assert_eq!(a, b);
    }
}

#[test]
fn the_two_directions_agree_on_their_salts() {
    for (a, b) in all_ends(limits(10)) {
        assert_eq!(
            a.checksum_salt(Flow::Outgoing),
            b.checksum_salt(Flow::Incoming)
        );
        assert_eq!(
            b.checksum_salt(Flow::Outgoing),
            a.checksum_salt(Flow::Incoming)
        );
        assert_ne!(
            a.checksum_salt(Flow::Outgoing),
            a.checksum_salt(Flow::Incoming)
        );
    }
}

#[test]
fn the_mask_hides_bytes_2_to_27_and_nothing_else() {
    for (mut sender, receiver) in all_ends(limits(1 << 18)) {
        let mut seen = [0u8; HEADER_LEN];
        for number in 0..64 {
            let packet = clear(number, b"payload");
            let wire = seal(&mut sender, number, b"payload");
            for (seen, (a, b)) in seen.iter_mut().zip(packet.iter().zip(&wire.bytes)) {
                *seen |= a ^ b;
            }
            let mut twice = wire.bytes.clone();
            assert!(receiver.unmask(&mut twice));
            assert_eq!(twice[..HEADER_LEN], packet[..HEADER_LEN]);
            assert!(receiver.unmask(&mut twice));
            assert_eq!(twice, wire.bytes);
        }
        for (at, bits) in seen.iter().enumerate() {
            assert_eq!(*bits != 0, (2..28).contains(&at), "byte {at}");
        }
    }
}

#[test]
fn too_few_bytes_for_a_sample_are_left_alone() {
    for (_, receiver) in all_ends(limits(10)) {
        for length in 0..48 {
            let mut bytes = vec![3; length];
            assert!(!receiver.unmask(&mut bytes));
            assert_eq!(bytes, vec![3; length]);
        }
        assert!(receiver.unmask(&mut [3; 48]));
    }
}

#[test]
fn a_further_packet_in_the_datagram_is_not_touched_by_unmasking() {
    for (mut sender, receiver) in all_ends(limits(1 << 18)) {
        let first = seal(&mut sender, 0, b"");
        let second = seal(&mut sender, 1, b"second");
        let mut datagram = [&first.bytes[..], &second.bytes].concat();
        assert!(receiver.unmask(&mut datagram));
        assert_eq!(datagram[first.bytes.len()..], second.bytes);
    }
}

#[test]
fn masks_of_many_packets_are_those_of_each() {
    for (mut sender, receiver) in all_ends(limits(1 << 18)) {
        for (count, text) in [(1, 0), (31, 1), (32, 5), (33, 40), (70, 3)] {
            let size = HEADER_LEN + text + TAG_LEN;
            let mut packets = Vec::new();
            for number in 0..count {
                let mut packet = clear(number, &vec![7; text]);
                sender.seal_unmasked(PacketNumber(number), &mut packet);
                packets.extend(packet);
            }
            let unmasked = packets.clone();
            let mut singly = packets.clone();
            for packet in singly.chunks_mut(size) {
                sender.mask_headers(packet, size);
            }
            sender.mask_headers(&mut packets, size);
            assert_eq!(packets, singly, "{count} packets of {size} bytes");
            assert_ne!(packets, unmasked);
            // What is shorter than any packet at the end of a train is left alone.
            packets.extend([9; HEADER_LEN + TAG_LEN - 1]);
            receiver.unmask_headers(&mut packets, size);
            let (rest, short) = packets.split_at(unmasked.len());
            assert_eq!(rest, unmasked);
            assert_eq!(short, [9; HEADER_LEN + TAG_LEN - 1]);
        }
    }
}

#[test]
fn the_same_text_never_looks_the_same() {
    for (mut sender, _) in all_ends(limits(8)) {
        let mut seen = BTreeSet::new();
        for number in 0..500u64 {
            if number % 8 == 0 {
                sender.on_acknowledged(PacketNumber(number.saturating_sub(1)));
            }
            let wire = seal(&mut sender, number, &[0; 48]);
            assert!(
                seen.insert(wire.bytes[HEADER_LEN..].to_vec()),
                "packet {number}"
            );
        }
    }
}

#[test]
fn any_flipped_bit_or_missing_byte_is_noticed_and_changes_nothing() {
    for (mut sender, mut receiver) in all_ends(limits(1 << 18)) {
        let wire = seal(&mut sender, 5, b"text");
        let mut unmasked = wire.bytes.clone();
        receiver.unmask(&mut unmasked);
        for bit in 0..unmasked.len() * 8 {
            let mut wrong = unmasked.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let result = receiver.open(wire.number, wire.key_phase, &mut wrong);
            assert_eq!(result, Err(OpenError::Mismatch), "bit {bit}");
        }
        for length in 0..unmasked.len() {
            let result = receiver.open(
                wire.number,
                wire.key_phase,
                &mut unmasked[..length].to_vec(),
            );
            assert_eq!(result, Err(OpenError::Mismatch));
        }
        for number in [4, 6, 5 + (1 << 32)] {
            let other = Wire {
                number: PacketNumber(number),
                ..wire.clone()
            };
            assert_eq!(open(&mut receiver, &other), Err(OpenError::Mismatch));
        }
        let other = Wire {
            key_phase: !wire.key_phase,
            ..wire.clone()
        };
        assert_eq!(open(&mut receiver, &other), Err(OpenError::Mismatch));
        assert_eq!(open(&mut receiver, &wire), Ok(b"text".to_vec()));
        assert!(!receiver.key_phase());
    }
}

#[test]
fn packets_of_the_other_direction_do_not_open() {
    for (mut sender, _) in all_ends(limits(1 << 18)) {
        let wire = seal(&mut sender, 5, b"reflected");
        assert_eq!(open(&mut sender, &wire), Err(OpenError::Mismatch));
    }
}

#[test]
fn the_integrity_limit_ends_the_connection_and_not_a_packet_earlier() {
    for (mut sender, mut receiver) in all_ends(KeyLimits {
        integrity: 10,
        ..limits(1 << 18)
    }) {
        let wire = seal(&mut sender, 0, b"x");
        let forged = Wire {
            bytes: vec![0; 60],
            ..wire.clone()
        };
        for _ in 0..9 {
            assert_eq!(open(&mut receiver, &forged), Err(OpenError::Mismatch));
        }
        assert_eq!(open(&mut receiver, &wire), Ok(b"x".to_vec()));
        assert_eq!(open(&mut receiver, &forged), Err(OpenError::IntegrityLimit));
        assert_eq!(open(&mut receiver, &wire), Err(OpenError::IntegrityLimit));
    }
}

#[test]
fn no_key_seals_more_than_its_limit() {
    for (mut sender, mut receiver) in all_ends(KeyLimits {
        confidentiality: 40,
        ..limits(5)
    }) {
        // The peer never acknowledges, so that no update is allowed.
        for number in 0..40 {
            let wire = seal(&mut sender, number, b"secret");
            assert!(open(&mut receiver, &wire).is_ok());
        }
        let wire = seal(&mut sender, 40, b"secret");
        assert_eq!(wire.bytes, vec![0; wire.bytes.len()]);
        let back = seal(&mut receiver, 0, b"x");
        assert_eq!(open(&mut sender, &back), Err(OpenError::IntegrityLimit));
    }
}

#[test]
fn limits_follow_the_cipher() {
    let aes = KeyLimits::new(CipherSuite::Aes128Gcm, u64::MAX, Duration::ZERO);
    assert_eq!(
        (aes.update, aes.confidentiality, aes.integrity),
        (1 << 20, 1 << 23, 1 << 52)
    );
    let chacha = KeyLimits::new(CipherSuite::ChaCha20Poly1305, 0, Duration::ZERO);
    assert_eq!(
        (chacha.update, chacha.confidentiality, chacha.integrity),
        (1, 1 << 62, 1 << 36)
    );
}

#[test]
fn a_key_update_waits_for_an_acknowledgement_and_is_answered() {
    for (mut a, mut b) in all_ends(limits(4)) {
        for number in 0..10 {
            let wire = seal(&mut a, number, b"x");
            open(&mut b, &wire).unwrap();
            assert!(!a.key_phase(), "nothing acknowledged yet");
        }
        a.on_acknowledged(PacketNumber(3));
        assert!(a.key_phase(), "due, and the key is known to have arrived");
        assert!(!b.key_phase());
        let first_of_next = seal(&mut a, 10, b"next");
        assert!(first_of_next.key_phase);
        assert_eq!(open(&mut b, &first_of_next), Ok(b"next".to_vec()));
        assert!(b.key_phase(), "answers only what opened");
        // An acknowledgement of packets of the phase before does not count for this one.
        for number in 11..30 {
            seal(&mut a, number, b"x");
        }
        a.on_acknowledged(PacketNumber(9));
        assert!(a.key_phase());
        let answer = seal(&mut b, 0, b"answer");
        assert_eq!(open(&mut a, &answer), Ok(b"answer".to_vec()));
        // `a` still keeps the key of phase 0 for late packets; the next update waits for that.
        a.on_acknowledged(PacketNumber(20));
        seal(&mut a, 30, b"x");
        assert!(a.key_phase());
        a.on_time(Instant::ZERO, PROBE_TIMEOUT);
        a.on_time(Instant::ZERO + PROBE_TIMEOUT * 3, PROBE_TIMEOUT);
        seal(&mut a, 31, b"x");
        assert!(!a.key_phase(), "phase 2");
        let third = seal(&mut a, 32, b"third");
        assert_eq!(open(&mut b, &third), Ok(b"third".to_vec()));
        assert!(!b.key_phase());
    }
}

#[test]
fn an_urgent_update_does_not_wait_for_late_packets() {
    for (mut a, mut b) in all_ends(KeyLimits {
        confidentiality: 40,
        ..limits(4)
    }) {
        let first = seal(&mut a, 0, b"x");
        open(&mut b, &first).unwrap();
        a.on_acknowledged(PacketNumber(0));
        for number in 1..5 {
            let wire = seal(&mut a, number, b"x");
            open(&mut b, &wire).unwrap();
        }
        assert!(a.key_phase());
        let answer = seal(&mut b, 0, b"x");
        open(&mut a, &answer).unwrap();
        a.on_acknowledged(PacketNumber(4));
        // Time stands still, so the key of phase 0 is still kept.
        for number in 5..23 {
            seal(&mut a, number, b"x");
            assert!(a.key_phase(), "packet {number}");
        }
        seal(&mut a, 23, b"x");
        seal(&mut a, 24, b"x");
        assert!(!a.key_phase());
    }
}

#[test]
fn an_acknowledgement_of_an_earlier_phase_confirms_nothing() {
    for (mut a, mut b) in all_ends(limits(4)) {
        for number in 0..4 {
            seal(&mut a, number, b"x");
        }
        a.on_acknowledged(PacketNumber(3));
        let wire = seal(&mut a, 4, b"x");
        open(&mut b, &wire).unwrap();
        let answer = seal(&mut b, 0, b"x");
        open(&mut a, &answer).unwrap();
        a.on_time(Instant::ZERO, PROBE_TIMEOUT);
        a.on_time(Instant::ZERO + PROBE_TIMEOUT * 3, PROBE_TIMEOUT);
        for number in 5..30 {
            seal(&mut a, number, b"x");
            a.on_acknowledged(PacketNumber(3));
            assert!(a.key_phase(), "packet {number}");
        }
        a.on_acknowledged(PacketNumber(4));
        assert!(!a.key_phase());
    }
}

#[test]
fn a_second_update_waits_for_the_peer_to_follow_the_first() {
    let limits = KeyLimits {
        confidentiality: 40,
        ..limits(4)
    };
    for (mut a, mut b) in all_ends(limits) {
        let under_the_old_phase = seal(&mut b, 0, b"x");
        for number in 0..4 {
            let wire = seal(&mut a, number, b"x");
            open(&mut b, &wire).unwrap();
        }
        a.on_acknowledged(PacketNumber(3));
        for number in 4..39 {
            let wire = seal(&mut a, number, b"x");
            open(&mut b, &wire).unwrap();
            // A peer that acknowledges the new phase under the old one: not ours, but possible.
            open(&mut a, &under_the_old_phase).unwrap();
            a.on_acknowledged(PacketNumber(number));
            assert!(a.key_phase(), "packet {number}");
        }
        let answer = seal(&mut b, 1, b"x");
        open(&mut a, &answer).unwrap();
        let wire = seal(&mut a, 39, b"x");
        open(&mut b, &wire).unwrap();
        assert!(!a.key_phase(), "the peer has followed");
        let wire = seal(&mut a, 40, b"x");
        open(&mut b, &wire).unwrap();
    }
}

#[test]
fn late_packets_of_the_previous_phase_open_for_three_probe_timeouts() {
    for (mut a, mut b) in all_ends(limits(4)) {
        let late: Vec<_> = (0..5).map(|number| seal(&mut a, number, b"late")).collect();
        a.on_acknowledged(PacketNumber(0));
        let next = seal(&mut a, 5, b"next");
        assert!(next.key_phase);
        open(&mut b, &next).unwrap();
        assert_eq!(open(&mut b, &late[0]), Ok(b"late".to_vec()));
        let start = Instant::from_nanos(77);
        b.on_time(start, PROBE_TIMEOUT);
        b.on_time(
            start + PROBE_TIMEOUT * 3 - Duration::from_nanos(1),
            PROBE_TIMEOUT,
        );
        assert_eq!(open(&mut b, &late[1]), Ok(b"late".to_vec()));
        b.on_time(start + PROBE_TIMEOUT * 3, PROBE_TIMEOUT);
        assert_eq!(open(&mut b, &late[2]), Err(OpenError::Mismatch));
        assert!(b.key_phase(), "a late packet is no update");
        let next = seal(&mut a, 6, b"next");
        assert_eq!(open(&mut b, &next), Ok(b"next".to_vec()));
    }
}

#[test]
fn a_forged_phase_bit_updates_nothing() {
    for (mut a, mut b) in all_ends(limits(4)) {
        let genuine = seal(&mut a, 0, b"x");
        for number in 0..100 {
            let forged = Wire {
                number: PacketNumber(number),
                key_phase: number % 2 == 0,
                bytes: vec![0xaa; 80],
            };
            assert_eq!(open(&mut b, &forged), Err(OpenError::Mismatch));
        }
        assert!(!b.key_phase());
        assert_eq!(open(&mut b, &genuine), Ok(b"x".to_vec()));
    }
}

/// Both ends send all the time, over a path that loses, delays and duplicates; every packet that
/// arrives within the lifetime of its keys must open, whatever the key updates do.
fn exchange(seed: u64, suite: CipherSuite) -> u64 {
    let all = providers();
    let mut random = SeededRandom::new(seed);
    let provider = &all[usize::try_from(seed).unwrap() % all.len()];
    let (a, b) = ends(provider, suite, limits(16));
    let mut ends = [a, b];
    let mut next_number = [0u64; 2];
    let mut largest = [None::<PacketNumber>; 2];
    let mut in_flight: Vec<(u64, usize, Wire, Option<PacketNumber>)> = Vec::new();
    let mut updates = 0;
    for step in 0..2_000u64 {
        let now = Instant::from_nanos(step * 1_000_000);
        let from = usize::from(random.next_u32().is_multiple_of(2));
        let before = ends[from].key_phase();
        let wire = seal(&mut ends[from], next_number[from], &step.to_be_bytes());
        updates += u64::from(before != ends[from].key_phase());
        next_number[from] += 1;
        // The acknowledgement rides on the packet; it is known to the peer when that arrives.
        for _ in 0..2 {
            if !random.next_u32().is_multiple_of(10) {
                let arrival = step + u64::from(random.next_u32() % 20);
                in_flight.push((arrival, 1 - from, wire.clone(), largest[from]));
            }
        }
        in_flight.sort_by_key(|(arrival, ..)| *arrival);
        while in_flight
            .first()
            .is_some_and(|(arrival, ..)| *arrival <= step)
        {
            let (_, to, wire, acknowledged) = in_flight.remove(0);
            let before = ends[to].key_phase();
            assert!(
                open(&mut ends[to], &wire).is_ok(),
                "seed {seed} step {step}"
            );
            largest[to] = largest[to].max(Some(wire.number));
            if let Some(acknowledged) = acknowledged {
                ends[to].on_acknowledged(acknowledged);
            }
            updates += u64::from(before != ends[to].key_phase());
        }
        for end in &mut ends {
            end.on_time(now, Duration::from_millis(10));
        }
        // Either end may fall silent at any time, with whatever keys.
        if step % 37 == 0 {
            ends[usize::from(step % 2 == 0)].rest();
        }
    }
    updates
}

#[test]
fn key_updates_survive_loss_reordering_and_duplication() {
    for seed in 0..20 {
        for suite in CipherSuite::ALL {
            let updates = exchange(seed, suite);
            assert!(updates >= 20, "only {updates} updates with seed {seed}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_open_or_fail_without_panic(number: u64, key_phase: bool, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (_, mut receiver) in all_ends(limits(10)) {
            let mut bytes = bytes.clone();
            receiver.unmask(&mut bytes);
            let result = receiver.open(PacketNumber(number), key_phase, &mut bytes);
            prop_assert_eq!(result, Err(OpenError::Mismatch));
        }
    }
}

#[test]
fn a_key_that_is_old_is_replaced_whatever_it_sealed() {
    let hour = Duration::from_secs(3_600);
    for (mut a, mut b) in all_ends(limits(1 << 18)) {
        let timeout = Duration::from_millis(100);
        a.on_time(Instant::ZERO, timeout);
        let wire = seal(&mut a, 0, b"x");
        open(&mut b, &wire).unwrap();
        a.on_acknowledged(PacketNumber(0));
        a.on_time(Instant::ZERO + hour - timeout, timeout);
        assert!(!a.key_phase());
        a.on_time(Instant::ZERO + hour, timeout);
        assert!(a.key_phase());
        // The age of the next key counts from its own beginning.
        let wire = seal(&mut a, 1, b"y");
        assert_eq!(open(&mut b, &wire), Ok(b"y".to_vec()));
        a.on_time(Instant::ZERO + hour + timeout, timeout);
        a.on_acknowledged(PacketNumber(1));
        a.on_time(Instant::ZERO + hour * 2, timeout);
        assert!(a.key_phase());
    }
}

#[test]
fn an_old_key_waits_for_the_peer_to_have_it() {
    let hour = Duration::from_secs(3_600);
    for (mut a, mut b) in all_ends(limits(1 << 18)) {
        a.on_time(Instant::ZERO, hour);
        let wire = seal(&mut a, 0, b"x");
        a.on_time(Instant::ZERO + hour, hour);
        assert!(!a.key_phase(), "nothing under this key was acknowledged");
        open(&mut b, &wire).unwrap();
        a.on_acknowledged(PacketNumber(0));
        assert!(a.key_phase());
    }
}
