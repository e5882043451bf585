//! What the API says and takes, as JSON (`docs/api.md`). The schemas of the OpenAPI document are
//! derived from these types.
//!
//! Times are RFC 3339 in UTC. IDs are whole; whoever asks may abbreviate them while unique. Names
//! and texts that come from peers are untrusted.

mod place;
mod talk;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use place::{Country, GeoDatabase, Geography, Place, PlacedPeer};
pub use talk::{
    Answered, Answering, Asking, Judgement, Statement, Statements, Telling, Told, TopicList,
    VerdictOn,
};

/// The version of the API, the first segment of its paths after `/api/`.
pub const VERSION: &str = "v1";

/// How a node is doing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The ID of the node.
    pub id: String,
    /// Where others reach it.
    pub address: String,
    /// The name of its network.
    pub network: String,
    /// The version of the program.
    pub version: String,
    /// The number of its process.
    pub pid: u32,
    /// When it started.
    pub started_at: String,
    /// Seconds since then.
    pub uptime_s: u64,
    /// Peers by state.
    pub peers: PeerCounts,
}

/// Peers by state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PeerCounts {
    /// Known.
    pub known: usize,
    /// Connected.
    pub connected: usize,
    /// Connected, and silent for a few round trips.
    pub silent: usize,
    /// Being dialled or greeting.
    pub connecting: usize,
    /// Banned.
    pub banned: usize,
}

/// Where a peer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeerStatus {
    /// Known, never linked.
    Discovered,
    /// Being dialled.
    Connecting,
    /// The link is up, the greetings are not finished.
    Handshaking,
    /// Messages flow.
    Connected,
    /// Was connected.
    Disconnected,
    /// The dial or the greeting failed.
    Failed,
    /// Not wanted until its ban ends.
    Banned,
}

/// A line of `peer list`: the fields of the QuDAG peer plan, §2.2, and what the connection is for, what the
/// peer says it is, and what is wrong with it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// Its ID.
    pub id: String,
    /// Its address on the link, or else the first one to dial.
    pub address: Option<String>,
    /// Where it stands.
    pub status: PeerStatus,
    /// The version of its software, as it says.
    pub version: Option<String>,
    /// Smoothed round-trip time in milliseconds.
    pub latency_ms: Option<f64>,
    /// Messages sent and received on the link.
    pub messages_exchanged: u64,
    /// Reputation, 0 to 100.
    pub reputation_score: Option<u8>,
    /// When messages began to flow.
    pub connected_since: Option<String>,
    /// When it was last heard.
    pub last_activity: Option<String>,
    /// What it says it can do.
    pub capabilities: Vec<String>,
    /// What it says it is.
    pub roles: Vec<String>,
    /// What the connection is for: `inbound`, `outbound`, `seed`, `persistent`, `temporary`, `relay`.
    pub connection: Option<String>,
    /// What is wrong with it; nothing when it answers well.
    pub ailments: Vec<String>,
}

/// The answer to `peer list`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PeerList {
    /// The peers that pass the filter, connected ones first.
    pub peers: Vec<Peer>,
    /// Of all known peers, whatever the filter.
    pub summary: Summary,
}

/// All known peers in a few numbers.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Known peers.
    pub total_peers: usize,
    /// Connected ones.
    pub connected: usize,
    /// Being dialled or greeting.
    pub connecting: usize,
    /// Banned ones.
    pub banned: usize,
    /// Mean of their reputations.
    pub average_reputation: Option<f64>,
}

