//! The name of an onion service of version 3 (rend-spec-v3 §6): 56 letters of base32 that hold an
//! Ed25519 key (32 bytes), a checksum (2 bytes) and the version (1 byte).

use core::fmt;

use sha3::{Digest, Sha3_256};

use super::OnionError;

/// Letters of version 3: 35 bytes in base32.
const LETTERS: usize = 56;
/// Letters of version 2, which is not served any more.
const LETTERS_OF_VERSION_2: usize = 16;
const VERSION: u8 = 3;
/// RFC 4648 §6, in the small letters that Tor writes.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// An onion service, by its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OnionAddress([u8; 32]);

impl OnionAddress {
    /// The service with this key. Whether it is a point of the curve is not checked.
    #[must_use]
    pub const fn from_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The service's Ed25519 key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the letters before `.onion`, in small letters.
    ///
    /// # Errors
    /// [`OnionError`], the first check that fails: length, alphabet, version, checksum.
    pub(super) fn from_letters(letters: &str) -> Result<Self, OnionError> {
        let count = letters.chars().count();
        let values = letters.bytes().map(value_of).collect::<Option<Vec<_>>>();
        match (count, values) {
            (LETTERS_OF_VERSION_2, _) => Err(OnionError::Version2),
            (LETTERS, Some(values)) => Self::from_values(&values),
            (LETTERS, None) => Err(OnionError::Character),
            (other, _) => Err(OnionError::Length(other)),
        }
    }

    /// Fifty-six values of five bits.
    fn from_values(values: &[u8]) -> Result<Self, OnionError> {
        let (mut bytes, mut bits, mut held) = (Vec::with_capacity(35), 0u32, 0u32);
        for &value in values {
            bits = (bits << 5) | u32::from(value);
            held += 5;
            if held >= 8 {
                held -= 8;
                let [.., byte] = (bits >> held).to_be_bytes();
                bytes.push(byte);
                bits &= (1 << held) - 1;
            }
        }
        let split = bytes
            .split_first_chunk::<32>()
            .and_then(|(key, rest)| Some((*key, <[u8; 3]>::try_from(rest).ok()?)));
        let Some((key, [first, second, version])) = split else {
            return Err(OnionError::Length(values.len()));
        };
        if version != VERSION {
            return Err(OnionError::Version(version));
        }
        let onion = Self(key);
        if onion.checksum() == [first, second] {
            Ok(onion)
        } else {
            Err(OnionError::Checksum)
        }
    }

    fn checksum(&self) -> [u8; 2] {
        let digest = Sha3_256::new()
            .chain_update(b".onion checksum")
            .chain_update(self.0)
            .chain_update([VERSION])
            .finalize();
        let [first, second, ..] = <[u8; 32]>::from(digest);
        [first, second]
    }
}

impl fmt::Display for OnionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut bits, mut held) = (0u32, 0u32);
        let tail = self.checksum().into_iter().chain([VERSION]);
        for byte in self.0.into_iter().chain(tail) {
            bits = (bits << 8) | u32::from(byte);
            held += 8;
            while held >= 5 {
                held -= 5;
                let value = usize::try_from((bits >> held) & 31).unwrap_or(0);
                let letter = ALPHABET.get(value).copied().unwrap_or(b'a');
                write!(f, "{}", char::from(letter))?;
                bits &= (1 << held) - 1;
            }
        }
        f.write_str(".onion")
    }
}

fn value_of(letter: u8) -> Option<u8> {
    match letter {
        b'a'..=b'z' => Some(letter - b'a'),
        b'2'..=b'7' => Some(letter - b'2' + 26),
        _ => None,
    }
}
