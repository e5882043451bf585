//! Attacks carried out against production endpoints in virtual time.
//!
//! Each test is a row of `docs/threats.md`. Two kinds of attackers: one without keys, beside or on
//! the path of two honest ends ([`line`]); and a peer that made an honest handshake and then breaks
//! the rules (`dunlin_lab::adversary`).

mod handshake;
mod line;
mod numbers;
mod off_path;
mod paths;
mod peer;
mod violations;
mod words;

/// How often an attack is tried: `DUNLIN_ATTACKS` multiplies it (10 makes 10^6 of 10^5).
fn times(usually: usize) -> usize {
    let factor = std::env::var("DUNLIN_ATTACKS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    usually * factor
}
