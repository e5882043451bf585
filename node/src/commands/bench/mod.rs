//! `dunlin bench`: what a connection can do between two processes.
//!
//! A bulk run is one stream to the server, which counts to the end of the stream and answers with
//! the count (8 bytes, network byte order). A request is a reliable message of 64 bytes, which the
//! server sends back. A handshake counts when its first message has come back: then the server
//! has accepted it.

mod client;
mod report;
mod server;

use crate::cli::{BenchArgs, BenchEnd};
use crate::commands::traced;
use crate::failure::Failure;
use crate::signals::Shutdown;

/// Bytes of a request and of its answer.
const REQUEST_LEN: usize = 64;
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
