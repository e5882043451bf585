//! A second socket at the same address, connected to the peer that most goes to, where each datagram is given to the
//! system by itself: it need not look up route and destination for each of them then, which took a tenth of
//! the time (ADR 0617).
//!
//! What the peer sends comes to the connected socket; what others send, to the one beside it, so nobody is
//! missed. A connected socket keeps its own address when the system's routes change: the peer's datagrams then come
//! to the other one, and the lane is closed.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::socket::Socket;

/// Batches of several datagrams to one peer, and to nobody else between them, before a lane is opened to it; as many to
/// others close it. Guess: a thousand packets, more than any request takes.
const RUN: u32 = 64;
/// Words of the network in a row, after which the lane is closed. Guess.
const WORDS_MAX: usize = 16;
/// Batches of the peer in a row that come to the other socket, after which the lane is closed. Guess: with a
/// lane in use each socket has its turn, so what was under way before does not come in a row.
const BYPASSED_MAX: u32 = 16;

/// The lane of a socket, if it has one.
#[derive(Default)]
pub(super) struct Lane {
    open: Option<Open>,
    /// Where the last batches went that did not take the lane, and how many these were in a row.
    run: Option<(SocketAddr, u32)>,
    /// The system, or a change of routes, has shown that there is no use in one.
    refused: bool,
}

struct Open {
    socket: Socket,
    peer: SocketAddr,
    /// Batches of the peer that came to the other socket since something came to this one.
    bypassed: u32,
}

impl Lane {
    /// The lane that several datagrams to `peer` take, if they do; opened from `main` when it is time.
    pub(super) fn to(&mut self, peer: SocketAddr, main: &Socket) -> Option<&mut Socket> {
        if self.refused || main.has_offload() {
            return None;
        }
        if self.open.as_ref().is_none_or(|open| open.peer != peer) {
            self.observe(peer, main);
        }
        self.open
            .as_mut()
            .filter(|open| open.peer == peer)
            .map(|open| &mut open.socket)
    }

    fn observe(&mut self, peer: SocketAddr, main: &Socket) {
        let before = self.run.filter(|(last, _)| *last == peer);
        let run = before.map_or(1, |(_, run)| run + 1);
        self.run = Some((peer, run));
        if run < RUN {
            return;
        }
        (self.run, self.open) = (None, None);
        match main.connected_to(peer) {
            Ok(socket) => {
                self.open = Some(Open {
                    socket,
                    peer,
                    bypassed: 0,
                });
            }
            Err(error) => {
                tracing::debug!(%error, %peer, "no connected socket beside the other");
                self.refused = true;
            }
        }
    }

    /// Waits for what comes to it; pending for ever without one.
    ///
    /// Connected sockets hear what the network says of datagrams that were sent. That is no failure: whether a peer is
    /// there the protocol finds out, and anybody can send such words.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(open) = &mut self.open else {
            return Poll::Pending;
        };
        for _ in 0..WORDS_MAX {
            match open.socket.poll_receive(cx) {
                Poll::Ready(Err(error)) => tracing::trace!(%error, peer = %open.peer, "heard"),
                received => {
                    if let Poll::Ready(Ok(1..)) = received {
                        open.bypassed = 0;
                    }
                    return received;
                }
            }
        }
        self.close();
        Poll::Pending
    }

    /// What is there at once; none if nothing is.
    pub(super) fn try_receive(&mut self) -> usize {
        let Some(open) = &mut self.open else {
            return 0;
        };
        let received = open.socket.try_receive().unwrap_or(0);
        if received > 0 {
            open.bypassed = 0;
        }
        received
    }

    fn close(&mut self) {
        (self.open, self.refused) = (None, true);
    }

    /// Its socket, if it is open.
    pub(super) fn socket(&mut self) -> Option<&mut Socket> {
        self.open.as_mut().map(|open| &mut open.socket)
    }

    /// A batch came from `peer` to the other socket. One that was under way when the lane was opened says
    /// nothing; when nothing comes to the lane any more, our address has changed.
    pub(super) fn on_bypassed(&mut self, peer: SocketAddr) {
        let Some(open) = self.open.as_mut().filter(|open| open.peer == peer) else {
            return;
        };
        open.bypassed += 1;
        if open.bypassed >= BYPASSED_MAX {
            tracing::debug!(%peer, "it sends to another address of ours: the connected socket is closed");
            self.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::socket::{Sharing, SocketOptions};

    const LOOPBACK: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn socket(gso: bool, sharing: Sharing) -> Socket {
        let options = SocketOptions {
            send_buffer: 1 << 16,
            receive_buffer: 1 << 16,
            gso,
        };
        Socket::bind(LOOPBACK, options, sharing).unwrap()
    }

    fn peers() -> [SocketAddr; 2] {
        [7, 9].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_run_to_one_peer_opens_a_lane_and_as_long_a_one_to_another_moves_it() {
        let (main, mut lane) = (socket(false, Sharing::Alone), Lane::default());
        let [one, other] = peers();
        for _ in 1..RUN {
            assert!(lane.to(one, &main).is_none());
        }
        let here = main.local_addr().unwrap();
        assert_eq!(lane.to(one, &main).unwrap().local_addr().unwrap(), here);
        for _ in 1..RUN {
            assert!(lane.to(other, &main).is_none());
        }
        assert!(lane.to(one, &main).is_some(), "the first is still there");
        assert!(lane.to(other, &main).is_some());
        assert!(lane.to(one, &main).is_none());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn where_trains_leave_or_several_sockets_share_the_address_there_is_none() {
        let [one, _] = peers();
        let with_trains = socket(true, Sharing::Alone);
        let shared = socket(false, Sharing::Opens);
        for main in [with_trains, shared] {
            let mut lane = Lane::default();
            assert!((0..=2 * RUN).all(|_| lane.to(one, &main).is_none()));
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_peer_that_goes_around_it_closes_it_for_good() {
        let (main, mut lane) = (socket(false, Sharing::Alone), Lane::default());
        let peer = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
        let (there, here) = (peer.local_addr().unwrap(), main.local_addr().unwrap());
        for _ in 0..RUN {
            lane.to(there, &main);
        }
        let bypass = |lane: &mut Lane, by, times| (0..times).for_each(|_| lane.on_bypassed(by));
        bypass(&mut lane, there, BYPASSED_MAX - 1);
        assert!(lane.socket().is_some(), "it may have been sent before");
        peer.send_to(b"to the lane", here).await.unwrap();
        let received = std::future::poll_fn(|cx| lane.poll_receive(cx)).await;
        assert_eq!(received.unwrap(), 1);
        bypass(&mut lane, here, BYPASSED_MAX);
        bypass(&mut lane, there, BYPASSED_MAX - 1);
        assert!(
            lane.socket().is_some(),
            "those were somebody else, and too few"
        );
        lane.on_bypassed(there);
        assert!(lane.socket().is_none());
        assert!((0..=RUN).all(|_| lane.to(there, &main).is_none()));
    }
}
