//! What a scenario file says, as types. `docs/lab-scenarios.md` is its manual: every key with its
//! unit and default.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::link::Element;
use crate::nat::NatConfig;
use crate::stack::StackScenario;
use crate::swarm::SwarmScenario;
use crate::units::{BitRate, Size, Time};

/// A scenario, its parameters put in.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Short, for the command line: lower case, words joined by `-`.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it shows and why its numbers are what they are.
    #[serde(default)]
    pub description: String,
    /// What is run.
    pub kind: Kind,
    /// How many seeds are run when the command line does not say.
    #[serde(default = "one")]
    pub seeds: u64,
    /// Names that stand for values; `--set` and `[sweep]` change them.
    #[serde(default)]
    pub parameters: Table,
    /// Lists of values by parameter or key; every combination is run.
    #[serde(default)]
    pub sweep: Table,
    /// Sentences that have to be true of the figures.
    #[serde(default)]
    pub hold: Vec<String>,
    /// Figures that the table in the terminal shows, in this order; empty: all.
    #[serde(default)]
    pub show: Vec<String>,

    /// How packets are protected.
    #[serde(default)]
    pub profile: ProfileName,
    /// Time before anything is measured.
    #[serde(default = "no_time")]
    pub warm_up: Time,
    /// Time that is measured.
    #[serde(default = "ten_seconds")]
    pub duration: Time,
    /// Time after that in which what was begun may come to its end.
    #[serde(default = "thirty_seconds")]
    pub drain: Time,
    /// Time between two samples of a series.
    #[serde(default = "tenth_second")]
    pub sample: Time,
    /// The path between the two ends.
    #[serde(default)]
    pub path: Option<Path>,
    /// Settings of both ends.
    #[serde(default)]
    pub transport: Settings,
    /// Settings of the end that opens the connections.
    #[serde(default)]
    pub client: Settings,
    /// Settings of the end that answers.
    #[serde(default)]
    pub server: Settings,
    /// What is moved.
    #[serde(default)]
    pub flow: Vec<Flow>,
    /// Traffic that is no connection.
    #[serde(default)]
    pub cross: Vec<Cross>,
    /// The box that all clients stand behind.
    #[serde(default)]
    pub nat: Option<NatConfig>,
    /// Clocks that run fast or slow.
    #[serde(default)]
    pub clock: Clocks,
    /// Ends whose sockets gather what arrives at one instant into trains.
    #[serde(default)]
    pub gather: Vec<End>,
    /// What goes wrong.
    #[serde(default)]
    pub fault: Vec<Fault>,

    /// What is left of the scenario of a seed.
    #[serde(default)]
    pub torture: Option<Torture>,
    /// A network of overlays.
    #[serde(default)]
    pub swarm: Option<SwarmScenario>,
    /// A network of full-stack nodes.
    #[serde(default)]
    pub stack: Option<StackScenario>,
}

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two endpoints, a path between them, any number of flows and connections over it.
    Pair,
    /// Two endpoints whose path, settings, plans and faults are drawn from the seed.
    Torture,
    /// A network of overlays without transport below.
    Swarm,
    /// A network of full-stack nodes: transport, handshake, overlay.
    Stack,
}

/// What is left of the scenario of a seed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Torture {
    /// What `dunlin lab shrink` took away, as the text of a [`crate::shrink::Path`]. It belongs to
    /// one seed and one version.
    #[serde(default)]
    pub path: Option<String>,
}

/// How packets are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// A CRC-32: no secrecy, no identities.
    #[default]
    Plain,
    /// The real handshake, and AES-128-GCM.
    Sealed,
    /// The real handshake, and ChaCha20-Poly1305.
    SealedChacha20,
}

/// A path in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// From the client to the server, in the order in which a datagram meets the elements.
    pub forward: Vec<Element>,
    /// Back.
    #[serde(default)]
    pub backward: Vec<Element>,
}

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The one that opens connections.
    #[default]
    Client,
    /// The one that answers.
    Server,
}

/// What a flow does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowKind {
    /// One stream of `bytes`, or without end.
    Bulk,
    /// A request and its answer, each pair on a stream of its own.
    Requests,
    /// Reliable messages.
    Messages,
    /// Unreliable datagrams.
    Datagrams,
}

/// Something that is moved.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// What figures and legends call it.
    pub name: String,
    /// What it does.
    pub kind: FlowKind,
    /// So many of them, each on a connection of its own, called NAME.1, NAME.2, ….
    #[serde(default = "one")]
    pub count: u64,
    /// The flow whose connection it shares; none: it has its own.
    #[serde(default)]
    pub over: Option<String>,
    /// A host of its own for each copy, behind these elements in front of the path that all share;
    /// none: it runs on the host of those without.
    #[serde(default)]
    pub access: Option<Path>,
    /// Which end sends a bulk stream.
    #[serde(default)]
    pub from: End,
    /// When it begins.
    #[serde(default = "no_time")]
    pub start: Time,
    /// Each of `count` begins so much after the one before.
    #[serde(default = "no_time")]
    pub stagger: Time,
    /// When it ends; none: with the measured time.
    #[serde(default)]
    pub stop: Option<Time>,
    /// Bytes of a bulk stream; none: it never ends.
    #[serde(default)]
    pub bytes: Option<Size>,
    /// Bytes of a request.
    #[serde(default)]
    pub request: Option<Size>,
    /// Bytes of an answer.
    #[serde(default)]
    pub response: Option<Size>,
    /// Bytes of a message or datagram.
    #[serde(default)]
    pub size: Option<Size>,
    /// Time from one request, message or datagram to the next; none: the next request follows the
    /// answer.
    #[serde(default)]
    pub every: Option<Time>,
    /// So many requests, messages or datagrams; none: until it stops.
    #[serde(default)]
    pub total: Option<u64>,
}

