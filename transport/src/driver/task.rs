//! The task of a core: the only one that touches its socket, or its TCP stream.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::busy::BusyPoll;
use super::carrier::registry::Membership;
use super::link::{Arrived, Link};
use super::state::{Shared, State};
use super::strays::Neighbours;
use super::wake::Wakes;
use crate::Instant;
use crate::io::EcnMark;
use crate::protect::Flow;
use crate::tap::{Tap, Tapped};

/// Rounds of receive-and-send before other tasks of the runtime get their turn, when nobody waits for
/// what the rounds bring. Guess: sixteen full batches are about 3 ms of work.
const ROUNDS_PER_POLL: usize = 16;

/// Turns of other tasks after a handshake before anything leaves: who accepts, and who serves what was
/// accepted, may answer a request that came with its end in the same datagram.
const TURNS_AFTER_HANDSHAKE: u8 = 2;

/// So many bytes since an answer was looked for are much. Measured (ADR 0624): with an eighth of it bulk takes 1 to 2 % more
/// processor time, and through a path that loses 1 % no less.
const MUCH: usize = 1024 * 1024;

/// Drives one core: that of UDP until the endpoint's handles are gone and its connections are over,
/// that of a TCP stream until its one connection is over.
pub(super) struct EndpointTask<L> {
    shared: Arc<Shared>,
    link: L,
    datagrams_per_batch: usize,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    wakes: Wakes,
    busy: BusyPoll,
    /// Turns that other tasks get before anything leaves.
    turns: u8,
    /// Bytes sent since the link was asked or had something. What the runtime says of the link may be millions of
    /// bytes old, so from [`MUCH`] on the next round asks the link itself (ADR 0624).
    sent_unasked: usize,
    /// Sees every datagram.
    tap: Option<Box<dyn Tap>>,
    /// Of a TCP stream.
    membership: Option<Membership>,
    /// Of one of several cores behind an address.
    neighbours: Option<Neighbours>,
}

/// What a round left to do.
struct Round {
    /// Nothing arrived and nothing is to be sent: the task may sleep.
    idle: bool,
    /// The task is idle and looks again instead of sleeping.
    look: bool,
    /// Others have something to do before the next round: somebody was woken.
    woke: bool,
    /// The task ends.
    finished: bool,
    deadline: Option<Instant>,
}

impl<L: Link> EndpointTask<L> {
    /// A task over a link. `datagrams_per_batch`: what the core may put into one batch.
    pub(super) fn new(
        shared: Arc<Shared>,
        link: L,
        datagrams_per_batch: usize,
        tap: Option<Box<dyn Tap>>,
    ) -> Self {
        let timer = tokio::time::sleep(Duration::ZERO);
        Self {
            shared,
            link,
            datagrams_per_batch,
            timer: Box::pin(timer),
            armed: None,
            wakes: Wakes::default(),
            busy: BusyPoll::new(Duration::ZERO),
            turns: 0,
            sent_unasked: 0,
            tap,
            membership: None,
            neighbours: None,
        }
    }

    /// The same task, of a core that is not the only one behind its address.
    pub(super) fn with_neighbours(mut self, neighbours: Neighbours) -> Self {
        self.neighbours = Some(neighbours);
        self
    }

    /// The same task, of a stream with this place in the registry.
    pub(super) fn with_membership(mut self, membership: Membership) -> Self {
        self.membership = Some(membership);
        self
    }

    /// The same task, which looks again for so long before it sleeps.
    pub(super) fn with_busy_poll(mut self, limit: Duration) -> Self {
        self.busy = BusyPoll::new(limit);
        self
    }

    /// One round: send what waits, receive a batch, let the core work on it.
    fn round(&mut self, cx: &mut Context<'_>) -> std::io::Result<Round> {
        self.move_if_told();
        if let Poll::Ready(result) = self.link.poll_send(cx) {
            result?;
        }
        let received = if self.busy.is_looking() {
            self.link.try_receive()?
        } else {
            match self.link.poll_receive(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending if self.sent_unasked >= MUCH => self.link.try_receive()?,
                Poll::Pending => 0,
            }
        };
        if received > 0 || self.sent_unasked >= MUCH {
            self.sent_unasked = 0;
        }
        let round = self.work(cx, received);
        let woke = self.wakes.run();
        if let Poll::Ready(result) = self.link.poll_send(cx) {
            result?;
        }
        round.map(|round| Round {
            woke: woke || round.woke,
            ..round
        })
    }