/// All that is known of one peer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PeerDetail {
    /// What `peer list` shows.
    #[serde(flatten)]
    pub peer: Peer,
    /// Why it stands where it stands.
    pub reason: String,
    /// How it came to be known.
    pub source: String,
    /// How much the operator wants it.
    pub priority: PeerPriority,
    /// Whether a dial of ours found it where it is said to be.
    pub tried: bool,
    /// Who opened the link.
    pub direction: Option<String>,
    /// The relay, when messages pass through one.
    pub via: Option<String>,
    /// The version of the protocol that is spoken.
    pub protocol: Option<u16>,
    /// Of the last pings (at most 32), the share that was answered, 0 to 1.
    pub ping_success: Option<f64>,
    /// Mean deviation of its round-trip time in milliseconds.
    pub latency_variance_ms: Option<f64>,
    /// When it last proved its identity again.
    pub proved_at: Option<String>,
    /// Where it may be dialled.
    pub addresses: Vec<String>,
    /// Its software, as it says.
    pub user_agent: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// End of its ban.
    pub banned_until: Option<String>,
    /// Why it is banned.
    pub ban_reason: Option<String>,
    /// Messages sent on the link.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Broadcasts that it handed us first.
    pub first_deliveries: u64,
    /// Broadcasts that it handed us again.
    pub duplicates: u64,
    /// The path to it.
    pub path: Option<Path>,
    /// Where its address is, by the database of the operator; missing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The path under a link.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// `udp` or `tcp`.
    pub carrier: String,
    /// Smoothed round-trip time in milliseconds.
    pub rtt_ms: f64,
    /// The lowest one seen.
    pub rtt_min_ms: f64,
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// Bytes a second that arrive.
    pub delivery_rate: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Of these, lost.
    pub packets_lost: u64,
    /// Largest packet in bytes.
    pub mtu: u64,
    /// Bytes of packets sent.
    pub bytes_sent: u64,
    /// Bytes of packets received.
    pub bytes_received: u64,
}

/// How much a peer is wanted, or how urgent a broadcast is.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum PeerPriority {
    /// At any time: dialled again whenever the link is lost
    High,
    /// Now: dialled once at once, and again when peers are wanted
    #[default]
    Normal,
    /// Some time: dialled when peers are wanted
    Low,
}

/// Which peers to list.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum PeerFilter {
    /// With which messages flow
    Connected,
    /// All that are known
    #[default]
    All,
    /// That are banned
    Banned,
    /// Connected ones with which something is wrong
    Unhealthy,
}

/// A peer to connect to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPeer {
    /// `ID@host:port`, `quantum://ID@host:port` or `host:port`.
    pub address: String,
    /// How much it is wanted.
    #[serde(default)]
    pub priority: PeerPriority,
    /// How long to wait until it is connected, at most 60,000; 0 does not wait.
    #[serde(default)]
    pub wait_ms: u64,
}

/// What became of an added peer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AddedPeer {
    /// The address that is dialled.
    pub address: String,
    /// The peer, if it is connected.
    pub peer: Option<Peer>,
}

/// What was done to a peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Whom it concerned: an ID, an address or a prefix.
    pub subject: String,
    /// Whether there was anything to change.
    pub changed: bool,
    /// The disk does not take it: it will be lost with the process. Missing: it is on the disk, or is not meant
    /// to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_only_in_memory: bool,
}

/// A ban to pronounce.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// An ID, whole or abbreviated, an IP address, or a range such as 192.0.2.0/24.
    pub subject: String,
    /// How long, in seconds; a day when it is missing.
    #[serde(default)]
    pub duration_s: Option<u64>,
    /// Why, for who reads the story later.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A ban in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ban {
    /// Whom it is for.
    pub subject: String,
    /// When it was pronounced.
    pub since: String,
    /// When it ends.
    pub until: String,
    /// Why.
    pub reason: String,
}

/// All bans in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BanList {
    /// Each of them.
    pub bans: Vec<Ban>,
}

/// The known peers as a file: what `peer export` writes and `peer import` reads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerFile {
    /// The version of this form: 1.
    pub version: u32,
    /// The peers.
    pub peers: Vec<PeerFileEntry>,
}

/// A peer in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerFileEntry {
    /// Its ID.
    pub id: String,
    /// Where it may be dialled.
    pub addresses: Vec<String>,
}

/// What became of an import.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// Peers taken in.
    pub taken: usize,
    /// Peers that there was no room for, or that are this node itself.
    pub left: usize,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventRecord {
    /// Rises by one from event to event of this process.
    pub sequence: u64,
    /// When.
    pub time: String,
    /// What kind: `peer_up`, `peer_state`, `broadcast`, …
    pub kind: String,
    /// The peer that it is about.
    pub peer: Option<String>,
    /// What happened, in one line.
    pub words: String,
    /// The same in parts, by kind.
    pub detail: serde_json::Value,
}

