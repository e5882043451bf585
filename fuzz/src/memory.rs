//! How much memory something holds at once.
//!
//! The allocator of every binary of this crate counts; counts are of the process, so only one thing
//! can be measured at a time.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Runs `what` and returns the most bytes that were allocated at once beyond those before.
pub fn peak_of(what: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    what();
    ALLOCATOR.peak_usage().saturating_sub(before)
}