    /// The endpoint was bound to another address: what leaves from now on leaves from there.
    fn move_if_told(&mut self) {
        let Self { shared, link, .. } = self;
        let now = shared.clock.now();
        shared.look(|state| {
            if let Some(socket) = state.rebound.take() {
                link.rebind(socket);
                let linkable = state.core.migrate(now);
                tracing::debug!(linkable, "moved to another local address");
            }
        });
    }

    /// The part of a round that holds the lock.
    fn work(&mut self, cx: &Context<'_>, received: usize) -> std::io::Result<Round> {
        let Self {
            shared,
            link,
            wakes,
            tap,
            membership,
            busy,
            turns,
            sent_unasked,
            neighbours,
            ..
        } = self;
        let now = shared.clock.now();
        if received > 0 {
            busy.on_arrival(now);
        }
        let (most, bound) = (self.datagrams_per_batch, shared.local_addr());
        let (fed, round, incoming, closing) = shared.look(|state| {
            let (fed, datagrams) = feed((link, neighbours), received, bound, (state, tap, now));
            act_on_time(state, now);
            let blocked = !link.is_clear();
            *turns = match state.core.take_established() {
                true => TURNS_AFTER_HANDSHAKE,
                false => turns.saturating_sub(1),
            };
            if !blocked && *turns == 0 {
                *sent_unasked += fill(link, (state, tap, now), bound, most);
            }
            if let Some(membership) = membership {
                membership.observe(datagrams, state.core.connection_count() > 0);
            }
            let incoming = state.dispatch_events(shared, now, wakes);
            let mut idle =
                received == 0 && datagrams == 0 && *turns == 0 && (blocked || link.is_clear());
            let over = idle && is_over(state, membership.as_ref(), blocked);
            let expired = membership.as_ref().is_some_and(|it| it.is_expired(now));
            let finished = state.stop || over || expired;
            let looked = busy.is_looking();
            let may_look = !blocked && state.core.awaits_little();
            let look = idle && !finished && busy.on_idle(now, may_look);
            // Who looked has not registered for being woken.
            idle &= !looked || look;
            if idle && !look && !finished {
                state.task = Some(cx.waker().clone());
            }
            let chance = membership.as_ref().and_then(Membership::deadline);
            let deadline = state.core.poll_timeout().into_iter().chain(chance).min();
            let round = Round {
                idle,
                look,
                woke: *turns > 0,
                finished,
                deadline,
            };
            (fed, round, incoming, state.closing)
        });
        if let Some(neighbours) = neighbours {
            neighbours.deliver();
        }
        if incoming {
            shared.meeting.incoming.changed.notify_waiters();
        }
        if closing {
            shared.meeting.progress.notify_waiters();
        }
        fed.map(|()| round)
    }

