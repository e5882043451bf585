//! A TCP stream as a link: what the socket takes and yields, in datagrams.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use super::framing::{Inbox, Outbox};
use crate::driver::link::{Arrived, Link};
use crate::driver::socket::Socket;
use crate::error::CloseReason;
use crate::io::Transmit;

/// Unsent bytes in the kernel from which on the socket takes no more (`TCP_NOTSENT_LOWAT`): what is
/// written later, an acknowledgement or an urgent message, waits behind no more than that. Guess:
/// two system calls' worth.
const UNSENT_MAX: u32 = 131_072;

/// A connected stream.
pub(super) struct TcpLink {
    io: TcpStream,
    remote: SocketAddr,
    inbox: Inbox,
    outbox: Outbox,
    /// The socket takes nothing any more; what the peer had sent before can still be read.
    broken: bool,
}

impl TcpLink {
    /// Over `io`.
    ///
    /// # Errors
    /// The stream is already gone.
    pub(super) fn new(io: TcpStream) -> io::Result<Self> {
        let remote = io.peer_addr()?;
        // The core decides when a packet leaves; waiting for more would delay acknowledgements.
        io.set_nodelay(true)?;
        limit_unsent(&io);
        Ok(Self {
            io,
            remote,
            inbox: Inbox::new(),
            outbox: Outbox::default(),
            broken: false,
        })
    }

    /// Our end of the stream.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// The peer's end.
    pub(super) const fn remote_addr(&self) -> SocketAddr {
        self.remote
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(io: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(io).set_tcp_notsent_lowat(UNSENT_MAX) {
        tracing::debug!(%error, "the system refused a limit of unsent bytes");
    }
}

/// Elsewhere the size of the system's send buffer is the limit.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_: &TcpStream) {
    let _ = UNSENT_MAX;
}

impl Link for TcpLink {
    const FAILED: CloseReason = CloseReason::CarrierLost;

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_read_ready(cx))?;
            match self.io.try_read(self.inbox.room()) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.inbox.on_filled(count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn feed(&mut self, _: usize, mut handle: impl FnMut(Arrived<'_>)) -> io::Result<()> {
        while let Some(bytes) = self.inbox.next()? {
            handle(Arrived {
                from: self.remote,
                ecn: None,
                to: None,
                size: bytes.len().max(1),
                bytes,
            });
        }
        Ok(())
    }

    fn is_clear(&self) -> bool {
        self.outbox.waiting().is_empty()
    }

    fn fill(&mut self, poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>) -> usize {
        self.outbox.fill(poll);
        self.outbox.waiting().len()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.broken && !self.outbox.waiting().is_empty() {
            let result = ready!(self.io.poll_write_ready(cx))
                .and_then(|()| self.io.try_write(self.outbox.waiting()));
            match result {
                Ok(count) => self.outbox.on_sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer may have said why before it went: reading finds that, and then the end.
                Err(_) => self.broken = true,
            }
        }
        if self.broken {
            self.outbox.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// Never asked: a connection stays on its stream (W-TCP-3).
    fn rebind(&mut self, _: Socket) {}

    fn log(error: &io::Error) {
        tracing::debug!(%error, "a TCP stream ended");
    }
}
