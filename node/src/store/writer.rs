//! The thread that writes: collects, commits, and stays alive when the disk does not take it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use dunlin_overlay::BroadcastId;
use dunlin_overlay::saved::{SavedBan, SavedPeer, SavedReputation};
use dunlin_transport::Instant;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::{is_damage, plain};
use super::limits::{BATCH_EVERY, BATCH_MAX, RETRY_EVERY, WAITING_MAX};
use super::open;
use super::row::{StoryRow, Weight};
use super::write::{Batch, Mirror, commit};
use crate::clock::{Clock, unix_millis};

/// What the thread is told.
pub(super) enum Order {
    Story(StoryRow),
    Seen(u64, BroadcastId),
    Peers(Vec<SavedPeer>),
    Bans(Vec<SavedBan>),
    Reputations(Vec<SavedReputation>, bool),
    State(String, String),
    /// Write everything now; answered with whether it is on the disk.
    Flush(oneshot::Sender<bool>),
}

impl Order {
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Self::Story(row) => row.weight != Weight::Ordinary,
            Self::Bans(_) | Self::Flush(_) => true,
            Self::Reputations(_, is_urgent) => *is_urgent,
            Self::Seen(..) | Self::Peers(_) | Self::State(..) => false,
        }
    }

    /// Whether a power cut must not undo it either.
    fn is_durable(&self) -> bool {
        match self {
            Self::Story(row) => row.weight == Weight::Verdict,
            other => other.is_urgent(),
        }
    }
}

/// What both sides see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) waiting: AtomicUsize,
    pub(super) commits: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) rows_lost: AtomicU64,
}

pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) mirror: Mirror,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    batch: Batch,
    asked: Vec<oneshot::Sender<bool>>,
    /// When the batch is to be written; `None`: nothing waits.
    due: Option<Instant>,
    /// What the operator was told is wrong.
    trouble: Option<String>,
    /// A damaged file was replaced since the start: another one will not be.
    has_replaced: bool,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        mirror: Mirror,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            path,
            connection,
            mirror,
            shared,
            clock: Clock::start(),
            batch: Batch::default(),
            asked: Vec::new(),
            due: None,
            trouble: None,
            has_replaced: false,
        }
    }

    /// Works until the last sender is gone, then writes what is left.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(self.patience()) {
                Ok(order) => {
                    self.take(order);
                    // What has queued up meanwhile shares the transaction.
                    for order in orders.try_iter().take(BATCH_MAX) {
                        self.take(order);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.is_time() {
                self.write();
            }
        }
        self.write();
        // What the log holds is put into the file, which is then one file. If not, the next start
        // does it.
        let _ = self
            .connection
            .pragma_update(None, "wal_checkpoint", "TRUNCATE");
    }

    fn patience(&self) -> Duration {
        const LONG: Duration = Duration::from_secs(3_600);
        self.due
            .map_or(LONG, |due| due.saturating_duration_since(self.clock.now()))
    }

    fn is_time(&self) -> bool {
        let now = self.clock.now();
        // While the disk refuses, urgent orders do not make it willing.
        let is_urgent =
            self.trouble.is_none() && (self.batch.is_urgent || self.batch.rows() >= BATCH_MAX);
        is_urgent || !self.asked.is_empty() || self.due.is_some_and(|due| due <= now)
    }

    fn take(&mut self, order: Order) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        self.batch.is_urgent |= order.is_urgent();
        self.batch.is_durable |= order.is_durable();
        match order {
            Order::Story(row) => self.batch.story.push_back(row),
            Order::Seen(unix_millis, id) => self.batch.seen.push_back((unix_millis, id)),
            Order::Peers(peers) => self.batch.peers = Some(peers),
            Order::Bans(bans) => self.batch.bans = Some(bans),
            Order::Reputations(reputations, _) => self.batch.reputations = Some(reputations),
            Order::State(key, value) => {
                self.batch.state.insert(key, value);
            }
            Order::Flush(answer) => self.asked.push(answer),
        }
        while self.batch.rows() > WAITING_MAX {
            // What was delivered matters less than what happened.
            if self.batch.seen.pop_front().is_none() {
                self.batch.story.pop_front();
            }
            self.shared.rows_lost.fetch_add(1, Ordering::Relaxed);
        }
        if self.due.is_none() && !self.batch.is_empty() {
            self.due = Some(self.clock.now() + BATCH_EVERY);
        }
    }

    fn write(&mut self) {
        self.due = None;
        let written = if self.batch.is_empty() {
            Ok(())
        } else {
            self.commit()
        };
        let is_written = written.is_ok();
        match written {
            Ok(()) => self.on_written(),
            Err(error) => self.on_refused(&error),
        }
        for answer in self.asked.drain(..) {
            // Whoever asked may have gone.
            let _ = answer.send(is_written);
        }
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        let result = commit(&mut self.connection, &mut self.mirror, &mut self.batch);
        match result {
            Err(error) if is_damage(&error) && !self.has_replaced => {
                self.replace()?;
                commit(&mut self.connection, &mut self.mirror, &mut self.batch)
            }
            other => other,
        }
    }

    /// The file is damaged under a running node: what memory holds begins a new one.
    pub(super) fn replace(&mut self) -> rusqlite::Result<()> {
        self.has_replaced = true;
        let opened = Connection::open_in_memory().map(|empty| {
            // The damaged file is closed before it moves.
            drop(std::mem::replace(&mut self.connection, empty));
            let unix_seconds = unix_millis() / 1_000;
            open::move_aside(&self.path, unix_seconds)
                .and_then(|moved| Ok((open::for_writing(&self.path, unix_seconds)?, moved)))
        })?;
        match opened {
            Ok(((connection, _), moved)) => {
                tracing::error!("{moved}");
                self.connection = connection;
                std::mem::take(&mut self.mirror).into_batch(&mut self.batch);
                Ok(())
            }
            Err(error) => {
                tracing::error!("{error}");
                let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                Err(rusqlite::Error::SqliteFailure(damage, None))
            }
        }
    }

    fn on_written(&mut self) {
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        if self.trouble.take().is_some() {
            let lost = self.shared.rows_lost.load(Ordering::Relaxed);
            tracing::warn!(
                "{} is written again; {lost} rows were lost since the start",
                self.path.display()
            );
        }
    }

    /// Says so once, keeps what waits, tries again later.
    fn on_refused(&mut self, error: &rusqlite::Error) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        self.due = Some(self.clock.now() + RETRY_EVERY);
        let why = plain(error);
        if self.trouble.as_ref() != Some(&why) {
            tracing::error!(
                "cannot write {}: {why}; the node goes on and keeps bans and trust in memory, and tries again every {} s",
                self.path.display(),
                RETRY_EVERY.as_secs()
            );
            self.trouble = Some(why);
        }
    }
}
