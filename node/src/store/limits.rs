//! Bounds of the store. What a peer can make grow has one here.

use std::time::Duration;

/// Orders that may wait for the thread that writes. Ordinary rows are refused once
/// [`ORDINARY_MAX`] wait, so that bans and evidence still find room.
pub const QUEUE_MAX: usize = 4_096;
/// Of these, the ones that are not urgent. One more row is dropped and counted.
pub const ORDINARY_MAX: usize = QUEUE_MAX / 4 * 3;
/// Rows written in one transaction.
pub const BATCH_MAX: usize = 1_024;
/// How long a row that is not urgent waits for others.
pub const BATCH_EVERY: Duration = Duration::from_millis(200);
/// Rows that wait in memory while the disk refuses them. One more: the oldest one is dropped and
/// counted.
pub const WAITING_MAX: usize = 8_192;
/// How long to wait after the disk refused.
pub const RETRY_EVERY: Duration = Duration::from_secs(5);
/// How long another process may hold the file before a write counts as refused.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Rows of the story of one peer. One more: its oldest leaves.
pub const STORY_PER_PEER_MAX: u64 = 500;
/// Rows of the story in all, without evidence. Older ones leave.
pub const STORY_MAX: u64 = 100_000;
/// Rows of evidence (scores, violations, bans) of one peer. One more: its oldest leaves.
pub const EVIDENCE_PER_PEER_MAX: u64 = 500;
/// Rows of evidence in all. Older ones leave. They are counted apart from the rest, so that links
/// that come and go do not push out why a peer was banned.
pub const EVIDENCE_MAX: u64 = 100_000;
/// UTF-8 bytes of the words of a row; longer ones are cut.
pub const WORDS_LEN_MAX: usize = 512;
/// Bytes of the detail of a row; a longer one is left out.
pub const DETAIL_LEN_MAX: usize = 4_096;
/// UTF-8 bytes of the reason of a ban; longer ones are cut.
pub const REASON_LEN_MAX: usize = 256;
/// Peers that are kept. What an overlay knows is below; more rows of a file are not read.
pub const PEERS_MAX: usize = dunlin_overlay::limits::KNOWN_PEERS_MAX;
/// Addresses of one peer that are kept.
pub const ADDRESSES_PER_PEER_MAX: usize = 16;
/// Bans that are kept; more rows of a file are not read.
pub const BANS_MAX: usize = 4_096;
/// Reputations that are kept; more rows of a file are not read.
pub const REPUTATIONS_MAX: usize = 8_192;
/// Broadcasts whose delivery is remembered: as many as an overlay remembers. Older ones leave.
pub const SEEN_MAX: usize = dunlin_overlay::limits::SEEN_MAX;
/// Bytes that the write-ahead log keeps on the disk after a checkpoint.
pub const WAL_LEN_MAX: u64 = 16 << 20;
