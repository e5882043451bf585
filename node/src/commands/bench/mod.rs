//! `dunlin bench`: what a connection can do between two processes.
//!
//! A stream of a bulk run goes to the server, which counts to its end and answers with the count (8
//! bytes, network byte order). Everything else is a reliable message of 64 bytes, and its first byte
//! says what the server does with it ([`kind`]). A handshake counts when its first request has been
//! answered: then the server has accepted it.

mod client;
mod load;
mod report;
mod server;

use crate::cli::{BenchArgs, BenchEnd};
use crate::commands::traced;
use crate::failure::Failure;
use crate::signals::Shutdown;

/// Bytes of a message: a request, its answer, and what goes one way.
const MESSAGE_LEN: usize = 64;
/// Bytes of a write of a bulk run.
const WRITE_LEN: usize = 64 * 1024;

/// Runs either end.
pub(super) async fn run(args: BenchArgs, shutdown: Shutdown) -> Result<(), Failure> {
    match args.end {
        BenchEnd::Server(args) => {
            traced(args.traces.clone(), |traces| {
                server::run(args, traces, shutdown)
            })
            .await
        }
        BenchEnd::Client(args) => {
            traced(args.traces.clone(), |traces| {
                client::run(args, traces, shutdown)
            })
            .await
        }
    }
}

/// First bytes of messages.
mod kind {
    /// The server sends it back.
    pub(super) const REQUEST: u8 = 0x5a;
    /// The server counts it.
    pub(super) const COUNTED: u8 = 1;
    /// The server sends it back when it has counted as many as the next eight bytes say (network
    /// byte order).
    pub(super) const COMPLETE: u8 = 2;
}

/// A message of that kind with a number in it.
fn message(kind: u8, number: u64) -> [u8; MESSAGE_LEN] {
    let mut message = [0x5a; MESSAGE_LEN];
    let (head, rest) = message.split_at_mut(1);
    head.fill(kind);
    if let Some(place) = rest.first_chunk_mut() {
        *place = number.to_be_bytes();
    }
    message
}

/// The kind of a message and its number; None: it is none of ours.
fn parse(message: &[u8]) -> Option<(u8, u64)> {
    let (kind, rest) = message.split_first()?;
    let number = rest.first_chunk().copied().map(u64::from_be_bytes)?;
    (message.len() == MESSAGE_LEN).then_some((*kind, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_kind_and_number() {
        let sent = message(kind::COMPLETE, u64::MAX - 1);
        assert_eq!(parse(&sent), Some((kind::COMPLETE, u64::MAX - 1)));
        assert_eq!(parse(&sent[1..]), None);
        assert_eq!(parse(&[]), None);
    }
}
