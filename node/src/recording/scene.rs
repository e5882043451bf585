//! The network of a recording at one moment, as the API shows networks.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::limits::{EVENTS_TOLD_MAX, LINKS_MAX, RECENT_MAX};
use super::{Counters, Frame, Header};
use crate::control::model::{
    EventRecord, MapNode, NetworkMap, Peer, PeerCounts, PeerList, PeerStatus, Summary,
};
use crate::control::records::time;

/// All nodes, links and counters after a number of frames.
#[derive(Debug)]
pub struct Scene {
    header: Arc<Header>,
    at_ms: u64,
    is_up: Vec<bool>,
    has_run: Vec<bool>,
    degrees: Vec<u32>,
    links: BTreeSet<(u32, u32)>,
    counters: Vec<Counters>,
    broadcasts: u64,
    messages: u64,
    recent: VecDeque<EventRecord>,
    sequence: u64,
}

impl Scene {
    /// Before the first frame.
    #[must_use]
    pub fn new(header: Arc<Header>) -> Self {
        let nodes = header.nodes.len();
        Self {
            at_ms: 0,
            is_up: vec![false; nodes],
            has_run: vec![false; nodes],
            degrees: vec![0; nodes],
            links: BTreeSet::new(),
            counters: vec![[0; 4]; nodes],
            broadcasts: 0,
            messages: 0,
            recent: VecDeque::new(),
            sequence: 0,
            header,
        }
    }

    /// Begins anew; events keep counting, as a page that is open expects.
    pub fn rewind(&mut self) {
        let fresh = Self::new(Arc::clone(&self.header));
        *self = Self {
            recent: std::mem::take(&mut self.recent),
            sequence: self.sequence,
            ..fresh
        };
    }

    /// Applies a frame that was checked ([`super::read`]); the events to tell at `unix_millis`. Links
    /// beyond [`LINKS_MAX`] are left out.
    pub fn apply(&mut self, frame: Frame, unix_millis: u64) -> Vec<EventRecord> {
        let mut told = Vec::new();
        for (nodes, is_up, kind, words) in [
            (&frame.up, true, "peer_up", "runs"),
            (&frame.down, false, "peer_down", "does not run any more"),
        ] {
            for &node in nodes {
                set(&mut self.is_up, node, is_up);
                set(&mut self.has_run, node, true);
            }
            for &node in nodes.iter().take(EVENTS_TOLD_MAX) {
                told.push((kind, node, words.to_owned(), Value::Null));
            }
        }
        for &(a, b) in &frame.unlinked {
            if self.links.remove(&(a, b)) {
                self.count(a, b, u32::wrapping_sub);
            }
        }
        for &(a, b) in &frame.linked {
            if self.links.len() < LINKS_MAX && self.links.insert((a, b)) {
                self.count(a, b, u32::wrapping_add);
            }
        }
        self.broadcasts += frame.broadcasts.len() as u64;
        for &node in frame.broadcasts.iter().take(EVENTS_TOLD_MAX) {
            let words = format!("broadcast at {} ms", frame.at_ms);
            told.push(("broadcast", node, words, json!({ "topic": "recorded" })));
        }
        self.at_ms = frame.at_ms;
        self.messages = frame.messages;
        self.counters = frame.counters;
        let events: Vec<_> = told
            .into_iter()
            .map(|(kind, node, words, detail)| {
                self.sequence += 1;
                EventRecord {
                    sequence: self.sequence,
                    time: time(unix_millis),
                    kind: kind.to_owned(),
                    peer: self.id(node).map(str::to_owned),
                    words,
                    detail,
                }
            })
            .collect();
        self.recent.extend(events.iter().cloned());
        let surplus = self.recent.len().saturating_sub(RECENT_MAX);
        self.recent.drain(..surplus);
        events
    }

    fn count(&mut self, a: u32, b: u32, change: fn(u32, u32) -> u32) {
        for node in [a, b] {
            let degree = usize::try_from(node).ok();
            if let Some(degree) = degree.and_then(|node| self.degrees.get_mut(node)) {
                *degree = change(*degree, 1);
            }
        }
    }

