//! Somebody between the nodes who keeps every message, holds back what he likes, and says things in
//! another one's name.
//!
//! Links are as the session's are, so nobody outside a node can do this: it stands for a peer that
//! repeats, changes or withholds what it was sent. A swarm with a tamperer keeps all its checks but
//! one: honest nodes may be accused, because it is he who speaks through them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::violation::{SwarmFailure, SwarmViolation};
use super::world::Swarm;

/// From which node to which.
type Way = (usize, usize);

/// What he knows and does. Small networks only: everything that was ever sent is kept.
#[derive(Default)]
pub(super) struct Tamperer {
    carried: BTreeMap<Way, Vec<Bytes>>,
    held: BTreeSet<Way>,
    /// Pairs that can dial each other, the lower number first.
    reachable: BTreeSet<Way>,
}

impl Tamperer {
    /// Takes note of a message; whether it may pass.
    pub(super) fn on_message(&mut self, from: usize, to: usize, bytes: &Bytes) -> bool {
        let way = (from, to);
        self.carried.entry(way).or_default().push(bytes.clone());
        !self.held.contains(&way)
    }

    /// Whether these two can dial each other.
    pub(super) fn may_dial(&self, a: usize, b: usize) -> bool {
        self.reachable.contains(&(a.min(b), a.max(b)))
    }

    /// Whether a node may say this with him about.
    pub(super) const fn excuses(violation: &SwarmViolation) -> bool {
        matches!(violation, SwarmViolation::Accusation(_))
    }
}

impl Swarm {
    /// With a tamperer, who lets nobody dial anybody until [`Self::connect`] says so.
    #[must_use]
    pub fn with_tamperer(mut self) -> Self {
        self.tamperer = Some(Box::default());
        self
    }

    fn tamperer(&mut self) -> &mut Tamperer {
        self.tamperer.get_or_insert_default()
    }

    /// Two nodes can reach each other from now on, and `a` is told where `b` is.
    ///
    /// # Errors
    /// What must not be.
    pub fn connect(&mut self, a: usize, b: usize) -> Result<(), SwarmFailure> {
        self.tamperer().reachable.insert((a.min(b), a.max(b)));
        let address = Self::address_of(b);
        self.with(a, |overlay, now| {
            // One too many is left out: it was only a hint.
            let _ = overlay.add_bootstrap(now, address, None);
        })
        .map(drop)
    }

    /// Nobody can dial anybody any more.
    pub fn forbid_dials(&mut self) {
        self.tamperer().reachable.clear();
    }

    /// What `from` sends to `to` is kept, and does not arrive any more.
    pub fn hold(&mut self, from: usize, to: usize) {
        self.tamperer().held.insert((from, to));
    }

    /// Everything that `from` sent to `to` so far, in order.
    #[must_use]
    pub fn carried(&self, from: usize, to: usize) -> Vec<Bytes> {
        let tamperer = self.tamperer.as_ref();
        let carried = tamperer.and_then(|tamperer| tamperer.carried.get(&(from, to)));
        carried.cloned().unwrap_or_default()
    }

    /// `to` gets a message as if from `from`, at once.
    ///
    /// # Errors
    /// What must not be.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn tell(&mut self, from: usize, to: usize, bytes: &[u8]) -> Result<(), SwarmFailure> {
        let from = self.id_of(from);
        self.with(to, |overlay, now| overlay.handle_message(now, from, bytes))
            .map(drop)
    }
}
