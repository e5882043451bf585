//! The settings of quiche: the same handshake as [`dunlin_peers::tls`], made by BoringSSL, and
//! windows that are no limit.

use boring::pkey::PKey;
use boring::ssl::{SslContextBuilder, SslMethod, SslSessionCacheMode, SslVerifyMode};
use boring::x509::X509;
use dunlin_peers::cli::{KeyExchange, Mode, Setup};
use dunlin_peers::{Result, WINDOW, tls};
use quiche::{Config, PROTOCOL_VERSION};

/// PKCS #8 (RFC 8410 §7) before the 32 bytes of an Ed25519 key: BoringSSL reads the first version
/// of the format alone, without the public key.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Settings of an end that offers or takes `modes`.
pub fn config(setup: &Setup, modes: &[Mode]) -> Result<Config> {
    let mut config = Config::with_boring_ssl_ctx_builder(PROTOCOL_VERSION, context(setup.kx)?)?;
    let names: Vec<_> = modes.iter().map(|mode| mode.name().as_bytes()).collect();
    config.set_application_protos(&names)?;
    let window = u64::from(WINDOW);
    config.set_max_connection_window(window);
    config.set_max_stream_window(window);
    config.set_initial_max_data(window);
    config.set_initial_max_stream_data_bidi_local(window);
    config.set_initial_max_stream_data_bidi_remote(window);
    config.set_initial_max_stream_data_uni(window);
    config.set_initial_max_streams_bidi(u64::from(setup.streams));
    config.set_initial_max_streams_uni(u64::from(setup.streams));
    config.set_max_idle_timeout(30_000);
    config.set_max_recv_udp_payload_size(usize::from(setup.mtu));
    config.set_max_send_udp_payload_size(usize::from(setup.mtu));
    config.set_cc_algorithm(quiche::CongestionControlAlgorithm::CUBIC);
    // It only says when a packet should leave; nothing here waits for that.
    config.enable_pacing(false);
    config.grease(false);
    Ok(config)
}

/// Both ends prove an Ed25519 key, nobody checks a chain, nothing is resumed. AES-128-GCM is what
/// BoringSSL prefers where the processor has AES instructions.
fn context(kx: KeyExchange) -> Result<SslContextBuilder> {
    let (certificate, pkcs8) = tls::certificate();
    let at = pkcs8
        .windows(4)
        .position(|head| head == [0x04, 0x22, 0x04, 0x20])
        .ok_or("the key has another form")?;
    let seed = pkcs8.get(at + 4..at + 36).ok_or("the key is too short")?;
    let key = PKey::private_key_from_der(&[&PKCS8_HEAD, seed].concat())?;
    let mut context = SslContextBuilder::new(SslMethod::tls())?;
    context.set_certificate(&*X509::from_der(&certificate)?)?;
    context.set_private_key(&*key)?;
    context.set_sigalgs_list("ed25519")?;
    context.set_curves_list(match kx {
        KeyExchange::X25519 => "X25519",
        KeyExchange::Hybrid => "X25519MLKEM768",
    })?;
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    let both = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    context.set_custom_verify_callback(both, |_| Ok(()));
    Ok(context)
}