    fn id(&self, node: u32) -> Option<&str> {
        let node = usize::try_from(node).ok()?;
        self.header.nodes.get(node).map(String::as_str)
    }

    /// The last events.
    #[must_use]
    pub fn recent(&self) -> Vec<EventRecord> {
        self.recent.iter().cloned().collect()
    }

    /// The map: all nodes that have run, in the order of the header, those that have not with them.
    #[must_use]
    pub fn map(&self) -> NetworkMap {
        let nodes = self.header.nodes.iter().zip(&self.is_up);
        NetworkMap {
            is_whole: true,
            nodes: nodes
                .map(|(id, &is_up)| MapNode {
                    id: id.clone(),
                    is_up,
                })
                .collect(),
            links: self.links.iter().copied().collect(),
        }
    }

    /// All nodes but the first, as peers.
    #[must_use]
    pub fn peers(&self) -> PeerList {
        let peers = (1..self.header.nodes.len()).filter_map(|node| self.peer(node));
        let counts = self.counts();
        PeerList {
            peers: peers.collect(),
            summary: Summary {
                total_peers: counts.known,
                connected: counts.connected,
                ..Summary::default()
            },
        }
    }

    /// The place of the node with this whole ID.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<usize> {
        self.header.nodes.iter().position(|known| known == id)
    }

    /// A node as a peer.
    #[must_use]
    pub fn peer(&self, node: usize) -> Option<Peer> {
        let status = match (self.is_up.get(node)?, self.has_run.get(node)?) {
            (true, _) => PeerStatus::Connected,
            (false, true) => PeerStatus::Disconnected,
            (false, false) => PeerStatus::Discovered,
        };
        let [_, received, again, passed_on] = *self.counters.get(node)?;
        let messages = [received, again, passed_on].map(u64::from);
        Some(Peer {
            id: self.header.nodes.get(node)?.clone(),
            address: None,
            status,
            version: None,
            latency_ms: None,
            messages_exchanged: messages.iter().sum(),
            reputation_score: None,
            connected_since: None,
            last_activity: None,
            capabilities: Vec::new(),
            roles: Vec::new(),
            connection: None,
            ailments: Vec::new(),
        })
    }

    /// What is known of a node, by the names that the page has for them.
    #[must_use]
    pub fn detail(&self, node: usize) -> Option<Value> {
        let mut detail = serde_json::to_value(self.peer(node)?).ok()?;
        let [known, received, again, passed_on] = *self.counters.get(node)?;
        let links = self.degrees.get(node)?;
        detail["reason"] = json!(format!("{links} links, {known} known peers"));
        detail["source"] = json!("the recording");
        for name in ["addresses", "roles", "capabilities"] {
            detail[name] = json!([]);
        }
        for name in ["failures", "messages_sent", "bytes_sent", "bytes_received"] {
            detail[name] = json!(0);
        }
        detail["messages_sent"] = json!(passed_on);
        detail["messages_received"] = json!(received + again);
        detail["first_deliveries"] = json!(received);
        detail["duplicates"] = json!(again);
        Some(detail)
    }

    fn counts(&self) -> PeerCounts {
        let up = self.is_up.iter().skip(1).filter(|is_up| **is_up).count();
        PeerCounts {
            known: self.header.nodes.len() - 1,
            connected: up,
            ..PeerCounts::default()
        }
    }

    /// The numbers of this moment, of the whole network together.
    #[must_use]
    pub fn sample(&self, unix_millis: u64) -> Value {
        let sum = |part: fn(&Counters) -> u32| -> u64 {
            self.counters.iter().map(part).map(u64::from).sum()
        };
        let mut stats = Map::new();
        for (name, value) in [
            ("connected", self.links.len() as u64),
            ("broadcasts_sent", self.broadcasts),
            ("broadcasts_received", sum(|of| of[1])),
            ("broadcasts_duplicate", sum(|of| of[2])),
            ("copies_relayed", sum(|of| of[3])),
            ("dials", 0),
            ("messages", self.messages),
        ] {
            stats.insert(name.to_owned(), value.into());
        }
        let links = self.links.range((0, 0)..(1, 0));
        let links = links.filter_map(|(_, peer)| {
            let node = usize::try_from(*peer).ok()?;
            let peer = self.peer(node)?;
            let [_, received, again, _] = *self.counters.get(node)?;
            Some(json!({
                "id": peer.id, "direction": "outbound", "latency_ms": null, "reputation_score": null,
                "messages": peer.messages_exchanged, "bytes_sent": 0, "bytes_received": 0,
                "first_deliveries": received, "duplicates": again, "path": null,
            }))
        });
        json!({
            "unix_ms": unix_millis,
            "peers": self.counts(),
            "stats": stats,
            "links": links.collect::<Vec<_>>(),
            "left_out": 0,
        })
    }

    /// Simulated seconds so far.
    #[must_use]
    pub const fn seconds(&self) -> u64 {
        self.at_ms / 1_000
    }
}

