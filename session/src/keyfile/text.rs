//! The line of a key file (`docs/session.md` S-ID-4, S-ID-5).
//!
//! | form | line |
//! |---|---|
//! | Ed25519, open | `dunlin-key-v1 SECRETS CHECK` |
//! | hybrid, open | `dunlin-key-v2 SECRETS CHECK` |
//! | either, sealed | `dunlin-key-v2-sealed MEMORY PASSES LANES SALT SEALED` |
//!
//! All but the three numbers is hexadecimal. SECRETS are the Ed25519 seed (32 bytes) and, in a
//! hybrid identity, the ML-DSA-65 seed (32). CHECK is the first four bytes of
//! SHA-256("dunlin key file" ‖ SECRETS). SEALED is SECRETS and a tag under ChaCha20-Poly1305 with the
//! nonce zero, the key Argon2id(passphrase, SALT) (RFC 9106) and the words before it as associated
//! data.

use std::fmt::Write as _;

use argon2::{Algorithm, Argon2, Params, Version};
use dunlin_transport::secret::same_secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Sealing;
use crate::identity::Identity;
use crate::provider::{CryptoProvider, NONCE_LEN, TAG_LEN};
use crate::suite::CipherSuite;

/// Longest key file in bytes: a sealed hybrid one has 274, and there is some room for white space
/// that an editor adds.
pub(crate) const FILE_LEN_MAX: usize = 512;
const OPEN: &str = "dunlin-key-v1";
const OPEN_HYBRID: &str = "dunlin-key-v2";
const SEALED: &str = "dunlin-key-v2-sealed";
const SEED_LEN: usize = 32;
const SALT_LEN: usize = 16;

/// A passphrase; erased when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// From the bytes of a file: without the line end that editors add. `None` when nothing is left.
    #[must_use]
    pub fn from_file(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        let mut bytes = bytes;
        let end = bytes
            .iter()
            .rposition(|byte| !matches!(byte, b'\n' | b'\r'))?;
        bytes.truncate(end + 1);
        Some(Self(bytes))
    }
}

/// Why a line gives no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotRead {
    NotAKey,
    Damaged,
    WrongPassphrase,
}

/// What a line holds.
pub(crate) enum Contents {
    Plain(Secrets),
    Sealed(SealedSecrets),
}

/// The seeds, one or two.
pub(crate) struct Secrets(Zeroizing<Vec<u8>>);

impl Secrets {
    fn of(identity: &Identity) -> Self {
        let second = identity.second().map(|second| second.seed.as_slice());
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * SEED_LEN));
        bytes.extend_from_slice(identity.seed());
        bytes.extend_from_slice(second.unwrap_or_default());
        Self(bytes)
    }

    pub(crate) fn identity(&self, provider: &dyn CryptoProvider) -> Result<Identity, NotRead> {
        let (first, second) = self.0.split_first_chunk().ok_or(NotRead::Damaged)?;
        if second.is_empty() {
            return Ok(Identity::from_seed(*first));
        }
        let second = second.try_into().map_err(|_| NotRead::Damaged)?;
        Ok(Identity::hybrid(*first, second, provider))
    }
}

/// The seeds under a passphrase.
pub(crate) struct SealedSecrets {
    /// The words before the sealed ones, as they are authenticated.
    head: String,
    cost: Params,
    salt: [u8; SALT_LEN],
    sealed: Vec<u8>,
}

impl SealedSecrets {
    pub(crate) fn open(
        &self,
        passphrase: &Passphrase,
        provider: &dyn CryptoProvider,
    ) -> Result<Secrets, NotRead> {
        let mut bytes = Zeroizing::new(self.sealed.clone());
        let key = stretch(passphrase, &self.salt, &self.cost);
        provider
            .aead(CipherSuite::ChaCha20Poly1305, key.as_ref())
            .and_then(|key| key.open([0; NONCE_LEN], self.head.as_bytes(), &mut bytes))
            .map_err(|_| NotRead::WrongPassphrase)?;
        let length = bytes.len() - TAG_LEN;
        bytes.truncate(length);
        Ok(Secrets(bytes))
    }
}

/// The line of `identity`, with its end.
pub(super) fn line(identity: &Identity, sealing: &mut Sealing<'_>) -> Zeroizing<String> {
    let secrets = Secrets::of(identity);
    match sealing.passphrase {
        None => open_line(&secrets),
        Some(passphrase) => {
            let mut salt = [0; SALT_LEN];
            sealing.random.fill(&mut salt);
            sealed_line(&secrets, passphrase, &salt, &cost(), sealing.provider)
        }
    }
}

fn open_line(secrets: &Secrets) -> Zeroizing<String> {
    let word = if secrets.0.len() == SEED_LEN {
        OPEN
    } else {
        OPEN_HYBRID
    };
    let mut text = Zeroizing::new(String::with_capacity(FILE_LEN_MAX));
    text.push_str(word);
    push_hex(&mut text, &secrets.0);
    push_hex(&mut text, &checksum(&secrets.0));
    text.push('\n');
    text
}

