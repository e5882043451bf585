//! Stateless-reset tokens (`docs/session.md` S-RST): a function of the identity's secret, so that they
//! are the same after a restart.

use std::net::SocketAddr;

use dunlin_transport::ConnectionId;
use dunlin_transport::wire::reset::ResetToken;

use super::token::address_bytes;
use crate::provider::{CryptoProvider, Secret};

/// The key of the tokens of the node with this Ed25519 seed in this network.
pub(super) fn reset_key(
    provider: &dyn CryptoProvider,
    seed: &[u8; 32],
    network_id: &[u8; 32],
) -> Secret {
    provider.hmac_sha256(seed, &[b"dunlin stateless reset v1", network_id])
}

/// The token for packets from `address` to the connection ID `id`. The address is part of it, so
/// that nobody elsewhere can be told the token of a connection by getting the same ID: IDs are short.
pub(super) fn reset_token(
    provider: &dyn CryptoProvider,
    key: &Secret,
    address: SocketAddr,
    id: ConnectionId,
) -> ResetToken {
    let (ip, port) = (address_bytes(address), address.port().to_be_bytes());
    let mac = provider.hmac_sha256(&**key, &[b"reset", &ip, &port, &id.0.to_be_bytes()]);
    *mac.first_chunk().expect("a MAC is longer than a token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{aws_lc, pure};

    #[test]
    fn a_token_depends_on_node_network_address_and_id_and_on_no_provider() {
        let make = |seed: u8, network: u8, address: &str, id: u32| {
            let token = |provider: &dyn CryptoProvider| {
                let key = reset_key(provider, &[seed; 32], &[network; 32]);
                reset_token(provider, &key, address.parse().unwrap(), ConnectionId(id))
            };
            assert_eq!(token(&*aws_lc()), token(&*pure()));
            token(&*aws_lc())
        };
        let one = make(1, 2, "192.0.2.7:4000", 3);
        assert_eq!(one, make(1, 2, "[::ffff:192.0.2.7]:4000", 3));
        for other in [
            make(9, 2, "192.0.2.7:4000", 3),
            make(1, 9, "192.0.2.7:4000", 3),
            make(1, 2, "192.0.2.8:4000", 3),
            make(1, 2, "192.0.2.7:4001", 3),
            make(1, 2, "192.0.2.7:4000", 4),
        ] {
            assert_ne!(one, other);
        }
    }
}
