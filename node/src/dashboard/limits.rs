//! Bounds of the dashboard. Who is let in is the operator; the bounds are for pages left open and
//! links never followed.

use std::time::Duration;

/// Links to the dashboard that were given out and not followed yet. One more forgets the oldest.
pub const CODES_MAX: usize = 8;
/// How long such a link can be followed.
pub const CODE_LIFE: Duration = Duration::from_secs(60 * 60);
/// Browsers that are let in at a time. One more forgets the one that came first.
pub const SESSIONS_MAX: usize = 16;
/// How long a browser is let in.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// Links to peers that a sample tells. Of more, it says how many it leaves out.
pub const LINKS_MAX: usize = 256;
/// Least time between two samples, whatever is asked for.
pub const PERIOD_MIN: Duration = Duration::from_millis(250);
/// Longest time between two samples.
pub const PERIOD_MAX: Duration = Duration::from_secs(60);
