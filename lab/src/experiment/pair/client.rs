//! The end that opens the connections and lets its flows work on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use dunlin_session::KeyLogger;
use dunlin_transport::{ConnectionHandle, Endpoint, Event, Instant, StreamId};

use super::payload::Expected;
use super::plan::SERVER;
use super::work::{BUFFER, Tools, Work};
use crate::profile::Profile;
use crate::rng::Rng;
use crate::violation::Violation;

/// A connection and the flows on it.
#[derive(Debug)]
pub(super) struct Carrier {
    /// When it is opened.
    start: Instant,
    /// Its flows, by index.
    pub(super) flows: Vec<usize>,
    pub(super) handle: Option<ConnectionHandle>,
    /// When the handshake was complete.
    pub(super) connected: Option<Instant>,
    pub(super) closed: bool,
}

impl Carrier {
    /// Opened at `start` for these flows.
    pub(super) const fn new(start: Instant, flows: Vec<usize>) -> Self {
        Self {
            start,
            flows,
            handle: None,
            connected: None,
            closed: false,
        }
    }

    /// How long the handshake took.
    pub(super) fn handshake(&self) -> Option<std::time::Duration> {
        self.connected
            .map(|at| at.saturating_duration_since(self.start))
    }
}

/// The opening application.
#[derive(Debug)]
pub(super) struct Client {
    node: usize,
    profile: Profile,
    key_log: Option<KeyLogger>,
    rng: Rng,
    remote: SocketAddr,
    pub(super) carriers: Vec<Carrier>,
    /// By index among the flows of the experiment.
    pub(super) flows: BTreeMap<usize, Work>,
    by_handle: BTreeMap<ConnectionHandle, usize>,
    /// Carriers with something to do.
    dirty: BTreeSet<usize>,
    /// Carriers by the time at which one of their flows wants to act.
    timers: BTreeSet<(Instant, usize)>,
    tools: Tools,
}

impl Client {
    pub(super) fn new(
        node: usize,
        (profile, rng, remote): (Profile, Rng, SocketAddr),
        key_log: Option<KeyLogger>,
        (carriers, flows): (Vec<Carrier>, BTreeMap<usize, Work>),
    ) -> Self {
        let starts = carriers.iter().map(|carrier| carrier.start);
        let timers = starts.enumerate().map(|(index, at)| (at, index)).collect();
        Self {
            node,
            profile,
            key_log,
            rng,
            remote,
            carriers,
            flows,
            by_handle: BTreeMap::new(),
            dirty: BTreeSet::new(),
            timers,
            tools: Tools {
                node,
                buffer: vec![0; BUFFER],
                expected: Expected::default(),
            },
        }
    }

    /// Whether everything that has an end has come to it.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        self.flows
            .values()
            .all(|flow| now >= flow.start && !flow.is_busy() || flow.stop == Instant::ZERO)
    }

    pub(super) fn wake_time(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(super) fn on_progress(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
    ) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            if let Some(carrier) = self.by_handle.get(&handle).copied() {
                self.on_event(now, endpoint, (carrier, handle), &event)?;
            }
        }
        while let Some((at, carrier)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, carrier));
            self.dirty.insert(carrier);
        }
        while let Some(carrier) = self.dirty.pop_first() {
            self.act(now, endpoint, carrier)?;
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        (carrier, handle): (usize, ConnectionHandle),
        event: &Event,
    ) -> Result<(), Violation> {
        match *event {
            Event::Connected { .. } => {
                if let Some(carrier) = self.carriers.get_mut(carrier) {
                    carrier.connected = Some(now);
                }
                self.dirty.insert(carrier);
            }
            Event::StreamReadable(id) => {
                let Self { flows, tools, .. } = self;
                let flow = owner(&self.carriers, flows, carrier, id);
                if let (Some(flow), Some(connection)) = (flow, endpoint.connection_mut(handle)) {
                    flow.read(now, id, connection, tools)?;
                }
                self.dirty.insert(carrier);
            }
            Event::StreamDelivered(id) => {
                if let Some(flow) = owner(&self.carriers, &mut self.flows, carrier, id) {
                    flow.on_delivered(now, id);
                }
                self.dirty.insert(carrier);
            }
            Event::MessageDelivered(id) => {
                let flows = self.carriers.get(carrier).into_iter();
                for flow in flows.flat_map(|carrier| &carrier.flows) {
                    if let Some(flow) = self.flows.get_mut(flow) {
                        flow.on_message_delivered(id);
                    }
                }
            }
            Event::StreamWritable(_)
            | Event::StreamStopped(..)
            | Event::StreamsAvailable(_)
            | Event::MessagesWritable => {
                self.dirty.insert(carrier);
            }
            Event::Closed(_) => {
                if let Some(carrier) = self.carriers.get_mut(carrier) {
                    carrier.closed = true;
                    for flow in &carrier.flows {
                        if let Some(flow) = self.flows.get_mut(flow) {
                            flow.on_closed();
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn act(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        index: usize,
    ) -> Result<(), Violation> {
        let Self {
            carriers,
            flows,
            tools,
            ..
        } = self;
        let Some(carrier) = carriers.get_mut(index).filter(|carrier| !carrier.closed) else {
            return Ok(());
        };
        let Some(handle) = carrier.handle else {
            return self.connect(now, endpoint, index);
        };
        if carrier.connected.is_none() {
            return Ok(());
        }
        // One that writes without end takes all the room there is: it comes last.
        let endless = |flow: &&usize| flows.get(*flow).is_some_and(Work::is_endless);
        let (last, first): (Vec<usize>, Vec<usize>) = carrier.flows.iter().partition(endless);
        for flow in first.into_iter().chain(last) {
            let (Some(flow), Some(connection)) =
                (flows.get_mut(&flow), endpoint.connection_mut(handle))
            else {
                continue;
            };
            flow.act(now, connection, tools)?;
            if let Some(at) = flow.wake_time(now) {
                self.timers.insert((at, index));
            }
        }
        Ok(())
    }

    fn connect(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        index: usize,
    ) -> Result<(), Violation> {
        let key_log = self.key_log.clone();
        let initiator = self
            .profile
            .initiator_logged((self.node, SERVER), &mut self.rng, key_log);
        let handle = endpoint
            .connect(now, self.remote, initiator)
            .map_err(|error| Violation::Interface {
                node: self.node,
                what: "connect",
                answer: error.to_string(),
            })?;
        self.by_handle.insert(handle, index);
        if let Some(carrier) = self.carriers.get_mut(index) {
            carrier.handle = Some(handle);
        }
        Ok(())
    }
}

fn owner<'a>(
    carriers: &[Carrier],
    flows: &'a mut BTreeMap<usize, Work>,
    carrier: usize,
    id: StreamId,
) -> Option<&'a mut Work> {
    let candidates = &carriers.get(carrier)?.flows;
    let found = candidates
        .iter()
        .find(|flow| flows.get(*flow).is_some_and(|flow| flow.has(id)))
        .copied()?;
    flows.get_mut(&found)
}
