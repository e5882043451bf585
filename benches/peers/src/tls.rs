//! TLS 1.3 set-up with the same work as Dunlin's handshake: both ends prove an Ed25519 key, nobody
//! checks a chain (a Dunlin node knows its peer by key, not by name), nothing is resumed, packets
//! are sealed with AES-128-GCM, cryptography by aws-lc-rs (AES-GCM by ring where Dunlin takes that too).

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};

use crate::cli::{KeyExchange, Mode};

/// Name in every certificate; nobody looks at it.
pub const SERVER_NAME: &str = "peer.invalid";

/// Configuration of a server; its application protocols are the modes.
///
/// # Panics
/// When the provider cannot make a certificate: a fault of this program.
#[must_use]
pub fn server_config(kx: KeyExchange) -> ServerConfig {
    let provider = provider(kx);
    let (chain, key) = self_signed();
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3 suites")
        .with_client_cert_verifier(Arc::new(AnyKey(provider)))
        .with_single_cert(chain, key)
        .expect("a fresh key fits its certificate");
    config.send_tls13_tickets = 0;
    config.alpn_protocols = Mode::ALL.map(|mode| mode.name().as_bytes().to_vec()).into();
    config
}

/// Configuration of a client that asks for `mode`.
///
/// # Panics
/// As [`server_config`].
#[must_use]
pub fn client_config(kx: KeyExchange, mode: Mode) -> ClientConfig {
    let provider = provider(kx);
    let (chain, key) = self_signed();
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3 suites")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_client_auth_cert(chain, key)
        .expect("a fresh key fits its certificate");
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![mode.name().as_bytes().to_vec()];
    config
}

/// Whether Dunlin takes ring's AES-GCM on this processor, as TLS can as well.
fn gcm_of_ring_is_faster() -> bool {
    dunlin_session::provider::aws_lc().name() == "aws-lc with ring"
}

fn provider(kx: KeyExchange) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![match gcm_of_ring_is_faster() {
        true => ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        false => aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
    }];
    provider.kx_groups = vec![match kx {
        KeyExchange::X25519 => aws_lc_rs::kx_group::X25519,
        KeyExchange::Hybrid => aws_lc_rs::kx_group::X25519MLKEM768,
    }];
    Arc::new(provider)
}

fn self_signed() -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let (certificate, key) = certificate();
    let key = PrivatePkcs8KeyDer::from(key);
    (vec![certificate.into()], key.into())
}

/// A fresh self-signed certificate (DER) and its Ed25519 key (PKCS #8, DER).
///
/// # Panics
/// When the provider cannot make a certificate: a fault of this program.
#[must_use]
pub fn certificate() -> (Vec<u8>, Vec<u8>) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("Ed25519 is supported");
    let certificate = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a self-signed certificate can be made");
    (certificate.der().to_vec(), key.serialize_der())
}

/// Accepts whoever proves possession of the key in its certificate.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl AnyKey {
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }
}

/// What the verifiers of both ends do alike: TLS 1.3 and Ed25519, nothing else.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("only TLS 1.3 is offered".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.verify(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
    };
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}