    /// The link failed: every connection learns it at once, and not by its idle timeout.
    fn on_failure(&mut self, error: &std::io::Error) {
        L::log(error);
        let Self { shared, wakes, .. } = self;
        let now = shared.clock.now();
        shared.look(|state| {
            state.lose(now, &L::FAILED);
            state.dispatch_events(shared, now, wakes);
        });
        wakes.run();
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

/// Gives the core what came, to this socket and to others: how that went, and how many datagrams it was.
fn feed<L: Link>(
    (link, neighbours): (&mut L, &mut Option<Neighbours>),
    received: usize,
    bound: SocketAddr,
    (state, tap, now): (&mut State, &mut Option<Box<dyn Tap>>, Instant),
) -> (std::io::Result<()>, usize) {
    let mut datagrams = 0;
    let fed = link.feed(received, |arrived| {
        let Arrived {
            from,
            ecn,
            to,
            size,
            bytes,
        } = arrived;
        datagrams += bytes.len().div_ceil(size);
        if let Some(tap) = tap {
            let local = SocketAddr::new(to.unwrap_or(bound.ip()), bound.port());
            for datagram in bytes.chunks(size) {
                see(
                    &mut **tap,
                    now,
                    (Flow::Incoming, local, from),
                    ecn,
                    datagram,
                );
            }
        }
        let Some(neighbours) = neighbours else {
            state.core.handle_datagrams(now, from, ecn, bytes, size);
            return;
        };
        for datagram in bytes.chunks_mut(size) {
            if !neighbours.claim(from, ecn, datagram) {
                state.core.handle_datagram(now, from, ecn, datagram);
            }
        }
    });
    datagrams += take_strays(state, now);
    (fed, datagrams)
}

/// Gives the core what came to other sockets: how many datagrams.
fn take_strays(state: &mut State, now: Instant) -> usize {
    let strays = state.mailbox.empty();
    let count = strays.len();
    for mut stray in strays {
        let bytes = &mut stray.bytes;
        state
            .core
            .handle_datagram(now, stray.from, stray.ecn, bytes);
    }
    count
}

/// Tells the core that its deadline is there, if it is.
fn act_on_time(state: &mut State, now: Instant) {
    let deadline = state.core.poll_timeout();
    if deadline.is_some_and(|deadline| deadline <= now) {
        state.core.handle_timeout(now);
    }
}

/// Takes from the core what may leave, `most` datagrams in a batch: how many bytes.
fn fill<L: Link>(
    link: &mut L,
    (state, tap, now): (&mut State, &mut Option<Box<dyn Tap>>, Instant),
    bound: SocketAddr,
    most: usize,
) -> usize {
    link.fill(|buffer| {
        let transmit = state.core.poll_transmit(now, most, buffer);
        if let (Some(tap), Some(sent)) = (&mut *tap, transmit) {
            let way = (Flow::Outgoing, bound, sent.destination);
            let segment = sent.segment_size.unwrap_or(sent.size).max(1);
            for datagram in buffer.chunks(segment) {
                see(&mut **tap, now, way, sent.ecn, datagram);
            }
        }
        transmit
    })
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

/// Whether nothing is left to do. What waits for a blocked UDP socket still leaves, soon; a TCP
/// stream is as slow as its peer likes, who must not keep it beyond its connection.
fn is_over(state: &State, membership: Option<&Membership>, blocked: bool) -> bool {
    let no_other = match membership {
        Some(membership) => membership.has_begun(),
        None => state.handles_gone && !blocked,
    };
    no_other && state.core.is_idle()
}

impl<L: Link> Future for EndpointTask<L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..ROUNDS_PER_POLL {
            match this.round(cx) {
                Ok(Round { finished: true, .. }) => return Poll::Ready(()),
                Ok(Round { look: true, .. }) => break,
                Ok(Round {
                    idle: true,
                    deadline,
                    ..
                }) => {
                    if this.poll_timer(cx, deadline).is_pending() {
                        return Poll::Pending;
                    }
                }
                // Bytes that were received, or room that became free, are best used while they are in
                // the processor's caches.
                Ok(Round { woke: true, .. }) => break,
                Ok(_) => {}
                Err(error) => {
                    this.on_failure(&error);
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<L> Drop for EndpointTask<L> {
    fn drop(&mut self) {
        let wakes = &mut self.wakes;
        self.shared.look(|state| state.stop(wakes));
        wakes.run();
        let meeting = &self.shared.meeting;
        if self.membership.take().is_none() {
            meeting.incoming.end();
        }
        meeting.progress.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Carrier;
    use crate::driver::clock::Clock;
    use crate::driver::random::PooledRandom;
    use crate::driver::socket::Socket;
    use crate::error::CloseReason;
    use crate::io::Transmit;

    /// A link of which the runtime never says that something came.
    #[derive(Default)]
    struct Silent {
        /// Bytes that each round sends.
        sends: usize,
        asked: u32,
    }

    impl Link for Silent {
        const FAILED: CloseReason = CloseReason::EndpointStopped;

        fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
            Poll::Pending
        }

        fn try_receive(&mut self) -> std::io::Result<usize> {
            self.asked += 1;
            Ok(0)
        }

        fn feed(&mut self, _: usize, _: impl FnMut(Arrived<'_>)) -> std::io::Result<()> {
            Ok(())
        }

        fn is_clear(&self) -> bool {
            true
        }

        fn fill(&mut self, _: impl FnMut(&mut Vec<u8>) -> Option<Transmit>) -> usize {
            self.sends
        }

        fn poll_send(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn rebind(&mut self, _: Socket) {}

        fn log(_: &std::io::Error) {}
    }

    #[tokio::test]
    async fn who_sends_much_looks_for_answers_unasked() {
        let core = crate::Endpoint::new(
            crate::EndpointConfig::default(),
            Box::new(PooledRandom::new()),
            None,
        );
        let local = ([127, 0, 0, 1], 9).into();
        let shared = Shared::new(core, Clock::start(), local, Carrier::Udp, Arc::default());
        let mut task = EndpointTask::new(Arc::new(shared), Silent::default(), 64, None);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut rounds = |sends| {
            task.link.sends = sends;
            for _ in 0..3 {
                task.round(&mut cx).unwrap();
            }
            task.link.asked
        };
        assert_eq!(rounds(MUCH / 4), 0, "little so far: the runtime tells");
        assert_eq!(rounds(MUCH / 4), 1, "in the round after the fourth");
        assert_eq!(
            rounds(MUCH),
            3,
            "not in the first of these: half of it is sent"
        );
        assert_eq!(rounds(0), 4, "once more, and then no more");
    }
}
