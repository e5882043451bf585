//! Bounds of recordings: a file may come from anybody.

/// Nodes of a recording. One more refuses the file.
pub const NODES_MAX: usize = 100_000;
/// Links at a time. One more refuses the file.
pub const LINKS_MAX: usize = 4_000_000;
/// Bytes of one line. One more refuses the file.
pub const LINE_LEN_MAX: u64 = 64 << 20;
/// Events of a frame that are told one by one.
pub const EVENTS_TOLD_MAX: usize = 16;
/// Events that a page which is opened later still gets.
pub const RECENT_MAX: usize = 256;
