//! What looks at a run besides its figures: captures, logs, keys. Looking changes nothing; the
//! fingerprint of a run is the same with and without.

pub mod text;

use dunlin_session::KeyLogger;
use dunlin_transport::trace::{
    ConnectionObserver, ConnectionStart, EndpointEvent, Observer, TraceEvent,
};
use dunlin_transport::{Endpoint, Instant};

use crate::capture::Tap;
use crate::link::Datagram;
use crate::net::{Application, Net};
use crate::trace::Record;

/// Makes the observer of the endpoint at a node.
pub type ObserverOf = Box<dyn FnMut(usize) -> Box<dyn Observer>>;

/// What is attached to a network before it runs; by default nothing.
#[derive(Default)]
pub struct Instruments {
    taps: Vec<Box<dyn Tap>>,
    observers: Vec<ObserverOf>,
    key_log: Option<KeyLogger>,
}

impl Instruments {
    /// One more that sees every datagram.
    pub fn tap(&mut self, tap: Box<dyn Tap>) {
        self.taps.push(tap);
    }

    /// One more that endpoints tell what they do; it is asked for an observer for each node.
    pub fn observe(&mut self, observer: ObserverOf) {
        self.observers.push(observer);
    }

    /// Where the secrets of sealed connections go.
    pub fn log_keys(&mut self, key_log: KeyLogger) {
        self.key_log = Some(key_log);
    }

    /// Where the secrets of sealed connections go.
    #[must_use]
    pub fn key_log(&self) -> Option<KeyLogger> {
        self.key_log.clone()
    }

    /// Lets those that see datagrams see those of `net`. Once: they belong to it then.
    pub fn attach<A: Application>(&mut self, net: &mut Net<A>) {
        if !self.taps.is_empty() {
            net.set_tap(Box::new(Taps(std::mem::take(&mut self.taps))));
        }
    }

    /// Lets `endpoint`, the one of `node`, tell what it does.
    pub fn listen(&mut self, node: usize, endpoint: &mut Endpoint) {
        let mut all: Vec<_> = self.observers.iter_mut().map(|make| make(node)).collect();
        if all.len() > 1 {
            endpoint.set_observer(Box::new(Observers(all)));
        } else if let Some(one) = all.pop() {
            endpoint.set_observer(one);
        }
    }
}

struct Taps(Vec<Box<dyn Tap>>);

impl Tap for Taps {
    fn on_datagram(&mut self, now: Instant, record: Record, node: usize, datagram: &Datagram) {
        for tap in &mut self.0 {
            tap.on_datagram(now, record, node, datagram);
        }
    }
}

struct Observers(Vec<Box<dyn Observer>>);

impl Observer for Observers {
    fn open(
        &mut self,
        now: Instant,
        start: &ConnectionStart,
    ) -> Option<Box<dyn ConnectionObserver>> {
        let all = self.0.iter_mut().filter_map(|one| one.open(now, start));
        Some(Box::new(ConnectionObservers(all.collect())))
    }

    fn on_endpoint_event(&mut self, now: Instant, event: &EndpointEvent) {
        for one in &mut self.0 {
            one.on_endpoint_event(now, event);
        }
    }
}

struct ConnectionObservers(Vec<Box<dyn ConnectionObserver>>);

impl ConnectionObserver for ConnectionObservers {
    fn on_event(&mut self, now: Instant, event: &TraceEvent<'_>) {
        for one in &mut self.0 {
            one.on_event(now, event);
        }
    }
}
