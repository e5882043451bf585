//! Programs that run on nodes: endpoints with an application, or anything else that sends
//! datagrams.

use std::any::Any;
use std::net::SocketAddr;

use dunlin_transport::{Endpoint, Instant, Transmit, limits};

use crate::link::Datagram;
use crate::violation::Violation;

/// What runs on top of an endpoint.
pub trait Application {
    /// Something may have happened: take the endpoint's events and act on them.
    ///
    /// # Errors
    /// What the application saw that must not be.
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation>;

    /// When it wants to act without anything having happened.
    fn wake_time(&self) -> Option<Instant> {
        None
    }

    /// A router says that datagrams to `destination` may have no more than `mtu` bytes. The
    /// endpoint has no use for that: the notice is not authenticated.
    fn on_too_big(
        &mut self,
        _now: Instant,
        _endpoint: &mut Endpoint,
        _destination: SocketAddr,
        _mtu: usize,
    ) {
    }
}

/// A program on a node: it gets datagrams and time, and gives datagrams. After each input it is
/// asked for progress and for datagrams in turn until it has none.
pub trait Host {
    /// A datagram arrives.
    fn handle_datagram(&mut self, now: Instant, datagram: &mut Datagram);

    /// Datagrams arrive together: from one source, of one mark, each as long as the first, the last one perhaps
    /// shorter.
    fn handle_train(&mut self, now: Instant, train: &mut [Box<Datagram>]) {
        for datagram in train {
            self.handle_datagram(now, datagram);
        }
    }

    /// The time that [`Self::poll_timeout`] gave has come.
    fn handle_timeout(&mut self, _now: Instant) {}

    /// A router says that datagrams to `destination` may have no more than `mtu` bytes.
    fn handle_too_big(&mut self, _now: Instant, _destination: SocketAddr, _mtu: usize) {}

    /// Acts on what happened.
    ///
    /// # Errors
    /// What it saw that must not be: the run fails.
    fn on_progress(&mut self, _now: Instant) -> Result<(), Violation> {
        Ok(())
    }

    /// The next batch of datagrams, lying in `buffer`.
    fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Outgoing>;

    /// When it wants [`Self::handle_timeout`], if nothing else happens.
    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    /// Itself, for a caller that wants to see what it counted ([`super::Net::host`]).
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// A batch of datagrams and where it claims to come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Where to, how many, how marked.
    pub transmit: Transmit,
    /// The source it forges; None: the address of its node.
    pub source: Option<SocketAddr>,
}

impl Outgoing {
    /// One datagram of `size` bytes in the buffer.
    #[must_use]
    pub const fn single(destination: SocketAddr, size: usize) -> Self {
        Self {
            transmit: Transmit {
                destination,
                ecn: None,
                size,
                segment_size: None,
            },
            source: None,
        }
    }
}

/// An endpoint and what runs on it.
pub struct EndpointHost<A> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The application.
    pub app: A,
    /// Datagrams that came together lie here one behind the other.
    train: Vec<u8>,
}

impl<A> EndpointHost<A> {
    /// An endpoint and what runs on it.
    pub const fn new(endpoint: Endpoint, app: A) -> Self {
        Self {
            endpoint,
            app,
            train: Vec::new(),
        }
    }
}

impl<A: Application> Host for EndpointHost<A> {
    fn handle_datagram(&mut self, now: Instant, datagram: &mut Datagram) {
        self.endpoint
            .handle_datagram(now, datagram.from, datagram.ecn, &mut datagram.bytes);
    }

    fn handle_train(&mut self, now: Instant, train: &mut [Box<Datagram>]) {
        let Some(Datagram {
            from, ecn, bytes, ..
        }) = train.first().map(|first| &**first)
        else {
            return;
        };
        let (from, ecn, size) = (*from, *ecn, bytes.len());
        self.train.clear();
        for datagram in &*train {
            self.train.extend_from_slice(&datagram.bytes);
        }
        self.endpoint
            .handle_datagrams(now, from, ecn, &mut self.train, size);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
    }

    fn handle_too_big(&mut self, now: Instant, destination: SocketAddr, mtu: usize) {
        self.app
            .on_too_big(now, &mut self.endpoint, destination, mtu);
    }

    fn on_progress(&mut self, now: Instant) -> Result<(), Violation> {
        self.app.on_progress(now, &mut self.endpoint)
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Outgoing> {
        let transmit = self
            .endpoint
            .poll_transmit(now, limits::SEGMENTS_MAX, buffer)?;
        Some(Outgoing {
            transmit,
            source: None,
        })
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let deadlines = [self.endpoint.poll_timeout(), self.app.wake_time()];
        deadlines.into_iter().flatten().min()
    }
}
