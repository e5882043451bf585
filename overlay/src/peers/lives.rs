//! The peers with a link, and what is asked of all of them after each message.
//!
//! The next deadline and the number of links that we opened are looked up after every input, and change
//! with few: so they are kept until something may have changed them. Traffic changes neither
//! ([`Lives::traffic_of`]).

use core::ops::Deref;
use std::sync::OnceLock;

use dunlin_session::NodeId;

use super::live::{Live, Traffic};
use super::map::PeerMap;
use crate::Instant;

/// The peers with a link, by ID. Reading goes through to the map.
#[derive(Default)]
pub(crate) struct Lives {
    entries: PeerMap<Live>,
    /// Set when it was asked for, empty when it may have changed.
    summary: OnceLock<Summary>,
}

/// What is kept of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Summary {
    next_due: Option<Instant>,
    outbound: usize,
}

impl Lives {
    /// One of them, to be changed.
    pub(crate) fn get_mut(&mut self, peer: &NodeId) -> Option<&mut Live> {
        self.summary.take();
        self.entries.get_mut(peer)
    }

    /// What traffic changes of one of them: nothing that is kept of all.
    pub(crate) fn traffic_of(&mut self, peer: &NodeId) -> Option<Traffic<'_>> {
        self.entries.get_mut(peer).map(Live::traffic)
    }

    /// A link to a new one.
    pub(crate) fn insert(&mut self, peer: NodeId, live: Live) {
        self.summary.take();
        self.entries.insert(peer, live);
    }

    /// One is gone.
    pub(crate) fn remove(&mut self, peer: &NodeId) -> Option<Live> {
        self.summary.take();
        self.entries.remove(peer)
    }

    /// All of them, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Live)> {
        self.summary.take();
        self.entries.iter_mut().map(|(&peer, live)| (peer, live))
    }

    /// When the next hello or ping is due, or a link is to be closed, or a proof is late.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.summary().next_due
    }

    /// Whether that is now.
    pub(crate) fn are_due(&self, now: Instant) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    /// Links that we opened.
    pub(crate) fn outbound(&self) -> usize {
        self.summary().outbound
    }

    /// Whether what is kept is what there is.
    pub(crate) fn is_consistent(&self) -> bool {
        self.summary() == self.summed_up()
    }

    fn summary(&self) -> Summary {
        *self.summary.get_or_init(|| self.summed_up())
    }

    fn summed_up(&self) -> Summary {
        let mut summary = Summary {
            next_due: None,
            outbound: 0,
        };
        for live in self.entries.values() {
            let dues = [live.next_due(), summary.next_due];
            summary.next_due = dues.into_iter().flatten().min();
            summary.outbound += usize::from(!live.is_inbound());
        }
        summary
    }
}

impl Deref for Lives {
    type Target = PeerMap<Live>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use dunlin_session::Identity;

    use super::*;
    use crate::config::{OverlayConfig, WallClock};
    use crate::event::{Direction, LinkInfo};
    use crate::types::LinkId;

    fn link(n: u8, direction: Direction) -> (NodeId, Live) {
        let config = OverlayConfig::new(WallClock {
            at: Instant::ZERO,
            unix_millis: 0,
        });
        let identity = Identity::from_seed([n; 32]);
        let info = LinkInfo {
            id: LinkId(u64::from(n)),
            direction,
            remote: ([127, 0, 0, 1], 1).into(),
            public: *identity.public(),
        };
        let now = Instant::ZERO + Duration::from_secs(n.into());
        (identity.node_id(), Live::new(now, info, &config))
    }

    #[test]
    fn what_is_kept_follows_every_change() {
        let mut lives = Lives::default();
        assert_eq!((lives.next_due(), lives.outbound()), (None, 0));
        let (one, live) = link(1, Direction::Inbound);
        let hello_due = live.handshake_deadline;
        lives.insert(one, live);
        let (two, live) = link(2, Direction::Outbound);
        lives.insert(two, live);
        assert_eq!((lives.next_due(), lives.outbound()), (Some(hello_due), 1));
        assert!(lives.are_due(hello_due) && !lives.are_due(Instant::ZERO));
        let due = Instant::ZERO + Duration::from_millis(1);
        lives.get_mut(&two).unwrap().challenge = Some((LinkId(2), due));
        assert_eq!(lives.next_due(), Some(due));
        lives.traffic_of(&two).unwrap().counters.bytes_in += 1;
        assert_eq!(
            (lives.next_due(), lives.get(&two).unwrap().counters.bytes_in),
            (Some(due), 1)
        );
        for (_, live) in lives.iter_mut() {
            live.challenge = None;
            live.on_another_link(Direction::Outbound);
        }
        assert_eq!((lives.next_due(), lives.outbound()), (Some(hello_due), 2));
        lives.remove(&one);
        assert!(lives.next_due() > Some(hello_due) && lives.is_consistent());
    }
}
