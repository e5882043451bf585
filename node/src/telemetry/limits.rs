//! Bounds of the log that a node keeps in memory. Much of what is logged happens because a peer did
//! something; how often one place of the program may write is bounded beside (`limit`).

/// Lines that are kept for `dunlin logs`. One more forgets the oldest.
pub const LINES_MAX: usize = 1_024;
/// Bytes of one line's text. What is longer is cut, and ends with an ellipsis.
pub const LINE_LEN_MAX: usize = 1_024;
/// Lines that wait for who follows the log. A reader that is farther behind misses the oldest, and is
/// told how many.
pub const FOLLOWING_MAX: usize = 512;
