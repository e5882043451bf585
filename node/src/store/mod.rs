//! What of a node outlives its process: peers, bans, reputations, what was delivered, and the story
//! of how they came about. One SQLite file in the data folder, `dunlin.db`.
//!
//! A node writes through [`Store`]: orders go through a bounded queue to a thread of its own
//! (`writer`), which commits them in batches; bans and evidence are committed at once. The queue
//! never blocks whoever fills it. Anybody may read meanwhile through [`StoreReader`], from another
//! process too.
//!
//! How safe it is: what was committed outlives SIGKILL, always; bans, evidence and penalties also
//! outlive a power cut (`synchronous = FULL`), the rest of the last seconds may not (ADR 0410).

mod error;
pub mod limits;
mod open;
mod read;
mod row;
mod schema;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use dunlin_overlay::BroadcastId;
use dunlin_overlay::limits::BROADCAST_AGE_MAX;
use dunlin_overlay::saved::{SavedBan, SavedPeer, SavedReputation};
use rusqlite::Connection;
use tokio::sync::oneshot;

pub use self::error::StoreError;
use self::limits::{ORDINARY_MAX, QUEUE_MAX};
pub use self::open::MovedAside;
pub use self::row::{StoryFilter, StoryRow, Weight};
use self::write::Mirror;
pub use self::write::ban_columns;
use self::writer::{Order, Shared, Writer};

/// Everything that is given back to an overlay at its start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Saved {
    /// The address book, anchors first.
    pub peers: Vec<SavedPeer>,
    /// Bans, also those that have ended meanwhile.
    pub bans: Vec<SavedBan>,
    /// What is known of the conduct of peers.
    pub reputations: Vec<SavedReputation>,
    /// Broadcasts that were delivered and could still arrive again, by the time they were signed.
    pub seen: Vec<(u64, BroadcastId)>,
}

/// The store of a running node. Dropping it writes what is left.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    // `None` only while it is dropped.
    orders: Option<SyncSender<Order>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How a store fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreStats {
    /// Orders that wait for the thread (now).
    pub waiting: usize,
    /// Transactions written.
    pub commits: u64,
    /// Transactions that the disk refused.
    pub failures: u64,
    /// Rows of the story, or of what was delivered, that were lost because too many waited.
    pub rows_lost: u64,
}

impl Store {
    /// Opens the file at `path`, making it when it is missing, and starts the thread that writes. A
    /// damaged file is moved aside, which is told by the second value. `unix_millis`: the time now.
    ///
    /// # Errors
    /// A later version wrote it, it cannot be read or written, or the system gives no thread.
    pub fn open(
        path: &Path,
        unix_millis: u64,
    ) -> Result<(Self, Saved, Option<MovedAside>), StoreError> {
        let (connection, moved) = open::for_writing(path, unix_millis / 1_000)?;
        let at = |source| open::sqlite(path, source);
        let saved = saved(&connection, unix_millis).map_err(at)?;
        let mirror = Mirror::of(&connection).map_err(at)?;
        Ok((Self::start(path, connection, mirror)?, saved, moved))
    }

