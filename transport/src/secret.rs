//! Comparison of secrets.
//!
//! Every comparison whose time could tell an attacker how much of a guess is right goes through
//! [`same_secret`]: first checks, tokens of addresses, stateless-reset tokens, checks of key files.
//! `session/constant-time/run.sh` shows with valgrind that no branch and no address in it depends on
//! the bytes. (Tags of the cipher are compared by the libraries that have the cipher.)

use subtle::ConstantTimeEq;

/// Whether two secrets are the same. Takes the same time whatever the bytes are; of different lengths
/// they are different, at once.
#[must_use]
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).unwrap_u8() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_the_same_when_all_bytes_are() {
        assert!(same_secret(b"", b"") && same_secret(b"abc", b"abc"));
        assert!(!same_secret(b"abc", b"ab") && !same_secret(b"", b"a"));
        for bit in 0..24 {
            let mut other = *b"abc";
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!same_secret(b"abc", &other), "bit {bit}");
        }
    }
}
