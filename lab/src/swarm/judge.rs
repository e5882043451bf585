//! Who watches the applications of all nodes: what was sent, what may be delivered, what was.
//!
//! It knows more than any node does (who sent what, who runs), so it can tell a wrong delivery at
//! the moment when it happens. Used by simulations with and without a transport.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{BroadcastId, Event, Instant, RequestId, is_transition};
use dunlin_session::NodeId;

use super::partings::Partings;
use super::report::{BroadcastReport, Distribution, Requests, SwarmReport, ratio};
use super::violation::SwarmViolation;

/// The topic of all broadcasts and the handler of all requests.
pub const TOPIC: &str = "swarm";
/// A request that waits for longer than this has been forgotten: the timeout of the overlay
/// (10 s by default) and a second.
const REQUEST_AGE_MAX: Duration = Duration::from_secs(11);

struct Sent {
    id: BroadcastId,
    origin: usize,
    at: Instant,
    payload: Bytes,
    /// A bit for each node: whether it was delivered there in the node's present life.
    delivered: Vec<u64>,
    latency_us: Vec<u32>,
}

struct Asked {
    at: Instant,
    payload: Bytes,
}

struct Watched {
    id: NodeId,
    /// Since when it runs without a break; `None`: it does not.
    runs_since: Option<Instant>,
    /// The peers that it says are up.
    up: BTreeSet<usize>,
}

/// What a node's application has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Nothing.
    None,
    /// Answer this request with these bytes.
    Respond {
        /// Of whom.
        peer: NodeId,
        /// The peer's name for it.
        id: RequestId,
        /// The bytes.
        payload: Bytes,
    },
}

/// The watcher of a network.
#[derive(Default)]
pub struct Judge {
    nodes: Vec<Watched>,
    index: BTreeMap<NodeId, usize>,
    sent: Vec<Sent>,
    by_id: BTreeMap<BroadcastId, usize>,
    asked: BTreeMap<(usize, RequestId), Asked>,
    requests: Requests,
    hops: Vec<u32>,
    delivered: u64,
    partings: Partings,
    /// Nodes whose deliveries are not measured.
    ignored: BTreeSet<usize>,
}

impl Judge {
    /// A new node, which runs from `now` on.
    pub fn on_node(&mut self, now: Instant, id: NodeId) {
        self.index.insert(id, self.nodes.len());
        self.nodes.push(Watched {
            id,
            runs_since: Some(now),
            up: BTreeSet::new(),
        });
    }

    /// A node stops; if not for ever, all it knew is lost.
    pub fn on_stop(&mut self, node: usize) {
        let Some(watched) = self.nodes.get_mut(node) else {
            return;
        };
        watched.runs_since = None;
        watched.up.clear();
        for sent in &mut self.sent {
            set_bit(&mut sent.delivered, node, false);
        }
        let before = self.asked.len();
        self.asked.retain(|&(of, _), _| of != node);
        self.requests.abandoned += (before - self.asked.len()) as u64;
    }

    /// A node stands still; it keeps what it knows.
    pub fn on_pause(&mut self, node: usize) {
        if let Some(watched) = self.nodes.get_mut(node) {
            watched.runs_since = None;
        }
    }

    /// A node runs again.
    pub fn on_start(&mut self, now: Instant, node: usize) {
        if let Some(watched) = self.nodes.get_mut(node) {
            watched.runs_since = Some(now);
        }
    }

