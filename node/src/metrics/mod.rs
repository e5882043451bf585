//! Metrics for Prometheus (OpenMetrics 1.0), one registry for each node.
//!
//! What the overlay and the transport count themselves is read when somebody asks
//! ([`overlay`], [`transport`]); what only passes by (events, samples of latencies) is counted here.
//! All names begin with `dunlin_`; `docs/api.md` says how to scrape them.

pub mod overlay;
pub mod text;
pub mod transport;

use std::sync::{Mutex, PoisonError};

use dunlin_overlay::{Event, PeerState, PeerView};
use dunlin_session::NodeId;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::control::snapshot::{Snapshot, is_unhealthy, reputation};
use crate::network::Handle;
use transport::Totals;

/// Labels of one series.
type Labels = Vec<(String, String)>;

/// What is counted as it passes by.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Counter,
    disconnections: Family<Labels, Counter>,
    handshake_failures: Counter,
    dial_failures: Counter,
    violations: Counter,
    latency: Histogram,
    reputation: Histogram,
    messages_per_peer: Histogram,
    message_size: Histogram,
    message_latency: Histogram,
    requests: Family<Labels, Counter>,
    totals: Mutex<Totals>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("dunlin"),
            connections: Counter::default(),
            disconnections: Family::default(),
            handshake_failures: Counter::default(),
            dial_failures: Counter::default(),
            violations: Counter::default(),
            // 0.25 ms to 8 s.
            latency: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            reputation: Histogram::new((1..=10).map(|tenth| f64::from(tenth) * 10.0)),
            messages_per_peer: Histogram::new(exponential_buckets(1.0, 4.0, 10)),
            // 16 bytes to 256 KiB.
            message_size: Histogram::new(exponential_buckets(16.0, 4.0, 8)),
            message_latency: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            requests: Family::default(),
            totals: Mutex::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "peer_connections",
            "Peers with which messages began to flow",
            self.connections.clone(),
        );
        registry.register(
            "peer_disconnections",
            "Peers with which messages ceased to flow, by reason",
            self.disconnections.clone(),
        );
        registry.register(
            "handshake_failures",
            "Links whose hellos were not finished or not accepted",
            self.handshake_failures.clone(),
        );
        registry.register(
            "dial_failures",
            "Dials of known peers that led to no link",
            self.dial_failures.clone(),
        );
        registry.register(
            "peer_violations",
            "Proven faults of peers",
            self.violations.clone(),
        );
        registry.register_with_unit(
            "peer_latency",
            "Smoothed round-trip times of connected peers, each sampled every ten seconds",
            Unit::Seconds,
            self.latency.clone(),
        );
        registry.register(
            "peer_reputation",
            "Reputations of connected peers from 0 to 100, each sampled every ten seconds",
            self.reputation.clone(),
        );
        registry.register(
            "messages_per_peer",
            "Messages exchanged with each connected peer since the last sample, every ten seconds",
            self.messages_per_peer.clone(),
        );
        registry.register_with_unit(
            "message_size",
            "Payloads of the broadcasts and messages that reached this node",
            Unit::Bytes,
            self.message_size.clone(),
        );
        registry.register_with_unit(
            "message_latency",
            "Ages of broadcasts on arrival, by the clocks of their origins",
            Unit::Seconds,
            self.message_latency.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the control interface, by operation and status",
            self.requests.clone(),
        );
    }

    /// Something happened, at so many milliseconds since the Unix epoch.
    pub fn on_event(&self, event: &Event, unix_millis_now: u64) {
        match event {
            Event::PeerUp { .. } => {
                self.connections.inc();
            }
            Event::PeerDown { reason, .. } => {
                let reason = reason.to_string();
                let labels = vec![("reason".to_owned(), reason)];
                self.disconnections.get_or_create(&labels).inc();
            }
            Event::PeerStateChanged {
                from: Some(from),
                to: PeerState::Failed,
                ..
            } => {
                let of = match from {
                    PeerState::Handshaking => &self.handshake_failures,
                    _ => &self.dial_failures,
                };
                of.inc();
            }
            Event::PeerViolation { .. } => {
                self.violations.inc();
            }
            Event::Broadcast {
                payload,
                unix_millis,
                ..
            } => {
                self.message_size.observe(as_f64(payload.len()));
                let age = unix_millis_now.saturating_sub(*unix_millis);
                let age = std::time::Duration::from_millis(age);
                self.message_latency.observe(age.as_secs_f64());
            }
            Event::Direct { payload, .. } | Event::Request { payload, .. } => {
                self.message_size.observe(as_f64(payload.len()));
            }
            _ => {}
        }
    }

    /// The control interface has answered a request.
    pub fn on_request(&self, operation: &str, status: u16) {
        let labels = vec![
            ("operation".to_owned(), operation.to_owned()),
            ("status".to_owned(), status.to_string()),
        ];
        self.requests.get_or_create(&labels).inc();
    }

    /// Notes how the connected peers are doing. Called every ten seconds.
    pub async fn sample(&self, node: &Handle) {
        let Ok(snapshot) = Snapshot::take(node).await else {
            return;
        };
        let connections = node.connections().await;
        let mut totals = self.totals();
        totals.update(&snapshot.peers, &connections);
        for peer in connected(&snapshot.peers) {
            if let Some(rtt) = snapshot.latency(peer) {
                self.latency.observe(rtt.as_secs_f64());
            }
            if let Some(score) = reputation(peer) {
                self.reputation.observe(f64::from(score));
            }
            let messages = totals.take_messages(&peer.id);
            self.messages_per_peer.observe(as_f64(messages));
        }
    }

    /// All metrics as OpenMetrics text; `None` when the node has ended. `events` is how many there
    /// were, and how many of them slow readers of the event stream missed.
    pub async fn render(&self, node: &Handle, events: (u64, u64)) -> Option<String> {
        let snapshot = Snapshot::take(node).await.ok()?;
        let connections = node.connections().await;
        let mut now = Registry::with_prefix("dunlin");
        overlay::register(&mut now, &snapshot.stats);
        register_peers(&mut now, &snapshot);
        register_events(&mut now, events);
        transport::register_paths(&mut now, &connections);
        {
            let mut totals = self.totals();
            totals.update(&snapshot.peers, &connections);
            totals.register(&mut now);
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.registry).ok()?;
        encode_registry(&mut text, &now).ok()?;
        encode_eof(&mut text).ok()?;
        Some(text)
    }

    fn totals(&self) -> std::sync::MutexGuard<'_, Totals> {
        // Sums stay usable after a panic elsewhere.
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connected(peers: &[PeerView]) -> impl Iterator<Item = &PeerView> {
    let peers = peers.iter();
    peers.filter(|peer| peer.state == PeerState::Connected)
}

