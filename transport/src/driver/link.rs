//! What a task drives its core over: something that takes and yields datagrams. A UDP socket is
//! one ([`UdpLink`]), a TCP stream another (`carrier/stream.rs`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use super::socket::{Outgoing, Socket};
use crate::error::CloseReason;
use crate::io::{EcnMark, Transmit};

/// A datagram that arrived.
pub(super) struct Arrived<'a> {
    /// Where from.
    pub(super) from: SocketAddr,
    /// Its congestion mark.
    pub(super) ecn: Option<EcnMark>,
    /// To which of our addresses, if the system tells.
    pub(super) to: Option<IpAddr>,
    /// Its bytes.
    pub(super) bytes: &'a mut [u8],
}

/// A source and sink of datagrams.
pub(super) trait Link: Send + Unpin + 'static {
    /// What connections end with when the link fails.
    const FAILED: CloseReason;

    /// Waits for bytes: how much there is, for [`Self::feed`]. Zero: nothing after all.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Hands on what [`Self::poll_receive`] has counted.
    ///
    /// # Errors
    /// What came is no sequence of datagrams; those before the error were handed on.
    fn feed(&mut self, received: usize, handle: impl FnMut(Arrived<'_>)) -> io::Result<()>;

    /// Whether everything that [`Self::fill`] took has left.
    fn is_clear(&self) -> bool;

    /// Takes a bounded number of batches from `poll`. Call when clear.
    fn fill(&mut self, poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>);

    /// Sends what was taken. Pending: the system takes no more now, and the rest is kept.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells the log why the link failed.
    fn log(error: &io::Error);
}

/// A UDP socket and the batches that wait for it.
pub(super) struct UdpLink {
    socket: Socket,
    outgoing: Outgoing,
}

impl UdpLink {
    /// Over a bound socket.
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            outgoing: Outgoing::default(),
        }
    }
}

impl Link for UdpLink {
    const FAILED: CloseReason = CloseReason::EndpointStopped;

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.socket.poll_receive(cx).map(|result| match result {
            // An answer of the network to something we sent (Windows): nothing was received.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            other => other,
        })
    }

    fn feed(&mut self, received: usize, mut handle: impl FnMut(Arrived<'_>)) -> io::Result<()> {
        for (from, ecn, to, bytes) in self.socket.datagrams(received) {
            handle(Arrived {
                from,
                ecn,
                to,
                bytes,
            });
        }
        Ok(())
    }

    fn is_clear(&self) -> bool {
        self.outgoing.is_empty()
    }

    fn fill(&mut self, poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>) {
        self.outgoing.fill(poll);
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send(cx, &mut self.outgoing)
    }

    fn log(error: &io::Error) {
        tracing::error!(%error, "the socket failed; the endpoint stops");
    }
}
