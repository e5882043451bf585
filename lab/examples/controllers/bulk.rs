//! Bulk flows from one node to another over one bottleneck, watched while they run.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_lab::link::{Element, HEADER_BYTES};
use dunlin_lab::net::{Application, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::violation::{Failure, Violation};
use dunlin_transport::congestion::{ControllerChoice, ControllerState};
use dunlin_transport::{
    ConnectionHandle, Endpoint, EndpointConfig, Event, Instant, Stats, StreamDirection, StreamId,
};

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Time between the beginnings of flows.
const STAGGER: Duration = Duration::from_millis(300);

/// A bottleneck and its delay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) bits_per_second: u64,
    pub(crate) rtt: Duration,
    /// The queue in thousandths of the bandwidth-delay product.
    pub(crate) queue_permille: u64,
    pub(crate) loss: Ppm,
}

impl Path {
    pub(crate) fn bdp(&self) -> u64 {
        let bytes = u128::from(self.bits_per_second) * self.rtt.as_nanos() / 8_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn elements(&self) -> [Element; 3] {
        let rate = Element::Rate {
            bits_per_second: self.bits_per_second,
            queue_bytes: (self.bdp() * self.queue_permille / 1_000).max(3_000),
        };
        [Element::Loss(self.loss), rate, Element::delay(self.rtt / 2)]
    }
}

/// What the flows did between the end of the warm-up and the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Application bits per second of each flow.
    pub(crate) goodputs: Vec<u64>,
    /// Smoothed round-trip time of the first flow, mean and most, over the looks.
    pub(crate) rtt_mean: Duration,
    pub(crate) rtt_max: Duration,
}

impl Outcome {
    pub(crate) fn total(&self) -> u64 {
        self.goodputs.iter().sum()
    }

    /// Jain's fairness index: 1 is equal, 1/n is one takes all.
    pub(crate) fn jain(&self) -> f64 {
        let shares: Vec<f64> = self.goodputs.iter().map(|bits| *bits as f64).collect();
        let (sum, squares): (f64, f64) = (
            shares.iter().sum(),
            shares.iter().map(|share| share * share).sum(),
        );
        sum * sum / (shares.len() as f64 * squares).max(1.0)
    }
}

/// Endless writers on one node, or readers on the other.
#[derive(Default)]
pub(crate) struct Bulk {
    /// Bytes read by connection.
    received: BTreeMap<ConnectionHandle, u64>,
    connections: Vec<ConnectionHandle>,
    scratch: Vec<u8>,
}

impl Bulk {
    fn new() -> Self {
        Self {
            scratch: vec![7; 65_536],
            ..Self::default()
        }
    }

    fn write(&self, endpoint: &mut Endpoint, handle: ConnectionHandle, id: StreamId) {
        if let Some(connection) = endpoint.connection_mut(handle) {
            while connection.write(id, &self.scratch).is_ok() {}
        }
    }

    fn read(&mut self, endpoint: &mut Endpoint, handle: ConnectionHandle, id: StreamId) {
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        while let Ok(bytes @ 1..) = connection.read(id, &mut self.scratch) {
            *self.received.entry(handle).or_default() += bytes as u64;
        }
    }
}

