//! Bounds of the control interface. Who is let in is the operator; the bounds are for his mistakes,
//! for scripts that run away, and for whoever reaches the port without a token.

use std::time::Duration;

/// Connections of one listener served at a time. More wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 128;
/// Event streams at a time, so that they cannot use up the connections. One more is refused with 503.
pub const STREAMS_MAX: usize = 32;
/// Bytes of a request's body. One more is refused with 413.
pub const BODY_LEN_MAX: usize = 1 << 20;
/// Bytes of a request's head. More end the connection.
pub const HEAD_LEN_MAX: usize = 16 * 1024;
/// How long a request's head may take, and a connection be kept without one.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request's body may take. After that: 408.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reader may take nothing of what is to be written before its connection ends.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Events that wait for the readers of event streams. A reader that is farther behind misses the
/// oldest, and is told how many.
pub const EVENTS_WAITING_MAX: usize = 512;
/// Bytes of a payload that an event carries. A longer one is cut, and says how long it was.
pub const EVENT_PAYLOAD_LEN_MAX: usize = 16 * 1024;
/// Events of all kinds that `logs` can look back to. One more forgets the oldest.
pub const RECENT_MAX: usize = 256;
/// Entries in the story of one peer. One more forgets its oldest.
pub const STORY_LEN_MAX: usize = 64;
/// Peers with a story. One more forgets the peer of which nothing was heard for longest.
pub const STORIES_MAX: usize = 512;
/// Addresses in one import. One more refuses the import.
pub const IMPORT_MAX: usize = 4_096;
/// How long `peer add` may wait for the peer.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a ban lasts for which no time was given.
pub const BAN_DEFAULT: Duration = Duration::from_secs(24 * 3_600);
/// Answers of other nodes that are waited for at a time, of each kind. One more is refused.
pub const WAITING_MAX: usize = 256;
/// How long an answer of another node is waited for at most: what the overlay waits.
pub const ANSWER_TIMEOUT_MAX: Duration = Duration::from_secs(10);
