//! Parts of an endpoint that the cores of all its carriers use: each core owns a handle, behind
//! which there is one object and a lock that is held for one call.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::protect::{Acceptor, Random, Syn, SynDecision};
use crate::tap::{Tap, Tapped};
use crate::trace::{ConnectionObserver, ConnectionStart, EndpointEvent, Observer};
use crate::wire::reset::ResetToken;
use crate::{ConnectionId, Instant};

/// A handle of a part.
pub(in crate::driver) struct Common<T: ?Sized>(Arc<Mutex<Box<T>>>);

impl<T: ?Sized> Common<T> {
    /// The first handle.
    pub(in crate::driver) fn new(part: Box<T>) -> Self {
        Self(Arc::new(Mutex::new(part)))
    }
}

impl<T: ?Sized> Clone for Common<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Acceptor for Common<dyn Acceptor> {
    fn on_syn(
        &self,
        now: Instant,
        syn: &Syn<'_>,
        params: &[u8],
        random: &mut dyn Random,
    ) -> SynDecision {
        self.0.lock().on_syn(now, syn, params, random)
    }

    fn reset_token(&self, address: SocketAddr, id: ConnectionId) -> Option<ResetToken> {
        self.0.lock().reset_token(address, id)
    }
}

impl Random for Common<dyn Random> {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.lock().fill(out);
    }
}

impl Observer for Common<dyn Observer> {
    fn open(
        &mut self,
        now: Instant,
        start: &ConnectionStart,
    ) -> Option<Box<dyn ConnectionObserver>> {
        self.0.lock().open(now, start)
    }

    fn on_endpoint_event(&mut self, now: Instant, event: &EndpointEvent) {
        self.0.lock().on_endpoint_event(now, event);
    }
}

impl Tap for Common<dyn Tap> {
    fn on_datagram(&mut self, now: Instant, datagram: &Tapped<'_>) {
        self.0.lock().on_datagram(now, datagram);
    }
}
