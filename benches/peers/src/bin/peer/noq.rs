//! QUIC (noq, a descendant of quinn with nearly its API).

use bytes::Bytes;
use dunlin_peers::{Result, WRITE_SIZE};
use noq as api;

#[path = "quinn_like.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same code measures two stacks with one API"
)]
mod quinn_like;

pub use quinn_like::Quic;

/// Name in the results.
const NAME: &str = "noq";

/// The next piece of a stream; None: it has ended.
async fn next_chunk(stream: &mut api::RecvStream) -> Result<Option<Bytes>> {
    Ok(stream.read_chunk(WRITE_SIZE).await?)
}
