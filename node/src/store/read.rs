//! Reading rows back. What is in the file is treated as what a peer says: a row that cannot be is
//! left out, and no more rows are read than an overlay could have written.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use bytes::Bytes;
use dunlin_overlay::saved::{BanSubject, SavedBan, SavedPeer, SavedReputation};
use dunlin_overlay::{BroadcastId, limits::RECORD_LEN_MAX};
use dunlin_session::NodeId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::limits::{ADDRESSES_PER_PEER_MAX, BANS_MAX, PEERS_MAX, REPUTATIONS_MAX, SEEN_MAX};
use super::row::{StoryFilter, StoryRow, Weight, cut};

/// A record is its body and a signature, with a little around them.
const RECORD_BLOB_MAX: usize = RECORD_LEN_MAX + 256;

pub(super) fn peers(connection: &Connection) -> rusqlite::Result<Vec<SavedPeer>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, introducer, tried, anchor, seen_at, failures, record, persistent FROM peers
         ORDER BY persistent DESC, anchor DESC, tried DESC, seen_at DESC, id LIMIT ?1",
    )?;
    let mut rows = statement.query([PEERS_MAX])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(peer(row)?);
    }
    for peer in &mut found {
        peer.addresses = addresses(connection, peer.id)?;
    }
    Ok(found)
}

fn peer(row: &Row<'_>) -> rusqlite::Result<Option<SavedPeer>> {
    let Some(id) = parsed::<NodeId>(row, 0)? else {
        return Ok(None);
    };
    let record: Option<Vec<u8>> = row.get(6)?;
    Ok(Some(SavedPeer {
        id,
        addresses: Vec::new(),
        record: record
            .filter(|record| record.len() <= RECORD_BLOB_MAX)
            .map(Bytes::from),
        introducer: parsed(row, 1)?,
        tried: row.get(2)?,
        anchor: row.get(3)?,
        seen_at: row.get::<_, Option<i64>>(4)?.map(millis),
        failures: u32::try_from(row.get::<_, i64>(5)?).unwrap_or(u32::MAX),
        persistent: row.get(7)?,
    }))
}

fn addresses(connection: &Connection, peer: NodeId) -> rusqlite::Result<Vec<SocketAddr>> {
    let mut statement = connection
        .prepare_cached("SELECT address FROM addresses WHERE peer = ?1 ORDER BY place LIMIT ?2")?;
    let mut rows = statement.query(params![peer.to_string(), ADDRESSES_PER_PEER_MAX])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(parsed::<SocketAddr>(row, 0)?);
    }
    Ok(found)
}

pub(super) fn bans(connection: &Connection) -> rusqlite::Result<Vec<SavedBan>> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, subject, since, until, reason FROM bans ORDER BY until DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([BANS_MAX])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, subject): (String, String) = (row.get(0)?, row.get(1)?);
        let Some(subject) = subject_of(&kind, &subject) else {
            continue;
        };
        let reason: String = row.get(4)?;
        found.push(SavedBan {
            subject,
            since: millis(row.get(2)?),
            until: millis(row.get(3)?),
            reason: cut(&reason, super::limits::REASON_LEN_MAX).into(),
        });
    }
    Ok(found)
}

fn subject_of(kind: &str, subject: &str) -> Option<BanSubject> {
    match kind {
        "peer" => subject.parse().ok().map(BanSubject::Peer),
        "address" => subject.parse().ok().map(BanSubject::Address),
        "prefix" => {
            let (address, bits) = subject.split_once('/')?;
            let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            (bits <= most).then_some(BanSubject::Prefix(address, bits))
        }
        _ => None,
    }
}

pub(super) fn reputations(connection: &Connection) -> rusqlite::Result<Vec<SavedReputation>> {
    let mut statement = connection.prepare_cached(
        "SELECT peer, uptime_for, uptime_against, latency_for, latency_against, validity_for,
         validity_against, consensus_for, consensus_against, relay_for, relay_against, trust, at
         FROM reputations ORDER BY trust, peer LIMIT ?1",
    )?;
    let mut rows = statement.query([REPUTATIONS_MAX])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let Some(peer) = parsed::<NodeId>(row, 0)? else {
            continue;
        };
        let mut evidence = [(0.0, 0.0); 5];
        for (index, pair) in evidence.iter_mut().enumerate() {
            *pair = (row.get(2 * index + 1)?, row.get(2 * index + 2)?);
        }
        found.push(SavedReputation {
            peer,
            evidence,
            trust: row.get(11)?,
            at: millis(row.get(12)?),
        });
    }
    Ok(found)
}

/// Broadcasts signed at or after `oldest`, the newest ones.
pub(super) fn seen(
    connection: &Connection,
    oldest: u64,
) -> rusqlite::Result<Vec<(u64, BroadcastId)>> {
    let mut statement = connection.prepare_cached(
        "SELECT unix_millis, id FROM seen WHERE unix_millis >= ?1
         ORDER BY unix_millis DESC, id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![stored(oldest), SEEN_MAX])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: Vec<u8> = row.get(1)?;
        let id = <[u8; 32]>::try_from(id).ok().map(BroadcastId::from_bytes);
        found.extend(id.map(|id| (millis(row.get(0).unwrap_or(0)), id)));
    }
    Ok(found)
}

pub(super) fn state(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// The newest rows that pass the filter, the oldest of them first.
pub(super) fn story(
    connection: &Connection,
    filter: &StoryFilter,
) -> rusqlite::Result<Vec<StoryRow>> {
    let mut found = Vec::new();
    for (table, weight) in [("story", Weight::Ordinary), ("evidence", Weight::Evidence)] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT unix_millis, peer, kind, words, detail FROM {table}
             WHERE (?1 IS NULL OR peer = ?1) AND (?2 IS NULL OR kind = ?2) AND unix_millis >= ?3
             ORDER BY row DESC LIMIT ?4"
        ))?;
        let peer = filter.peer.map(|peer| peer.to_string());
        let mut rows = statement.query(params![
            peer,
            filter.kind,
            stored(filter.since),
            filter.limit
        ])?;
        let start = found.len();
        while let Some(row) = rows.next()? {
            let detail: Option<String> = row.get(4)?;
            found.push(StoryRow {
                unix_millis: millis(row.get(0)?),
                peer: parsed(row, 1)?,
                kind: row.get(2)?,
                words: row.get(3)?,
                detail: detail.and_then(|text| serde_json::from_str(&text).ok()),
                weight,
            });
        }
        if let Some(new) = found.get_mut(start..) {
            new.reverse();
        }
    }
    // Stable: what happened in one millisecond stays in the order it was written.
    found.sort_by_key(|row| row.unix_millis);
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    found.drain(..found.len().saturating_sub(limit));
    Ok(found)
}

/// A column that is text and reads as `T`.
fn parsed<T: FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(index)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Numbers are stored with a sign; what a correct program wrote has none.
fn millis(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// The same the other way round.
pub(super) fn stored(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
