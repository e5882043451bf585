//! The tables of `dunlin.db`, and how an older file becomes a newer one.
//!
//! `PRAGMA user_version` counts the steps a file has been through. A step is never changed once it
//! was released: another one follows. `docs/operations.md` shows the tables to operators.

use rusqlite::{Connection, TransactionBehavior};

/// The steps, in order. A file of version `n` has been through the first `n`.
const STEPS: [&str; 2] = [STEP_1, STEP_2];

/// The version this program writes.
pub(super) const VERSION: u32 = 2;

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

/// Peers that the operator wants for ever.
const STEP_2: &str = "ALTER TABLE peers ADD COLUMN persistent INTEGER NOT NULL DEFAULT 0;";

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
    migrate_to(connection, STEPS.len())
}

/// Brings a file of an older version to another one that is at most [`VERSION`].
fn migrate_to(connection: &mut Connection, wanted: usize) -> rusqlite::Result<()> {
    let done = usize::try_from(version(connection)?).unwrap_or(usize::MAX);
    for (index, step) in STEPS.iter().enumerate().take(wanted).skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a file of the newest version consists of.
    fn shape(connection: &Connection) -> Vec<(String, String)> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_file_of_each_older_version_becomes_the_newest_with_what_it_holds() {
        let mut new = Connection::open_in_memory().unwrap();
        migrate(&mut new).unwrap();
        assert_eq!(version(&new).unwrap(), VERSION);
        for older in 1..STEPS.len() {
            let mut file = Connection::open_in_memory().unwrap();
            migrate_to(&mut file, older).unwrap();
            file.execute_batch(
                "INSERT INTO peers (id, tried, anchor, failures) VALUES ('p', 1, 1, 3)",
            )
            .unwrap();
            migrate(&mut file).unwrap();
            assert_eq!(shape(&file), shape(&new), "from {older}");
            let failures = file.query_row("SELECT failures FROM peers", [], |row| row.get(0));
            assert_eq!(failures, Ok(3), "from {older}");
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut file = Connection::open_in_memory().unwrap();
        // The name of the last table of the first step is taken.
        file.execute_batch("CREATE TABLE evidence (row INTEGER)")
            .unwrap();
        let before = shape(&file);
        assert!(migrate(&mut file).is_err());
        assert_eq!(shape(&file), before);
        assert_eq!(version(&file).unwrap(), 0);
    }
}
