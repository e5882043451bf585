//! The TCP streams of an endpoint: how many there may be, and for how long one may stay that has
//! proved nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Instant;
use crate::driver::state::Shared;
use crate::limits::{
    CARRIER_OPENING_DATAGRAMS_MAX, CARRIER_STREAMS_MAX, CARRIER_STREAMS_UNPROVEN_MAX,
};

/// All of an endpoint.
#[derive(Default)]
pub(in crate::driver) struct Registry {
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    all: BTreeMap<u64, Arc<Shared>>,
    /// Those whose peer has not completed a handshake, in the order they came.
    unproven: BTreeSet<u64>,
    next: u64,
}

impl Registry {
    /// Admits a stream. One that a peer opened is given until `opening_until` for its handshake, and
    /// at the limit of such the oldest makes room. None: there are too many streams.
    pub(super) fn admit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        opening_until: Option<Instant>,
    ) -> Option<Membership> {
        let (id, evicted) = {
            let mut streams = self.streams.lock();
            if streams.all.len() >= CARRIER_STREAMS_MAX {
                return None;
            }
            let id = streams.next;
            streams.next += 1;
            streams.all.insert(id, Arc::clone(shared));
            (id, opening_until.and_then(|_| streams.add_unproven(id)))
        };
        if let Some(evicted) = evicted {
            evicted.act(|state| state.stop = true);
        }
        Some(Membership {
            registry: Arc::clone(self),
            id,
            opening: opening_until.map(|until| Opening {
                until,
                datagrams: 0,
            }),
        })
    }

    /// All streams there are now.
    pub(in crate::driver) fn all(&self) -> Vec<Arc<Shared>> {
        self.streams.lock().all.values().cloned().collect()
    }

    /// Ends the streams whose peer has not completed a handshake.
    pub(in crate::driver) fn stop_unproven(&self) {
        let unproven: Vec<_> = {
            let mut streams = self.streams.lock();
            let ids = std::mem::take(&mut streams.unproven);
            ids.iter()
                .filter_map(|id| streams.all.get(id).cloned())
                .collect()
        };
        for shared in unproven {
            shared.act(|state| state.stop = true);
        }
    }
}

impl Streams {
    /// Returns the one that has to make room.
    fn add_unproven(&mut self, id: u64) -> Option<Arc<Shared>> {
        let full = self.unproven.len() >= CARRIER_STREAMS_UNPROVEN_MAX;
        let oldest = full.then(|| self.unproven.pop_first()).flatten();
        self.unproven.insert(id);
        self.all.get(&oldest?).cloned()
    }
}

/// A stream's place in the registry, held by its task.
pub(in crate::driver) struct Membership {
    registry: Arc<Registry>,
    id: u64,
    /// Until the peer has completed a handshake.
    opening: Option<Opening>,
}

struct Opening {
    until: Instant,
    datagrams: usize,
}

impl Membership {
    /// `datagrams` more came; the stream has, or had, a connection if `begun`.
    pub(in crate::driver) fn observe(&mut self, datagrams: usize, begun: bool) {
        if let Some(opening) = &mut self.opening {
            opening.datagrams += datagrams;
            if begun {
                self.opening = None;
                self.registry.streams.lock().unproven.remove(&self.id);
            }
        }
    }

    /// Whether the stream has, or had, a connection.
    pub(in crate::driver) const fn has_begun(&self) -> bool {
        self.opening.is_none()
    }

    /// When the stream ends if no handshake completes.
    pub(in crate::driver) fn deadline(&self) -> Option<Instant> {
        self.opening.as_ref().map(|opening| opening.until)
    }

    /// Whether the peer has had its chance.
    pub(in crate::driver) fn is_expired(&self, now: Instant) -> bool {
        self.opening.as_ref().is_some_and(|opening| {
            opening.until <= now || opening.datagrams > CARRIER_OPENING_DATAGRAMS_MAX
        })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut streams = self.registry.streams.lock();
        streams.unproven.remove(&self.id);
        let shared = streams.all.remove(&self.id);
        drop(streams);
        drop(shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndpointConfig;
    use crate::driver::carrier::Carrier;
    use crate::driver::clock::Clock;
    use crate::driver::options::OsRandom;
    use crate::driver::state::Meeting;
    use std::time::Duration;

    fn shared() -> Arc<Shared> {
        let core = crate::Endpoint::new(EndpointConfig::default(), Box::new(OsRandom), None);
        let local = ([127, 0, 0, 1], 9).into();
        let (clock, meeting) = (Clock::start(), Arc::new(Meeting::default()));
        Arc::new(Shared::new(core, clock, local, Carrier::Tcp, meeting))
    }

    fn until(seconds: u64) -> Option<Instant> {
        Some(Instant::ZERO + Duration::from_secs(seconds))
    }

    #[test]
    fn admits_streams_up_to_the_limit_and_again_when_one_has_ended() {
        let (registry, shared) = (Arc::new(Registry::default()), shared());
        let mut members: Vec<_> = (0..CARRIER_STREAMS_MAX)
            .map(|_| registry.admit(&shared, None).expect("below the limit"))
            .collect();
        assert!(registry.admit(&shared, None).is_none());
        members.pop();
        assert!(registry.admit(&shared, None).is_some());
        drop(members);
        assert!(registry.all().is_empty());
    }

    #[test]
    fn the_oldest_unproven_stream_makes_room_at_the_limit() {
        let registry = Arc::new(Registry::default());
        let streams: Vec<_> = (0..=CARRIER_STREAMS_UNPROVEN_MAX)
            .map(|_| shared())
            .collect();
        let stopped = |stream: &Arc<Shared>| stream.look(|state| state.stop);
        let mut members = Vec::new();
        for (index, stream) in streams.iter().enumerate() {
            assert!(streams.iter().take(index).skip(1).all(|it| !stopped(it)));
            members.push(registry.admit(stream, until(10)).expect("below the limit"));
            // The very first one completes its handshake, and is out of danger.
            if index == 0 {
                members[0].observe(2, true);
            }
        }
        assert!(
            streams.iter().all(|stream| !stopped(stream)),
            "at the limit"
        );
        let one_more = shared();
        members.push(registry.admit(&one_more, until(10)).expect("room was made"));
        let gone: Vec<_> = streams.iter().map(stopped).collect();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        assert!(gone[1], "the oldest of the unproven");
        assert!(!stopped(&one_more));
    }

    #[test]
    fn an_opening_ends_by_time_or_by_too_many_datagrams() {
        let (registry, shared) = (Arc::new(Registry::default()), shared());
        let at = |seconds| until(seconds).unwrap();
        let mut member = registry.admit(&shared, until(10)).unwrap();
        assert!(!member.has_begun() && member.deadline() == until(10));
        assert!(!member.is_expired(at(9)) && member.is_expired(at(10)));
        member.observe(CARRIER_OPENING_DATAGRAMS_MAX, false);
        assert!(!member.is_expired(at(0)));
        member.observe(1, false);
        assert!(member.is_expired(at(0)));
        member.observe(1, true);
        assert!(member.has_begun() && !member.is_expired(at(11)));
        assert_eq!(member.deadline(), None);
    }
}
