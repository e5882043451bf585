//! Totals over all links, and the paths of those that are there.
//!
//! The transport counts for each connection, and a connection that ends takes its counts along.
//! `Totals` adds up what each has grown by since it was looked at last, so that the sums never
//! fall. What a link counted between the last look and its end is missing: at most ten seconds.

use std::collections::BTreeMap;

use dunlin_overlay::PeerView;
use dunlin_session::NodeId;
use dunlin_transport::Stats;
use dunlin_transport::driver::Connection;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Labels, as_i64, connected, counter, peer_label};

/// A name, its help, whether its unit is bytes, and where it is in the statistics of a connection.
struct Counted {
    name: &'static str,
    is_bytes: bool,
    help: &'static str,
    of: fn(&Stats) -> u64,
}

const fn counted(name: &'static str, help: &'static str, of: fn(&Stats) -> u64) -> Counted {
    Counted {
        name,
        is_bytes: false,
        help,
        of,
    }
}

const fn bytes(name: &'static str, help: &'static str, of: fn(&Stats) -> u64) -> Counted {
    Counted {
        name,
        is_bytes: true,
        help,
        of,
    }
}

const COUNTED: [Counted; 19] = [
    counted("packets_sent", "Packets sent", |s| s.packets_sent),
    bytes("sent", "Bytes of packets sent", |s| s.bytes_sent),
    counted("packets_received", "Packets received", |s| {
        s.packets_received
    }),
    bytes("received", "Bytes of packets received", |s| {
        s.bytes_received
    }),
    counted("acks_sent", "Packets sent only to acknowledge", |s| {
        s.acks_sent
    }),
    counted("packets_lost", "Packets declared lost", |s| s.packets_lost),
    counted(
        "packets_spuriously_lost",
        "Packets declared lost that had arrived",
        |s| s.packets_spuriously_lost,
    ),
    counted("probe_timeouts", "Probe timeouts", |s| s.probe_timeouts),
    counted(
        "congestion_events",
        "Times that the controller was told of congestion",
        |s| s.congestion_events,
    ),
    counted(
        "window_reductions",
        "Reductions of the congestion window",
        |s| s.window_reductions,
    ),
    counted("reductions_undone", "Reductions that were undone", |s| {
        s.reductions_undone
    }),
    counted("pieces_sent_again", "Pieces of data sent again", |s| {
        s.pieces_sent_again
    }),
    counted("mtu_probes_sent", "Probes of the path MTU", |s| {
        s.mtu_probes_sent
    }),
    counted("mtu_black_holes", "Falls of the path MTU", |s| {
        s.mtu_black_holes
    }),
    counted("ecn_ce", "Packets marked by a congested queue", |s| {
        s.ecn_ce
    }),
    counted(
        "packets_rejected",
        "Packets received that did not open or broke a rule",
        |s| s.packets_rejected,
    ),
    counted("packets_duplicate", "Packets received twice", |s| {
        s.packets_duplicate
    }),
    counted(
        "datagrams_dropped",
        "Messages without delivery promise dropped here",
        |s| s.datagrams_dropped,
    ),
    counted("path_changes", "Times that a path changed", |s| {
        s.path_changes
    }),
];

const MESSAGES: [(&str, bool, &str); 4] = [
    ("messages_sent", false, "Messages sent to peers"),
    ("messages_received", false, "Messages received from peers"),
    ("message_sent", true, "Bytes of messages sent to peers"),
    (
        "message_received",
        true,
        "Bytes of messages received from peers",
    ),
];

/// What a link had counted when it was looked at last.
#[derive(Clone, Debug, Default)]
struct Last {
    transport: [u64; COUNTED.len()],
    messages: [u64; MESSAGES.len()],
    /// Messages since the last sample of messages per peer.
    unsampled: u64,
}

/// Sums over all links that ever were. It remembers as many links as there are.
#[derive(Debug, Default)]
pub(super) struct Totals {
    transport: [u64; COUNTED.len()],
    messages: [u64; MESSAGES.len()],
    last: BTreeMap<NodeId, Last>,
}

