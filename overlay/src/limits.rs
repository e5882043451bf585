//! Every bound of the overlay in one place.
//!
//! Nothing a peer sends may grow memory past these. Each constant says what happens one past it;
//! the test beside the type that enforces it tries both sides. Values are chosen, not measured,
//! unless a line says otherwise.

use core::time::Duration;

/// Bytes of one overlay message. Longer: not decoded, a violation of its sender.
pub const MESSAGE_LEN_MAX: usize = 260 * 1024;
/// Payload bytes of a direct message, request or response. Longer: refused at the sender's API,
/// a violation on receipt.
pub const PAYLOAD_LEN_MAX: usize = 256 * 1024;
/// Payload bytes of a broadcast. Longer: refused at the origin's API, a violation on receipt.
pub const BROADCAST_PAYLOAD_LEN_MAX: usize = 64 * 1024;
/// UTF-8 bytes of a handler or topic name; at least 1.
pub const HANDLER_NAME_LEN_MAX: usize = 64;
/// Topics that a node takes, unless it takes all. One more: `OverlayError::TooManyTopics`; of a peer's
/// message: malformed.
pub const TOPICS_MAX: usize = 64;
/// Names that an application may register. One more: `OverlayError::TooManyHandlers`.
pub const HANDLERS_MAX: usize = 64;
/// UTF-8 bytes of a user agent. A longer one of ours is cut; a peer's is a violation.
pub const USER_AGENT_LEN_MAX: usize = 128;
/// UTF-8 bytes of a network name. A longer one of ours is cut; a peer's is a violation.
pub const NETWORK_LEN_MAX: usize = 32;
/// How deep CBOR containers may nest. Deeper: the message is malformed.
pub const NESTING_MAX: usize = 8;

/// Bytes of a peer record's signed body.
pub const RECORD_LEN_MAX: usize = 512;
/// Addresses in one record; of ours the first so many are signed, of a peer's more are malformed.
pub const RECORD_ADDRESSES_MAX: usize = 4;
/// Records in one `peers` answer. More: the answer is malformed.
pub const EXCHANGE_RECORDS_MAX: usize = 32;
/// Records that a refusal for lack of room may name. More: malformed.
pub const ALTERNATIVES_MAX: usize = 16;
/// A record signed longer ago is not believed and not relayed.
pub const RECORD_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How far a signed timestamp may lie in the future before it is refused.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(120);

/// Hops a broadcast may travel, whatever its origin signed (255 is clamped to this). It ends nothing
/// by itself, deduplication does: far above the depth of a tree of repaired links.
pub const HOP_LIMIT_MAX: u8 = 64;
/// A broadcast signed longer ago is dropped: the horizon of the seen set.
pub const BROADCAST_AGE_MAX: Duration = Duration::from_secs(600);
/// Broadcasts remembered. One more evicts the one with the oldest timestamp, and from then on
/// nothing as old as that is accepted, so that eviction never causes a second delivery.
pub const SEEN_MAX: usize = 65_536;

/// Upper bound of `OverlayConfig::store_messages`. One more: the one signed longest ago leaves.
pub const STORE_MESSAGES_MAX: usize = 16_384;
/// Upper bound of `OverlayConfig::store_bytes`. Beyond: the ones signed longest ago leave.
pub const STORE_BYTES_MAX: usize = 64 << 20;
/// Origins with a tree of their own. One more: the one unused for longest is forgotten.
pub const ORIGINS_MAX: usize = 4_096;
/// Broadcasts that an announcement may name. More: malformed.
pub const ANNOUNCE_MAX: usize = 512;
/// Announcements that wait to be sent to one neighbour. One more: the neighbour is to compare sets.
pub const ANNOUNCEMENTS_PENDING_MAX: usize = 1_024;
/// Broadcasts that one message may ask for. More: malformed.
pub const WANT_MAX: usize = 64;
/// Missing broadcasts that are remembered. One more is ignored; a comparison of sets finds it again.
pub const WANTS_MAX: usize = 4_096;
/// Of these, by the first announcement of one peer. One more is ignored likewise.
pub const WANTS_PER_PEER_MAX: usize = 512;
/// Peers remembered as having a missing broadcast, besides the one that was asked.
pub const ANNOUNCERS_MAX: usize = 4;
/// Origins that one message about trees may name, each way. More: malformed.
pub const TREE_ORIGINS_MAX: usize = 128;
/// Parts in one message that compares sets. More: malformed.
pub const RECONCILE_PARTS_MAX: usize = 64;
/// Broadcasts listed for one range instead of splitting it; in a message at most [`ANNOUNCE_MAX`].
pub const RECONCILE_LIST_MAX: usize = 32;
/// Into how many parts a range is split.
pub const RECONCILE_SPLIT: usize = 16;
/// Messages of one comparison; 16 to this power exceeds what is remembered. More are not answered.
pub const RECONCILE_STEPS_MAX: u8 = 8;
/// Messages that compare sets which one peer may have answered. More are not answered.
pub const RECONCILE_PER_SECOND: u64 = 8;
/// As many may come at once.
pub const RECONCILE_BURST: u64 = 32;
/// Of the room for broadcasts that are held, in number and in bytes, the part that one origin keeps when
/// others need it: one past it, when there is no room, the origin's own oldest one leaves.
pub const STORE_SHARE: usize = 8;
/// Broadcasts remembered that were not taken for their origin's rate. One more: the older half of them
/// is forgotten.
pub const DECLINED_MAX: usize = 4_096;
/// Broadcasts that wait for the application's verdict. One more is dropped as if it had not come.
pub const VALIDATIONS_MAX: usize = 1_024;
/// Of these, from one peer. One more is dropped likewise.
pub const VALIDATIONS_PER_PEER_MAX: usize = 256;
/// Of these, of one origin. One more is dropped likewise.
pub const VALIDATIONS_PER_ORIGIN_MAX: usize = 128;

