//! What is looked at every so often, and what becomes of it: series for the plots, samples for the
//! figures.

use std::collections::BTreeMap;

use dunlin_transport::{Connection, ConnectionHandle, Instant, Stats};

use super::limit::{Limit, Way};
use super::plan::{Plan, SERVER};
use super::{App, client_of, work};
use crate::net::Net;
use crate::net::byzantine::Sink;
use crate::plot::{Point, Quantity, Recording, Series};

/// Looks at a run.
#[derive(Debug)]
pub(super) struct Sampler {
    names: Vec<String>,
    /// Data of this flow goes from the server to the client.
    down: Vec<bool>,
    bulk: Vec<bool>,
    /// Cross traffic and where it arrives.
    cross: Vec<(String, usize)>,
    series: BTreeMap<(Quantity, String), Vec<Point>>,
    /// Whether series are kept.
    keep: bool,
    before: Vec<u64>,
    last: Instant,
    /// Smoothed round-trip times of connections with a bulk flow, nanoseconds.
    pub(super) rtts: Vec<u64>,
    /// Bytes and waits in front of the bottlenecks of the busier direction.
    pub(super) queues: Vec<u64>,
    /// How long a datagram would have waited there, nanoseconds.
    pub(super) waits: Vec<u64>,
    measured_from: Instant,
}

impl Sampler {
    pub(super) fn new(plan: &Plan, measured_from: Instant, keep: bool) -> Self {
        let flows = &plan.info;
        Self {
            names: flows.iter().map(|flow| flow.0.clone()).collect(),
            down: flows.iter().map(|flow| flow.1).collect(),
            bulk: flows.iter().map(|flow| flow.2).collect(),
            cross: plan.cross.clone(),
            series: BTreeMap::new(),
            keep,
            before: vec![0; flows.len() + plan.cross.len()],
            last: Instant::ZERO,
            rtts: Vec::new(),
            queues: Vec::new(),
            waits: Vec::new(),
            measured_from,
        }
    }

    /// Bytes that have arrived of each flow, and of cross traffic after them.
    pub(super) fn arrived(&self, net: &Net<App>) -> Vec<u64> {
        let server = net.app(SERVER).and_then(App::server);
        let flows = self.down.iter().enumerate().map(|(flow, down)| {
            if *down {
                work(net, flow).map_or(0, |work| work.bytes)
            } else {
                let arrived = server.and_then(|server| server.flows.get(flow));
                arrived.map_or(0, |arrived| arrived.bytes)
            }
        });
        let sinks = self.cross.iter();
        let sinks = sinks.map(|(_, sink)| net.host::<Sink>(*sink).map_or(0, |sink| sink.bytes));
        flows.chain(sinks).collect()
    }

    /// Counters of the end that sends the data of a flow.
    pub(super) fn sender(&self, net: &Net<App>, flow: usize) -> Option<Stats> {
        self.connection(net, flow).map(Connection::stats)
    }

