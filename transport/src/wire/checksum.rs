//! The header's checksum: the low half of a CRC-32 over exactly 32 bytes (`docs/wire.md` W-HDR-7).
//!
//! A CRC is linear, so each byte's part in the result depends on its value and its place alone. With
//! one table for each place all are looked up at once and added up; a table for bytes in general has to
//! be asked 32 times one after the other, which took 1 to 2 % of a bulk transfer's processor time.
//! Two bytes an entry are enough, since the result keeps no more: 16 KiB in all, of which the headers of
//! one connection touch little.

use super::HEADER_LEN;

/// The polynomial of IEEE 802.3, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What a byte at this place adds to the low half of the CRC.
static PARTS: [[u16; 256]; HEADER_LEN] = parts();

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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_the_low_half_of_the_crc(clear: [u8; HEADER_LEN], salt: u32) {
            let mut crc = crc32fast::Hasher::new_with_initial(salt);
            crc.update(&clear);
            prop_assert_eq!(u32::from(checksum(clear, salt)), crc.finalize() & 0xffff);
        }
    }
}