fn set(flags: &mut [bool], node: u32, value: bool) {
    let flag = usize::try_from(node).ok();
    if let Some(flag) = flag.and_then(|node| flags.get_mut(node)) {
        *flag = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(nodes: usize) -> Scene {
        Scene::new(Arc::new(Header {
            dunlin_recording: super::super::VERSION,
            title: String::new(),
            seed: 1,
            interval_ms: 1_000,
            nodes: (0..nodes).map(|node| format!("dunlin1{node}")).collect(),
        }))
    }

    fn frame(nodes: usize) -> Frame {
        Frame {
            counters: vec![[3, 2, 1, 5]; nodes],
            ..Frame::default()
        }
    }

    #[test]
    fn a_scene_is_what_its_frames_add_up_to() {
        let mut scene = scene(4);
        let first = Frame {
            up: vec![0, 1, 2],
            linked: vec![(0, 1), (1, 2)],
            broadcasts: vec![2],
            ..frame(4)
        };
        let events = scene.apply(first, 0);
        assert_eq!(events.len(), 4);
        assert_eq!((events[3].sequence, &*events[3].kind), (4, "broadcast"));
        let second = Frame {
            down: vec![2],
            unlinked: vec![(1, 2)],
            ..frame(4)
        };
        scene.apply(second, 1_000);
        let map = scene.map();
        assert_eq!(map.links, [(0, 1)]);
        let up: Vec<_> = map.nodes.iter().map(|node| node.is_up).collect();
        assert_eq!(up, [true, true, false, false]);
        let states: Vec<_> = scene.peers().peers.iter().map(|peer| peer.status).collect();
        use PeerStatus as S;
        assert_eq!(states, [S::Connected, S::Disconnected, S::Discovered]);
        let sample = scene.sample(7);
        assert_eq!(sample["stats"]["broadcasts_received"], 8);
        assert_eq!(sample["links"][0]["id"], "dunlin11");
        assert_eq!(scene.detail(1).unwrap()["reason"], "1 links, 3 known peers");
        assert_eq!(scene.recent().len(), 5);
        scene.rewind();
        assert!(scene.map().links.is_empty());
        let again = Frame {
            up: vec![3],
            ..frame(4)
        };
        assert_eq!(
            scene.apply(again, 0)[0].sequence,
            6,
            "events go on counting"
        );
    }

    #[test]
    fn of_a_large_frame_a_few_events_are_told() {
        let mut scene = scene(100);
        let all = Frame {
            up: (0..100).collect(),
            ..frame(100)
        };
        assert_eq!(scene.apply(all, 0).len(), EVENTS_TOLD_MAX);
        for _ in 0..RECENT_MAX {
            let one = Frame {
                down: vec![1],
                ..frame(100)
            };
            scene.apply(one, 0);
        }
        assert_eq!(scene.recent().len(), RECENT_MAX);
    }
}