/// Datagrams of one size at a constant rate, which nothing slows down.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cross {
    /// What figures and legends call it.
    pub name: String,
    /// How fast, IPv4 and UDP headers included.
    pub rate: BitRate,
    /// UDP payload of each.
    #[serde(default = "full_packet")]
    pub size: Size,
    /// From which end to the other.
    #[serde(default)]
    pub from: End,
    /// When it begins.
    #[serde(default = "no_time")]
    pub start: Time,
    /// When it ends; none: with the measured time.
    #[serde(default)]
    pub stop: Option<Time>,
}

/// What the clocks of the ends gain in a million, negative: lose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clocks {
    /// Those of all clients.
    pub client_ppm: i32,
    /// That of the server.
    pub server_ppm: i32,
}

/// Something that goes wrong at a time. Exactly one of the keys but `at`, `lasts` and `cost` is
/// given.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// For how long, of what has an end.
    #[serde(default)]
    pub lasts: Option<Time>,
    /// What each datagram and each timer costs a slow end.
    #[serde(default)]
    pub cost: Option<Time>,
    /// This end is seen under another address from then on.
    #[serde(default)]
    pub rebind: Option<End>,
    /// This end falls silent for ever.
    #[serde(default)]
    pub kill: Option<End>,
    /// This end stands still, as a machine that sleeps; what arrived meanwhile comes late.
    #[serde(default)]
    pub pause: Option<End>,
    /// This end has too slow a processor.
    #[serde(default)]
    pub slow: Option<End>,
    /// The NAT forgets all it knows.
    #[serde(default)]
    pub forget_nat: bool,
    /// Nothing passes between the hosts of this flow, which has access lines, and all others.
    #[serde(default)]
    pub partition: Option<String>,
    /// Nothing passes.
    #[serde(default)]
    pub blackout: Option<Direction>,
    /// The path is another one from then on.
    #[serde(default)]
    pub path: Option<Path>,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the client to the server.
    Forward,
    /// From the server to the client.
    Backward,
    /// Both.
    Both,
}

/// Settings of an end by the names of `TransportConfig`; what is not given keeps its default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Close when nothing arrived for this long.
    pub idle_timeout: Option<Time>,
    /// Send a PING after this much silence.
    pub keep_alive: Option<Time>,
    /// Give up a handshake after this long.
    pub handshake_timeout: Option<Time>,
    /// Bytes that the peer may have in flight or unread.
    pub receive_window: Option<Size>,
    /// The same for one stream.
    pub stream_receive_window: Option<Size>,
    /// Bytes not yet acknowledged that are held for sending.
    pub send_buffer: Option<Size>,
    /// Longest reliable message.
    pub max_message_size: Option<Size>,
    /// Longest datagram.
    pub max_datagram_size: Option<Size>,
    /// Bidirectional streams that the peer may have open.
    pub max_streams_bidi: Option<u64>,
    /// Unidirectional streams that the peer may have open.
    pub max_streams_uni: Option<u64>,
    /// UDP payload of a packet.
    pub mtu: Option<Size>,
    /// Longest delay of an acknowledgement.
    pub max_ack_delay: Option<Time>,
    /// Round-trip time before the first sample.
    pub initial_rtt: Option<Time>,
    /// Initial congestion window in packets.
    pub initial_window_packets: Option<u64>,
    /// Congestion controller.
    pub controller: Option<Controller>,
}

/// Congestion controllers by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// RFC 9002.
    NewReno,
    /// RFC 9438.
    Cubic,
    /// BBR as the transport ships it.
    Bbr,
    /// BBR that forgives more loss.
    BbrTolerant,
}

impl Kind {
    /// Whether there are endpoints that can be looked at: datagrams, logs, keys.
    #[must_use]
    pub const fn has_endpoints(self) -> bool {
        matches!(self, Self::Pair | Self::Torture)
    }
}

impl Flow {
    /// The name of the `index`-th of its copies.
    #[must_use]
    pub fn name_of(&self, index: u64) -> String {
        if self.count == 1 {
            self.name.clone()
        } else {
            format!("{}.{}", self.name, index + 1)
        }
    }
}

const fn one() -> u64 {
    1
}

const fn full_packet() -> Size {
    Size(1_200)
}

const fn no_time() -> Time {
    Time(Duration::ZERO)
}

const fn ten_seconds() -> Time {
    Time(Duration::from_secs(10))
}

const fn thirty_seconds() -> Time {
    Time(Duration::from_secs(30))
}

const fn tenth_second() -> Time {
    Time(Duration::from_millis(100))
}
