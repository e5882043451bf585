//! The task of an endpoint: the only one that touches the socket.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Sleep;

use super::socket::{Outgoing, Socket};
use super::state::{Shared, State};
use super::wake::Wakes;
use crate::io::EcnMark;
use crate::protect::Flow;
use crate::tap::{Tap, Tapped};
use crate::{Instant, limits};

/// Rounds of receive-and-send before other tasks of the runtime get their turn. Guess: sixteen full
/// batches are about 10 ms of work.
const ROUNDS_PER_POLL: usize = 16;

/// Drives one endpoint until its handles are gone and its connections are over.
pub(super) struct EndpointTask {
    shared: Arc<Shared>,
    socket: Socket,
    outgoing: Outgoing,
    datagrams_per_batch: usize,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    wakes: Wakes,
    /// Sees every datagram.
    tap: Option<Box<dyn Tap>>,
}

/// What a round left to do.
struct Round {
    /// Nothing arrived and nothing is to be sent: the task may sleep.
    idle: bool,
    /// The task ends.
    finished: bool,
    deadline: Option<Instant>,
}

impl EndpointTask {
    /// A task over a bound socket. `mtu`: bytes of the largest packet.
    pub(super) fn new(
        shared: Arc<Shared>,
        socket: Socket,
        mtu: usize,
        tap: Option<Box<dyn Tap>>,
    ) -> Self {
        let timer = tokio::time::sleep(std::time::Duration::ZERO);
        Self {
            shared,
            socket,
            outgoing: Outgoing::default(),
            datagrams_per_batch: (limits::UDP_PAYLOAD_MAX / mtu.max(1))
                .clamp(1, limits::SEGMENTS_MAX),
            timer: Box::pin(timer),
            armed: None,
            wakes: Wakes::default(),
            tap,
        }
    }

    /// One round: send what waits, receive a batch, let the core work on it.
    fn round(&mut self, cx: &mut Context<'_>) -> std::io::Result<Round> {
        if let Poll::Ready(result) = self.socket.poll_send(cx, &mut self.outgoing) {
            result?;
        }
        let received = match self.socket.poll_receive(cx) {
            Poll::Ready(Ok(count)) => count,
            // An answer of the network to something we sent (Windows): nothing was received.
            Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => 0,
        };
        let round = self.work(cx, received);
        self.wakes.run();
        if let Poll::Ready(result) = self.socket.poll_send(cx, &mut self.outgoing) {
            result?;
        }
        Ok(round)
    }

    /// The part of a round that holds the lock.
    fn work(&mut self, cx: &Context<'_>, received: usize) -> Round {
        let Self {
            shared,
            socket,
            outgoing,
            wakes,
            tap,
            ..
        } = self;
        let now = shared.clock.now();
        let bound = shared.local_addr;
        let (round, incoming, closing) = shared.look(|state| {
            for (from, ecn, to, datagram) in socket.datagrams(received) {
                if let Some(tap) = tap {
                    let local = SocketAddr::new(to.unwrap_or(bound.ip()), bound.port());
                    see(
                        &mut **tap,
                        now,
                        (Flow::Incoming, local, from),
                        ecn,
                        datagram,
                    );
                }
                state.core.handle_datagram(now, from, ecn, datagram);
            }
            if state
                .core
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                state.core.handle_timeout(now);
            }
            let blocked = !outgoing.is_empty();
            if !blocked {
                let most = self.datagrams_per_batch;
                outgoing.fill(|buffer| {
                    let transmit = state.core.poll_transmit(now, most, buffer);
                    if let (Some(tap), Some(sent)) = (&mut *tap, transmit) {
                        let way = (Flow::Outgoing, bound, sent.destination);
                        let segment = sent.segment_size.unwrap_or(sent.size).max(1);
                        for datagram in buffer.chunks(segment) {
                            see(&mut **tap, now, way, sent.ecn, datagram);
                        }
                    }
                    transmit
                });
            }
            let incoming = state.dispatch_events(now, wakes);
            let idle = received == 0 && (blocked || outgoing.is_empty());
            let finished = state.stop || (idle && !blocked && is_over(state));
            if idle && !finished {
                state.task = Some(cx.waker().clone());
            }
            (
                Round {
                    idle,
                    finished,
                    deadline: state.core.poll_timeout(),
                },
                incoming,
                state.closing,
            )
        });
        if incoming {
            shared.incoming.notify_waiters();
        }
        if closing {
            shared.progress.notify_waiters();
        }
        round
    }

    /// Sets the timer to `deadline` if that is earlier than what it is set to. Ready: it fired.
    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        if self.armed.is_none_or(|armed| deadline < armed) {
            let Some(at) = self.shared.clock.to_tokio(deadline) else {
                return Poll::Pending;
            };
            self.timer.as_mut().reset(at);
            self.armed = Some(deadline);
        }
        let fired = self.timer.as_mut().poll(cx);
        if fired.is_ready() {
            self.armed = None;
        }
        fired
    }
}

fn see(
    tap: &mut dyn Tap,
    now: Instant,
    (flow, local, remote): (Flow, SocketAddr, SocketAddr),
    ecn: Option<EcnMark>,
    bytes: &[u8],
) {
    tap.on_datagram(
        now,
        &Tapped {
            flow,
            local,
            remote,
            ecn,
            bytes,
        },
    );
}

fn is_over(state: &State) -> bool {
    state.handles_gone && state.core.is_idle()
}

impl Future for EndpointTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..ROUNDS_PER_POLL {
            match this.round(cx) {
                Ok(Round { finished: true, .. }) => return Poll::Ready(()),
                Ok(Round {
                    idle: true,
                    deadline,
                    ..
                }) => {
                    if this.poll_timer(cx, deadline).is_pending() {
                        return Poll::Pending;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "the socket failed; the endpoint stops");
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for EndpointTask {
    fn drop(&mut self) {
        let wakes = &mut self.wakes;
        self.shared.look(|state| state.stop(wakes));
        wakes.run();
        self.shared.incoming.notify_waiters();
        self.shared.progress.notify_waiters();
    }
}
