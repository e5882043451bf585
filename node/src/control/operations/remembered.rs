//! What the store remembers from before, and waiting until it has what was asked for.

use dunlin_session::NodeId;

use super::Operations;
use crate::control::model::EventRecord;
use crate::control::records::time;
use crate::store::{StoreReader, StoryFilter, StoryRow};

/// Rows of the store that are looked at for one answer.
const ROWS_MAX: u32 = 4_096;

impl Operations {
    /// What the store has from before the first of `later`, the oldest first: about `peer`, or about
    /// all. Nothing without a store, or when it cannot be read, which is logged.
    pub(super) async fn before(
        &self,
        later: &[EventRecord],
        peer: Option<NodeId>,
    ) -> Vec<EventRecord> {
        let Some(store) = &self.about.store else {
            return Vec::new();
        };
        let path = store.path().to_path_buf();
        let end = later.first().map_or_else(
            // Nothing is in memory: all that is there is from before.
            || time(u64::MAX / 1_000_000),
            |first| first.time.clone(),
        );
        let reading = tokio::task::spawn_blocking(move || stored(&path, peer));
        let mut found = match reading.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the story cannot be read");
                return Vec::new();
            }
            Err(_) => return Vec::new(),
        };
        found.retain(|record| record.time < end);
        found
    }

    /// Waits until what was done is on the disk: an operator who was told so can rely on it. False: it is
    /// not, though there is a store.
    pub(super) async fn settle(&self) -> bool {
        let Some(store) = &self.about.store else {
            return true;
        };
        // It comes back when the task has told the store all that came before it.
        self.node.with_overlay(|_, _| ()).await;
        let is_on_disk = store.flush().await;
        if !is_on_disk {
            tracing::warn!("what was changed is not on the disk; it will be lost with the process");
        }
        is_on_disk
    }
}

/// The rows of a store as the API tells them.
///
/// # Errors
/// When the store cannot be read.
pub fn stored(
    path: &std::path::Path,
    peer: Option<NodeId>,
) -> Result<Vec<EventRecord>, crate::store::StoreError> {
    let filter = StoryFilter {
        peer,
        limit: ROWS_MAX,
        ..StoryFilter::default()
    };
    let rows = StoreReader::open(path)?.story(&filter)?;
    Ok(rows.into_iter().map(record).collect())
}

/// Events of an earlier run have no number.
fn record(row: StoryRow) -> EventRecord {
    EventRecord {
        sequence: 0,
        time: time(row.unix_millis),
        kind: kind(&row.kind).to_owned(),
        peer: row.peer.map(|peer| peer.to_string()),
        words: row.words,
        detail: row.detail.unwrap_or_default(),
    }
}

/// The kinds of the store by the names that the API has for them.
fn kind(stored: &str) -> &str {
    match stored {
        "state" => "peer_state",
        "violation" => "peer_violation",
        "rejected" => "broadcast_rejected",
        "silence" => "peer_silent",
        "ban" => "banned",
        "unban" => "unbanned",
        "refused" => "link_refused",
        "replaced" => "link_replaced",
        "score" => "score_changed",
        other => other,
    }
}