impl Totals {
    /// Adds what the links have counted since the last time.
    pub(super) fn update(&mut self, peers: &[PeerView], connections: &[(NodeId, Connection)]) {
        let links: BTreeMap<NodeId, Option<Stats>> = connections
            .iter()
            .map(|(id, connection)| (*id, connection.stats()))
            .collect();
        self.last.retain(|id, _| links.contains_key(id));
        for (id, stats) in &links {
            let last = self.last.entry(*id).or_default();
            if let Some(stats) = stats {
                let now = COUNTED.map(|counted| (counted.of)(stats));
                grow(&mut self.transport, &mut last.transport, now);
            }
        }
        for peer in connected(peers) {
            let Some(last) = self.last.get_mut(&peer.id) else {
                continue;
            };
            let of = &peer.counters;
            let now = [of.messages_out, of.messages_in, of.bytes_out, of.bytes_in];
            let before = self.messages;
            grow(&mut self.messages, &mut last.messages, now);
            let [out, into, ..] = self.messages;
            let [out_before, into_before, ..] = before;
            last.unsampled += out + into - out_before - into_before;
        }
    }

    /// Messages exchanged with a peer since this was asked last.
    pub(super) fn take_messages(&mut self, peer: &NodeId) -> u64 {
        let last = self.last.get_mut(peer);
        last.map_or(0, |last| std::mem::take(&mut last.unsampled))
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for ((name, is_bytes, help), value) in MESSAGES.into_iter().zip(self.messages) {
            register_counter(registry, name, is_bytes, help, counter(value));
        }
        let registry = registry.sub_registry_with_prefix("transport");
        for (of, value) in COUNTED.into_iter().zip(self.transport) {
            register_counter(registry, of.name, of.is_bytes, of.help, counter(value));
        }
    }
}

/// Adds to `totals` by how much `now` is above `last`; a number that fell is of a new link.
fn grow<const N: usize>(totals: &mut [u64; N], last: &mut [u64; N], now: [u64; N]) {
    let is_new = last.iter().zip(now).any(|(last, now)| now < *last);
    if is_new {
        *last = [0; N];
    }
    for ((total, last), now) in totals.iter_mut().zip(last.iter_mut()).zip(now) {
        *total += now - *last;
        *last = now;
    }
}

fn register_counter(
    registry: &mut Registry,
    name: &'static str,
    is_bytes: bool,
    help: &'static str,
    counter: Counter,
) {
    if is_bytes {
        registry.register_with_unit(name, help, Unit::Bytes, counter);
    } else {
        registry.register(name, help, counter);
    }
}

/// The path of each link: as many series as there are connected peers.
pub(super) fn register_paths(registry: &mut Registry, connections: &[(NodeId, Connection)]) {
    let rtt = Family::<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    let window = Family::<Labels, Gauge>::default();
    let rate = Family::<Labels, Gauge>::default();
    let sent = Family::<Labels, Counter>::default();
    let received = Family::<Labels, Counter>::default();
    // Two links to a peer are one series: the newer one, which is the one that stays.
    let links: BTreeMap<&NodeId, &Connection> =
        connections.iter().map(|(id, link)| (id, link)).collect();
    for (id, connection) in links {
        let Some(path) = connection.path_stats() else {
            continue;
        };
        let labels = peer_label(id);
        let seconds = path.rtt.as_secs_f64();
        rtt.get_or_create(&labels).set(seconds);
        window
            .get_or_create(&labels)
            .set(as_i64(path.congestion_window));
        rate.get_or_create(&labels).set(as_i64(path.delivery_rate));
        sent.get_or_create(&labels).inc_by(path.bytes_sent);
        received.get_or_create(&labels).inc_by(path.bytes_received);
    }
    let registry = registry.sub_registry_with_prefix("path");
    let help = "Smoothed round-trip time of the path to a connected peer";
    registry.register_with_unit("rtt", help, Unit::Seconds, rtt);
    let help = "Congestion window of the path to a connected peer";
    registry.register_with_unit("congestion_window", help, Unit::Bytes, window);
    let help = "Bytes a second that the path to a connected peer delivers";
    registry.register("delivery_rate", help, rate);
    let help = "Bytes sent over the path to a connected peer";
    registry.register_with_unit("sent", help, Unit::Bytes, sent);
    let help = "Bytes received over the path from a connected peer";
    registry.register_with_unit("received", help, Unit::Bytes, received);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_never_fall_when_a_link_is_replaced() {
        let (mut totals, mut last) = ([0; 2], [0; 2]);
        grow(&mut totals, &mut last, [10, 1]);
        grow(&mut totals, &mut last, [15, 1]);
        assert_eq!(totals, [15, 1]);
        grow(&mut totals, &mut last, [3, 2]);
        assert_eq!(totals, [18, 3]);
    }
}
