//! Three nodes as an operator runs them: one is killed and comes back with all that it knew.

use dunlin_node::store::StoreReader;
use dunlin_overlay::saved::{SavedPeer, SavedReputation};
use serde_json::Value;

use crate::control::{json, start, told};
use crate::process::{DEADLINE, Lab, STOP_LIMIT, until};

/// The IDs of the connected peers.
fn connected(lab: &Lab, name: &str) -> Vec<String> {
    let list = json(
        lab,
        name,
        &["peer", "list", "--json", "--filter", "connected"],
    );
    let peers = list["peers"].as_array().unwrap().iter();
    let mut ids: Vec<_> = peers
        .map(|peer| peer["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

/// What a node knows of the conduct of a peer: reputation, trust.
fn conduct(lab: &Lab, name: &str, of: &str) -> Option<(u64, f64)> {
    let list = json(lab, name, &["trust", "list", "--json"]);
    let mut peers = list["peers"].as_array()?.iter();
    let entry = peers.find(|peer| peer["id"] == *of)?;
    Some((
        entry["reputation_score"].as_u64()?,
        entry["trust"].as_f64()?,
    ))
}

#[test]
fn a_killed_node_of_three_comes_back_with_identity_bans_trust_and_the_story() {
    let lab = Lab::new();
    let (_one, one, address) = start(&lab, "one", &[]);
    let at = format!("{one}@{address}");
    let (node, two, _) = start(&lab, "two", &["--bootstrap", &at]);
    let (_three, three, _) = start(&lab, "three", &["--bootstrap", &at]);
    let everybody = [("one", &one), ("two", &two), ("three", &three)];
    // Each list has the two others: the lists agree.
    let agree = || {
        everybody.iter().all(|(name, own)| {
            let mut others: Vec<String> = vec![one.clone(), two.clone(), three.clone()];
            others.retain(|id| id != *own);
            others.sort();
            connected(&lab, name) == others
        })
    };
    assert!(until(DEADLINE, agree), "everybody has met");
    told(
        &lab,
        "two",
        &[
            "peer",
            "ban",
            "192.0.2.0/24",
            "--reason",
            "a noisy neighbourhood",
        ],
    );
    let first = conduct(&lab, "two", &one).expect("one is known");
    // What it does well is noted: valid broadcasts.
    let noted = until(DEADLINE, || {
        told(&lab, "one", &["broadcast", "hello"]);
        conduct(&lab, "two", &one).is_some_and(|now| now.0 > first.0)
    });
    assert!(noted, "{:?}", conduct(&lab, "two", &one));
    let store = lab.path("two").join("dunlin.db");
    // Both what it is and how it behaves: peers are saved later than conduct.
    let is_saved = || {
        let Ok(saved) = StoreReader::open(&store) else {
            return false;
        };
        let is_it = |of: &SavedReputation| of.peer.to_string() == one && of.trust > 0.501;
        let is_known = |peers: Vec<SavedPeer>| peers.iter().any(|peer| peer.id.to_string() == one);
        let conduct = saved.reputations();
        conduct.is_ok_and(|conduct| conduct.iter().any(is_it)) && saved.peers().is_ok_and(is_known)
    };
    assert!(until(DEADLINE, is_saved));
    let before = conduct(&lab, "two", &one).unwrap();
    node.signal("KILL");
    node.finish_within(STOP_LIMIT).expect("it is gone");
    assert!(until(DEADLINE, || !connected(&lab, "one").contains(&two)));

    // Without a bootstrap node: it remembers.
    let (_node, again, _) = start(&lab, "two", &[]);
    assert_eq!(again, two, "the same identity");
    let bans = json(&lab, "two", &["peer", "bans", "--json"]);
    assert_eq!(bans["bans"][0]["subject"], "192.0.2.0/24", "{bans}");
    assert_eq!(bans["bans"][0]["reason"], "a noisy neighbourhood");
    let after = conduct(&lab, "two", &one).expect("it is remembered");
    assert!(after.0 > first.0, "{first:?} {before:?} {after:?}");
    assert!((after.1 - before.1).abs() < 0.2, "{before:?} {after:?}");
    assert!(until(DEADLINE, agree), "everybody has met again, by itself");
    tells_the_story(&lab, "two", &one);
    tells_the_story(&lab, "one", &two);
}

/// Connected, parted, connected again: in this order and with rising times, in words and in JSON.
fn tells_the_story(lab: &Lab, name: &str, of: &str) {
    let story = json(lab, name, &["peer", "why", &of[..16], "--json"]);
    let entries = story["entries"].as_array().unwrap();
    let times: Vec<&str> = entries
        .iter()
        .map(|entry| entry["time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let is_connected = |entry: &Value| entry["detail"]["to"] == "connected";
    let connections = entries.iter().filter(|entry| is_connected(entry)).count();
    assert!(connections >= 2, "{name}: {story:#}");
    let words = told(lab, name, &["peer", "why", &of[..16]]);
    assert!(words.starts_with(of), "{words}");
    assert!(words.matches("connected").count() >= 2, "{words}");
    assert!(!words.contains("{ "), "no names of the code: {words}");
}

#[test]
fn a_node_that_comes_back_before_it_was_missed_is_in_the_story_too() {
    let lab = Lab::new();
    let (_one, one, address) = start(&lab, "one", &[]);
    let at = format!("{one}@{address}");
    let (mut node, two, _) = start(&lab, "two", &["--bootstrap", &at]);
    assert!(until(DEADLINE, || connected(&lab, "one") == [&*two]));
    let saved = || {
        let saved = StoreReader::open(&lab.path("two").join("dunlin.db"));
        saved
            .and_then(|store| store.peers())
            .is_ok_and(|peers| !peers.is_empty())
    };
    assert!(until(DEADLINE, saved));
    node.kill();
    let (_node, _, _) = start(&lab, "two", &[]);
    // Its link is replaced, or was lost before: both are told.
    let came_back = || {
        let story = told(&lab, "one", &["peer", "why", &two[..16]]);
        story.contains("another link takes the place") || story.matches("→ connected").count() == 2
    };
    assert!(until(DEADLINE, came_back));
    assert!(until(DEADLINE, || connected(&lab, "one") == [&*two]));
}