/// Peers known by ID. One more evicts the least promising one that has no link, or is refused.
pub const KNOWN_PEERS_MAX: usize = 1024;
/// Known peers that one peer may have introduced (a quarter of the table). More are ignored.
pub const KNOWN_PER_SOURCE_MAX: usize = KNOWN_PEERS_MAX / 4;
/// Slots of a bucket of the address book.
pub const BUCKET_LEN: usize = 4;
/// Buckets for what was heard of (512 slots). Who comes to a slot that is taken is not remembered,
/// unless who holds it has failed.
pub const NEW_BUCKETS: usize = 128;
/// Of these, those that one group of sources reaches: a quarter.
pub const NEW_BUCKETS_PER_SOURCE: usize = NEW_BUCKETS / 4;
/// Buckets for where a dial found its peer (256 slots). Who comes to a slot that is taken waits until
/// its holder has failed a test.
pub const TRIED_BUCKETS: usize = 64;
/// Of these, those that one group of addresses reaches.
pub const TRIED_BUCKETS_PER_GROUP: usize = 2;
/// Holders of slots that wait to be tested. For one more there is no test: it stays.
pub const TESTS_MAX: usize = 10;
/// Addresses without an ID that DNS, the local network or the operator named. One more replaces one
/// of the same source that has failed, or is left out.
pub const HINTS_MAX: usize = 128;
/// Of these, from one source.
pub const HINTS_PER_SOURCE_MAX: usize = HINTS_MAX / 2;
/// Dials in vain after which a hint is dropped.
pub const HINT_FAILURES_MAX: u32 = 3;
/// Peers that the operator wants for ever. One more: `OverlayError::TooManyPersistent`.
pub const PERSISTENT_MAX: usize = 64;
/// Peers that are dialled first after a restart.
pub const ANCHORS_MAX: usize = 4;
/// A record signed longer ago is not believed even where a name server or the own store has it. It
/// is passed on to nobody after [`RECORD_AGE_MAX`].
pub const HINT_RECORD_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bans kept, of identities, addresses and ranges together. One more ends the ban that would expire
/// first.
pub const BANS_MAX: usize = KNOWN_PEERS_MAX / 4;
/// Bootstrap addresses. One more: `OverlayError::TooManyBootstraps`.
pub const BOOTSTRAP_MAX: usize = 64;
/// Upper bound of `OverlayConfig::max_peers`.
pub const PEERS_MAX: usize = 256;
/// Links whose hello is not finished. One more is closed at once.
pub const HANDSHAKING_MAX: usize = 64;
/// Upper bound of `OverlayConfig::parallel_dials`.
pub const PARALLEL_DIALS_MAX: usize = 16;
/// Dials under way of a node that is short of peers, slow ones included. One more waits. When four of
/// five known peers are dead, so many find none with a probability of 0.8^32, one in 1,300.
pub const DIALS_MAX: usize = 32;
/// Links that wait for the acknowledgement of a disconnect. One more is closed without waiting.
pub const CLOSING_LINKS_MAX: usize = 256;
/// Messages that arrived before the hello was finished, per peer. One more is dropped.
pub const EARLY_MESSAGES_MAX: usize = 16;
/// Bytes of the same. Beyond: dropped.
pub const EARLY_BYTES_MAX: usize = 128 * 1024;

/// Requests of ours that wait for one peer. One more: `OverlayError::TooManyRequests`.
pub const REQUESTS_PER_PEER_MAX: usize = 64;
/// Requests of one peer that wait for our application. One more is answered "busy".
pub const INBOUND_REQUESTS_PER_PEER_MAX: usize = 32;
/// A peer's request that the application has not answered by then is forgotten.
pub const INBOUND_REQUEST_AGE_MAX: Duration = Duration::from_secs(120);

/// Events that wait for the application. One more is dropped and counted.
pub const EVENTS_MAX: usize = 4096;
/// Actions that wait for the driver. One more is dropped and counted.
pub const ACTIONS_MAX: usize = 4096;