fn register_peers(registry: &mut Registry, snapshot: &Snapshot) {
    let by_state = Family::<Labels, Gauge>::default();
    for state in PeerState::ALL {
        let labels = vec![("state".to_owned(), state.to_string())];
        let count = snapshot.peers.iter().filter(|peer| peer.state == state);
        by_state.get_or_create(&labels).set(as_i64(count.count()));
    }
    registry.register("peers", "Known peers, by state", by_state);
    let total: Gauge = Gauge::default();
    total.set(as_i64(snapshot.peers.len()));
    registry.register("known_peers", "Known peers", total);
    let connected: Gauge = Gauge::default();
    connected.set(as_i64(snapshot.stats.connected));
    registry.register(
        "connected_peers",
        "Peers with which messages flow",
        connected,
    );
    let unhealthy: Gauge = Gauge::default();
    let count = snapshot.peers.iter().filter(|peer| is_unhealthy(peer));
    unhealthy.set(as_i64(count.count()));
    registry.register(
        "unhealthy_peers",
        "Connected peers that are silent, miss pings or are slow to answer",
        unhealthy,
    );
    let build = Family::<Labels, Gauge>::default();
    let labels = vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    build.get_or_create(&labels).set(1);
    registry.register("build", "The version of the program; always 1", build);
}

fn register_events(registry: &mut Registry, (all, missed): (u64, u64)) {
    registry.register("events", "Events of the overlay", counter(all));
    registry.register(
        "events_missed",
        "Events that slow readers of the event stream missed",
        counter(missed),
    );
}

/// A counter that stands at `value`.
fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

/// The name of a peer in labels: short, and long enough to tell any two apart.
fn peer_label(id: &NodeId) -> Labels {
    let id = id.to_string();
    let short = id.get(..23).unwrap_or(&id).to_owned();
    vec![("peer".to_owned(), short)]
}

fn as_i64<T: TryInto<i64>>(value: T) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Counts above 2^53 lose their last digits; nothing here comes near.
#[expect(clippy::cast_precision_loss, reason = "see the comment")]
fn as_f64<T: TryInto<u64>>(value: T) -> f64 {
    value.try_into().unwrap_or(u64::MAX) as f64
}
