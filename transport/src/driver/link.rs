//! What a task drives its core over: something that takes and yields datagrams. A UDP socket is
//! one ([`UdpLink`]), a TCP stream another (`carrier/stream.rs`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use super::lane::Lane;
use super::socket::{Outgoing, Socket};
use crate::error::CloseReason;
use crate::io::{EcnMark, Transmit};

/// Datagrams that arrived together, one or a train.
pub(super) struct Arrived<'a> {
    /// Where from.
    pub(super) from: SocketAddr,
    /// Their congestion mark.
    pub(super) ecn: Option<EcnMark>,
    /// To which of our addresses, if the system tells.
    pub(super) to: Option<IpAddr>,
    /// Bytes of each; the last one may be shorter. At least one.
    pub(super) size: usize,
    /// Their bytes.
    pub(super) bytes: &'a mut [u8],
}

/// A source and sink of datagrams.
pub(super) trait Link: Send + Unpin + 'static {
    /// What connections end with when the link fails.
    const FAILED: CloseReason;

    /// Waits for bytes: how much there is, for [`Self::feed`]. Zero: nothing after all.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// The same at once, whatever the system has said of the link: zero, nothing is there. Links that
    /// cannot be asked say so.
    fn try_receive(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    /// Hands on what [`Self::poll_receive`] has counted.
    ///
    /// # Errors
    /// What came is no sequence of datagrams; those before the error were handed on.
    fn feed(&mut self, received: usize, handle: impl FnMut(Arrived<'_>)) -> io::Result<()>;

    /// Whether everything that [`Self::fill`] took has left.
    fn is_clear(&self) -> bool;

    /// Takes a bounded number of batches from `poll`: how many bytes. Call when clear.
    fn fill(&mut self, poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>) -> usize;

    /// Sends what was taken. Pending: the system takes no more now, and the rest is kept.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Another socket takes its place. Only UDP has one to offer.
    fn rebind(&mut self, socket: Socket);

    /// Tells the log why the link failed.
    fn log(error: &io::Error);
}

/// Batches in a row that came to the new socket alone, after which nobody is taken to send to the one
/// before any more. A guess: many round trips, of each of many connections.
const BATCHES_ALONE: u32 = 1_000;

/// A UDP socket and the batches that wait for it.
pub(super) struct UdpLink {
    socket: Socket,
    outgoing: Outgoing,
    /// The socket before the last change of address, for what is still on its way to it, and the
    /// batches that came to the other one since.
    previous: Option<(Socket, u32)>,
    /// Beside the socket, where one peer gets nearly all.
    lane: Lane,
    /// Where what was received last came to.
    source: Source,
}

/// A socket of a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Main,
    Lane,
    Previous,
}

impl UdpLink {
    /// Over a bound socket.
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            outgoing: Outgoing::default(),
            previous: None,
            lane: Lane::default(),
            source: Source::Main,
        }
    }

    /// The same from the socket that was used before, if there is one.
    fn poll_previous(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some((previous, alone)) = &mut self.previous else {
            return Poll::Pending;
        };
        match previous.poll_receive(cx) {
            Poll::Ready(Ok(count)) => {
                *alone = 0;
                self.source = Source::Previous;
                Poll::Ready(Ok(count))
            }
            // Its interface may be gone: that is why there is another one.
            Poll::Ready(Err(_)) => {
                self.previous = None;
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Link for UdpLink {
    const FAILED: CloseReason = CloseReason::EndpointStopped;

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Each in its turn: strangers who flood the one do not keep the peer of the other waiting.
        if self.source != Source::Lane {
            let received = self.lane.poll_receive(cx);
            if received.is_ready() {
                self.source = Source::Lane;
                return received;
            }
        }
        let had_its_turn = self.source == Source::Lane;
        self.source = Source::Main;
        let Poll::Ready(result) = self.socket.poll_receive(cx) else {
            if had_its_turn && let received @ Poll::Ready(_) = self.lane.poll_receive(cx) {
                self.source = Source::Lane;
                return received;
            }
            return self.poll_previous(cx);
        };
        if let Some((_, alone)) = &mut self.previous {
            *alone += 1;
            if *alone > BATCHES_ALONE {
                self.previous = None;
            }
        }
        Poll::Ready(match result {
            // An answer of the network to something we sent (Windows): nothing was received.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            other => other,
        })
    }

    fn try_receive(&mut self) -> io::Result<usize> {
        // What is on its way to the socket before the last move wakes the task: moves are rare.
        self.source = Source::Lane;
        let received = self.lane.try_receive();
        if received > 0 {
            return Ok(received);
        }
        self.source = Source::Main;
        match self.socket.try_receive() {
            Err(error) if is_no_failure(&error) => Ok(0),
            other => other,
        }
    }

    fn feed(&mut self, received: usize, handle: impl FnMut(Arrived<'_>)) -> io::Result<()> {
        let lane = &mut self.lane;
        let socket = match (self.source, &mut self.previous) {
            (Source::Previous, Some((previous, _))) => previous,
            (Source::Lane, _) => match lane.socket() {
                Some(socket) => socket,
                None => return Ok(()),
            },
            _ => {
                if let (Some(_), Some(Arrived { from, .. })) =
                    (lane.socket(), self.socket.trains(received).next())
                {
                    lane.on_bypassed(from);
                }
                &mut self.socket
            }
        };
        socket.trains(received).for_each(handle);
        Ok(())
    }

    fn is_clear(&self) -> bool {
        self.outgoing.is_empty()
    }

    fn fill(&mut self, poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>) -> usize {
        self.outgoing.fill(poll)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((destination, several)) = self.outgoing.destination() {
            let lane = several.then(|| self.lane.to(destination, &self.socket));
            let socket = lane.flatten().unwrap_or(&mut self.socket);
            ready!(socket.poll_send(cx, &mut self.outgoing))?;
        }
        Poll::Ready(Ok(()))
    }

    /// What waits to be sent is lost: it bears what was used on the old path.
    fn rebind(&mut self, socket: Socket) {
        let previous = std::mem::replace(&mut self.socket, socket);
        self.previous = Some((previous, 0));
        self.outgoing = Outgoing::default();
        self.lane = Lane::default();
    }

    fn log(error: &io::Error) {
        tracing::error!(%error, "the socket failed; the endpoint stops");
    }
}

/// Whether receiving failed for want of a datagram, or because the network answered to something that we
/// sent (Windows).
fn is_no_failure(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset
    )
}
