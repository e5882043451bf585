//! Who waits for what, and how they are woken: collected under the lock, run after it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What a call on a connection can wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signal {
    /// The handshake completed, a message was delivered, or the connection ended.
    State,
    /// The peer opened a bidirectional stream.
    IncomingBidi,
    /// The peer opened a unidirectional stream.
    IncomingUni,
    /// We may open a bidirectional stream.
    OpenBidi,
    /// We may open a unidirectional stream.
    OpenUni,
    /// A message arrived.
    Message,
    /// A datagram arrived.
    Datagram,
    /// A message may be sent.
    MessageWritable,
}

impl Signal {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 8] = [
        Self::State,
        Self::IncomingBidi,
        Self::IncomingUni,
        Self::OpenBidi,
        Self::OpenUni,
        Self::Message,
        Self::Datagram,
        Self::MessageWritable,
    ];

    /// Where one waits for it. What is waited for often, and for long, has a place of its own.
    const fn place(self) -> usize {
        match self {
            Self::Message => 0,
            Self::IncomingBidi | Self::IncomingUni => 1,
            Self::State | Self::OpenBidi | Self::OpenUni => 2,
            Self::Datagram | Self::MessageWritable => PLACES - 1,
        }
    }
}

/// Waiting places of a connection: an idle one should be small.
const PLACES: usize = 4;

/// The waiting places of one connection. Who shares one is woken for the other's sake at times, looks,
/// and waits again.
#[derive(Default, Debug)]
pub(super) struct Signals {
    places: [Notify; PLACES],
}

impl Signals {
    /// A place in the queue for `signal`.
    pub(super) fn notified(&self, signal: Signal) -> Notified<'_> {
        self.places[signal.place()].notified()
    }
}

/// Lets the tasks that were woken before have their turn first.
pub(super) async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if gave {
            return Poll::Ready(());
        }
        gave = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Wake-ups owed, to be paid when the lock is released: a waker may run anything.
#[derive(Default)]
pub(super) struct Wakes {
    wakers: Vec<Waker>,
    signals: Vec<(Arc<Signals>, Signal)>,
}

impl Wakes {
    /// Owes a task its wake-up.
    pub(super) fn waker(&mut self, waker: Option<Waker>) {
        self.wakers.extend(waker);
    }

    /// Owes everyone who waits for `signal`.
    pub(super) fn signal(&mut self, signals: &Arc<Signals>, signal: Signal) {
        let repeated = self
            .signals
            .last()
            .is_some_and(|(last, kind)| *kind == signal && Arc::ptr_eq(last, signals));
        if !repeated {
            self.signals.push((Arc::clone(signals), signal));
        }
    }

    /// Owes everyone who waits for anything.
    pub(super) fn every_signal(&mut self, signals: &Arc<Signals>) {
        for signal in Signal::ALL {
            self.signal(signals, signal);
        }
    }

    /// Pays, and tells whether anybody was owed something. Never call it with the lock held.
    pub(super) fn run(&mut self) -> bool {
        let owed = !self.wakers.is_empty() || !self.signals.is_empty();
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
        for (signals, signal) in self.signals.drain(..) {
            signals.places[signal.place()].notify_waiters();
        }
        owed
    }
}
