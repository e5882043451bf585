//! What the page draws: the numbers of one moment. They come as events `sample` on the event
//! stream, to whoever asks for them there.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_overlay::{PeerState, PeerView};
use dunlin_session::NodeId;
use serde::Serialize;
use serde_json::{Map, Value};

use super::limits::{LINKS_MAX, PERIOD_MAX, PERIOD_MIN};
use crate::clock::unix_millis;
use crate::control::model::{Path, PeerCounts, Problem};
use crate::control::operations::{Operations, path_of};
use crate::control::snapshot::{Snapshot, millis, reputation};

/// The numbers of one moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sample {
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Peers by state.
    pub peers: PeerCounts,
    /// Counters and sizes of the overlay, as in `/api/v1/stats`.
    pub stats: Map<String, Value>,
    /// Connected peers, in the order of their IDs, at most [`LINKS_MAX`].
    pub links: Vec<Link>,
    /// Connected peers beyond these.
    pub left_out: usize,
}

/// The numbers of a connected peer. Counts are of this link.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Link {
    /// Its ID.
    pub id: String,
    /// Who opened the link: `outbound` (this node) or `inbound`.
    pub direction: Option<String>,
    /// Smoothed round-trip time in milliseconds.
    pub latency_ms: Option<f64>,
    /// Reputation, 0 to 100.
    pub reputation_score: Option<u8>,
    /// Messages sent and received.
    pub messages: u64,
    /// Bytes of messages sent.
    pub bytes_sent: u64,
    /// Bytes of messages received.
    pub bytes_received: u64,
    /// Broadcasts that it handed us first.
    pub first_deliveries: u64,
    /// Broadcasts that it handed us again.
    pub duplicates: u64,
    /// The path to it.
    pub path: Option<Path>,
}

/// The time between two samples that is meant by `asked` milliseconds.
#[must_use]
pub fn period(asked: u64) -> Duration {
    Duration::from_millis(asked).clamp(PERIOD_MIN, PERIOD_MAX)
}

/// Takes a sample.
///
/// # Errors
/// When the node has ended.
pub async fn take(operations: &Operations) -> Result<Sample, Problem> {
    let node = operations.node();
    let paths: BTreeMap<NodeId, Path> = node
        .connections()
        .await
        .iter()
        .filter_map(|(id, connection)| Some((*id, path_of(connection)?)))
        .collect();
    let snapshot = Snapshot::take(node).await?;
    let connected = snapshot.peers.iter();
    let connected = connected.filter(|peer| peer.state == PeerState::Connected);
    let links = connected.clone().take(LINKS_MAX);
    let stats = crate::metrics::overlay::rows(&snapshot.stats).into_iter();
    Ok(Sample {
        unix_ms: unix_millis(),
        peers: snapshot.counts(),
        stats: stats
            .map(|row| (row.name.to_owned(), row.value.into()))
            .collect(),
        links: links
            .map(|peer| link(&snapshot, peer, paths.get(&peer.id).cloned()))
            .collect(),
        left_out: connected.count().saturating_sub(LINKS_MAX),
    })
}

fn link(snapshot: &Snapshot, peer: &PeerView, path: Option<Path>) -> Link {
    let counters = &peer.counters;
    Link {
        id: peer.id.to_string(),
        direction: peer.direction.map(|way| format!("{way:?}").to_lowercase()),
        latency_ms: snapshot.latency(peer).map(millis),
        reputation_score: reputation(peer),
        messages: counters.messages_in + counters.messages_out,
        bytes_sent: counters.bytes_out,
        bytes_received: counters.bytes_in,
        first_deliveries: counters.first_deliveries,
        duplicates: counters.duplicates,
        path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_samples_has_bounds() {
        assert_eq!(period(0), PERIOD_MIN);
        assert_eq!(period(1_000), Duration::from_secs(1));
        assert_eq!(period(u64::MAX), PERIOD_MAX);
    }
}
