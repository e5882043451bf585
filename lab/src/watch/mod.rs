//! Watching what leaves and enters an endpoint, in the clear, whatever the profile.
//!
//! The seam between packets and secrecy ([`dunlin_transport::protect`]) is where every packet of a
//! connection passes in plain sight: a [`Watch`] wraps both sides of it, hands everything on
//! unchanged, and keeps a [`Ledger`] of what was sent, received and promised. The ledger knows both
//! ends, so it can tell an acknowledgement of what never came, a number used twice, or bytes beyond
//! a limit at the moment they leave, instead of by what they break later.

mod bounds;
mod ledger;
mod numbers;
mod wrappers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dunlin_transport::protect::{Acceptor, Initiator};

pub use bounds::{Bounds, Moment, SKEW_SHARE};
pub use ledger::Ledger;
pub(crate) use ledger::parts_of;
use wrappers::{WatchedAcceptor, WatchedInitiator};

/// A ledger that the wrappers of both ends write to.
#[derive(Clone)]
pub struct Watch(Arc<Mutex<Ledger>>);

impl Watch {
    /// Writes to `ledger`.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    /// The ledger.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `inner`, watched as the answering end of `node`.
    #[must_use]
    pub fn acceptor(&self, node: usize, inner: Box<dyn Acceptor>) -> Box<dyn Acceptor> {
        let watch = self.clone();
        Box::new(WatchedAcceptor { inner, node, watch })
    }

    /// `inner`, watched as the opening end of `node`.
    #[must_use]
    pub fn initiator(&self, node: usize, inner: Box<dyn Initiator>) -> Box<dyn Initiator> {
        let watch = self.clone();
        Box::new(WatchedInitiator { inner, node, watch })
    }
}
