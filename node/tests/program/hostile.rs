//! Nodes that break the rules, against the real program: they speak the real protocol from this process,
//! and say what no correct node says.

use std::net::Ipv4Addr;

use bytes::Bytes;
use dunlin_node::network::{Node, NodeOptions};
use dunlin_node::stack::Keys;
use dunlin_overlay::Event;
use dunlin_session::NodeId;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::control::{ask, json, start, told};
use crate::neighbours::{known, meets, tells};
use crate::process::{DEADLINE, Lab, until};
use crate::talking::{Row, counter, events, heard};

/// CBOR (RFC 8949), as far as it is needed here.
struct Cbor(Vec<u8>);

impl Cbor {
    fn head(&mut self, major: u8, number: u64) -> &mut Self {
        let major = major << 5;
        let bytes = number.to_be_bytes();
        match number {
            0..24 => self.0.push(major | bytes[7]),
            24..0x100 => self.0.extend([major | 24, bytes[7]]),
            0x100..0x1_0000 => self.0.extend([major | 25, bytes[6], bytes[7]]),
            _ => {
                self.0.push(major | 27);
                self.0.extend(bytes);
            }
        }
        self
    }

    fn uint(&mut self, number: u64) -> &mut Self {
        self.head(0, number)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(2, bytes.len() as u64).0.extend(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.head(3, text.len() as u64).0.extend(text.as_bytes());
        self
    }

    /// A message: its type, and so many fields that follow.
    fn message(kind: u64, fields: u64) -> Self {
        let mut message = Self(Vec::new());
        message.head(4, 2).uint(kind).head(5, fields);
        message
    }
}

/// A broadcast that bears the name of `origin` and is not signed by it (`docs/overlay.md`, chapter 2).
fn forged(origin: &[u8; 64], number: u64) -> Bytes {
    let now = dunlin_node::clock::unix_millis();
    let mut body = Cbor(Vec::new());
    body.head(5, 8);
    body.uint(0).text("dunlin");
    body.uint(1).bytes(origin);
    body.uint(2).uint(now);
    body.uint(3).uint(now);
    body.uint(4).uint(number);
    body.uint(5).uint(64);
    body.uint(6).text("chat");
    body.uint(7).bytes(b"believe me");
    let mut message = Cbor::message(7, 3);
    message.uint(0).uint(1);
    message.uint(1).bytes(&body.0);
    message.uint(2).bytes(&[7; 64]);
    message.0.into()
}

/// The announcement of a broadcast that there is not.
fn promised(number: u8) -> Bytes {
    let mut message = Cbor::message(13, 2);
    message
        .uint(0)
        .bytes(&[&[number; 16][..], &[0, 1]].concat());
    message.uint(1).bytes(&[]);
    message.0.into()
}

/// A node in this process that joins through the program and says what it is told to say.
struct Hostile {
    runtime: Runtime,
    node: Node,
    victim: NodeId,
    _events: mpsc::Receiver<Event>,
}

impl Hostile {
    fn start(victim: &str, at: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let victim: NodeId = victim.parse().unwrap();
        let options = NodeOptions {
            bootstrap: vec![(at.parse().unwrap(), Some(victim))],
            ..NodeOptions::new((Ipv4Addr::LOCALHOST, 0).into())
        };
        let (node, events) = {
            let _inside = runtime.enter();
            Node::start(&Keys::throwaway(), options).unwrap()
        };
        Self {
            runtime,
            node,
            victim,
            _events: events,
        }
    }

    fn id(&self) -> String {
        self.node.id().to_string()
    }

    /// Sends bytes as they are, as long as there is a link.
    fn say(&self, message: Bytes) {
        self.runtime.block_on(async {
            if let Some(connection) = self.node.connection(self.victim).await {
                // The victim may have closed it.
                let _ = connection.send_message(message).await;
            }
        });
    }

