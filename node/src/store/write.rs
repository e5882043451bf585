//! One transaction: everything of a batch, or nothing of it.
//!
//! Peers, bans and reputations come as whole lists. What the file holds of them is mirrored in memory,
//! so that a list which hardly changed is hardly written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dunlin_overlay::BroadcastId;
use dunlin_overlay::saved::{BanSubject, SavedBan, SavedPeer, SavedReputation};
use dunlin_session::NodeId;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::limits::{
    ADDRESSES_PER_PEER_MAX, BANS_MAX, EVIDENCE_MAX, EVIDENCE_PER_PEER_MAX, PEERS_MAX,
    REASON_LEN_MAX, REPUTATIONS_MAX, SEEN_MAX, STORY_MAX, STORY_PER_PEER_MAX,
};
use super::read::stored;
use super::row::{StoryRow, Weight, cut};

/// What waits to be written.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) story: VecDeque<StoryRow>,
    pub(super) seen: VecDeque<(u64, BroadcastId)>,
    pub(super) peers: Option<Vec<SavedPeer>>,
    pub(super) bans: Option<Vec<SavedBan>>,
    pub(super) reputations: Option<Vec<SavedReputation>>,
    pub(super) state: BTreeMap<String, String>,
    /// Something in it is written at once.
    pub(super) is_urgent: bool,
    /// Something in it must not be lost by a power cut.
    pub(super) is_durable: bool,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.rows() == 0
            && self.peers.is_none()
            && self.bans.is_none()
            && self.reputations.is_none()
            && self.state.is_empty()
    }

    pub(super) fn rows(&self) -> usize {
        self.story.len() + self.seen.len()
    }
}

/// What the file holds.
#[derive(Default)]
pub(super) struct Mirror {
    peers: BTreeMap<NodeId, SavedPeer>,
    bans: BTreeMap<BanSubject, SavedBan>,
    reputations: BTreeMap<NodeId, SavedReputation>,
    /// Rows of `seen`, about: counted at the start and with each row.
    seen: usize,
}

impl Mirror {
    /// What an open file holds.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        use super::read;
        Ok(Self {
            peers: by_peer(read::peers(connection)?),
            bans: by_subject(read::bans(connection)?),
            reputations: by_name(read::reputations(connection)?),
            seen: connection.query_row("SELECT count(*) FROM seen", [], |row| row.get(0))?,
        })
    }

    /// Everything as a batch, for a new file.
    pub(super) fn into_batch(self, batch: &mut Batch) {
        batch
            .peers
            .get_or_insert_with(|| self.peers.into_values().collect());
        batch
            .bans
            .get_or_insert_with(|| self.bans.into_values().collect());
        batch
            .reputations
            .get_or_insert_with(|| self.reputations.into_values().collect());
        (batch.is_urgent, batch.is_durable) = (true, true);
    }
}

fn by_peer(peers: Vec<SavedPeer>) -> BTreeMap<NodeId, SavedPeer> {
    let peers = peers.into_iter().take(PEERS_MAX).map(|mut peer| {
        peer.addresses.truncate(ADDRESSES_PER_PEER_MAX);
        (peer.id, peer)
    });
    peers.collect()
}

fn by_subject(bans: Vec<SavedBan>) -> BTreeMap<BanSubject, SavedBan> {
    let bans = bans.into_iter().take(BANS_MAX).map(|mut ban| {
        ban.reason.truncate(cut(&ban.reason, REASON_LEN_MAX).len());
        (ban.subject, ban)
    });
    bans.collect()
}

fn by_name(reputations: Vec<SavedReputation>) -> BTreeMap<NodeId, SavedReputation> {
    let of = reputations.into_iter().take(REPUTATIONS_MAX);
    of.map(|reputation| (reputation.peer, reputation)).collect()
}

/// Reputations carry the time at which they were told. One whose evidence is the same an hour later is
/// left as it is in the file: what fades, fades by the hour, and is then another one.
fn unless_same(
    old: &BTreeMap<NodeId, SavedReputation>,
    mut new: BTreeMap<NodeId, SavedReputation>,
) -> BTreeMap<NodeId, SavedReputation> {
    const HOUR: u64 = 3_600_000;
    for (peer, of) in &mut new {
        if let Some(before) = old.get(peer)
            && before.evidence == of.evidence
            && before.trust == of.trust
            && of.at.saturating_sub(before.at) < HOUR
        {
            of.at = before.at;
        }
    }
    new
}