/// The story of a peer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Story {
    /// Whose.
    pub peer: String,
    /// Its entries, the oldest first.
    pub entries: Vec<EventRecord>,
    /// Entries that were forgotten for lack of room.
    pub forgotten: u64,
}

/// A number of events.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventList {
    /// The oldest first.
    pub events: Vec<EventRecord>,
}

/// What is known of the conduct of peers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrustList {
    /// The most trusted first.
    pub peers: Vec<TrustEntry>,
}

/// What is known of one peer's conduct.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrustEntry {
    /// Whose.
    pub id: String,
    /// Where it stands.
    pub status: PeerStatus,
    /// Reputation, 0 to 100.
    pub reputation_score: Option<u8>,
    /// Trust, 0 to 1, with what others say.
    pub trust: Option<f64>,
    /// The same from this node's own experience alone; they differ by 0.05 at most.
    pub own_trust: Option<f64>,
    /// Whether it may be relied upon for broadcasts; a peer that withholds them may not.
    pub may_relay: bool,
    /// Broadcasts that it handed us first.
    pub first_deliveries: u64,
    /// Broadcasts that it announced and did not bring.
    pub promises_broken: u64,
}

/// A way to the dashboard, for one browser.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DashboardLink {
    /// What the browser opens.
    pub url: String,
    /// How long it can be opened, in seconds. It can be opened once.
    pub expires_in_s: u64,
}

/// What the log says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFilter {
    /// A level (`warn`, `info`, `debug`, `trace`) or a filter such as `dunlin_transport=debug`.
    pub filter: String,
}

/// How much a line of the log matters.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something does not work
    Error,
    /// Something is not as it should be
    Warn,
    /// What an operator wants to know
    Info,
    /// What helps to find a mistake
    Debug,
    /// Every packet
    Trace,
}

/// The layer that a line of the log comes from.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLayer {
    /// Packets, streams, recovery
    Transport,
    /// Identities and handshakes
    Session,
    /// Peers and gossip
    Overlay,
    /// Sockets, files, commands
    Node,
    /// Libraries
    Other,
}

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Rises by one from line to line of this process, those that were not asked for included.
    pub sequence: u64,
    /// When.
    pub time: String,
    /// How much it matters.
    pub level: LogLevel,
    /// The layer that wrote it.
    pub layer: LogLayer,
    /// The module that wrote it.
    pub target: String,
    /// What it says, without control characters.
    pub text: String,
}

/// The last lines of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogList {
    /// The oldest first.
    pub lines: Vec<LogLine>,
}

/// A proof of identity that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Whose.
    pub peer: String,
    /// When it was given.
    pub proved_at: String,
}

/// The nodes that a process sees, and the links between them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct NetworkMap {
    /// Whether this is the whole network. A node by itself sees its own links alone.
    pub is_whole: bool,
    /// The nodes; the first is the one that was asked.
    pub nodes: Vec<MapNode>,
    /// Links, as places in `nodes`; each once.
    pub links: Vec<(u32, u32)>,
}

/// A node of a map.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapNode {
    /// Its ID.
    pub id: String,
    /// Whether it runs.
    pub is_up: bool,
}

/// Why a request failed (RFC 9457, with `code` in place of `type`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What it is, for programs.
    pub code: Code,
    /// What it is, for people: one sentence that says what to do.
    pub detail: String,
}

/// Kinds of problems. They keep their meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is not understood.
    BadRequest,
    /// No token, or a wrong one.
    Unauthorized,
    /// Another site, or another host name, than this API is for.
    Forbidden,
    /// There is no such path.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body is no JSON.
    UnsupportedMediaType,
    /// The body is too long.
    TooLarge,
    /// The body did not come in time.
    Timeout,
    /// No peer has that ID or address.
    UnknownPeer,
    /// Several peers have IDs that begin so.
    AmbiguousPeer,
    /// The peer is not connected.
    NotConnected,
    /// The peer did not answer.
    Unreachable,
    /// The node or the peer does not want that.
    Refused,
    /// Too much at a time.
    TooMany,
    /// This node cannot do that.
    Unsupported,
    /// The node is ending.
    Stopping,
}
