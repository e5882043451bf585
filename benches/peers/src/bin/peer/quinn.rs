//! QUIC (quinn).

use bytes::Bytes;
use dunlin_peers::{Result, WRITE_SIZE};
use quinn as api;

#[path = "quinn_like.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same code measures two stacks with one API"
)]
mod quinn_like;

pub use quinn_like::Quic;

/// Name in the results.
const NAME: &str = "quinn";

/// The next piece of a stream; None: it has ended.
async fn next_chunk(stream: &mut api::RecvStream) -> Result<Option<Bytes>> {
    let chunk = stream.read_chunk(WRITE_SIZE, true).await?;
    Ok(chunk.map(|chunk| chunk.bytes))
}
