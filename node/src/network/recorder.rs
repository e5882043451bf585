//! What the store is told while a node runs, and what the overlay is given back at its start.
//!
//! Events become rows of the story at once. Of peers, bans and reputations the overlay is asked for
//! the whole list when something changed; the store writes what differs.

use std::sync::Arc;
use std::time::Duration;

use dunlin_overlay::{Event, Instant, Overlay};
use tokio::sync::oneshot;

use super::story;
use crate::clock::unix_millis;
use crate::store::{Saved, Store};

/// Bans that found no room in the queue are tried again after this.
const BANS_AGAIN: Duration = Duration::from_millis(100);
/// Reputations are saved so long after one of them changed, and this often anyway.
const REPUTATIONS_AFTER: Duration = Duration::from_millis(100);
const REPUTATIONS_EVERY: Duration = Duration::from_secs(60);
/// Peers are saved so long after one of them changed, and this often anyway.
const PEERS_AFTER: Duration = Duration::from_secs(2);
const PEERS_EVERY: Duration = Duration::from_secs(60);

/// What a node remembers from earlier runs, and where it writes what the next one will.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Where to.
    pub store: Arc<Store>,
    /// What was found there.
    pub saved: Saved,
}

/// Tells the store what happens. Without one it does nothing.
#[derive(Default)]
pub(super) struct Recorder {
    store: Option<Arc<Store>>,
    /// When the bans are to be saved.
    bans_due: Option<Instant>,
    /// When the reputations are to be saved, and whether one of them fell.
    reputations_due: Option<Instant>,
    has_fallen: bool,
    /// When the peers are to be saved.
    peers_due: Option<Instant>,
}

impl Recorder {
    pub(super) fn new(store: Option<Arc<Store>>, now: Instant) -> Self {
        Self {
            bans_due: None,
            reputations_due: store.as_ref().map(|_| now + REPUTATIONS_EVERY),
            has_fallen: false,
            peers_due: store.as_ref().map(|_| now + PEERS_AFTER),
            store,
        }
    }

    /// Something happened. `is_delivered`: the application has it.
    pub(super) fn on_event(&mut self, now: Instant, event: &Event, is_delivered: bool) {
        let Some(store) = &self.store else {
            return;
        };
        if let Some(row) = story::row(event, unix_millis()) {
            // A row that finds no room is counted by the store.
            store.tell(row);
        }
        match event {
            // A broadcast that the application does not have may come again after a restart.
            Event::Broadcast {
                id, unix_millis, ..
            } if is_delivered => {
                store.note_seen(*unix_millis, *id);
            }
            Event::Banned { .. } | Event::Unbanned { .. } => self.bans_due = Some(now),
            Event::ScoreChanged { from, to, .. } => {
                self.has_fallen |= to <= from;
                let due = now + REPUTATIONS_AFTER;
                self.reputations_due = Some(self.reputations_due.map_or(due, |old| old.min(due)));
            }
            Event::PeerStateChanged { .. } => {
                let due = now + PEERS_AFTER;
                self.peers_due = Some(self.peers_due.map_or(due, |old| old.min(due)));
            }
            _ => {}
        }
    }

    /// When [`Self::save`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.bans_due, self.reputations_due, self.peers_due];
        times.into_iter().flatten().min()
    }

    /// Saves the bans now when one was pronounced or ended, ahead of what follows from it. What is
    /// returned then tells when they are on the disk.
    pub(super) fn save_verdicts(
        &mut self,
        overlay: &Overlay,
        now: Instant,
    ) -> Option<oneshot::Receiver<bool>> {
        self.bans_due.filter(|due| *due <= now)?;
        self.save_bans(overlay, now);
        self.store.as_ref().map(|store| store.start_flush())
    }

    /// Saves what is due.
    pub(super) fn save(&mut self, overlay: &Overlay, now: Instant) {
        if self.bans_due.is_some_and(|due| due <= now) {
            self.save_bans(overlay, now);
        }
        if self.reputations_due.is_some_and(|due| due <= now) {
            self.save_reputations(overlay, now);
        }
        if self.peers_due.is_some_and(|due| due <= now) {
            self.save_peers(overlay, now);
        }
    }

    /// Saves everything, at the end.
    pub(super) fn save_all(&mut self, overlay: &Overlay, now: Instant) {
        self.save_bans(overlay, now);
        self.save_reputations(overlay, now);
        self.save_peers(overlay, now);
    }

    fn save_bans(&mut self, overlay: &Overlay, now: Instant) {
        let Some(store) = &self.store else {
            return;
        };
        let is_taken = store.save_bans(overlay.saved_bans());
        self.bans_due = (!is_taken).then(|| now + BANS_AGAIN);
    }

    fn save_reputations(&mut self, overlay: &Overlay, now: Instant) {
        let Some(store) = &self.store else {
            return;
        };
        let reputations = overlay.saved_reputations(now).collect();
        let is_taken = store.save_reputations(reputations, self.has_fallen);
        let wait = if is_taken {
            self.has_fallen = false;
            REPUTATIONS_EVERY
        } else {
            REPUTATIONS_AFTER
        };
        self.reputations_due = Some(now + wait);
    }

    fn save_peers(&mut self, overlay: &Overlay, now: Instant) {
        let Some(store) = &self.store else {
            return;
        };
        let is_taken = store.save_peers(overlay.saved_peers());
        // Without room it is tried again soon.
        let wait = if is_taken { PEERS_EVERY } else { PEERS_AFTER };
        self.peers_due = Some(now + wait);
    }
}

/// Gives the overlay back what was saved.
pub(super) fn restore(overlay: &mut Overlay, now: Instant, saved: Saved) {
    for (unix_millis, id) in saved.seen {
        overlay.restore_seen(now, unix_millis, id);
    }
    // What does not fit any more is left out. Bans first: who is banned stays so.
    for ban in saved.bans {
        overlay.restore_ban(now, ban);
    }
    for peer in saved.peers {
        overlay.restore_peer(now, peer);
    }
    for reputation in saved.reputations {
        overlay.restore_reputation(now, reputation);
    }
    // That was told when it happened, in an earlier run.
    while overlay.poll_event().is_some() {}
}
