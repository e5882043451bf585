//! What a transport with streams has to offer to be measured.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;

use crate::Result;
use crate::cli::{Mode, Setup};

/// A connection whose handshake still goes on.
pub type Handshake<C> = Pin<Box<dyn Future<Output = Result<Rc<C>>>>>;

/// One end of a transport.
#[expect(async_fn_in_trait, reason = "all runs on one thread")]
pub trait Endpoint: Sized + 'static {
    /// Name in the results.
    const NAME: &'static str;
    /// Its connections.
    type Connection: Connection;

    /// Listens.
    ///
    /// # Errors
    /// When the system or the transport refuses.
    fn server(listen: SocketAddr, setup: &Setup) -> Result<Self>;

    /// Is ready to connect to `server` and to ask it for `mode`.
    ///
    /// # Errors
    /// As [`Self::server`].
    fn client(server: SocketAddr, mode: Mode, setup: &Setup) -> Result<Self>;

    /// Where it is bound.
    ///
    /// # Errors
    /// When the system does not tell.
    fn local_addr(&self) -> Result<SocketAddr>;

    /// A new connection.
    ///
    /// # Errors
    /// When the handshake fails.
    async fn connect(&self, server: SocketAddr) -> Result<Rc<Self::Connection>>;

    /// The next connection that a client opens; None: the endpoint is closed.
    async fn accept(&mut self) -> Option<Handshake<Self::Connection>>;

    /// Tells the peers that it is over.
    async fn shutdown(self);
}

/// A connection with streams.
#[expect(async_fn_in_trait, reason = "all runs on one thread")]
pub trait Connection: 'static {
    /// The writing half of a stream.
    type Sender: Sender;
    /// The reading half.
    type Receiver: Receiver;

    /// What the client asked for; None: it named no mode.
    fn mode(&self) -> Option<Mode>;

    /// A new bidirectional stream.
    ///
    /// # Errors
    /// When the connection is lost.
    async fn open(&self) -> Result<(Self::Sender, Self::Receiver)>;

    /// The next bidirectional stream of the other end.
    ///
    /// # Errors
    /// When the connection is over.
    async fn accept(&self) -> Result<(Self::Sender, Self::Receiver)>;

    /// A new stream that only we write on.
    ///
    /// # Errors
    /// When the connection is lost.
    async fn open_uni(&self) -> Result<Self::Sender>;

    /// The next stream that only the other end writes on.
    ///
    /// # Errors
    /// When the connection is over.
    async fn accept_uni(&self) -> Result<Self::Receiver>;

    /// Ends it at once.
    fn close(&self);
}

/// The writing half of a stream.
#[expect(async_fn_in_trait, reason = "all runs on one thread")]
pub trait Sender: 'static {
    /// Writes all of `data`.
    ///
    /// # Errors
    /// When the stream or connection is lost.
    async fn write_all(&mut self, data: &Bytes) -> Result<()>;

    /// Says that nothing follows.
    ///
    /// # Errors
    /// When the stream is lost.
    fn finish(&mut self) -> Result<()>;
}

/// The reading half of a stream.
#[expect(async_fn_in_trait, reason = "all runs on one thread")]
pub trait Receiver: 'static {
    /// Fills `out`.
    ///
    /// # Errors
    /// When the stream ends before, or is lost.
    async fn read_exact(&mut self, out: &mut [u8]) -> Result<()>;

    /// Reads to the end; how many bytes there were.
    ///
    /// # Errors
    /// When the stream or connection is lost.
    async fn drain(&mut self) -> Result<u64>;
}
