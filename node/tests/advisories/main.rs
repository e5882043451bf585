//! Known disasters of other stacks, replayed here.
//!
//! Each test is named after an advisory (in lower case) or after a hole of the designs that this
//! project began from (`seed_…`). It does to our endpoints what was done to theirs, or, where the
//! part does not exist here, the nearest thing that does. Above each stands what happened there
//! and why it does not happen here. `docs/threats.md` has the list.

mod bitcoin;
mod cryptography;
mod dalek;
mod geth;
mod h2;
mod libp2p;
mod lsquic;
mod quic_go;
mod quiche;
mod quinn;
mod seeds;
mod snow;
mod support;
mod tcp;
mod wireguard;