/// Writes a batch. On success the batch is empty and the mirror is new; on failure both are as they
/// were, and so is the file.
pub(super) fn commit(
    connection: &mut Connection,
    mirror: &mut Mirror,
    batch: &mut Batch,
) -> rusqlite::Result<()> {
    // FULL waits for the disk, which outlives a power cut; NORMAL outlives the process.
    let sync = if batch.is_durable { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", sync)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let peers = batch.peers.clone().map(by_peer);
    if let Some(peers) = &peers {
        write_peers(&transaction, &mirror.peers, peers)?;
    }
    let bans = batch.bans.clone().map(by_subject);
    if let Some(bans) = &bans {
        write_bans(&transaction, &mirror.bans, bans)?;
    }
    let reputations = batch
        .reputations
        .clone()
        .map(|new| unless_same(&mirror.reputations, by_name(new)));
    if let Some(reputations) = &reputations {
        write_reputations(&transaction, &mirror.reputations, reputations)?;
    }
    write_story(&transaction, &batch.story)?;
    let seen = write_seen(&transaction, mirror.seen, &batch.seen)?;
    write_state(&transaction, &batch.state)?;
    transaction.commit()?;
    mirror.seen = seen;
    if let Some(peers) = peers {
        mirror.peers = peers;
    }
    if let Some(bans) = bans {
        mirror.bans = bans;
    }
    if let Some(reputations) = reputations {
        mirror.reputations = reputations;
    }
    *batch = Batch::default();
    Ok(())
}

fn write_peers(
    transaction: &Transaction<'_>,
    old: &BTreeMap<NodeId, SavedPeer>,
    new: &BTreeMap<NodeId, SavedPeer>,
) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM peers WHERE id = ?1")?;
    for gone in old.keys().filter(|id| !new.contains_key(id)) {
        delete.execute([gone.to_string()])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO peers (id, introducer, tried, anchor, seen_at, failures, record, persistent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET introducer = ?2,
         tried = ?3, anchor = ?4, seen_at = ?5, failures = ?6, record = ?7, persistent = ?8",
    )?;
    let mut forget = transaction.prepare_cached("DELETE FROM addresses WHERE peer = ?1")?;
    let mut place = transaction
        .prepare_cached("INSERT INTO addresses (peer, place, address) VALUES (?1, ?2, ?3)")?;
    for (id, peer) in new {
        let before = old.get(id);
        if before == Some(peer) {
            continue;
        }
        let id = id.to_string();
        put.execute(params![
            id,
            peer.introducer.map(|introducer| introducer.to_string()),
            peer.tried,
            peer.anchor,
            peer.seen_at.map(stored),
            peer.failures,
            peer.record.as_deref(),
            peer.persistent,
        ])?;
        if before.is_some_and(|before| before.addresses == peer.addresses) {
            continue;
        }
        forget.execute([&id])?;
        for (index, address) in peer.addresses.iter().enumerate() {
            place.execute(params![id, index, address.to_string()])?;
        }
    }
    Ok(())
}

/// Whom a ban is for, as the two columns of its row: `peer`, `address` or `prefix`, and which.
#[must_use]
pub fn ban_columns(subject: &BanSubject) -> (&'static str, String) {
    match subject {
        BanSubject::Peer(id) => ("peer", id.to_string()),
        BanSubject::Address(address) => ("address", address.to_string()),
        BanSubject::Prefix(address, bits) => ("prefix", format!("{address}/{bits}")),
    }
}

fn write_bans(
    transaction: &Transaction<'_>,
    old: &BTreeMap<BanSubject, SavedBan>,
    new: &BTreeMap<BanSubject, SavedBan>,
) -> rusqlite::Result<()> {
    let mut delete =
        transaction.prepare_cached("DELETE FROM bans WHERE kind = ?1 AND subject = ?2")?;
    for gone in old.keys().filter(|subject| !new.contains_key(subject)) {
        let (kind, subject) = ban_columns(gone);
        delete.execute(params![kind, subject])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO bans (kind, subject, since, until, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (subject, ban) in new {
        if old.get(subject) != Some(ban) {
            let (kind, subject) = ban_columns(subject);
            put.execute(params![
                kind,
                subject,
                stored(ban.since),
                stored(ban.until),
                ban.reason
            ])?;
        }
    }
    Ok(())
}

fn write_reputations(
    transaction: &Transaction<'_>,
    old: &BTreeMap<NodeId, SavedReputation>,
    new: &BTreeMap<NodeId, SavedReputation>,
) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM reputations WHERE peer = ?1")?;
    for gone in old.keys().filter(|id| !new.contains_key(id)) {
        delete.execute([gone.to_string()])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO reputations (peer, uptime_for, uptime_against, latency_for,
         latency_against, validity_for, validity_against, consensus_for, consensus_against,
         relay_for, relay_against, trust, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for (id, of) in new {
        let numbers = of.evidence.iter().flat_map(|(good, bad)| [*good, *bad]);
        // SQLite keeps no NaN: what is none is left out.
        let is_number = numbers.chain([of.trust]).all(f64::is_finite);
        if old.get(id) == Some(of) || !is_number {
            continue;
        }
        let [uptime, latency, validity, consensus, relay] = of.evidence;
        put.execute(params![
            id.to_string(),
            uptime.0,
            uptime.1,
            latency.0,
            latency.1,
            validity.0,
            validity.1,
            consensus.0,
            consensus.1,
            relay.0,
            relay.1,
            of.trust,
            stored(of.at)
        ])?;
    }
    Ok(())
}

fn write_story(transaction: &Transaction<'_>, story: &VecDeque<StoryRow>) -> rusqlite::Result<()> {
    for (table, is_ordinary, most, of_one) in [
        ("story", true, STORY_MAX, STORY_PER_PEER_MAX),
        ("evidence", false, EVIDENCE_MAX, EVIDENCE_PER_PEER_MAX),
    ] {
        let mut put = transaction.prepare_cached(&format!(
            "INSERT INTO {table} (unix_millis, peer, kind, words, detail) VALUES (?1, ?2, ?3, ?4, ?5)"
        ))?;
        let mut touched = BTreeSet::new();
        let is_of_table = |row: &&StoryRow| (row.weight == Weight::Ordinary) == is_ordinary;
        for row in story.iter().filter(is_of_table) {
            let peer = row.peer.map(|peer| peer.to_string());
            put.execute(params![
                stored(row.unix_millis),
                peer,
                row.kind,
                row.cut_words(),
                row.detail_text()
            ])?;
            touched.insert(peer);
        }
        if touched.is_empty() {
            continue;
        }
        let mut prune = transaction.prepare_cached(&format!(
            "DELETE FROM {table} WHERE peer IS ?1 AND row <=
             (SELECT row FROM {table} WHERE peer IS ?1 ORDER BY row DESC LIMIT 1 OFFSET ?2)"
        ))?;
        for peer in touched {
            prune.execute(params![peer, stored(of_one)])?;
        }
        // Rows are numbered one by one, so this many remain at most.
        transaction
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE row <= (SELECT max(row) FROM {table}) - ?1"
            ))?
            .execute([stored(most)])?;
    }
    Ok(())
}

/// How many there are then, about.
fn write_seen(
    transaction: &Transaction<'_>,
    before: usize,
    seen: &VecDeque<(u64, BroadcastId)>,
) -> rusqlite::Result<usize> {
    let mut put = transaction
        .prepare_cached("INSERT OR IGNORE INTO seen (unix_millis, id) VALUES (?1, ?2)")?;
    let mut count = before;
    for (unix_millis, id) in seen {
        count += put.execute(params![stored(*unix_millis), id.as_bytes()])?;
    }
    // A little above the bound, so that not every batch has to look for the oldest.
    if count > SEEN_MAX + SEEN_MAX / 16 {
        count -= transaction.execute(
            "DELETE FROM seen WHERE (unix_millis, id) IN
             (SELECT unix_millis, id FROM seen ORDER BY unix_millis, id LIMIT ?1)",
            [count - SEEN_MAX],
        )?;
    }
    Ok(count)
}

fn write_state(
    transaction: &Transaction<'_>,
    state: &BTreeMap<String, String>,
) -> rusqlite::Result<()> {
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO state (key, value) VALUES (?1, ?2)")?;
    for (key, value) in state {
        put.execute([key, value])?;
    }
    Ok(())
}
