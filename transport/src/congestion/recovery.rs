//! Recovery periods and their undo, shared by controllers that cut a window.
//!
//! A recovery period begins with a congestion signal and ends when a packet that was sent after its
//! beginning is acknowledged (RFC 9002 §7.3.2). Signals about packets sent before it began are the
//! same congestion.
//!
//! A period that turns out to rest on spurious losses only (as many bytes as were declared lost) is
//! undone: the state it began with comes back, once (the idea of RFC 4015; RFC 9438 §4.9.2).

use alloc::boxed::Box;

use super::{Congestion, CongestionKind, SpuriousLoss};
use crate::planted::{self, Bug};
use crate::time::Instant;

/// What to restore when a period was a mistake.
#[derive(Clone, Copy, Debug)]
struct Undo<S> {
    state: S,
    /// Bytes declared lost in this period that are not yet known to be spurious.
    lost: u64,
}

/// The current recovery period; `S` is what a controller has to restore.
#[derive(Clone, Debug)]
pub struct Recovery<S> {
    /// Packets sent before this belong to the current or an earlier period.
    start: Option<Instant>,
    /// Nothing sent since has been acknowledged.
    active: bool,
    /// Apart: there is one for a moment only.
    undo: Option<Box<Undo<S>>>,
}

impl<S> Default for Recovery<S> {
    fn default() -> Self {
        Self {
            start: None,
            active: false,
            undo: None,
        }
    }
}

impl<S> Recovery<S> {
    /// Whether a packet sent at `sent_at` belongs to the current period: it neither grows nor cuts
    /// the window.
    #[must_use]
    pub fn covers(&self, sent_at: Instant) -> bool {
        self.start.is_some_and(|start| sent_at <= start)
    }

    /// Whether a period lasts.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// A loss or marks; true: a new period begins and the window has to be cut. `state` is what to
    /// restore should it be a mistake. Marks are never a mistake.
    pub fn begin(&mut self, congestion: &Congestion, state: S) -> bool {
        if self.covers(congestion.sent_at) && !planted::is(Bug::HalvesPerPass) {
            match &mut self.undo {
                // Marks in a period of losses: the congestion is real.
                Some(_) if congestion.kind == CongestionKind::Ecn => self.undo = None,
                Some(undo) => undo.lost = undo.lost.saturating_add(congestion.bytes),
                None => {}
            }
            return false;
        }
        self.start = Some(congestion.now);
        self.active = true;
        let lost = congestion.bytes;
        self.undo =
            (congestion.kind == CongestionKind::Loss).then(|| Box::new(Undo { state, lost }));
        true
    }

    /// A packet sent after the period began was acknowledged: growth goes on from here, an undo
    /// would come too late.
    pub fn on_progress(&mut self) {
        self.active = false;
        self.undo = None;
    }

    /// A loss was none. Some: all losses of the period were none; restore this.
    pub fn on_spurious_loss(&mut self, spurious: &SpuriousLoss) -> Option<S> {
        // A mistake of an earlier period says nothing about this one.
        if self.start.is_none_or(|start| spurious.lost.at < start) {
            return None;
        }
        let undo = self.undo.as_mut()?;
        undo.lost = undo.lost.saturating_sub(spurious.lost.bytes);
        if undo.lost > 0 && !planted::is(Bug::UndoWithoutEvidence) {
            return None;
        }
        self.start = None;
        self.active = false;
        self.undo.take().map(|undo| undo.state)
    }

    /// Persistent congestion: slow start begins anew, nothing is restored.
    pub fn reset(&mut self) {
        *self = Self::default();
        if planted::is(Bug::CollapseNeverLeaves) {
            self.start = Some(Instant::FAR_FUTURE);
        }
    }
}