    /// Whether a node runs.
    #[must_use]
    pub fn runs(&self, node: usize) -> bool {
        self.nodes
            .get(node)
            .is_some_and(|watched| watched.runs_since.is_some())
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|&node| self.runs(node))
    }

    /// The number of a node.
    #[must_use]
    pub fn index_of(&self, id: NodeId) -> Option<usize> {
        self.index.get(&id).copied()
    }

    /// The name of a node.
    #[must_use]
    pub fn id_of(&self, node: usize) -> Option<NodeId> {
        self.nodes.get(node).map(|watched| watched.id)
    }

    /// The peers that a node says are up, in the order of their numbers.
    pub fn peers_of(&self, node: usize) -> impl Iterator<Item = usize> {
        let watched = self.nodes.get(node);
        watched
            .into_iter()
            .flat_map(|watched| watched.up.iter().copied())
    }

    /// Leaves a node out of what is measured of deliveries: it is not one of the honest.
    pub(crate) fn ignore(&mut self, node: usize) {
        self.ignored.insert(node);
    }

    /// Why peers parted.
    #[must_use]
    pub const fn partings(&self) -> &Partings {
        &self.partings
    }

    /// A node has sent a broadcast.
    pub fn on_broadcast(&mut self, now: Instant, node: usize, id: BroadcastId, payload: Bytes) {
        self.by_id.insert(id, self.sent.len());
        self.sent.push(Sent {
            id,
            origin: node,
            at: now,
            payload,
            delivered: Vec::new(),
            latency_us: Vec::new(),
        });
    }

    /// A node has asked a peer.
    pub fn on_request(&mut self, now: Instant, node: usize, id: RequestId, payload: Bytes) {
        self.requests.sent += 1;
        self.asked.insert((node, id), Asked { at: now, payload });
    }

    /// A node's overlay has told something.
    ///
    /// # Errors
    /// What must not be.
    pub fn on_event(
        &mut self,
        now: Instant,
        node: usize,
        event: &Event,
    ) -> Result<Reaction, SwarmViolation> {
        match event {
            Event::Broadcast { .. } => self.on_delivery(now, node, event)?,
            Event::Request {
                peer, id, payload, ..
            } => {
                return Ok(Reaction::Respond {
                    peer: *peer,
                    id: *id,
                    payload: payload.clone(),
                });
            }
            Event::Response { id, payload, .. } => {
                let asked = self.asked.remove(&(node, *id));
                if asked.is_none_or(|asked| asked.payload != *payload) {
                    let how = "answered twice, unasked, or with other bytes";
                    return Err(SwarmViolation::Request { id: id.0, how });
                }
                self.requests.answered += 1;
            }
            Event::RequestFailed { id, .. } => {
                if self.asked.remove(&(node, *id)).is_none() {
                    let how = "failed though it was not open";
                    return Err(SwarmViolation::Request { id: id.0, how });
                }
                self.requests.failed += 1;
            }
            Event::PeerUp { peer } => self.on_peer(node, *peer, true)?,
            Event::PeerDown { peer, reason } => {
                self.on_peer(node, *peer, false)?;
                let since = |node: usize| self.nodes.get(node)?.runs_since;
                let (here, there) = (since(node), self.index_of(*peer).and_then(since));
                self.partings.note(now, *reason, here, there);
            }
            Event::PeerStateChanged {
                from: Some(from),
                to,
                ..
            } if !is_transition(*from, *to) => {
                let how = "a transition that the state machine lacks";
                return Err(SwarmViolation::PeerStory { how });
            }
            Event::PeerViolation { violation, .. } => {
                return Err(SwarmViolation::Accusation(*violation));
            }
            // What happens to one node alone is its own business.
            _ => {}
        }
        Ok(Reaction::None)
    }

    fn on_peer(&mut self, node: usize, peer: NodeId, is_up: bool) -> Result<(), SwarmViolation> {
        let how = "it is nobody";
        let other = self.index.get(&peer).copied();
        let other = other.ok_or(SwarmViolation::PeerStory { how })?;
        let Some(watched) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        let (changed, how) = if is_up {
            (watched.up.insert(other), "up, and was up")
        } else {
            (watched.up.remove(&other), "down, and was not up")
        };
        changed
            .then_some(())
            .ok_or(SwarmViolation::PeerStory { how })
    }

    fn on_delivery(
        &mut self,
        now: Instant,
        node: usize,
        event: &Event,
    ) -> Result<(), SwarmViolation> {
        let Event::Broadcast {
            id,
            origin,
            topic,
            payload,
            hops,
            ..
        } = event
        else {
            return Ok(());
        };
        let wrong = |how| Err(SwarmViolation::Broadcast { id: *id, how });
        let sent = self.by_id.get(id).and_then(|&at| self.sent.get_mut(at));
        let Some(sent) = sent else {
            return wrong("delivered, but nobody sent it");
        };
        if self.index.get(origin) != Some(&sent.origin) {
            return wrong("delivered with another origin");
        }
        if sent.payload != *payload || topic != TOPIC {
            return wrong("delivered with other content");
        }
        if now < sent.at {
            return wrong("delivered before it was sent");
        }
        if !set_bit(&mut sent.delivered, node, true) {
            return wrong("delivered twice");
        }
        if node == sent.origin {
            return wrong("delivered to its origin");
        }
        let latency = now.saturating_duration_since(sent.at).as_micros();
        if !self.ignored.contains(&node) {
            sent.latency_us
                .push(u32::try_from(latency).unwrap_or(u32::MAX));
        }
        self.hops.push(u32::from(*hops));
        self.delivered += 1;
        Ok(())
    }

    /// What must hold when everything has had its time.
    ///
    /// # Errors
    /// The first node at which it does not, and what.
    pub fn check_end(&self, now: Instant) -> Result<(), (usize, SwarmViolation)> {
        for (&(node, id), asked) in &self.asked {
            let age = now.saturating_duration_since(asked.at);
            if age > REQUEST_AGE_MAX && self.runs(node) {
                let how = "neither answered nor failed";
                return Err((node, SwarmViolation::Request { id: id.0, how }));
            }
        }
        Ok(())
    }

    /// Into how many pieces the running nodes fall, by the peers that they say are up.
    #[must_use]
    pub fn pieces(&self) -> usize {
        let mut root: Vec<usize> = (0..self.nodes.len()).collect();
        let mut pieces = self.running().count();
        for node in self.running() {
            for peer in self.peers_of(node).filter(|&peer| self.runs(peer)) {
                let (a, b) = (find(&mut root, node), find(&mut root, peer));
                if a != b {
                    root[a.max(b)] = a.min(b);
                    pieces -= 1;
                }
            }
        }
        pieces
    }

    /// Running peers that a node says are up.
    #[must_use]
    pub fn degree(&self, node: usize) -> usize {
        self.peers_of(node).filter(|&peer| self.runs(peer)).count()
    }

    /// The nodes at which the `number`-th broadcast is to arrive and has not: those that have run
    /// without a break since it was sent.
    #[must_use]
    pub fn missing(&self, number: usize) -> usize {
        let Some(sent) = self.sent.get(number) else {
            return 0;
        };
        let is_missing = |node: &usize| {
            let since = self.nodes[*node].runs_since;
            *node != sent.origin
                && !self.ignored.contains(node)
                && since.is_some_and(|since| since <= sent.at)
                && !has_bit(&sent.delivered, *node)
        };
        (0..self.nodes.len()).filter(is_missing).count()
    }

    /// How many of `nodes` have the `number`-th broadcast, its origin included.
    #[must_use]
    pub fn held_by(&self, number: usize, nodes: &[usize]) -> usize {
        let Some(sent) = self.sent.get(number) else {
            return 0;
        };
        let has = |&&node: &&usize| node == sent.origin || has_bit(&sent.delivered, node);
        nodes.iter().filter(has).count()
    }

    /// Whether a running node has the `number`-th broadcast.
    #[must_use]
    pub fn is_held(&self, number: usize) -> bool {
        self.sent.get(number).is_some_and(|sent| {
            self.running()
                .any(|node| node == sent.origin || has_bit(&sent.delivered, node))
        })
    }

    /// How long the deliveries of the `number`-th broadcast took, in microseconds, in the order in
    /// which they were made.
    #[must_use]
    pub fn latencies_us(&self, number: usize) -> &[u32] {
        self.sent
            .get(number)
            .map_or(&[], |sent| sent.latency_us.as_slice())
    }

    /// How many broadcasts were sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// Fills in what this knows: all but traffic, time and trace.
    pub fn report(&mut self, report: &mut SwarmReport) {
        let runs_since: Vec<_> = self.nodes.iter().map(|node| node.runs_since).collect();
        let mut all = Vec::new();
        for sent in &mut self.sent {
            let survivors = (0..runs_since.len()).filter(|&node| {
                node != sent.origin && runs_since[node].is_some_and(|since| since <= sent.at)
            });
            let (mut expected, mut delivered) = (0, 0);
            for node in survivors {
                expected += 1;
                delivered += u64::from(has_bit(&sent.delivered, node));
            }
            report.expected += expected;
            report.delivered += delivered;
            report.complete += usize::from(expected == delivered);
            all.extend_from_slice(&sent.latency_us);
            report.each.push(BroadcastReport {
                at: sent.at.saturating_duration_since(Instant::ZERO),
                origin: sent.origin,
                expected,
                delivered,
                latency_ms: Distribution::of(&mut sent.latency_us, 1e-3),
            });
        }
        report.broadcasts = self.sent.len();
        report.delivery_ratio = match report.expected {
            0 => 1.0,
            expected => ratio(report.delivered, expected),
        };
        report.copies_per_delivery = ratio(report.copies, self.delivered);
        report.latency_ms = Distribution::of(&mut all, 1e-3);
        report.hops = Distribution::of(&mut self.hops, 1.0);
        let degrees = self.running().map(|node| self.degree(node));
        let mut degrees: Vec<u32> = degrees.map(|n| u32::try_from(n).unwrap_or(0)).collect();
        report.degree = Distribution::of(&mut degrees, 1.0);
        report.nodes = self.nodes.len();
        report.running = self.running().count();
        report.pieces = self.pieces();
        report.requests = self.requests;
    }

    /// The broadcasts that were sent, in order, and at how many nodes each was delivered that are
    /// still in the life in which they got it.
    pub fn deliveries(&self) -> impl Iterator<Item = (BroadcastId, usize)> {
        self.sent.iter().map(|sent| {
            let bits = sent.delivered.iter().map(|word| word.count_ones());
            (sent.id, usize::try_from(bits.sum::<u32>()).unwrap_or(0))
        })
    }
}