    fn connection<'a>(&self, net: &'a Net<App>, flow: usize) -> Option<&'a Connection> {
        let down = self.down.get(flow).copied().unwrap_or(false);
        let (node, handle): (usize, ConnectionHandle) = if down {
            let server = net.app(SERVER)?.server()?;
            (SERVER, server.flows.get(flow)?.connection?)
        } else {
            let (node, client) = client_of(net, flow)?;
            let carrier = client
                .carriers
                .iter()
                .find(|carrier| carrier.flows.contains(&flow))?;
            (node, carrier.handle?)
        };
        net.endpoint(node)?.connection(handle)
    }

    /// Looks now.
    pub(super) fn sample(&mut self, net: &Net<App>, limit: &Limit, now: Instant) {
        let measured = now > self.measured_from;
        let arrived = self.arrived(net);
        let nanos = now.saturating_duration_since(self.last).as_nanos().max(1);
        for (flow, bytes) in arrived.iter().copied().enumerate() {
            let bits = u128::from(bytes - self.before.get(flow).copied().unwrap_or(0)) * 8;
            let rate = u64::try_from(bits * 1_000_000_000 / nanos).unwrap_or(u64::MAX);
            if let Some((name, _)) = flow
                .checked_sub(self.names.len())
                .and_then(|cross| self.cross.get(cross))
            {
                let name = name.clone();
                self.push_named(Quantity::Goodput, &name, now, rate);
                continue;
            }
            let is_bulk = self.bulk.get(flow).copied().unwrap_or(false);
            if is_bulk {
                self.push(Quantity::Goodput, flow, now, rate);
                self.push(Quantity::Sequence, flow, now, bytes);
            }
            if let Some(stats) = self
                .sender(net, flow)
                .filter(|stats| stats.packets_received > 0)
            {
                self.push(
                    Quantity::CongestionWindow,
                    flow,
                    now,
                    stats.congestion_window,
                );
                self.push(Quantity::InFlight, flow, now, stats.bytes_in_flight);
                let rtt = u64::try_from(stats.rtt.as_nanos()).unwrap_or(u64::MAX);
                self.push(Quantity::Rtt, flow, now, rtt);
                self.push(Quantity::Losses, flow, now, stats.packets_lost);
                if measured && (is_bulk || !self.bulk.contains(&true)) {
                    self.rtts.push(rtt);
                }
            }
        }
        self.sample_queues(net, now, measured);
        if self.keep
            && let Some(rate) = limit.at(self.way(), now)
        {
            self.push_named(Quantity::Goodput, "limit", now, rate);
        }
        self.before = arrived;
        self.last = now;
    }

    /// The way of most data.
    pub(super) fn way(&self) -> Way {
        let bulk = self.bulk.iter().zip(&self.down);
        let down = bulk.filter(|(bulk, down)| **bulk && **down).count();
        let all = self.bulk.iter().filter(|bulk| **bulk).count();
        if all > 0 && down == all {
            Way::Backward
        } else {
            Way::Forward
        }
    }

    fn sample_queues(&mut self, net: &Net<App>, now: Instant, measured: bool) {
        let (from, to) = match self.way() {
            Way::Forward => (0, SERVER),
            Way::Backward => (SERVER, 0),
        };
        let backlog = net.backlog(from, to).unwrap_or_default();
        let wait = u64::try_from(backlog.wait.as_nanos()).unwrap_or(u64::MAX);
        if measured {
            self.queues.push(backlog.bytes);
            self.waits.push(wait);
        }
        self.push_named(Quantity::Queue, "bottleneck", now, backlog.bytes);
        self.push_named(Quantity::Sojourn, "bottleneck", now, wait);
    }

    /// A latency that was seen by itself.
    pub(super) fn latency(&mut self, flow: usize, at: Instant, nanos: u64) {
        self.push(Quantity::Latency, flow, at, nanos);
    }

    fn push(&mut self, quantity: Quantity, flow: usize, at: Instant, value: u64) {
        if self.keep
            && let Some(name) = self.names.get(flow).cloned()
        {
            self.push_named(quantity, &name, at, value);
        }
    }

    fn push_named(&mut self, quantity: Quantity, name: &str, at: Instant, value: u64) {
        if self.keep {
            let points = self.series.entry((quantity, name.into())).or_default();
            points.push(Point {
                at_ns: at.as_nanos(),
                value,
            });
        }
    }

    /// The series, those of flows in the order of the flows, the limit last; without those that
    /// are zero throughout.
    pub(super) fn recording(self) -> Option<Recording> {
        if !self.keep {
            return None;
        }
        let order = |name: &str| {
            let place = self.names.iter().position(|other| other == name);
            place.unwrap_or(usize::MAX)
        };
        let mut series: Vec<Series> = self
            .series
            .into_iter()
            .filter(|(_, points)| points.iter().any(|point| point.value > 0))
            .map(|((quantity, label), points)| Series {
                quantity,
                limit: label == "limit",
                label,
                points,
            })
            .collect();
        series.sort_by_key(|series| (series.quantity, order(&series.label)));
        Some(Recording { series })
    }
}
