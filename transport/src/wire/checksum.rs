//! The header's checksum: the low half of a CRC-32 over exactly 32 bytes (`docs/wire.md` W-HDR-7).
//!
//! A CRC is linear, so each byte's part in the result depends on its value and its place alone. With
//! one table for each place all are looked up at once and added up; a table for bytes in general has to
//! be asked 32 times one after the other, which took 1 to 2 % of a bulk transfer's processor time.
//! Two bytes an entry are enough, since the result keeps no more: 16 KiB in all, of which the headers of
//! one connection touch little.
//!
//! For the same reason the checksums of two headers differ by the parts of the bytes that differ alone. The
//! headers of a batch or a train differ in two of their eight words: [`Checksums`] asks for those only.

use super::HEADER_LEN;
use super::header::{CHECKSUM_BITS, words};

/// The polynomial of IEEE 802.3, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What a byte at this place adds to the low half of the CRC.
static PARTS: [[u16; 256]; HEADER_LEN] = parts();

/// The checksums of headers one after the other, each from the one before. Whatever the headers are, the
/// results are those of all their bytes; the more alike they are, the cheaper.
#[derive(Clone, Copy, Debug)]
pub struct Checksums {
    last: [u64; 4],
    sum: u16,
}

impl Checksums {
    /// Begins behind `header`, whose checksum is right.
    #[must_use]
    pub fn after(header: &[u8; HEADER_LEN]) -> Self {
        let last = clear_words(header);
        let [high, low] = [header[14], header[15]];
        Self {
            last,
            sum: u16::from_be_bytes([high, low]),
        }
    }

    /// The checksum that the clear `header` should have, whatever stands in its place.
    #[must_use]
    pub fn next(&mut self, header: &[u8; HEADER_LEN]) -> u16 {
        let now = clear_words(header);
        let (parts, _) = PARTS.as_chunks::<8>();
        for ((last, now), parts) in self.last.iter().zip(now).zip(parts) {
            let differing = last ^ now;
            if differing != 0 {
                self.sum ^= added(differing, parts);
            }
        }
        self.last = now;
        self.sum
    }
}

/// The words of a header, without its checksum.
fn clear_words(header: &[u8; HEADER_LEN]) -> [u64; 4] {
    let mut words = words(header);
    words[1] = words[1] >> CHECKSUM_BITS << CHECKSUM_BITS;
    words
}

/// What the bits of a word add, half by half from the lowest byte up: where numbers and offsets count up, most
/// often only one or two bytes differ, and those are the last of their half.
fn added(word: u64, parts: &[[u16; 256]; 8]) -> u16 {
    let (upper, lower) = parts.split_at(4);
    let mut sum = 0;
    for (half, parts) in [(word >> 32, upper), (word & 0xffff_ffff, lower)] {
        let mut rest = half;
        for part in parts.iter().rev() {
            if rest == 0 {
                break;
            }
            sum ^= part[usize::from(rest.to_le_bytes()[0])];
            rest >>= 8;
        }
    }
    sum
}

/// The checksum of `clear`, whose checksum field is zero. `salt` is the CRC of the bytes before.
pub(super) fn checksum(mut clear: [u8; HEADER_LEN], salt: u32) -> u16 {
    for (byte, start) in clear.iter_mut().zip((!salt).to_le_bytes()) {
        *byte ^= start;
    }
    let add = |sum, (byte, part): (&u8, &[u16; 256])| sum ^ part[usize::from(*byte)];
    !clear.iter().zip(&PARTS).fold(0, add)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "computed by the compiler, which would notice an index out of bounds; the low half is kept"
)]
const fn parts() -> [[u16; 256]; HEADER_LEN] {
    let mut last = [0; 256];
    let mut value = 0;
    while value < 256 {
        let mut crc = value as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        last[value] = crc;
        value += 1;
    }
    let mut all = [[0; 256]; HEADER_LEN];
    let mut current = last;
    let mut place = HEADER_LEN;
    while place > 0 {
        place -= 1;
        value = 0;
        while value < 256 {
            let crc = current[value];
            all[place][value] = crc as u16;
            // One place further to the front a zero byte follows.
            current[value] = crc >> 8 ^ last[(crc & 0xff) as usize];
            value += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// A header, and what one that follows it is made by: nothing, or a change of one byte.
    fn changes() -> impl Strategy<Value = Vec<Option<(usize, u8)>>> {
        proptest::collection::vec(proptest::option::of((0..HEADER_LEN, any::<u8>())), 0..20)
    }

    /// The header with its checksum field zero.
    fn cleared(mut header: [u8; HEADER_LEN]) -> [u8; HEADER_LEN] {
        header[14..16].fill(0);
        header
    }

    proptest! {
        /// Among others of every kind, those of a row that counts up.
        #[test]
        fn from_the_one_before_it_is_that_of_all_bytes(
            mut header: [u8; HEADER_LEN],
            salt: u32,
            changes in changes(),
            others: [[u8; HEADER_LEN]; 3],
            step: u32,
        ) {
            let sum = checksum(cleared(header), salt);
            header[14..16].copy_from_slice(&sum.to_be_bytes());
            let mut sums = Checksums::after(&header);
            for change in changes {
                match change {
                    Some((at, value)) => header[at] = value,
                    None => for at in [4, 24] {
                        let field = header[at..at + 4].first_chunk_mut().unwrap();
                        *field = u32::from_be_bytes(*field).wrapping_add(step).to_be_bytes();
                    },
                }
                prop_assert_eq!(sums.next(&header), checksum(cleared(header), salt));
            }
            for other in others {
                prop_assert_eq!(sums.next(&other), checksum(cleared(other), salt));
            }
        }

        #[test]
        fn is_the_low_half_of_the_crc(clear: [u8; HEADER_LEN], salt: u32) {
            let mut crc = crc32fast::Hasher::new_with_initial(salt);
            crc.update(&clear);
            prop_assert_eq!(u32::from(checksum(clear, salt)), crc.finalize() & 0xffff);
        }
    }
}
