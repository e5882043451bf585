//! Whether a packet may leave now: window and pace.

use super::Connection;
use crate::time::Instant;

impl Connection {
    /// Whether congestion window and pacer let a packet of `size` bytes go. A probe always goes.
    pub(super) fn may_send(&mut self, now: Instant, size: usize) -> bool {
        let size = size as u64;
        if self.probes > 0 {
            return true;
        }
        if self.sent.bytes_in_flight() + size > self.congestion.window() {
            self.rate.on_window_limited(self.sent.next_number().0);
            return false;
        }
        if self.pacer.budget(now) < size {
            self.timers.pacing = self.pacer.next_time(size);
            return false;
        }
        true
    }

    /// Nothing is there to send: rate samples of the next round trip tell about the application, if
    /// the window would have let a packet of `size` bytes go.
    pub(super) fn note_app_limited(&mut self, size: usize) {
        let in_flight = self.sent.bytes_in_flight();
        if in_flight + size as u64 <= self.congestion.window() {
            self.rate.on_app_limited(in_flight);
        }
    }
}