/// Sets or clears a bit; whether that changed it.
fn set_bit(words: &mut Vec<u64>, bit: usize, value: bool) -> bool {
    let (word, mask) = (bit / 64, 1 << (bit % 64));
    if word >= words.len() {
        if !value {
            return false;
        }
        words.resize(word + 1, 0);
    }
    let was = words[word] & mask != 0;
    if was != value {
        words[word] ^= mask;
    }
    was != value
}

fn has_bit(words: &[u64], bit: usize) -> bool {
    words
        .get(bit / 64)
        .is_some_and(|word| word & (1 << (bit % 64)) != 0)
}

/// The smallest known number of the piece of `node` (union-find with path halving).
fn find(root: &mut [usize], mut node: usize) -> usize {
    while root[node] != node {
        root[node] = root[root[node]];
        node = root[node];
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(nodes: u8) -> Judge {
        let mut judge = Judge::default();
        for n in 0..nodes {
            judge.on_node(Instant::ZERO, NodeId::from_bytes([n; 32]));
        }
        judge
    }

    fn delivery(id: BroadcastId, origin: u8, payload: &'static [u8]) -> Event {
        Event::Broadcast {
            id,
            origin: NodeId::from_bytes([origin; 32]),
            topic: TOPIC.to_owned(),
            payload: Bytes::from_static(payload),
            unix_millis: 0,
            hops: 1,
            from: NodeId::from_bytes([origin; 32]),
        }
    }

    #[test]
    fn a_broadcast_is_delivered_once_unchanged_from_its_origin_to_others() {
        let mut judge = judge(3);
        let (id, now) = (BroadcastId::of_body(b"1"), Instant::ZERO);
        let early = judge.on_event(now, 1, &delivery(id, 0, b"x"));
        assert!(early.is_err(), "nobody sent it");
        judge.on_broadcast(now, 0, id, Bytes::from_static(b"x"));
        assert!(judge.on_event(now, 1, &delivery(id, 0, b"y")).is_err());
        assert!(judge.on_event(now, 1, &delivery(id, 2, b"x")).is_err());
        assert!(judge.on_event(now, 0, &delivery(id, 0, b"x")).is_err());
        assert!(judge.on_event(now, 1, &delivery(id, 0, b"x")).is_ok());
        assert!(judge.on_event(now, 1, &delivery(id, 0, b"x")).is_err());
        judge.on_stop(1);
        judge.on_start(now, 1);
        let again = judge.on_event(now, 1, &delivery(id, 0, b"x"));
        assert!(again.is_ok(), "a new life may hear it again");
    }

    #[test]
    fn a_peer_comes_up_before_it_goes_down_and_pieces_are_counted() {
        let mut judge = judge(4);
        let peer = NodeId::from_bytes([1; 32]);
        let down = Event::PeerDown {
            peer,
            reason: dunlin_overlay::StateReason::HelloTimeout,
        };
        assert!(judge.on_event(Instant::ZERO, 0, &down).is_err());
        let up = Event::PeerUp { peer };
        assert_eq!(judge.pieces(), 4);
        assert!(judge.on_event(Instant::ZERO, 0, &up).is_ok());
        assert!(judge.on_event(Instant::ZERO, 0, &up).is_err());
        assert_eq!(judge.pieces(), 3);
        assert!(judge.on_event(Instant::ZERO, 0, &down).is_ok());
        assert_eq!(judge.pieces(), 4);
    }

    #[test]
    fn a_request_ends_once_and_not_later_than_its_timeout() {
        let mut judge = judge(2);
        let (peer, id) = (NodeId::from_bytes([1; 32]), RequestId(1));
        let payload = Bytes::from_static(b"?");
        let response = Event::Response {
            peer,
            id,
            payload: payload.clone(),
        };
        assert!(judge.on_event(Instant::ZERO, 0, &response).is_err());
        judge.on_request(Instant::ZERO, 0, id, payload.clone());
        let late = Instant::ZERO + Duration::from_secs(12);
        assert!(judge.check_end(late).is_err());
        assert!(judge.on_event(Instant::ZERO, 0, &response).is_ok());
        assert!(judge.check_end(late).is_ok());
        judge.on_request(Instant::ZERO, 0, id, payload);
        judge.on_stop(0);
        assert_eq!(judge.requests.abandoned, 1);
    }
}
