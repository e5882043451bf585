//! Mistakes that can be planted in this crate; see [`dunlin_transport::planted`].

dunlin_transport::planted_bugs! {
    KeyUpdateNotFollowed, "key-update-not-followed", Protection,
        "A packet under the next key opens, and the receiver keeps its keys.",
        "RFC 9001 §6.3";
    KeyUpdateTwice, "key-update-twice", Protection,
        "A sender that is due takes the key after the next one.",
        "RFC 9001 §6.1";
    UpdateBeforeAnswer, "key-update-before-answer", Protection,
        "The next key is taken without knowing that the peer has the current one.",
        "RFC 9001 §6.1, §6.5";
    OldKeyDroppedAtOnce, "old-key-dropped-at-once", Protection,
        "The previous key is forgotten as soon as the next one is used.",
        "RFC 9001 §6.5";
    HeaderMaskReused, "header-mask-reused", Protection,
        "The mask of the header is computed from a constant sample.",
        "RFC 9001 §9.5 (header protection sample)";
    NonceTruncated, "nonce-truncated", Protection,
        "The nonce takes the low 32 bits of the packet number.",
        "hpke-rs RUSTSEC-2026-0071";
    NodeIdNotCompared, "node-id-not-compared", Handshake,
        "Whoever answers is believed, whoever was wanted.",
        "libp2p RUSTSEC-2019-0004";
    ResponderSignatureNotChecked, "responder-signature-not-checked", Handshake,
        "The responder's signature is not looked at.",
        "control model of the handshake (docs/model)";
    InitiatorSignatureNotChecked, "initiator-signature-not-checked", Handshake,
        "The initiator's signature is not looked at.",
        "control model of the handshake (docs/model)";
    TranscriptOmitsOffer, "transcript-omits-offer", Handshake,
        "The transcript does not cover versions and ciphers that were offered.",
        "downgrade by omission (Logjam, FREAK)";
    ClassicalAccepted, "classical-accepted", Handshake,
        "A classical key exchange is accepted where a hybrid one is required.",
        "control model of the handshake (docs/model)";
    CookieForAnyAddress, "cookie-for-any-address", Amplification,
        "A RETRY token is good from every address.",
        "RFC 9000 §8.1.4, WireGuard cookies";
    TokenNeverExpires, "token-never-expires", Amplification,
        "A RETRY token is good for as long as its key can be derived.",
        "RFC 9000 §8.1.4";
    RetryNotAuthenticated, "retry-not-authenticated", Handshake,
        "A RETRY from off the path is believed.",
        "quinn RUSTSEC-2024-0373, RFC 9001 §5.8";
}