fn sealed_line(
    secrets: &Secrets,
    passphrase: &Passphrase,
    salt: &[u8; SALT_LEN],
    cost: &Params,
    provider: &dyn CryptoProvider,
) -> Zeroizing<String> {
    let mut text = Zeroizing::new(head(cost, salt));
    let mut bytes = secrets.0.clone();
    let length = bytes.len() + TAG_LEN;
    bytes.resize(length, 0);
    provider
        .aead(
            CipherSuite::ChaCha20Poly1305,
            stretch(passphrase, salt, cost).as_ref(),
        )
        .expect("the key has the cipher's length")
        .seal([0; NONCE_LEN], text.as_bytes(), &mut bytes);
    push_hex(&mut text, &bytes);
    text.push('\n');
    text
}

/// The words of a sealed line before the sealed secrets.
fn head(cost: &Params, salt: &[u8; SALT_LEN]) -> String {
    let (memory, passes, lanes) = (cost.m_cost(), cost.t_cost(), cost.p_cost());
    let mut head = format!("{SEALED} {memory} {passes} {lanes}");
    push_hex(&mut head, salt);
    head
}

/// What one guess of a passphrase costs: the second recommendation of RFC 9106 §4, 64 MiB, three
/// passes, four lanes.
fn cost() -> Params {
    Params::new(64 * 1_024, 3, 4, Some(SEED_LEN)).expect("within the bounds of RFC 9106")
}

/// Argon2id, version 1.3 (RFC 9106).
fn stretch(
    passphrase: &Passphrase,
    salt: &[u8; SALT_LEN],
    cost: &Params,
) -> Zeroizing<[u8; SEED_LEN]> {
    let mut key = Zeroizing::new([0; SEED_LEN]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.clone())
        .hash_password_into(&passphrase.0, salt, key.as_mut())
        .expect("lengths and costs are within the bounds of RFC 9106, and there is memory");
    key
}

/// Reads a line.
pub(crate) fn parse(text: &[u8]) -> Result<Contents, NotRead> {
    let text = std::str::from_utf8(text).map_err(|_| NotRead::NotAKey)?;
    let mut words = text.split_ascii_whitespace();
    let word = words.next().filter(|_| text.len() <= FILE_LEN_MAX);
    let contents = match word {
        Some(OPEN) => parse_open(&mut words, SEED_LEN).ok_or(NotRead::Damaged)?,
        Some(OPEN_HYBRID) => parse_open(&mut words, 2 * SEED_LEN).ok_or(NotRead::Damaged)?,
        Some(SEALED) => parse_sealed(&mut words).ok_or(NotRead::Damaged)?,
        _ => return Err(NotRead::NotAKey),
    };
    match words.next() {
        None => Ok(contents),
        Some(_) => Err(NotRead::Damaged),
    }
}

fn parse_open<'a>(words: &mut impl Iterator<Item = &'a str>, length: usize) -> Option<Contents> {
    let secrets = decode(words.next()?)?;
    let check = decode(words.next()?)?;
    let whole = secrets.len() == length && same_secret(&check, &checksum(&secrets));
    whole.then_some(Contents::Plain(Secrets(secrets)))
}

fn parse_sealed<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Contents> {
    // A file that was tampered with must not take all memory or a day.
    const MEMORY_MAX: u32 = 1 << 20;
    const PASSES_MAX: u32 = 64;
    const LANES_MAX: u32 = 64;
    let mut number = |max: u32| {
        let number: u32 = words.next()?.parse().ok()?;
        (number <= max).then_some(number)
    };
    let (memory, passes, lanes) = (number(MEMORY_MAX)?, number(PASSES_MAX)?, number(LANES_MAX)?);
    let cost = Params::new(memory, passes, lanes, Some(SEED_LEN)).ok()?;
    let salt = decode(words.next()?)?.as_slice().try_into().ok()?;
    let sealed = decode(words.next()?)?.to_vec();
    let lengths = [SEED_LEN + TAG_LEN, 2 * SEED_LEN + TAG_LEN];
    lengths.contains(&sealed.len()).then(|| {
        Contents::Sealed(SealedSecrets {
            head: head(&cost, &salt),
            cost,
            salt,
            sealed,
        })
    })
}

