//! Bounds of the file-transfer protocol. Whatever a peer can make this end hold or do is bounded
//! here; `docs/transfer.md` repeats the numbers that peers must agree on.

/// Version of the protocol.
pub const VERSION: u16 = 1;

/// Bytes of a frame head: type (1), body length (4).
pub const HEAD_LEN: usize = 5;

/// Largest body of a DATA frame.
pub const DATA_LEN_MAX: usize = 1 << 20;

/// Largest body of any other frame. A list that does not fit is sent in several frames.
pub const CONTROL_LEN_MAX: usize = 64 * 1024;

/// Files and folders of one transfer.
pub const ENTRIES_MAX: u32 = 1 << 20;

/// Bytes of all paths of one transfer together: what a manifest may make the receiver hold.
pub const PATH_BYTES_MAX: usize = 64 << 20;

/// Bytes of one path, below what every common system accepts with room for the folder it lands in.
pub const PATH_LEN_MAX: usize = 3_072;

/// Bytes of one name in a path (`NAME_MAX` of Linux, macOS and Windows alike).
pub const NAME_LEN_MAX: usize = 255;

/// Names in a path.
pub const DEPTH_MAX: usize = 128;

/// Largest file: 2^60 bytes, so that sums of offsets cannot overflow.
pub const FILE_LEN_MAX: u64 = 1 << 60;

/// Problems that a result names one by one; more are only counted.
pub const PROBLEMS_MAX: usize = 64;

/// Hash states of half-received files that are kept from looking at them until they continue.
/// The prefix of one more is read again.
pub const RESUME_HASHERS_MAX: usize = 64;

/// Transfers that `dunlin recv` serves at the same time; further ones wait. With the limits above,
/// senders that lie as much as they can make it hold about 1.2 GB.
pub const CONCURRENT_TRANSFERS_MAX: usize = 8;

/// Chunks in flight between the file thread and the stream: one is filled while one is sent.
pub const CHUNKS_IN_FLIGHT: usize = 2;
