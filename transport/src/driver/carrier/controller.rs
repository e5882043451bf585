//! Congestion control over a carrier that has its own.
//!
//! TCP below adapts to the path, repairs its losses, and stops us when its buffer is full. A second
//! controller above it would see no loss, only the delay that the first one makes, and would answer
//! that a second time. So the window is open and nothing is paced: what is in flight is bounded by
//! flow control and by how much the socket takes.

use crate::congestion::{Acked, Congestion, Controller, ControllerChoice, Setup};
use crate::limits::WINDOW_MAX;

/// Lets everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PassThrough;

impl PassThrough {
    /// The choice of it.
    pub(super) fn choice() -> ControllerChoice {
        ControllerChoice::custom(|_: &Setup| Box::new(Self) as Box<dyn Controller>)
    }
}

impl Controller for PassThrough {
    fn name(&self) -> &'static str {
        "passthrough"
    }

    fn phase(&self) -> &'static str {
        "open"
    }

    fn on_acked(&mut self, _: &Acked<'_>) {}

    fn on_congestion(&mut self, _: &Congestion) {}

    fn on_mtu_change(&mut self, _: usize) {}

    /// More than any flow-control window.
    fn window(&self) -> u64 {
        2 * WINDOW_MAX
    }

    fn pacing_rate(&self, _: core::time::Duration) -> Option<u64> {
        None
    }
}