    fn start(path: &Path, connection: Connection, mirror: Mirror) -> Result<Self, StoreError> {
        let (orders, ordered) = sync_channel(QUEUE_MAX);
        let shared = Arc::new(Shared::default());
        let writer = Writer::new(path.into(), connection, mirror, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("dunlin-store".into())
            .spawn(move || writer.run(&ordered))
            .map_err(|source| StoreError::NoThread {
                path: path.into(),
                source,
            })?;
        Ok(Self {
            path: path.into(),
            orders: Some(orders),
            shared,
            thread: Some(thread),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds to the story. Returns whether there was room in the queue; if not, the row is lost and
    /// counted.
    pub fn tell(&self, row: StoryRow) -> bool {
        let is_taken = self.order(Order::Story(row));
        self.count_lost(is_taken);
        is_taken
    }

    /// Remembers that a broadcast was delivered. Returns whether there was room in the queue.
    pub fn note_seen(&self, unix_millis: u64, id: BroadcastId) -> bool {
        let is_taken = self.order(Order::Seen(unix_millis, id));
        self.count_lost(is_taken);
        is_taken
    }

    /// Replaces the peers. Returns whether there was room in the queue; if not, try again later.
    #[must_use]
    pub fn save_peers(&self, peers: Vec<SavedPeer>) -> bool {
        self.order(Order::Peers(peers))
    }

    /// Replaces the bans, at once. Returns whether there was room in the queue; if not, try again.
    #[must_use]
    pub fn save_bans(&self, bans: Vec<SavedBan>) -> bool {
        self.order(Order::Bans(bans))
    }

    /// Replaces the reputations; `is_urgent` after a penalty: at once. Returns whether there was
    /// room in the queue; if not, try again.
    #[must_use]
    pub fn save_reputations(&self, reputations: Vec<SavedReputation>, is_urgent: bool) -> bool {
        self.order(Order::Reputations(reputations, is_urgent))
    }

    /// Keeps a value under a name. Returns whether there was room in the queue.
    #[must_use]
    pub fn save_state(&self, key: &str, value: &str) -> bool {
        self.order(Order::State(key.into(), value.into()))
    }

    /// Waits until everything that was ordered before is on the disk; `false` when it is not, because
    /// the disk or the queue is full.
    pub async fn flush(&self) -> bool {
        self.start_flush().await.unwrap_or(false)
    }

    /// The same for who cannot keep the store borrowed meanwhile. An error means the same as `false`.
    #[must_use]
    pub fn start_flush(&self) -> oneshot::Receiver<bool> {
        let (answer, answered) = oneshot::channel();
        // Without room the sender is dropped, which the receiver tells.
        self.order(Order::Flush(answer));
        answered
    }

    /// How it fares.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            waiting: self.shared.waiting.load(Ordering::Relaxed),
            commits: load(&self.shared.commits),
            failures: load(&self.shared.failures),
            rows_lost: load(&self.shared.rows_lost),
        }
    }

    fn order(&self, order: Order) -> bool {
        let Some(orders) = &self.orders else {
            return false;
        };
        let waiting = self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let has_room = order.is_urgent() || waiting < ORDINARY_MAX;
        let is_taken = has_room && orders.try_send(order).is_ok();
        if !is_taken {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        is_taken
    }

    fn count_lost(&self, is_taken: bool) {
        if !is_taken {
            self.shared.rows_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The thread ends when the queue does.
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was told by the panic.
            let _ = thread.join();
        }
    }
}

/// A store that is only read, while a node may be writing it.
#[derive(Debug)]
pub struct StoreReader {
    path: PathBuf,
    connection: Connection,
}

impl StoreReader {
    /// Opens the file for reading.
    ///
    /// # Errors
    /// There is none, a later version wrote it, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            path: path.into(),
            connection: open::for_reading(path)?,
        })
    }

    /// The peers, anchors first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn peers(&self) -> Result<Vec<SavedPeer>, StoreError> {
        self.at(read::peers(&self.connection))
    }

    /// The bans, those that end last first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn bans(&self) -> Result<Vec<SavedBan>, StoreError> {
        self.at(read::bans(&self.connection))
    }

    /// The reputations, the least trusted first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn reputations(&self) -> Result<Vec<SavedReputation>, StoreError> {
        self.at(read::reputations(&self.connection))
    }

    /// Delivered broadcasts that were signed at or after `oldest` (milliseconds since the Unix
    /// epoch), the newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seen(&self, oldest: u64) -> Result<Vec<(u64, BroadcastId)>, StoreError> {
        self.at(read::seen(&self.connection, oldest))
    }

    /// The newest rows of the story that pass the filter, the oldest of them first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn story(&self, filter: &StoryFilter) -> Result<Vec<StoryRow>, StoreError> {
        self.at(read::story(&self.connection, filter))
    }

    /// The value under a name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn state(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.at(read::state(&self.connection, key))
    }

    fn at<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| open::sqlite(&self.path, source))
    }
}

fn saved(connection: &Connection, unix_millis: u64) -> rusqlite::Result<Saved> {
    let age = u64::try_from(BROADCAST_AGE_MAX.as_millis()).unwrap_or(u64::MAX);
    Ok(Saved {
        peers: read::peers(connection)?,
        bans: read::bans(connection)?,
        reputations: read::reputations(connection)?,
        seen: read::seen(connection, unix_millis.saturating_sub(age))?,
    })
}

#[cfg(test)]
mod tests;
