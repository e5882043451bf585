//! The tables of `dunlin.db`, and how an older file becomes a newer one.
//!
//! `PRAGMA user_version` counts the steps a file has been through. A step is never changed once it
//! was released: another one follows. `docs/operations.md` shows the tables to operators.

use rusqlite::{Connection, TransactionBehavior};

/// The steps, in order. A file of version `n` has been through the first `n`.
const STEPS: [&str; 1] = [STEP_1];

/// The version this program writes.
pub(super) const VERSION: u32 = 1;

const _: () = assert!(STEPS.len() == VERSION as usize);

/// Times are milliseconds since the Unix epoch, IDs are written as people read them, addresses as
/// `IP:port`.
const STEP_1: &str = "
CREATE TABLE peers (
    id TEXT PRIMARY KEY,
    introducer TEXT,
    tried INTEGER NOT NULL,
    anchor INTEGER NOT NULL,
    seen_at INTEGER,
    failures INTEGER NOT NULL,
    record BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE addresses (
    peer TEXT NOT NULL REFERENCES peers (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (peer, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE bans (
    kind TEXT NOT NULL CHECK (kind IN ('peer', 'address', 'prefix')),
    subject TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE reputations (
    peer TEXT PRIMARY KEY,
    uptime_for REAL NOT NULL, uptime_against REAL NOT NULL,
    latency_for REAL NOT NULL, latency_against REAL NOT NULL,
    validity_for REAL NOT NULL, validity_against REAL NOT NULL,
    consensus_for REAL NOT NULL, consensus_against REAL NOT NULL,
    relay_for REAL NOT NULL, relay_against REAL NOT NULL,
    trust REAL NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    unix_millis INTEGER NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (unix_millis, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE state (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE story (
    row INTEGER PRIMARY KEY,
    unix_millis INTEGER NOT NULL,
    peer TEXT,
    kind TEXT NOT NULL,
    words TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX story_of_peer ON story (peer, row);
CREATE TABLE evidence (
    row INTEGER PRIMARY KEY,
    unix_millis INTEGER NOT NULL,
    peer TEXT,
    kind TEXT NOT NULL,
    words TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX evidence_of_peer ON evidence (peer, row);
CREATE VIEW whole_story AS
    SELECT unix_millis, peer, kind, words, detail FROM story
    UNION ALL
    SELECT unix_millis, peer, kind, words, detail FROM evidence;
";

/// The version of an open file.
///
/// # Errors
/// It is no database, or cannot be read.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a file of an older version to [`VERSION`], each step whole or not at all.
///
/// # Errors
/// It cannot be written.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let done = usize::try_from(version(connection)?).unwrap_or(usize::MAX);
    for (index, step) in STEPS.iter().enumerate().skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