    /// The keys of a node that it is linked to.
    fn keys_of(&self, peer: &str) -> Option<[u8; 64]> {
        let peer: NodeId = peer.parse().unwrap();
        let found = self.node.with_overlay(move |overlay, _| {
            let of = overlay.peers().find(|of| of.id == peer)?;
            Some(of.public?.to_bytes())
        });
        self.runtime.block_on(found).flatten()
    }
}

/// What a node says of the conduct of another one.
fn conduct(lab: &Lab, name: &str, of: &str) -> Value {
    let list = json(lab, name, &["trust", "list", "--json"]);
    let mut peers = list["peers"].as_array().unwrap().iter();
    peers
        .find(|peer| peer["id"] == *of)
        .cloned()
        .unwrap_or_default()
}

/// A node, an honest peer of it, and a hostile one, all of which have met.
struct Scene {
    lab: Lab,
    honest: String,
    at: String,
    victim: String,
    hostile: Hostile,
    _running: [crate::process::Running; 2],
}

impl Scene {
    fn start() -> Self {
        let lab = Lab::new();
        let (node, victim, at) = start(&lab, "victim", &[]);
        let seed = ["--bootstrap", &format!("{victim}@{at}")];
        let (other, honest, _) = start(&lab, "honest", &seed);
        let hostile = Hostile::start(&victim, &at);
        meets(&lab, "victim", &honest);
        meets(&lab, "victim", &hostile.id());
        Self {
            lab,
            honest,
            at,
            victim,
            hostile,
            _running: [node, other],
        }
    }

