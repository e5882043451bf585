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
        if !self.sent.is_any_in_flight() {
            // Nothing is left that could shrink, and no acknowledgement will bring new credit.
            self.reducer.end();
        }
        let has_room = match self.reducer.credit() {
            // A packet that is a little longer than the credit is made up for by the next ones.
            Some(credit) => credit > 0,
            None => self.sent.bytes_in_flight() + size <= self.congestion.window(),
        };
        if !has_room {
            self.rate.on_window_limited(self.sent.next_number().0);
            return false;
        }
        if self.pacer.budget(now) < size {
            self.timers.pacing = self.pacer.next_time(size);
            return false;
        }
        true
    }

    /// How many packets of `size` bytes, `most` at most, may leave now one behind the other: what
    /// [`Self::may_send`] would say of each, with one decision.
    pub(super) fn may_send_run(&mut self, now: Instant, size: usize, most: u64) -> u64 {
        if !self.may_send(now, size) {
            return 0;
        }
        let size = (size as u64).max(1);
        let in_flight = self.sent.bytes_in_flight();
        let room = match self.reducer.credit() {
            Some(credit) => credit.div_ceil(size),
            None => self.congestion.window().saturating_sub(in_flight) / size,
        };
        most.min(room).min(self.pacer.budget(now) / size)
    }

    /// Whether a probe of `size` bytes for a larger packet size may leave: within the window, when a
    /// full packet of today might.
    pub(super) fn may_probe(&mut self, now: Instant, size: usize) -> bool {
        self.reducer.credit().is_none()
            && self.sent.bytes_in_flight() + size as u64 <= self.congestion.window()
            && self.pacer.budget(now) >= self.mtu as u64
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