impl Application for Bulk {
    fn on_progress(&mut self, _: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            match event {
                Event::Connected { incoming, .. } => {
                    self.connections.push(handle);
                    let connection = endpoint.connection_mut(handle).filter(|_| !incoming);
                    let id = connection.and_then(|connection| {
                        connection.open_stream(StreamDirection::Unidirectional)
                    });
                    if let Some(id) = id {
                        self.write(endpoint, handle, id);
                    }
                }
                Event::StreamWritable(id) => self.write(endpoint, handle, id),
                Event::StreamsOpened(direction) => {
                    let connection = endpoint.connection_mut(handle);
                    if let Some(id) = connection.and_then(|c| c.accept_stream(direction)) {
                        self.read(endpoint, handle, id);
                    }
                }
                Event::StreamReadable(id) => self.read(endpoint, handle, id),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Flows in progress.
pub(crate) struct Run {
    net: Net<Bulk>,
    rng: Rng,
}

impl Run {
    pub(crate) fn new(choice: &ControllerChoice, path: &Path, seed: u64) -> Self {
        let mut config = EndpointConfig::default();
        config.transport.controller = choice.clone();
        let mut rng = Rng::new(seed);
        let mut net = Net::new(rng.split(2));
        for node in 0..2 {
            let endpoint = Profile::Plain.endpoint(node, &config, node == 1, &mut rng.split(0));
            net.add(endpoint, Bulk::new());
        }
        net.link(0, 1, &path.elements());
        net.link(1, 0, &[Element::delay(path.rtt / 2)]);
        Self { net, rng }
    }

    /// Begins a flow.
    pub(crate) fn connect(&mut self) -> Result<(), Failure> {
        let initiator = Profile::Plain.initiator(0, 1, &mut self.rng);
        let remote = Net::<Bulk>::address_of(1);
        self.net.with(0, |now, endpoint, _| {
            endpoint.connect(now, remote, initiator).map(drop).ok()
        })?;
        Ok(())
    }

    pub(crate) fn run_until(&mut self, at: Instant) -> Result<(), Failure> {
        while self.net.next_time().is_some_and(|next| next <= at) {
            self.net.step()?;
        }
        Ok(())
    }

    /// The first flow.
    pub(crate) fn sender(&self) -> Option<(Stats, ControllerState)> {
        let handle = *self.net.app(0)?.connections.first()?;
        let connection = self.net.endpoint(0)?.connection(handle)?;
        Some((connection.stats(), connection.controller_state()))
    }

    pub(crate) fn queue_full(&self) -> u64 {
        self.net.link_stats(0, 1).unwrap_or_default().queue_full
    }

    fn received(&self) -> Vec<u64> {
        let app = self.net.app(1);
        app.map(|app| app.received.values().copied().collect())
            .unwrap_or_default()
    }
}

/// Runs `flows` bulk flows for `warm_up` and then `time`.
pub(crate) fn run(
    choice: &ControllerChoice,
    path: &Path,
    flows: u32,
    (warm_up, time): (Duration, Duration),
    seed: u64,
) -> Result<Outcome, Failure> {
    let mut run = Run::new(choice, path, seed);
    for flow in 0..flows {
        run.run_until(Instant::ZERO + STAGGER * flow)?;
        run.connect()?;
    }
    run.run_until(Instant::ZERO + warm_up)?;
    let before = run.received();
    let mut rtts = Vec::new();
    let mut now = Instant::ZERO + warm_up;
    while now < Instant::ZERO + warm_up + time {
        now = now + LOOK_EVERY;
        run.run_until(now)?;
        rtts.extend(run.sender().map(|(stats, _)| stats.rtt));
    }
    let bits = |(after, before): (u64, &u64)| {
        u64::try_from(u128::from(after - before) * 8_000_000_000 / time.as_nanos()).unwrap_or(0)
    };
    Ok(Outcome {
        goodputs: run.received().into_iter().zip(&before).map(bits).collect(),
        rtt_mean: rtts.iter().sum::<Duration>() / u32::try_from(rtts.len()).unwrap_or(1).max(1),
        rtt_max: rtts.iter().copied().max().unwrap_or_default(),
    })
}

/// The most application bits per second that a path can carry: its rate less headers and losses.
pub(crate) fn limit(path: &Path) -> f64 {
    let share = data_of_a_packet() / (data_of_a_packet() + OVERHEAD + HEADER_BYTES as f64);
    path.bits_per_second as f64 * share * (1.0 - f64::from(path.loss.0) / 1e6)
}

/// Stream data of a full packet, after the search for the largest that the path carries.
pub(crate) fn data_of_a_packet() -> f64 {
    EndpointConfig::default().transport.mtu_max as f64 - OVERHEAD
}

/// Bytes of a full packet that are not stream data: header and the plain trailer.
const OVERHEAD: f64 = 36.0;