    /// Broadcasts of the honest ones reach each other, and the honest one stands as it should.
    fn nobody_else_suffers(&self) {
        let lab = &self.lab;
        told(lab, "honest", &["broadcast", "I am honest"]);
        told(lab, "victim", &["broadcast", "so am I"]);
        let has = |name: &str, text: &str| heard(lab, name).iter().any(|heard| heard == text);
        assert!(until(DEADLINE, || has("victim", "I am honest")));
        assert!(until(DEADLINE, || has("honest", "so am I")));
        let of = conduct(lab, "victim", &self.honest);
        assert_eq!(
            (&of["status"], &of["may_relay"]),
            (&"connected".into(), &true.into())
        );
        assert!(of["own_trust"].as_f64() >= Some(0.5), "{of}");
        // On a busy machine it may have been silent for a moment.
        assert!(of["reputation_score"].as_u64() >= Some(50), "{of}");
        let story = told(lab, "victim", &["peer", "why", &self.honest]);
        assert!(!story.contains("broke a rule"), "{story}");
    }
}

#[test]
fn who_forges_broadcasts_is_banned_and_neither_whose_name_they_bear_nor_a_new_name_gains() {
    let scene = Scene::start();
    let (lab, hostile) = (&scene.lab, &scene.hostile);
    let id = hostile.id();
    // It needs the keys of the one whom it slanders.
    assert!(until(DEADLINE, || hostile.keys_of(&scene.honest).is_some()));
    let keys = hostile.keys_of(&scene.honest).unwrap();
    hostile.say(forged(&keys, 1));
    let rule = "relayed a broadcast whose signature does not verify";
    tells(lab, "victim", &id, rule);
    assert_eq!(counter(lab, "victim", "broadcasts_invalid"), 1);
    // The first is forgiven; the fourth is not.
    assert_eq!(known(lab, "victim", &id)["status"], "connected");
    for number in 2..=4 {
        hostile.say(forged(&keys, number));
    }
    let is_banned = || known(lab, "victim", &id)["status"] == "banned";
    assert!(until(DEADLINE, is_banned));
    let story = told(lab, "victim", &["peer", "why", &id]);
    assert!(
        story.matches(rule).count() >= 4 && story.contains("banned"),
        "{story}"
    );
    let bans = json(lab, "victim", &["peer", "bans", "--json"]);
    assert_eq!(bans["bans"][0]["subject"], id, "{bans}");
    let blamed = events(lab, "victim", "peer_violation");
    assert!(blamed.iter().all(|event| event["peer"] == id), "{blamed:?}");
    assert!(heard(lab, "victim").is_empty() && heard(lab, "honest").is_empty());
    scene.nobody_else_suffers();

    // Another name is a newcomer's, and the old one stays banned.
    let washed = Hostile::start(&scene.victim, &scene.at);
    meets(lab, "victim", &washed.id());
    let new = conduct(lab, "victim", &washed.id());
    let number = |name: &str| new[name].as_f64().unwrap();
    assert!(number("own_trust") <= 0.5, "{new}");
    // A newcomer's is 60; a ping that was answered may be a point.
    assert!(number("reputation_score") <= 61.0, "{new}");
    assert!(is_banned());
}

#[test]
fn who_promises_broadcasts_and_does_not_bring_them_is_not_relied_upon_any_more() {
    let scene = Scene::start();
    let (lab, hostile) = (&scene.lab, &scene.hostile);
    let id = hostile.id();
    assert_eq!(conduct(lab, "victim", &id)["may_relay"], true);
    let mut number = 0;
    let is_barred = || {
        number = u8::wrapping_add(number, 1);
        hostile.say(promised(number));
        conduct(lab, "victim", &id)["may_relay"] == false
    };
    assert!(
        until(DEADLINE, is_barred),
        "{}",
        conduct(lab, "victim", &id)
    );
    tells(lab, "victim", &id, "announced and not brought");
    assert!(counter(lab, "victim", "barred") >= 1);
    assert!(conduct(lab, "victim", &id)["promises_broken"].as_u64() >= Some(1));
    // It keeps its link: what it did could be somebody else's fault.
    assert_eq!(known(lab, "victim", &id)["status"], "connected");
    scene.nobody_else_suffers();
}

#[test]
fn what_an_application_rejects_goes_no_further_and_its_origin_is_blamed() {
    let row = Row::start("[network.gossip]\nverdict_timeout = 600\n");
    let lab = &row.lab;
    let waiting = |text: &str| -> String {
        told(lab, "left", &["broadcast", text]);
        let find = || {
            let events = events(lab, "middle", "broadcast").into_iter();
            let mut same = events.filter(|event| event["detail"]["text"] == text);
            same.next()
                .map(|event| event["detail"]["id"].as_str().unwrap().to_owned())
        };
        assert!(until(DEADLINE, || find().is_some()));
        find().unwrap()
    };
    let capabilities = known(lab, "left", &row.middle)["capabilities"].clone();
    assert!(
        capabilities.to_string().contains("validates"),
        "{capabilities}"
    );
    let rubbish = waiting("rubbish");
    assert_eq!(counter(lab, "middle", "validating"), 1);
    let rejected = told(lab, "middle", &["verdict", &rubbish, "reject"]);
    assert!(rejected.starts_with("rejected:"), "{rejected}");
    let again = told(lab, "middle", &["verdict", &rubbish, "accept"]);
    assert!(again.starts_with("does not wait"), "{again}");
    let of_no_use = waiting("of no use");
    told(lab, "middle", &["verdict", &of_no_use, "ignore"]);
    let good = waiting("good");
    let accepted = told(lab, "middle", &["verdict", &good, "accept"]);
    assert!(accepted.starts_with("accepted"), "{accepted}");
    assert!(
        until(DEADLINE, || heard(lab, "right") == ["good"]),
        "{:?}",
        heard(lab, "right")
    );
    assert_eq!(counter(lab, "middle", "broadcasts_not_accepted"), 2);
    // One was blamed for, and one who only passed nothing on was not.
    let story = told(lab, "middle", &["peer", "why", &row.left]);
    assert!(
        story.contains("signed a broadcast that the application rejects"),
        "{story}"
    );
    assert_eq!(story.matches("Z  broke a rule").count(), 1, "{story}");
    let blamed = json(lab, "middle", &["trust", "events", "--json"]).to_string();
    assert!(
        blamed.contains("broadcast_rejected") && !blamed.contains(&row.right),
        "{blamed}"
    );
    let (left, right) = (
        conduct(lab, "middle", &row.left),
        conduct(lab, "middle", &row.right),
    );
    assert!(
        left["own_trust"].as_f64() < right["own_trust"].as_f64(),
        "{left} {right}"
    );
    // The fourth is one too many.
    for n in 0..3 {
        let id = waiting(&format!("more rubbish {n}"));
        told(lab, "middle", &["verdict", &id, "reject"]);
    }
    assert!(until(
        DEADLINE,
        || known(lab, "middle", &row.left)["status"] == "banned"
    ));
    let refused = ask(lab, "middle", &["message", &row.left, "hello"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
}
