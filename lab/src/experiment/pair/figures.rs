//! The figures of a run: from counters, samples and single latencies to named numbers.

use dunlin_transport::Instant;

use super::limit::Limit;
use super::plan::{Plan, SERVER};
use super::sampler::Sampler;
use super::{App, clients, work};
use crate::experiment::model::FlowKind;
use crate::experiment::result::{Figure, Worse};
use crate::net::Net;
use crate::plot::Unit;

/// Nearest rank: the least of `sorted` that `per_cent` of them do not exceed; 0 if there are none.
pub(in crate::experiment) fn percentile(sorted: &[u64], per_cent: usize) -> u64 {
    let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// Jain's index of fairness, (Σx)² / (n Σx²), in millionths (Jain, Chiu, Hawe, 1984).
fn jain(values: &[u64]) -> u64 {
    // Thousands of bits per second are enough, and n Σx² then fits.
    let values = values.iter().map(|value| u128::from(value / 1_000));
    let (count, sum, squares) = values.fold((0_u128, 0_u128, 0_u128), |(n, sum, squares), x| {
        (n + 1, sum + x, squares + x * x)
    });
    if squares == 0 {
        return 0;
    }
    u64::try_from(sum * sum * 1_000_000 / (count * squares)).unwrap_or(0)
}

/// Part of whole in millionths; all of nothing is everything.
fn share(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 1_000_000;
    }
    u64::try_from(u128::from(part) * 1_000_000 / u128::from(whole)).unwrap_or(u64::MAX)
}

/// What the run has measured, besides what the network still knows.
pub(super) struct Measured<'a> {
    pub(super) plan: &'a Plan,
    pub(super) sampler: &'a Sampler,
    pub(super) limit: &'a Limit,
    /// Bytes of each flow that had arrived at the end of the warm-up and of the measured time.
    pub(super) arrived: [Vec<u64>; 2],
    /// From when to when was measured.
    pub(super) window: (Instant, Instant),
}

