//! RETRY tokens (`docs/session.md` S-RETRY): proof that an initiator receives at the address it
//! sends from, without any state on our side (the idea of RFC 4987 SYN cookies and RFC 9000 §8.1).
//!
//! A token is time (4, seconds) ‖ HMAC (28) over the address and the SYN's content. The key is
//! derived from a secret of the process and the minute of the token's time, so it changes by
//! itself.

use std::net::{IpAddr, SocketAddr};

use dunlin_transport::Instant;
use dunlin_transport::protect::Random;
use dunlin_transport::secret::same_secret;
use zeroize::Zeroizing;

use crate::limits::{TOKEN_KEY_LIFETIME, TOKEN_LEN, TOKEN_LIFETIME};
use crate::planted::{self, Bug};
use crate::provider::{CryptoProvider, Secret};

/// Makes and checks tokens; one for an acceptor.
pub(super) struct TokenMint {
    secret: Secret,
}

impl TokenMint {
    pub(super) fn new(random: &mut dyn Random) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut());
        Self { secret }
    }

    /// The token that proves `from` for the SYN with this content.
    pub(super) fn mint(
        &self,
        provider: &dyn CryptoProvider,
        now: Instant,
        from: SocketAddr,
        content: &[u8],
    ) -> [u8; TOKEN_LEN] {
        self.make(provider, seconds(now), from, content)
    }

    /// Whether `token` was minted for this address and content, not long ago.
    pub(super) fn is_valid(
        &self,
        provider: &dyn CryptoProvider,
        now: Instant,
        from: SocketAddr,
        content: &[u8],
        token: &[u8; TOKEN_LEN],
    ) -> bool {
        let [t0, t1, t2, t3, ..] = *token;
        let time = u32::from_be_bytes([t0, t1, t2, t3]);
        let age = seconds(now).checked_sub(time);
        (age.is_some_and(|age| u64::from(age) <= TOKEN_LIFETIME.as_secs())
            || planted::is(Bug::TokenNeverExpires))
            && same_secret(&self.make(provider, time, from, content), token)
    }

    fn make(
        &self,
        provider: &dyn CryptoProvider,
        time: u32,
        from: SocketAddr,
        content: &[u8],
    ) -> [u8; TOKEN_LEN] {
        let epoch = u64::from(time) / TOKEN_KEY_LIFETIME.as_secs();
        let key = provider.hmac_sha256(&*self.secret, &[b"epoch", &epoch.to_be_bytes()]);
        let (address, port) = match planted::is(Bug::CookieForAnyAddress) {
            true => ([0; 16], 0),
            false => (address_bytes(from), from.port()),
        };
        let time = time.to_be_bytes();
        let mac = provider.hmac_sha256(
            &*key,
            &[b"token", &time, &address, &port.to_be_bytes(), content],
        );
        let mut token = [0; TOKEN_LEN];
        let (head, tail) = token.split_at_mut(time.len());
        head.copy_from_slice(&time);
        for (slot, byte) in tail.iter_mut().zip(mac.iter()) {
            *slot = *byte;
        }
        token
    }
}

/// An IPv6 address, or an IPv4 address mapped to one.
pub(super) fn address_bytes(address: SocketAddr) -> [u8; 16] {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Whole seconds of our own clock; saturates after 136 years.
fn seconds(now: Instant) -> u32 {
    u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::SeededRandom;
    use std::time::Duration;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_proves_its_address_and_content_for_its_lifetime() {
        let provider = crate::testing::provider();
        let mint = TokenMint::new(&mut SeededRandom::new(1));
        let from: SocketAddr = "192.0.2.1:7000".parse().unwrap();
        // Across a change of the key, which happens at 60 s.
        let token = mint.mint(&*provider, at(55), from, b"syn");
        let valid = |now, from: &str, content: &[u8]| {
            mint.is_valid(&*provider, at(now), from.parse().unwrap(), content, &token)
        };
        assert!(valid(55, "192.0.2.1:7000", b"syn"));
        assert!(valid(75, "192.0.2.1:7000", b"syn"));
        assert!(!valid(76, "192.0.2.1:7000", b"syn"));
        assert!(!valid(54, "192.0.2.1:7000", b"syn"));
        assert!(!valid(55, "192.0.2.1:7001", b"syn"));
        assert!(!valid(55, "192.0.2.2:7000", b"syn"));
        assert!(!valid(55, "192.0.2.1:7000", b"sym"));
        // The same host through a dual-stack socket.
        assert!(valid(55, "[::ffff:192.0.2.1]:7000", b"syn"));
        assert!(!valid(55, "[2001:db8::1]:7000", b"syn"));
        for bit in 0..TOKEN_LEN * 8 {
            let mut wrong = token;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !mint.is_valid(&*provider, at(56), from, b"syn", &wrong),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn another_process_knows_no_token_of_ours() {
        let provider = crate::testing::provider();
        let from: SocketAddr = "192.0.2.1:7000".parse().unwrap();
        let token = TokenMint::new(&mut SeededRandom::new(1)).mint(&*provider, at(1), from, b"s");
        let other = TokenMint::new(&mut SeededRandom::new(2));
        assert!(!other.is_valid(&*provider, at(1), from, b"s", &token));
    }

    #[test]
    fn the_clock_may_end() {
        let provider = crate::testing::provider();
        let mint = TokenMint::new(&mut SeededRandom::new(1));
        let from: SocketAddr = "192.0.2.1:7000".parse().unwrap();
        let token = mint.mint(&*provider, Instant::FAR_FUTURE, from, b"s");
        assert!(mint.is_valid(&*provider, Instant::FAR_FUTURE, from, b"s", &token));
    }
}