/// Proven faults of one peer on one link; the last one disconnects and bans it.
pub const VIOLATIONS_MAX: u32 = 4;
/// Messages of one peer dropped for its rate within [`RATE_DROPS_WITHIN`]; the last one disconnects and
/// bans it.
pub const RATE_DROPS_MAX: u32 = 10_000;
/// Failures in a row after which a peer that is no bootstrap is forgotten.
pub const FAILURES_MAX: u32 = 10;

/// Peers whose conduct is remembered. One more: the one without a link of which least is known against,
/// then for it, is forgotten.
pub const REPUTATIONS_MAX: usize = 2 * KNOWN_PEERS_MAX;
/// What third parties say of a peer moves the trust in it by at most so many thousandths.
pub const HEARSAY_MAX_PERMILLE: u16 = 50;
/// Third parties whose statement on one peer is kept. One more takes the place of another.
pub const STATEMENTS_PER_PEER_MAX: usize = 8;
/// Entries of one message about trust. More: malformed.
pub const TRUST_ENTRIES_MAX: usize = 32;
/// Messages about trust of one peer that are read or answered, a minute. More are ignored.
pub const TRUST_PER_MINUTE: u64 = 6;
/// Broadcasts asked for only to see whether they come. One more is not asked for.
pub const AUDITS_MAX: usize = 64;
/// Broadcasts received for each one that is asked for again in such a test: what tests cost while nobody
/// fails. One test is saved up.
pub const AUDIT_EVERY: u32 = 40;
/// Tests of others that a failure pays for.
pub const AUDIT_ALARM: u32 = 3;
/// Tests that may come at once after failures.
pub const AUDIT_BURST: u32 = 8;
/// Tests that a neighbour itself has to pass after a failure that was not excused; and, before it can be a parent
/// again, after a broken promise, or when it was barred and is not any more. Who drops a fifth passes all of
/// them once in 35 times.
pub const PROBATION_TESTS: u32 = 16;
/// Times that a parent has to serve after another neighbour was barred, before it is not tested for that any
/// more. Who drops a fifth does not fail in so many once in 35 times.
pub const WATCH_OCCASIONS: u32 = 16;
/// Announcements in a row to a neighbour that brings and announces nothing meanwhile, after which that
/// counts against it.
pub const MUTE_MAX: u32 = 32;
/// Copies and announcements of a neighbour that was told nothing meanwhile, after which it is told of one
/// that is here. Below what makes a neighbour mute, so that no node that follows this is one.
pub const OWED_MAX: u32 = 16;
/// Announcements of a neighbour that are remembered; one more takes the place of the oldest.
pub const ANNOUNCED_MAX: usize = 64;
/// Copies in a row to such a neighbour, in two seconds or more, after which it is announced to instead.
pub const GIVEN_MAX: u32 = 64;
/// UTF-8 bytes of the reason of a ban. A longer one is cut.
pub const BAN_REASON_LEN_MAX: usize = 256;
/// Ranges on the allow list (`OverlayConfig::allow`). More are left out.
pub const ALLOWED_MAX: usize = 64;
/// Groups of addresses with a maximum (`OverlayConfig::groups`). More are left out.
pub const GROUPS_MAX: usize = 64;
/// Ranges of one of them. More are left out.
pub const GROUP_PREFIXES_MAX: usize = 64;
/// Subnets whose connecting is rated one by one. One more shares a rate with all beyond.
pub const RATED_SUBNETS_MAX: usize = 1_024;
/// In so long [`RATE_DROPS_MAX`] messages dropped for their sender's rate end the link.
pub const RATE_DROPS_WITHIN: Duration = Duration::from_secs(60);

/// Payload bytes of a message through a third node. Longer: refused at the sender's API, a violation on
/// receipt.
pub const RELAYED_PAYLOAD_LEN_MAX: usize = 64 * 1024;
/// A relayed message signed longer ago is dropped.
pub const RELAY_AGE_MAX: Duration = Duration::from_secs(120);
/// Relays that are given one message, one after the other. Beyond: it has failed.
pub const RELAYS_TRIED_MAX: usize = 3;
/// Messages of ours that a relay may give back. One more: `OverlayError::TooManyRelayed`.
pub const RELAYED_WAITING_MAX: usize = 64;
/// Relayed messages remembered, so that none is taken twice. One more evicts the one signed longest ago,
/// and nothing as old as that is taken any more.
pub const RELAYED_SEEN_MAX: usize = 4_096;
/// Nodes remembered with which messages pass through a third one. One more pushes out the oldest.
pub const RELAYED_PARTNERS_MAX: usize = 64;
/// Messages to be passed on, or passed on to us, that one peer may bring a second.
pub const RELAYED_PER_SECOND: u64 = 32;
/// As many may come at once. Beyond: dropped.
pub const RELAYED_BURST: u64 = 64;
