//! Sizes and bounds of the session layer. All handshake messages have one fixed size each, so that
//! a size tells an observer nothing, and a peer makes us hold nothing beyond them.

use core::time::Duration;

/// Bytes of the session's part of a SYN. With 32 bytes of header, at most 8 of transport prefix and
/// 4 of CRC-32 the UDP payload is at most 1,400 bytes: 1,428 on IPv4, 1,448 on IPv6.
pub const SYN_LEN: usize = 1_356;
/// Bytes of the session's part of a SYN_ACK: no more than the SYN's, so that an unproven address
/// is never sent more than came from it.
pub const SYN_ACK_LEN: usize = 1_356;
/// Bytes of the confirm message.
pub const CONFIRM_LEN: usize = 346;
/// Bytes of a RETRY.
pub const RETRY_LEN: usize = 48;

/// Bytes of a RETRY token.
pub const TOKEN_LEN: usize = 32;
/// How long a RETRY token is good for. Guess: an initiator answers a RETRY at once; this leaves
/// room for lost packets and a slow path.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(20);
/// How long tokens are made with the same key (security.md §1.3).
pub const TOKEN_KEY_LIFETIME: Duration = Duration::from_secs(60);

/// Bytes of transport parameters that a SYN_ACK has room for; an acceptor with longer ones ignores
/// every SYN.
pub const RESPONDER_PARAMS_MAX: usize = 78;
/// Bytes of transport parameters that a confirm message has room for; with longer ones the
/// initiator fails.
pub const INITIATOR_PARAMS_MAX: usize = 128;
/// Largest set of capabilities: the low 56 bits belong to the application.
pub const CAPABILITIES_MAX: u64 = (1 << 56) - 1;
/// Bytes of a user agent. Longer ones are cut; a SYN_ACK carries what fits beside the transport
/// parameters.
pub const USER_AGENT_MAX: usize = 64;

/// Packets that one key seals before the next one is due: an eighth of the strictest limit of the
/// ciphers (RFC 9001 §6.6: 2^23).
pub const KEY_UPDATE_PACKETS: u64 = 1 << 20;
/// How long a key is used before the next one is due (security.md §1.3: ten minutes).
pub const KEY_UPDATE_INTERVAL: Duration = Duration::from_secs(600);
/// Age at which a connection makes a fresh key exchange (security.md §1.3: an hour).
pub const REKEY_INTERVAL: Duration = Duration::from_secs(3_600);
/// Bytes after which it does (security.md §1.3: 64 GiB).
pub const REKEY_BYTES: u64 = 64 << 30;
/// Node IDs on a deny list; a further one is not taken.
pub const DENIED_MAX: usize = 65_536;
/// Proofs on demand (S-RA) that a peer is given at once; a further challenge is a violation. One more
/// each [`PROOF_INTERVAL`]. Twice what an honest peer whose first challenge was late can have asked for.
pub const PROOFS_AT_ONCE: u32 = 4;
/// Least time between two challenges of ours, and what earns a peer one more answer: a signature a
/// second is no load (chosen).
pub const PROOF_INTERVAL: Duration = Duration::from_secs(1);
/// Probe timeouts for which the keys of the previous phase open late packets (RFC 9001 §6.5).
pub const PREVIOUS_KEYS_PROBE_TIMEOUTS: u32 = 3;
