//! A socket that the runtime watches: for what arrives always, for room only while something waits to leave.
//!
//! A system that is asked about room says that there is some each time a datagram has left the socket's buffer. To who waits
//! for an answer that is no news: there was room before. In a handshake on loopback it answered one to two of the four calls
//! that wait (ADR 0628).

#[cfg(not(unix))]
pub(super) use other::Watched;
#[cfg(unix)]
pub(super) use unix::Watched;

#[cfg(unix)]
mod unix {
    use std::io;
    use std::net::UdpSocket;
    use std::task::{Context, Poll, ready};

    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A UDP socket that does not block.
    pub(in crate::driver) struct Watched {
        arrivals: AsyncFd<UdpSocket>,
        /// The same socket, while it has no room.
        room: Option<AsyncFd<UdpSocket>>,
    }

    impl Watched {
        /// Watches a socket that does not block.
        pub(in crate::driver) fn new(socket: UdpSocket) -> io::Result<Self> {
            Ok(Self {
                arrivals: watch(socket, Interest::READABLE)?,
                room: None,
            })
        }

        /// The socket.
        pub(in crate::driver) fn get(&self) -> &UdpSocket {
            self.arrivals.get_ref()
        }

        /// Waits until something may have arrived and lets `receive` look: what it received, and whether there may be
        /// more. Where not, the system is waited for the next time: it tells when there is something new.
        pub(in crate::driver) fn poll_receive<R>(
            &self,
            cx: &mut Context<'_>,
            mut receive: impl FnMut(&UdpSocket) -> io::Result<(R, bool)>,
        ) -> Poll<io::Result<R>> {
            loop {
                let mut arrived = ready!(self.arrivals.poll_read_ready(cx))?;
                match receive(self.get()) {
                    Ok((received, more)) => {
                        if !more {
                            arrived.clear_ready();
                        }
                        return Poll::Ready(Ok(received));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        arrived.clear_ready();
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }

        /// Lets `send` send, as soon as there is room: it says [`io::ErrorKind::WouldBlock`] where there is none.
        pub(in crate::driver) fn poll_send<R>(
            &mut self,
            cx: &mut Context<'_>,
            mut send: impl FnMut(&UdpSocket) -> io::Result<R>,
        ) -> Poll<io::Result<R>> {
            loop {
                let Some(room) = &self.room else {
                    match send(self.get()) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        result => return Poll::Ready(result),
                    }
                    let clone = self.get().try_clone();
                    match clone.and_then(|socket| watch(socket, Interest::WRITABLE)) {
                        Ok(room) => self.room = Some(room),
                        Err(error) => {
                            // No descriptor is left, maybe: nobody tells then, so it is tried again.
                            tracing::debug!(%error, "the socket cannot be watched for room");
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                    }
                    continue;
                };
                let mut writable = ready!(room.poll_write_ready(cx))?;
                match send(self.get()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        writable.clear_ready();
                    }
                    result => {
                        self.room = None;
                        return Poll::Ready(result);
                    }
                }
            }
        }
    }

    /// The runtime's handle of a socket.
    #[expect(
        deprecated,
        reason = "what takes its place is unsafe; the handle owns the socket"
    )]
    fn watch(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
        AsyncFd::with_interest(socket, interest)
    }

    #[cfg(test)]
    mod tests {
        use std::future::poll_fn;

        use super::*;

        fn watched() -> Watched {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            Watched::new(socket).unwrap()
        }

        #[tokio::test]
        async fn room_is_waited_for_where_there_is_none_and_not_watched_for_afterwards() {
            let mut watched = watched();
            let mut answers = vec![Ok(7), Err(io::ErrorKind::WouldBlock.into())];
            let sent = poll_fn(|cx| watched.poll_send(cx, |_| answers.pop().unwrap())).await;
            assert_eq!((sent.unwrap(), answers.len()), (7, 0));
            assert!(watched.room.is_none());
            let refused = poll_fn(|cx| {
                watched.poll_send(cx, |_| Err::<(), _>(io::ErrorKind::InvalidInput.into()))
            });
            assert_eq!(
                refused.await.unwrap_err().kind(),
                io::ErrorKind::InvalidInput
            );
        }

        #[tokio::test]
        async fn what_is_left_is_received_without_waiting_and_then_the_system_is_waited_for() {
            let watched = watched();
            let address = watched.get().local_addr().unwrap();
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut looks = 0;
            let mut take = async |more| {
                poll_fn(|cx| {
                    watched.poll_receive(cx, |socket| {
                        looks += 1;
                        Ok((socket.recv(&mut [0; 8])?, more))
                    })
                })
                .await
                .unwrap()
            };
            for bytes in [&[1][..], &[2, 2], &[3, 3, 3]] {
                peer.send_to(bytes, address).unwrap();
            }
            assert_eq!((take(true).await, take(true).await), (1, 2));
            assert_eq!(take(false).await, 3);
            let (next, _) = tokio::join!(take(false), async { peer.send_to(&[4; 4], address) });
            assert_eq!(next, 4);
            assert_eq!(looks, 4, "no look found nothing");
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;
    use std::net::UdpSocket;
    use std::task::{Context, Poll, ready};

    use tokio::io::Interest;

    /// A UDP socket that does not block. Here the runtime watches for both all the time.
    pub(in crate::driver) struct Watched {
        /// The runtime's handle of it.
        watched: tokio::net::UdpSocket,
        socket: UdpSocket,
    }

    impl Watched {
        /// Watches a socket that does not block.
        pub(in crate::driver) fn new(socket: UdpSocket) -> io::Result<Self> {
            Ok(Self {
                watched: tokio::net::UdpSocket::from_std(socket.try_clone()?)?,
                socket,
            })
        }

        /// The socket.
        pub(in crate::driver) fn get(&self) -> &UdpSocket {
            &self.socket
        }

        /// Waits until something may have arrived and lets `receive` look: what it received, and whether there may be
        /// more. Where not, the system is waited for the next time.
        pub(in crate::driver) fn poll_receive<R>(
            &self,
            cx: &mut Context<'_>,
            mut receive: impl FnMut(&UdpSocket) -> io::Result<(R, bool)>,
        ) -> Poll<io::Result<R>> {
            loop {
                ready!(self.watched.poll_recv_ready(cx))?;
                let mut received = None;
                let result = self.watched.try_io(Interest::READABLE, || {
                    let (result, more) = receive(&self.socket)?;
                    received = Some(result);
                    match more {
                        true => Ok(()),
                        false => Err(io::ErrorKind::WouldBlock.into()),
                    }
                });
                match (received, result) {
                    (Some(received), _) => return Poll::Ready(Ok(received)),
                    (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Poll::Ready(Err(error));
                    }
                    (None, _) => {}
                }
            }
        }

        /// Lets `send` send, as soon as there is room: it says [`io::ErrorKind::WouldBlock`] where there is none.
        pub(in crate::driver) fn poll_send<R>(
            &mut self,
            cx: &mut Context<'_>,
            mut send: impl FnMut(&UdpSocket) -> io::Result<R>,
        ) -> Poll<io::Result<R>> {
            loop {
                ready!(self.watched.poll_send_ready(cx))?;
                let result = self
                    .watched
                    .try_io(Interest::WRITABLE, || send(&self.socket));
                match result {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            }
        }
    }
}
