//! Packets one behind the other in one buffer that is used again: no allocation for each.

/// Packets in order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Packets {
    bytes: Vec<u8>,
    /// Bytes of each.
    lengths: Vec<usize>,
}

impl Packets {
    /// Adds one at the end.
    pub fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.lengths.push(packet.len());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes of all together.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all and keeps their room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }

    /// The packets as trains: bytes, and the length of each packet in them but the last, which may be
    /// shorter. A train has at most `most` packets and `bytes` bytes, or a single packet.
    pub fn trains(&self, most: usize, bytes: usize) -> impl Iterator<Item = (&[u8], usize)> {
        let (mut rest, mut lengths) = (&self.bytes[..], &self.lengths[..]);
        std::iter::from_fn(move || {
            let segment = *lengths.first()?;
            let (count, total) = train(lengths, most, bytes);
            lengths = lengths.get(count..).unwrap_or_default();
            let (train, after) = rest.split_at_checked(total)?;
            rest = after;
            Some((train, segment))
        })
    }
}

/// How many of the first packets make a train (all as long as the first, the last one perhaps shorter), and
/// their bytes.
fn train(lengths: &[usize], most: usize, bytes: usize) -> (usize, usize) {
    let segment = lengths.first().copied().unwrap_or(0);
    if segment == 0 {
        return (1, 0);
    }
    let most = most.min(bytes / segment).max(1);
    let likely = lengths.iter().take(most);
    let same = likely.take_while(|length| **length == segment).count();
    let shorter = lengths
        .get(same)
        .filter(|length| same < most && (1..segment).contains(*length));
    match shorter {
        Some(length) => (same + 1, same * segment + length),
        None => (same, same * segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths_of(packets: &Packets, most: usize, bytes: usize) -> Vec<(usize, usize)> {
        let trains = packets.trains(most, bytes);
        trains
            .map(|(bytes, segment)| (bytes.len(), segment))
            .collect()
    }

    #[test]
    fn trains_have_packets_of_one_length_and_a_shorter_one_at_the_end() {
        let mut packets = Packets::default();
        for length in [5, 5, 5, 3, 5, 5, 6, 1, 0, 0, 2, 2] {
            packets.push(&vec![7; length]);
        }
        let found = lengths_of(&packets, 64, 1_000);
        let expected = [(18, 5), (10, 5), (7, 6), (0, 0), (0, 0), (4, 2)];
        assert_eq!(found, expected);
        assert_eq!(packets.total_len(), 39);
    }

    #[test]
    fn a_train_has_no_more_packets_and_bytes_than_it_may() {
        let mut packets = Packets::default();
        (0..5).for_each(|_| packets.push(&[1; 10]));
        assert_eq!(
            lengths_of(&packets, 2, 1_000),
            [(20, 10), (20, 10), (10, 10)]
        );
        assert_eq!(lengths_of(&packets, 64, 39), [(30, 10), (20, 10)]);
        assert_eq!(lengths_of(&packets, 64, 3), [(10, 10); 5], "one always");
        packets.clear();
        assert!(packets.is_empty() && lengths_of(&packets, 64, 39).is_empty());
    }
}
