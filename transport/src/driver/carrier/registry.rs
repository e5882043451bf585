//! The TCP streams of an endpoint: how many there may be, and for how long one may stay that has
//! proved nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Instant;
use crate::driver::state::Shared;
use crate::endpoint::admission::{Prefix, is_loopback};
use crate::limits::{
    CARRIER_OPENING_DATAGRAMS_MAX, CARRIER_STREAMS_MAX, CARRIER_STREAMS_UNPROVEN_MAX,
    CARRIER_STREAMS_UNPROVEN_PER_PREFIX,
};

/// All of an endpoint.
#[derive(Default)]
pub(in crate::driver) struct Registry {
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    all: BTreeMap<u64, Arc<Shared>>,
    /// Those whose peer has not completed a handshake, in the order they came, and from where; None:
    /// from this machine.
    unproven: BTreeMap<u64, Option<Prefix>>,
    next: u64,
}

impl Registry {
    /// Admits a stream. One that a peer opened, from somewhere, is given until a time for its handshake,
    /// and at the limit of such the oldest makes room. None: there are too many streams.
    pub(super) fn admit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        opened: Option<(SocketAddr, Instant)>,
    ) -> Option<Membership> {
        let (id, evicted) = {
            let mut streams = self.streams.lock();
            if streams.all.len() >= CARRIER_STREAMS_MAX {
                return None;
            }
            let id = streams.next;
            streams.next += 1;
            streams.all.insert(id, Arc::clone(shared));
            let evicted = opened.and_then(|(from, _)| streams.add_unproven(id, from));
            (id, evicted)
        };
        if let Some(evicted) = evicted {
            evicted.act(|state| state.stop = true);
        }
        Some(Membership {
            registry: Arc::clone(self),
            id,
            opening: opened.map(|(_, until)| Opening {
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
            ids.keys()
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
    fn add_unproven(&mut self, id: u64, from: SocketAddr) -> Option<Arc<Shared>> {
        let prefix = (!is_loopback(from)).then(|| Prefix::of(from));
        let oldest = self.surplus(prefix);
        if let Some(oldest) = oldest {
            self.unproven.remove(&oldest);
        }
        self.unproven.insert(id, prefix);
        self.all.get(&oldest?).cloned()
    }

    /// The oldest that has to go before one more may come from here.
    fn surplus(&self, prefix: Option<Prefix>) -> Option<u64> {
        let same = self.unproven.iter().filter(|(_, it)| **it == prefix);
        if prefix.is_some() && same.clone().count() >= CARRIER_STREAMS_UNPROVEN_PER_PREFIX {
            return same.map(|(id, _)| *id).next();
        }
        let full = self.unproven.len() >= CARRIER_STREAMS_UNPROVEN_MAX;
        self.unproven.keys().next().copied().filter(|_| full)
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
    use crate::driver::random::OsRandom;
    use crate::driver::state::Meeting;
    use std::time::Duration;

    fn shared() -> Arc<Shared> {
        let core = crate::Endpoint::new(EndpointConfig::default(), Box::new(OsRandom), None);
        let local = ([127, 0, 0, 1], 9).into();
        let (clock, meeting) = (Clock::start(), Arc::new(Meeting::default()));
        Arc::new(Shared::new(core, clock, local, Carrier::Tcp, meeting))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// Opened by a host of the `index`-th prefix, which has ten seconds.
    fn opened(index: usize) -> Option<(SocketAddr, Instant)> {
        let [.., a, b] = index.to_be_bytes();
        Some((([100, a, b, 1], 4_000).into(), at(10)))
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
            members.push(
                registry
                    .admit(stream, opened(index))
                    .expect("below the limit"),
            );
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
        members.push(registry.admit(&one_more, opened(0)).expect("room was made"));
        let gone: Vec<_> = streams.iter().map(stopped).collect();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        assert!(gone[1], "the oldest of the unproven");
        assert!(!stopped(&one_more));
    }

    #[test]
    fn a_prefix_that_opens_streams_makes_room_among_its_own() {
        let registry = Arc::new(Registry::default());
        let stopped = |stream: &Arc<Shared>| stream.look(|state| state.stop);
        let other = shared();
        let mut members = vec![registry.admit(&other, opened(1)).expect("the first")];
        let mut admit = |stream: &Arc<Shared>| {
            members.push(registry.admit(stream, opened(0)).expect("below the limit"));
        };
        let streams: Vec<_> = (0..=CARRIER_STREAMS_UNPROVEN_PER_PREFIX)
            .map(|_| shared())
            .collect();
        let (one_more, allowed) = streams.split_last().expect("there are some");
        allowed.iter().for_each(&mut admit);
        assert!(!streams.iter().any(stopped), "at the limit");
        admit(one_more);
        assert!(!stopped(&other), "older, and of another prefix");
        let gone: Vec<_> = streams.iter().map(stopped).collect();
        assert!(
            gone[0] && !gone[1..].contains(&true),
            "the oldest of its own"
        );
        // Who is on this machine is not counted so.
        let local = (SocketAddr::from(([127, 0, 0, 1], 9)), at(10));
        let ours: Vec<_> = allowed.iter().map(|_| shared()).collect();
        for stream in ours.iter().chain([&shared()]) {
            members.push(registry.admit(stream, Some(local)).expect("room"));
        }
        assert!(!ours.iter().any(stopped));
    }

    #[test]
    fn an_opening_ends_by_time_or_by_too_many_datagrams() {
        let (registry, shared) = (Arc::new(Registry::default()), shared());
        let mut member = registry.admit(&shared, opened(0)).unwrap();
        assert!(!member.has_begun() && member.deadline() == Some(at(10)));
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
