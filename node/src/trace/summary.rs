//! What the events of one connection add up to, and the series that are drawn.

use std::collections::BTreeMap;
use std::path::Path;

use dunlin_lab::plot::{Point, Quantity, Recording, Series};
use serde_json::Value;

use super::read::{events, integer};
use crate::failure::Failure;

/// Steps into which a connection's time is cut for its goodput. A guess: as many as a chart shows.
const GOODPUT_STEPS: u64 = 200;

/// The figures of a connection.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Summary {
    /// `client` or `server`.
    pub role: String,
    /// The connection's name at both ends.
    pub group: String,
    /// The peer's address.
    pub remote: String,
    /// From the first event to the last, in nanoseconds.
    pub duration_ns: u64,
    /// Packets sent, received and dropped.
    pub packets: [u64; 3],
    /// Bytes of the packets sent and received.
    pub bytes: [u64; 2],
    /// Packets declared lost, and of those acknowledged after all.
    pub losses: [u64; 2],
    /// Least and last smoothed round-trip time, in nanoseconds.
    pub rtt_ns: [Option<u64>; 2],
    /// The largest congestion window.
    pub window_max: u64,
    /// Bytes of application data that arrived: ours at the peer, the peer's here.
    pub data: [u64; 2],
    /// Events.
    pub events: u64,
    /// Events that are missing because there was no room.
    pub events_lost: u64,
    /// Why it ended, if it did.
    pub ending: Option<String>,
}