impl Measured<'_> {
    pub(super) fn figures(&self, net: &Net<App>) -> Vec<Figure> {
        let mut out = Vec::new();
        self.rates(&mut out);
        self.cross(&mut out);
        self.completion(net, &mut out);
        self.spread(&mut out);
        self.latencies(net, &mut out);
        self.delivery(net, &mut out);
        self.counters(net, &mut out);
        out
    }

    fn is_kind(&self, flow: usize, kind: FlowKind) -> bool {
        self.plan.kinds.get(flow) == Some(&kind)
    }

    fn flows_of(&self, kind: FlowKind) -> Vec<usize> {
        (0..self.plan.info.len())
            .filter(|flow| self.is_kind(*flow, kind))
            .collect()
    }

    fn name(&self, flow: usize) -> &str {
        self.plan.info.get(flow).map_or("", |info| info.0.as_str())
    }

    fn rates(&self, out: &mut Vec<Figure>) {
        let bulk = self.flows_of(FlowKind::Bulk);
        let nanos = self.window.1.saturating_duration_since(self.window.0);
        let nanos = nanos.as_nanos().max(1);
        let [before, after] = &self.arrived;
        let rate = |flow: usize| {
            let at = |list: &[u64]| list.get(flow).copied().unwrap_or(0);
            let bits = u128::from(at(after) - at(before)) * 8;
            u64::try_from(bits * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
        };
        let rates: Vec<u64> = bulk.iter().map(|flow| rate(*flow)).collect();
        if rates.is_empty() {
            return;
        }
        let sum = rates.iter().sum();
        let figure =
            |name: String, value| Figure::new(name, Unit::BitsPerSecond, value, Worse::Lower);
        out.push(figure("goodput".into(), sum));
        if let Some(limit) = self.limit.mean(self.sampler.way(), self.window) {
            out.push(figure("limit".into(), limit));
            let used = share(sum, limit);
            out.push(Figure::new(
                "utilisation",
                Unit::Millionths,
                used,
                Worse::Lower,
            ));
        }
        if rates.len() > 1 {
            let jain = jain(&rates);
            out.push(Figure::new("jain", Unit::Millionths, jain, Worse::Lower));
            for (flow, value) in bulk.iter().zip(&rates) {
                out.push(figure(format!("goodput.{}", self.name(*flow)), *value));
            }
            let mut sums: Vec<(&str, u64)> = Vec::new();
            for (flow, value) in bulk.iter().zip(&rates) {
                let group = self.plan.groups.get(*flow).map_or("", String::as_str);
                match sums.last_mut().filter(|(name, _)| *name == group) {
                    Some((_, sum)) => *sum += value,
                    None => sums.push((group, *value)),
                }
            }
            let sums = sums.iter().filter(|_| sums.len() > 1);
            out.extend(sums.map(|(name, sum)| figure(format!("goodput_of.{name}"), *sum)));
        }
    }

    /// UDP payload of cross traffic that arrived in the measured time.
    fn cross(&self, out: &mut Vec<Figure>) {
        let nanos = self.window.1.saturating_duration_since(self.window.0);
        let nanos = nanos.as_nanos().max(1);
        let [before, after] = &self.arrived;
        let sinks = after.iter().zip(before).skip(self.plan.info.len());
        for ((name, _), (after, before)) in self.plan.cross.iter().zip(sinks) {
            let bits = u128::from(after - before) * 8;
            let rate = u64::try_from(bits * 1_000_000_000 / nanos).unwrap_or(u64::MAX);
            let name = format!("cross.{name}");
            out.push(Figure::new(name, Unit::BitsPerSecond, rate, Worse::Lower));
        }
    }

    /// How long bulk streams with an end took.
    fn completion(&self, net: &Net<App>, out: &mut Vec<Figure>) {
        let mut times = Vec::new();
        for flow in self.flows_of(FlowKind::Bulk) {
            let Some(work) = work(net, flow).filter(|work| !work.is_endless()) else {
                continue;
            };
            times.extend(work.ages.first().map(|(_, age)| *age));
        }
        if let Some(slowest) = times.iter().max() {
            out.push(time("completion", *slowest));
        }
    }

    fn spread(&self, out: &mut Vec<Figure>) {
        let mut rtts = self.sampler.rtts.clone();
        rtts.sort_unstable();
        if !rtts.is_empty() {
            out.push(time("rtt_p50", percentile(&rtts, 50)));
            out.push(time("rtt_p95", percentile(&rtts, 95)));
            out.push(time("rtt_max", percentile(&rtts, 100)));
        }
        let mut waits = self.sampler.waits.clone();
        waits.sort_unstable();
        if waits.last().is_some_and(|most| *most > 0) {
            out.push(time("queue_wait_p50", percentile(&waits, 50)));
            out.push(time("queue_wait_p95", percentile(&waits, 95)));
            let most = self.sampler.queues.iter().max().copied().unwrap_or(0);
            out.push(Figure::new("queue_max", Unit::Bytes, most, Worse::Higher));
        }
    }

    /// Latencies of requests, messages and datagrams that came to their end in the measured time
    /// or after it.
    fn latencies(&self, net: &Net<App>, out: &mut Vec<Figure>) {
        for kind in [FlowKind::Requests, FlowKind::Messages, FlowKind::Datagrams] {
            let flows = self.flows_of(kind);
            let ages = |flow: &usize| ages_of(net, *flow, kind);
            let mut all: Vec<u64> = flows
                .iter()
                .flat_map(ages)
                .filter(|(at, _)| *at > self.window.0)
                .map(|(_, age)| age)
                .collect();
            if all.is_empty() {
                continue;
            }
            all.sort_unstable();
            let name = match kind {
                FlowKind::Requests => "request",
                FlowKind::Messages => "message",
                _ => "datagram",
            };
            for (suffix, per_cent) in [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
                let value = percentile(&all, per_cent);
                out.push(time(&format!("{name}_{suffix}"), value));
            }
            let count = all.len() as u64;
            out.push(Figure::new(
                format!("{name}s"),
                Unit::Count,
                count,
                Worse::Lower,
            ));
        }
    }

    /// What has arrived of all that had to: bytes of streams with an end are one, as is a request,
    /// a message, a datagram.
    fn delivery(&self, net: &Net<App>, out: &mut Vec<Figure>) {
        let Some(server) = net.app(SERVER).and_then(App::server) else {
            return;
        };
        let (mut reliable, mut datagrams) = ((0, 0), (0, 0));
        for (flow, arrived) in server.flows.iter().enumerate() {
            let Some(work) = work(net, flow) else {
                continue;
            };
            let done = match self.plan.kinds.get(flow) {
                Some(FlowKind::Bulk) if work.is_endless() => continue,
                Some(FlowKind::Bulk) if work.is_upload() => arrived.streams_ended,
                Some(FlowKind::Messages | FlowKind::Datagrams) => arrived.messages,
                _ => work.answered,
            };
            let count = if self.is_kind(flow, FlowKind::Datagrams) {
                &mut datagrams
            } else {
                &mut reliable
            };
            count.0 += done;
            count.1 += work.issued;
        }
        for (name, (done, issued)) in [("delivered", reliable), ("datagrams_delivered", datagrams)]
        {
            if issued > 0 {
                let value = share(done, issued);
                out.push(Figure::new(name, Unit::Millionths, value, Worse::Lower));
            }
        }
    }

    fn counters(&self, net: &Net<App>, out: &mut Vec<Figure>) {
        let count = |name: &str, value| Figure::new(name, Unit::Count, value, Worse::Higher);
        let carriers = || clients(net).flat_map(|(_, client)| &client.carriers);
        let handshakes = carriers().filter_map(|carrier| carrier.handshake());
        if let Some(slowest) = handshakes.max() {
            let nanos = u64::try_from(slowest.as_nanos()).unwrap_or(u64::MAX);
            out.push(time("handshake", nanos));
        }
        let (mut sent, mut lost, mut spurious, mut probes, mut changes) = (0, 0, 0, 0, 0);
        for (node, handles) in self.handles(net) {
            for handle in handles {
                let endpoint = net.endpoint(node);
                let Some(connection) = endpoint.and_then(|endpoint| endpoint.connection(handle))
                else {
                    continue;
                };
                let stats = connection.stats();
                sent += stats.packets_sent;
                lost += stats.packets_lost;
                spurious += stats.packets_spuriously_lost;
                probes += stats.probe_timeouts;
                changes += stats.path_changes;
            }
        }
        let lost_share = share(lost, sent.max(1));
        out.push(Figure::new(
            "lost",
            Unit::Millionths,
            lost_share,
            Worse::Higher,
        ));
        out.push(count("spurious", spurious));
        out.push(count("probe_timeouts", probes));
        out.push(count("path_changes", changes));
        let closed = carriers().filter(|carrier| carrier.closed).count() as u64;
        out.push(count("closed", closed));
    }

    /// Connections of all ends, by node.
    fn handles(&self, net: &Net<App>) -> Vec<(usize, Vec<dunlin_transport::ConnectionHandle>)> {
        let own = clients(net).map(|(node, client)| {
            let handles = client.carriers.iter().filter_map(|carrier| carrier.handle);
            (node, handles.collect())
        });
        let mut all: Vec<_> = own.collect();
        let server = net.app(SERVER).and_then(App::server);
        let mut theirs: Vec<_> = server
            .into_iter()
            .flat_map(|server| &server.flows)
            .filter_map(|flow| flow.connection)
            .collect();
        theirs.sort_unstable();
        theirs.dedup();
        all.push((SERVER, theirs));
        all
    }
}

