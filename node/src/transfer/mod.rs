//! The file-transfer protocol, over any pair of byte streams. `docs/transfer.md` specifies it.
//!
//! The sender lists everything first; the receiver answers for each entry what it already has; the
//! sender sends what is missing. Nothing waits for a round trip but the first answer. Each file
//! carries its BLAKE3 hash and gets its name only when that hash has been verified; until then it
//! lies beside its place as a `.dunlin-part`, which an interrupted transfer continues.
//!
//! | file | what it is |
//! |---|---|
//! | [`path`] | paths that stay inside a folder |
//! | [`message`], [`verdict`], [`cursor`], [`frames`] | bytes and types |
//! | [`active`] | a transfer that starts again takes over from its dead self |
//! | [`scan`], `source`, [`mod@send`] | the sender: list, file thread, stream |
//! | `inspect`, `sink`, [`store`], [`receive`] | the receiver: what is here, writing, the folder, stream |
//! | [`limits`] | what a peer can make this end hold |
//!
//! It does not know who the peer is, encrypts nothing and repairs nothing: all of that is below.

pub mod active;
pub mod cursor;
pub mod error;
pub mod frames;
pub mod fuzzing;
mod inspect;
pub mod limits;
pub mod message;
pub mod path;
pub mod progress;
pub mod receive;
pub mod scan;
pub mod send;
pub mod sentences;
mod sink;
mod source;
pub mod store;
pub mod verdict;

pub use error::{TransferError, Violation};
pub use message::{AbortCode, Outcome, Problem};
pub use progress::{Notice, Progress, Quiet};
pub use receive::{Incoming, Offered, Stopper};
pub use scan::Manifest;
pub use send::send;

#[cfg(test)]
mod tests;