impl Summary {
    /// Application data that arrived, both directions, in bits per second.
    #[must_use]
    pub fn goodput(&self) -> u64 {
        let bits = u128::from(self.data[0] + self.data[1]) * 8 * 1_000_000_000;
        let rate = bits / u128::from(self.duration_ns.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// Reads a file.
///
/// # Errors
/// It cannot be read, or is no log.
pub fn summarise(path: &Path) -> Result<(Summary, Recording), Failure> {
    let mut reading = Reading::default();
    let header = events(path, |time, name, data| reading.on_event(time, name, data))?;
    let trace = &header["trace"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    reading.summary.role = text(&trace["vantage_point"]["type"]);
    reading.summary.group = text(&trace["common_fields"]["group_id"]);
    Ok(reading.finish())
}

#[derive(Default)]
struct Reading {
    summary: Summary,
    first_ns: Option<u64>,
    last_ns: u64,
    /// Bytes of application data in packets that are neither acknowledged nor lost.
    in_flight: BTreeMap<u64, u64>,
    /// By stream: the highest offset that came.
    streams: BTreeMap<u64, u64>,
    sent_data: u64,
    series: BTreeMap<(Quantity, &'static str), Vec<Point>>,
    /// When data arrived at either end, and how much.
    arrivals: Vec<Point>,
}

impl Reading {
    fn on_event(&mut self, time_ms: f64, name: &str, data: &Value) {
        let at_ns = nanos(time_ms);
        let first = *self.first_ns.get_or_insert(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
        let at_ns = at_ns.saturating_sub(first);
        self.summary.events += 1;
        match name {
            "connection_started" => {
                self.summary.remote = data["remote"].as_str().unwrap_or_default().into();
            }
            "packet_sent" => self.on_sent(at_ns, data),
            "packet_received" => self.on_received(at_ns, data),
            "packet_dropped" => self.summary.packets[2] += 1,
            "packets_acked" => self.on_acked(at_ns, data),
            "packet_lost" => {
                self.summary.losses[0] += 1;
                let losses = self.summary.losses[0];
                self.add(Quantity::Losses, "declared lost", at_ns, losses);
            }
            "spurious_loss" => self.summary.losses[1] += 1,
            "recovery_metrics_updated" => self.on_metrics(at_ns, data),
            "events_lost" => self.summary.events_lost += integer(&data["count"]).unwrap_or(0),
            "connection_closed" => {
                self.summary.ending = data["trigger"].as_str().map(Into::into);
            }
            _ => {}
        }
    }

    fn on_sent(&mut self, at_ns: u64, data: &Value) {
        self.summary.packets[0] += 1;
        self.summary.bytes[0] += integer(&data["raw"]["length"]).unwrap_or(0);
        let carried = pieces(data).map(|piece| piece.length).sum();
        if carried > 0
            && let Some(number) = integer(&data["header"]["packet_number"])
        {
            self.in_flight.insert(number, carried);
            self.sent_data += carried;
            let sent = self.sent_data;
            self.add(Quantity::Sequence, "sent, with repetitions", at_ns, sent);
        }
    }

    fn on_received(&mut self, at_ns: u64, data: &Value) {
        self.summary.packets[1] += 1;
        self.summary.bytes[1] += integer(&data["raw"]["length"]).unwrap_or(0);
        let mut new = 0;
        for piece in pieces(data) {
            new += match piece.place {
                None => piece.length,
                Some((stream, offset)) => {
                    let highest = self.streams.entry(stream).or_default();
                    let end = offset.saturating_add(piece.length);
                    let beyond = end.saturating_sub(*highest);
                    *highest = end.max(*highest);
                    beyond
                }
            };
        }
        if new > 0 {
            self.summary.data[1] += new;
            let received = self.summary.data[1];
            self.add(Quantity::Sequence, "received", at_ns, received);
            self.arrivals.push(Point { at_ns, value: new });
        }
    }

    fn on_acked(&mut self, at_ns: u64, data: &Value) {
        let (Some(first), Some(last)) = (integer(&data["first"]), integer(&data["last"])) else {
            return;
        };
        if first > last {
            return;
        }
        let numbers: Vec<_> = self
            .in_flight
            .range(first..=last)
            .map(|(n, _)| *n)
            .collect();
        let acked: u64 = numbers
            .iter()
            .filter_map(|number| self.in_flight.remove(number))
            .sum();
        if acked > 0 {
            self.summary.data[0] += acked;
            let all = self.summary.data[0];
            self.add(Quantity::Sequence, "acknowledged", at_ns, all);
            self.arrivals.push(Point {
                at_ns,
                value: acked,
            });
        }
    }

    fn on_metrics(&mut self, at_ns: u64, data: &Value) {
        let time = |name: &str| data[name].as_f64().map(nanos);
        if let Some(value) = time("min_rtt") {
            self.summary.rtt_ns[0] = Some(value);
        }
        if let Some(value) = time("smoothed_rtt") {
            self.summary.rtt_ns[1] = Some(value);
            self.add(Quantity::Rtt, "smoothed", at_ns, value);
        }
        if let Some(value) = time("latest_rtt") {
            self.add(Quantity::Rtt, "sample", at_ns, value);
        }
        if let Some(value) = integer(&data["congestion_window"]) {
            self.summary.window_max = self.summary.window_max.max(value);
            self.add(Quantity::CongestionWindow, "window", at_ns, value);
        }
        if let Some(value) = integer(&data["ssthresh"]) {
            let label = "slow-start threshold";
            self.add(Quantity::CongestionWindow, label, at_ns, value);
        }
        if let Some(value) = integer(&data["bytes_in_flight"]) {
            self.add(Quantity::InFlight, "in flight", at_ns, value);
        }
    }

    fn add(&mut self, quantity: Quantity, label: &'static str, at_ns: u64, value: u64) {
        let points = self.series.entry((quantity, label)).or_default();
        points.push(Point { at_ns, value });
    }

    fn finish(mut self) -> (Summary, Recording) {
        self.summary.duration_ns = self.last_ns - self.first_ns.unwrap_or(self.last_ns);
        for point in goodput(&self.arrivals, self.summary.duration_ns) {
            self.add(Quantity::Goodput, "arrived", point.at_ns, point.value);
        }
        let series = self.series.into_iter().map(|((quantity, label), points)| {
            let label = label.to_owned();
            let limit = label == "slow-start threshold";
            Series {
                quantity,
                label,
                limit,
                points,
            }
        });
        let recording = Recording {
            series: series.collect(),
        };
        (self.summary, recording)
    }
}

/// Bits per second in steps of equal length.
fn goodput(arrivals: &[Point], duration_ns: u64) -> Vec<Point> {
    let step = (duration_ns / GOODPUT_STEPS).max(1_000_000);
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    for point in arrivals {
        *sums.entry(point.at_ns / step).or_default() += point.value;
    }
    let last = duration_ns / step;
    (0..=last)
        .map(|index| {
            let bits = u128::from(sums.get(&index).copied().unwrap_or(0)) * 8 * 1_000_000_000;
            Point {
                at_ns: index * step + step / 2,
                value: u64::try_from(bits / u128::from(step)).unwrap_or(u64::MAX),
            }
        })
        .collect()
}

/// A piece of application data in a packet.
struct Carried {
    length: u64,
    /// Stream and offset; None for messages.
    place: Option<(u64, u64)>,
}

fn pieces(data: &Value) -> impl Iterator<Item = Carried> {
    let frames = data["frames"].as_array().map_or(&[][..], Vec::as_slice);
    let frames = frames.iter().filter(|frame| {
        let kind = frame["frame_type"].as_str();
        matches!(kind, Some("stream" | "message" | "datagram"))
    });
    let body = Some(&data["body"]).filter(|body| {
        let kind = body["kind"].as_str();
        matches!(kind, Some("stream" | "message" | "datagram" | "fragment"))
    });
    body.into_iter().chain(frames).map(|piece| Carried {
        length: integer(&piece["length"]).unwrap_or(0),
        place: integer(&piece["stream_id"]).zip(integer(&piece["offset"])),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturating; a time that is no number is zero"
)]
fn nanos(milliseconds: f64) -> u64 {
    (milliseconds * 1e6).round() as u64
}