/// A blank and hexadecimal digits.
fn push_hex(text: &mut String, bytes: &[u8]) {
    text.push(' ');
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

/// Hexadecimal to bytes.
fn decode(word: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(word.len() / 2));
    let mut digits = word.chars();
    while let Some(high) = digits.next() {
        let (high, low) = (high.to_digit(16)?, digits.next()?.to_digit(16)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

fn checksum(secrets: &[u8]) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(b"dunlin key file")
        .chain_update(secrets)
        .finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    [a, b, c, d]
}

/// Bytes as a key file: what parses holds the secrets and check that we would write, and what we
/// write is not read as another key after a change of one byte. For the fuzz target.
pub(crate) fn fuzz(data: &[u8]) {
    if let Ok(contents) = parse(data) {
        assert!(data.len() <= FILE_LEN_MAX);
        let ours = match &contents {
            Contents::Plain(secrets) => open_line(secrets).to_string(),
            Contents::Sealed(sealed) => {
                let mut ours = sealed.head.clone();
                push_hex(&mut ours, &sealed.sealed);
                ours
            }
        };
        let words: Vec<_> = data
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .collect();
        let sealed = matches!(contents, Contents::Sealed(_));
        assert_eq!(words.len(), if sealed { 6 } else { 3 });
        let mut same = ours.split_ascii_whitespace().zip(&words);
        // Numbers may be written with zeros in front.
        assert!(sealed || same.all(|(ours, word)| ours.as_bytes().eq_ignore_ascii_case(word)));
    }
    let mut bytes = Zeroizing::new(vec![0; SEED_LEN * (1 + data.len() % 2)]);
    for (to, from) in bytes.iter_mut().zip(data) {
        *to = *from;
    }
    let secrets = Secrets(bytes);
    let written = open_line(&secrets);
    let reads_same = |text: &[u8]| match parse(text) {
        Ok(Contents::Plain(read)) => Some(read.0 == secrets.0),
        _ => None,
    };
    assert_eq!(reads_same(written.as_bytes()), Some(true));
    if let [at, with, ..] = data {
        let mut changed = written.as_bytes().to_vec();
        let at = usize::from(*at) % changed.len();
        if let Some(byte) = changed.get_mut(at) {
            *byte = *with;
        }
        assert!(reads_same(&changed) != Some(false), "another identity");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{provider, providers};

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_file(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    /// RFC 9106 §5.3 has secret and associated data, which we do not use; this is the vector
    /// without them from the reference implementation (test.c, Argon2id version 0x13).
    #[test]
    fn argon2id_answers_as_the_reference_implementation() {
        let cost = Params::new(65_536, 2, 1, Some(32)).unwrap();
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, cost)
            .hash_password_into(b"password", b"somesalt", &mut key)
            .unwrap();
        let published = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7";
        assert_eq!(key.to_vec(), crate::testing::hex(published));
    }

    #[test]
    fn sealed_lines_open_with_their_passphrase_on_both_providers_and_with_no_other() {
        let cheap = Params::new(8, 1, 1, Some(SEED_LEN)).unwrap();
        for (one, two) in [(0, 1), (1, 0)] {
            let (one, two) = (&providers()[one], &providers()[two]);
            for identity in [
                Identity::from_seed([3; 32]),
                Identity::hybrid([3; 32], [4; 32], &**one),
            ] {
                let secrets = Secrets::of(&identity);
                let line = sealed_line(&secrets, &passphrase("a b"), &[5; 16], &cheap, &**one);
                let Ok(Contents::Sealed(sealed)) = parse(line.as_bytes()) else {
                    panic!("{}", *line)
                };
                let opened = sealed.open(&passphrase("a b\r\n"), &**two).ok().unwrap();
                let read = opened.identity(&**two).unwrap();
                assert_eq!(read.node_id(), identity.node_id());
                let wrong = sealed.open(&passphrase("a c"), &**two).err();
                assert_eq!(wrong, Some(NotRead::WrongPassphrase));
            }
        }
    }

    #[test]
    fn a_sealed_line_whose_costs_were_changed_does_not_open() {
        let cheap = Params::new(8, 2, 1, Some(SEED_LEN)).unwrap();
        let secrets = Secrets::of(&Identity::from_seed([3; 32]));
        let provider = provider();
        let line = sealed_line(&secrets, &passphrase("x"), &[5; 16], &cheap, &*provider);
        let cheaper = line.replacen(" 2 ", " 1 ", 1);
        let Ok(Contents::Sealed(sealed)) = parse(cheaper.as_bytes()) else {
            panic!("{cheaper}")
        };
        let opened = sealed.open(&passphrase("x"), &*provider).err();
        assert_eq!(opened, Some(NotRead::WrongPassphrase));
        for (from, to) in [(" 8 ", " 1048577 "), (" 2 ", " 65 "), (" 1 ", " 65 ")] {
            let greedy = line.replacen(from, to, 1);
            assert_eq!(parse(greedy.as_bytes()).err(), Some(NotRead::Damaged));
        }
    }

    #[test]
    fn an_empty_passphrase_is_none() {
        for empty in ["", "\n", "\r\n\n"] {
            let bytes = Zeroizing::new(empty.as_bytes().to_vec());
            assert!(Passphrase::from_file(bytes).is_none());
        }
    }
}
