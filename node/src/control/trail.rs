//! What happened lately, in memory: the story of each peer, and the last events of all kinds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dunlin_session::NodeId;

use super::limits::{RECENT_MAX, STORIES_MAX, STORY_LEN_MAX};
use super::model::EventRecord;

/// A record that several readers share.
pub type Shared = Arc<EventRecord>;

/// The story of one peer.
#[derive(Debug, Default)]
struct Chapter {
    entries: VecDeque<Shared>,
    forgotten: u64,
}

/// Stories and recent events, bounded.
#[derive(Debug, Default)]
pub struct Trail {
    stories: BTreeMap<NodeId, Chapter>,
    recent: VecDeque<Shared>,
}

impl Trail {
    /// Adds an event; with `peer` it becomes part of that one's story.
    pub fn push(&mut self, peer: Option<NodeId>, record: &Shared) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(record));
        let Some(peer) = peer else {
            return;
        };
        if !self.stories.contains_key(&peer) && self.stories.len() >= STORIES_MAX {
            self.forget_one();
        }
        let chapter = self.stories.entry(peer).or_default();
        if chapter.entries.len() >= STORY_LEN_MAX {
            chapter.entries.pop_front();
            chapter.forgotten += 1;
        }
        chapter.entries.push_back(Arc::clone(record));
    }

    /// Forgets the peer of which nothing was heard for longest.
    fn forget_one(&mut self) {
        let newest = |chapter: &Chapter| chapter.entries.back().map_or(0, |last| last.sequence);
        let oldest = self.stories.iter().min_by_key(|(_, of)| newest(of));
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.stories.remove(&id);
        }
    }

    /// The story of a peer, the oldest entry first, and how many entries were forgotten.
    #[must_use]
    pub fn story(&self, peer: &NodeId) -> (Vec<EventRecord>, u64) {
        self.stories.get(peer).map_or_else(Default::default, |of| {
            let entries = of.entries.iter().map(|entry| (**entry).clone());
            (entries.collect(), of.forgotten)
        })
    }

    /// Peers with a story.
    pub fn peers(&self) -> impl Iterator<Item = &NodeId> {
        self.stories.keys()
    }

    /// The last `count` events that `wanted` holds for, the oldest first.
    #[must_use]
    pub fn recent(&self, count: usize, wanted: impl Fn(&EventRecord) -> bool) -> Vec<EventRecord> {
        let mut found: Vec<_> = self
            .recent
            .iter()
            .rev()
            .filter(|record| wanted(record))
            .take(count)
            .map(|record| (**record).clone())
            .collect();
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: u64) -> Shared {
        Arc::new(EventRecord {
            sequence,
            time: String::new(),
            kind: "peer_up".into(),
            peer: None,
            words: String::new(),
            detail: serde_json::Value::Null,
        })
    }

    fn peer(number: usize) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn a_story_is_kept_up_to_its_limit_and_says_what_is_gone() {
        let mut trail = Trail::default();
        for sequence in 0..STORY_LEN_MAX as u64 {
            trail.push(Some(peer(1)), &record(sequence));
        }
        assert_eq!(trail.story(&peer(1)).1, 0);
        trail.push(Some(peer(1)), &record(99));
        let (entries, forgotten) = trail.story(&peer(1));
        assert_eq!((entries.len(), forgotten), (STORY_LEN_MAX, 1));
        assert_eq!(entries[0].sequence, 1);
    }

    #[test]
    fn one_more_peer_forgets_the_one_unheard_for_longest() {
        let mut trail = Trail::default();
        for number in 0..STORIES_MAX {
            trail.push(Some(peer(number)), &record(number as u64 + 1));
        }
        trail.push(Some(peer(0)), &record(9_999));
        trail.push(Some(peer(STORIES_MAX)), &record(10_000));
        assert_eq!(trail.peers().count(), STORIES_MAX);
        assert_eq!(trail.story(&peer(0)).0.len(), 2);
        assert!(trail.story(&peer(1)).0.is_empty());
    }

    #[test]
    fn recent_events_are_the_last_ones_in_their_order() {
        let mut trail = Trail::default();
        for sequence in 0..=RECENT_MAX as u64 {
            trail.push(None, &record(sequence));
        }
        let all = trail.recent(usize::MAX, |_| true);
        assert_eq!((all.len(), all[0].sequence), (RECENT_MAX, 1));
        let last = trail.recent(2, |record| record.sequence % 2 == 0);
        assert_eq!(
            last.iter().map(|r| r.sequence).collect::<Vec<_>>(),
            [254, 256]
        );
    }
}