/// When each request, message or datagram of a flow came to its end, and how long it took.
pub(super) fn ages_of(net: &Net<App>, flow: usize, kind: FlowKind) -> Vec<(Instant, u64)> {
    let ages = match kind {
        FlowKind::Bulk => None,
        FlowKind::Requests => work(net, flow).map(|work| &work.ages),
        FlowKind::Messages | FlowKind::Datagrams => {
            let server = net.app(SERVER).and_then(App::server);
            server.and_then(|server| Some(&server.flows.get(flow)?.ages))
        }
    };
    ages.cloned().unwrap_or_default()
}

fn time(name: &str, nanos: u64) -> Figure {
    Figure::new(name, Unit::Nanoseconds, nanos, Worse::Higher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<u64> = (1..=20).collect();
        assert_eq!(percentile(&sorted, 5), 1);
        assert_eq!(percentile(&sorted, 50), 10);
        assert_eq!(percentile(&sorted, 95), 19);
        assert_eq!(percentile(&sorted, 100), 20);
        assert_eq!(percentile(&[7], 5), 7);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn jain_is_one_for_equals_and_one_nth_for_a_single_winner() {
        let mega = 1_000_000;
        assert_eq!(jain(&[9 * mega, 9 * mega, 9 * mega]), 1_000_000);
        assert_eq!(jain(&[9 * mega, 0, 0, 0]), 250_000);
        assert_eq!(jain(&[]), 0);
        let mixed = jain(&[10 * mega, 20 * mega]);
        assert_eq!(mixed, 900_000);
    }
}
