//! Runs the core on a UDP socket, and where that is blocked on TCP, under tokio.
//!
//! An [`Endpoint`] is one socket and one task. The task alone does socket I/O: it receives a batch
//! (several buffers a system call, each holding a train of datagrams where the kernel coalesces
//! them), feeds the whole batch to the core under one lock, collects what the core wants to send,
//! releases the lock and only then sends (segmentation offload where the kernel has it). Handles
//! given to the application lock the same core for the length of one call and wake the task.
//!
//! Each TCP stream has a core and a task of the same kind (folder `carrier`); the handles of its
//! connection are the same too, and [`Connection::carrier`] tells which it is.
//!
//! Rules this module keeps:
//! - No lock is held across a system call, nor while a waker runs.
//! - A batch that the kernel refuses is sent again datagram by datagram; a batch that would block
//!   is kept. The driver loses no packet that the kernel would have taken.
//! - Every queue is bounded by the core's limits or by [`ACCEPT_QUEUE_MAX`].
//! - All time comes from one clock ([`Endpoint`] takes its origin when it is bound).
//!
//! # Example
//! Two endpoints on loopback, plain profile (a checksum, no secrecy):
//! ```
//! use dunlin_transport::driver::{Endpoint, EndpointOptions};
//! use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let any_port = "127.0.0.1:0".parse()?;
//! let options = EndpointOptions::default().with_acceptor(Box::new(PlainAcceptor::new()));
//! let server = Endpoint::bind(any_port, options)?;
//! let address = server.local_addr();
//! let echo = tokio::spawn(async move {
//!     let connection = server.accept().await.expect("the endpoint is running");
//!     let (mut send, mut receive) = connection.accept_stream().await?;
//!     tokio::io::copy(&mut receive, &mut send).await?;
//!     send.finish().await?;
//!     connection.closed().await;
//!     Ok::<(), std::io::Error>(())
//! });
//!
//! let client = Endpoint::bind(any_port, EndpointOptions::default())?;
//! let connection = client.connect(address, Box::new(PlainInitiator::new())).await?;
//! let (mut send, mut receive) = connection.open_stream().await?;
//! send.write_all(b"hello").await?;
//! send.finish().await?;
//! let mut answer = Vec::new();
//! receive.read_to_end(&mut answer).await?;
//! assert_eq!(answer, b"hello");
//! connection.close(0, "done").await;
//! echo.await??;
//! # Ok(())
//! # }
//! ```

mod arrival;
mod busy;
mod carrier;
mod clock;
mod connection;
mod endpoint;
mod error;
mod incoming;
mod lane;
mod link;
mod many;
mod options;
mod random;
mod records;
mod shards;
mod socket;
mod state;
mod steer;
mod strays;
mod stream;
mod task;
mod wake;
mod watched;

pub use arrival::Arrival;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use carrier::carrier_framing;
pub use carrier::{Carrier, CarrierChoice};
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use error::{ChallengeError, ConnectionError};
pub use incoming::ACCEPT_QUEUE_MAX;
pub use options::EndpointOptions;
pub use random::OsRandom;
pub use stream::{RecvStream, SendStream};
