//! Parts of an endpoint that the cores of all its carriers use: each core owns a handle, behind
//! which there is one object and a lock that is held for one call. So the budgets of handshakes and the
//! places of peers are those of the endpoint, however many TCP streams there are.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::endpoint::admission::{Allowance, Gate, Place};
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

/// Its calls make keys and take a while: the cores do not wait for each other.
impl Acceptor for Arc<dyn Acceptor> {
    fn on_syn(
        &self,
        now: Instant,
        syn: &Syn<'_>,
        params: &[u8],
        random: &mut dyn Random,
    ) -> SynDecision {
        (**self).on_syn(now, syn, params, random)
    }

    fn reset_token(&self, address: SocketAddr, id: ConnectionId) -> Option<ResetToken> {
        (**self).reset_token(address, id)
    }
}

impl Gate for Common<dyn Gate> {
    fn allowance(&mut self, now: Instant, from: SocketAddr) -> Allowance {
        self.0.lock().allowance(now, from)
    }

    fn on_answered(&mut self, now: Instant, from: SocketAddr) {
        self.0.lock().on_answered(now, from);
    }

    fn pay_proven(&mut self, now: Instant, from: SocketAddr) -> bool {
        self.0.lock().pay_proven(now, from)
    }

    fn has_place(&self, from: SocketAddr) -> bool {
        self.0.lock().has_place(from)
    }

    fn take(&mut self, place: &Place) -> bool {
        self.0.lock().take(place)
    }

    fn free(&mut self, place: &Place) {
        self.0.lock().free(place);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndpointConfig;
    use crate::driver::random::OsRandom;
    use crate::endpoint::admission::Admission;
    use crate::io::Event;
    use crate::limits::PREFIX_HANDSHAKES_BURST;
    use crate::plain::{PlainAcceptor, PlainInitiator};
    use crate::{CloseReason, Endpoint};

    /// What is behind one endpoint: a core for UDP, and as many as wanted for TCP streams.
    struct Cores {
        config: EndpointConfig,
        gate: Common<dyn Gate>,
    }

    impl Cores {
        fn new(change: impl FnOnce(&mut EndpointConfig)) -> Self {
            let mut config = EndpointConfig::default();
            change(&mut config);
            let gate = Common::<dyn Gate>::new(Box::new(Admission::new(&config)));
            Self { config, gate }
        }

        fn core(&self, is_stream: bool) -> Endpoint {
            let mut config = self.config.clone();
            if is_stream {
                config.max_connections = 1;
            }
            let acceptor = Box::new(PlainAcceptor::new());
            Endpoint::new(config, Box::new(OsRandom), Some(acceptor))
                .with_gate(Box::new(self.gate.clone()), is_stream)
        }
    }

    fn host(prefix: u8, host: u8) -> SocketAddr {
        SocketAddr::from(([203, 0, prefix, host], 4_000))
    }

    /// A peer at `from` tries to connect to `core`: its own core, if it was answered.
    fn connect(core: &mut Endpoint, from: SocketAddr) -> Option<Endpoint> {
        let mut peer = Endpoint::new(EndpointConfig::default(), Box::new(OsRandom), None);
        let to = SocketAddr::from(([198, 51, 100, 1], 9));
        let initiator = Box::new(PlainInitiator::new());
        peer.connect(Instant::ZERO, to, initiator)
            .expect("a good address");
        let mut buffer = Vec::new();
        for _ in 0..3 {
            while peer.poll_transmit(Instant::ZERO, 1, &mut buffer).is_some() {
                core.handle_datagram(Instant::ZERO, from, None, &mut buffer);
            }
            while core.poll_transmit(Instant::ZERO, 1, &mut buffer).is_some() {
                peer.handle_datagram(Instant::ZERO, to, None, &mut buffer);
            }
        }
        let connected = std::iter::from_fn(|| peer.poll_event())
            .any(|(_, event)| matches!(event, Event::Connected { .. }));
        connected.then_some(peer)
    }

    #[test]
    fn the_places_of_a_prefix_are_those_of_all_streams_together() {
        let cores = Cores::new(|config| config.max_connections_per_prefix = 3);
        let mut held: Vec<Endpoint> = (0..3).map(|_| cores.core(true)).collect();
        for (core, number) in held.iter_mut().zip(1..) {
            assert!(connect(core, host(1, number)).is_some());
        }
        assert!(
            connect(&mut cores.core(true), host(1, 9)).is_none(),
            "one more"
        );
        assert!(
            connect(&mut cores.core(false), host(1, 9)).is_none(),
            "over UDP"
        );
        let other = connect(&mut cores.core(true), host(2, 9));
        assert!(other.is_some(), "another prefix");
        // A stream that ends takes its core along, whatever state that is in.
        held.pop();
        assert!(connect(&mut cores.core(true), host(1, 9)).is_some());
    }

    #[test]
    fn the_places_of_an_endpoint_are_those_of_all_streams_together() {
        let cores = Cores::new(|config| config.max_connections = 2);
        let mut held: Vec<Endpoint> = (0..2).map(|_| cores.core(true)).collect();
        for (core, prefix) in held.iter_mut().zip(1..) {
            assert!(connect(core, host(prefix, 1)).is_some());
        }
        assert!(connect(&mut cores.core(true), host(9, 1)).is_none());
        held[0].lose_all(Instant::ZERO, &CloseReason::CarrierLost);
        held[0].poll_timeout();
        assert!(connect(&mut cores.core(true), host(9, 1)).is_some());
    }

    #[test]
    fn a_prefix_spends_one_budget_however_many_streams_it_opens() {
        let cores = Cores::new(|_| {});
        let answered = |prefix, count| {
            (0..count)
                .filter(|_| connect(&mut cores.core(true), host(prefix, 1)).is_some())
                .count() as u64
        };
        let burst = PREFIX_HANDSHAKES_BURST;
        assert_eq!(answered(1, burst + 1), burst);
        assert_eq!(answered(2, 1), 1, "another prefix has its own");
    }
}
