//! What a peer that sends a hundred times what it may makes a node hold, counted by the allocator (row
//! G14). Counts are of the process, so the tests take turns; the flooder keeps next to nothing itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::limits::{BROADCAST_PAYLOAD_LEN_MAX, PAYLOAD_LEN_MAX};
use dunlin_overlay::{
    Action, Direction, Event, Instant, LinkId, LinkInfo, Overlay, OverlayConfig, PeerState, Rate,
    WallClock,
};
use dunlin_session::{Identity, NodeId};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;
static TURN: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;
/// How many times its rate the flooder sends.
const TIMES: u64 = 100;
/// How long.
const LENGTH: Duration = Duration::from_secs(5);
const START_MILLIS: u64 = 1_800_000_000_000;

/// A flooder and its victim, with one link between them.
struct Pair {
    flooder: Overlay,
    victim: Overlay,
    ids: [NodeId; 2],
    now: Instant,
}

fn config() -> OverlayConfig {
    OverlayConfig::new(WallClock {
        at: Instant::ZERO,
        unix_millis: START_MILLIS,
    })
}

impl Pair {
    fn new() -> Self {
        let more = |rate: Rate| Rate::new(rate.per_second * TIMES, rate.burst * TIMES);
        let reckless = OverlayConfig {
            messages: more(config().messages),
            bytes: more(config().bytes),
            broadcasts: more(config().broadcasts),
            // It remembers nothing, so that what is counted is the victim's.
            store_messages: 1,
            seen_capacity: 1,
            // It pushes what an honest node would offer.
            announce_above: BROADCAST_PAYLOAD_LEN_MAX,
            ..config()
        };
        let identities = [1, 2].map(|n| Identity::from_seed([n; 32]));
        let publics = identities.each_ref().map(|identity| *identity.public());
        let ids = identities.each_ref().map(Identity::node_id);
        let [flooder, victim] = identities.map(Arc::new);
        let mut pair = Self {
            flooder: Overlay::new(reckless, flooder, [1; 32]),
            victim: Overlay::new(config(), victim, [2; 32]),
            ids,
            now: Instant::ZERO,
        };
        let remote = SocketAddr::from(([10, 0, 0, 1], 1));
        let link = |direction, public| LinkInfo {
            id: LinkId(1),
            direction,
            remote,
            public,
        };
        let [of_flooder, of_victim] = publics;
        pair.flooder
            .handle_connected(pair.now, ids[1], link(Direction::Outbound, of_victim));
        pair.victim
            .handle_connected(pair.now, ids[0], link(Direction::Inbound, of_flooder));
        pair.run();
        assert!(pair.is_connected());
        pair
    }

    fn is_connected(&self) -> bool {
        let connected = |of: &Overlay| of.peers().any(|peer| peer.state == PeerState::Connected);
        connected(&self.victim)
    }

    /// Carries messages until there are none.
    fn run(&mut self) {
        let mut waiting: VecDeque<(bool, Bytes)> = VecDeque::new();
        loop {
            for (to_victim, overlay) in [(true, &mut self.flooder), (false, &mut self.victim)] {
                while let Some(action) = overlay.poll_action() {
                    if let Action::Send { bytes, .. } = action {
                        waiting.push_back((to_victim, bytes));
                    }
                }
                while overlay.poll_event().is_some() {}
            }
            match waiting.pop_front() {
                Some((true, bytes)) => {
                    self.victim.handle_message(self.now, self.ids[0], &bytes);
                }
                Some((false, bytes)) => {
                    self.flooder.handle_message(self.now, self.ids[1], &bytes);
                }
                None => return,
            }
        }
    }

    /// Floods by `send`, so often a second; the most that was held beyond what was there before.
    fn flood(
        &mut self,
        per_second: u64,
        mut send: impl FnMut(&mut Overlay, Instant, NodeId, u64),
    ) -> usize {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let mut number = 0;
        for _ in 0..LENGTH.as_millis() {
            self.now = self.now + Duration::from_millis(1);
            for overlay in [&mut self.flooder, &mut self.victim] {
                if overlay.poll_timeout().is_some_and(|due| due <= self.now) {
                    overlay.handle_timeout(self.now);
                }
            }
            let until = self.now.as_nanos() / 1_000 * per_second / 1_000_000;
            while number < until {
                number += 1;
                send(&mut self.flooder, self.now, self.ids[1], number);
                self.run();
            }
        }
        assert!(number >= per_second * 4);
        ALLOCATOR.peak_usage().saturating_sub(before)
    }

    fn is_banned(&self) -> bool {
        self.victim.bans().next().is_some()
    }
}

fn assert_small(growth: usize, what: &str) {
    println!("{what}: {growth} bytes");
    assert!(growth <= 16 * MIB, "{what}: {growth} bytes");
}

#[test]
fn a_flood_of_direct_messages_makes_a_node_hold_little() {
    let _turn = TURN.lock().expect("no test panicked before");
    for (len, what) in [
        (64, "short direct messages"),
        (PAYLOAD_LEN_MAX, "long direct messages"),
    ] {
        let payload = vec![7; len];
        let mut pair = Pair::new();
        let per_second = match len {
            64 => config().messages.per_second * TIMES,
            len => config().bytes.per_second * TIMES / len as u64,
        };
        let growth = pair.flood(per_second, |flooder, now, to, _| {
            // Once it is banned there is no link any more.
            let _ = flooder.send(now, to, "chat", &payload);
        });
        assert_small(growth, what);
        assert_eq!(
            pair.is_banned(),
            len == 64,
            "ten thousand too many are enough"
        );
    }
}

#[test]
fn a_flood_of_broadcasts_makes_a_node_hold_little() {
    let _turn = TURN.lock().expect("no test panicked before");
    for (len, what) in [
        (64, "short broadcasts"),
        (BROADCAST_PAYLOAD_LEN_MAX, "long broadcasts"),
    ] {
        let mut payload = vec![7; len];
        let mut pair = Pair::new();
        let per_second = match len {
            64 => config().broadcasts.per_second * TIMES,
            // As many as a hundred times the bytes that a peer may send.
            len => config().bytes.per_second * TIMES / len as u64,
        };
        let growth = pair.flood(per_second, |flooder, now, _, number| {
            payload[..8].copy_from_slice(&number.to_be_bytes());
            let millis = START_MILLIS + now.as_nanos() / 1_000_000;
            let _ = flooder.broadcast(now, millis, "news", &payload);
        });
        assert_small(growth, what);
        let stats = pair.victim.stats();
        assert!(stats.broadcasts_received > 50, "{stats:?}");
        // It cannot bring all that it announced, and is not pushed by any more; or it is banned.
        assert!(pair.is_banned() || stats.barred > 0, "{what}: {stats:?}");
    }
}

/// What the events above are worth: an application is told no more than the rate admits.
#[test]
fn an_application_hears_of_a_flood_no_more_than_the_rate_admits() {
    let mut pair = Pair::new();
    let rate = config().messages;
    let mut heard = 0;
    for _ in 0..rate.burst * 3 {
        pair.flooder
            .send(pair.now, pair.ids[1], "chat", b"x")
            .expect("connected");
        while let Some(action) = pair.flooder.poll_action() {
            if let Action::Send { bytes, .. } = action {
                pair.victim.handle_message(pair.now, pair.ids[0], &bytes);
            }
        }
        while let Some(event) = pair.victim.poll_event() {
            heard += u64::from(matches!(event, Event::Direct { .. }));
        }
    }
    assert!(heard <= rate.burst);
    assert!(heard >= rate.burst / 2);
}
