//! Peers as an operator sees them from outside: what they are, how they are doing, and who gets a place.

use serde_json::Value;

use crate::control::{Pair, json, start, told};
use crate::process::{DEADLINE, Lab, Running, dunlin, until};

/// A node with this configuration; options as for [`start`].
pub(crate) fn configured(
    lab: &Lab,
    name: &str,
    config: &str,
    more: &[&str],
) -> (Running, String, String) {
    let path = lab.path(&format!("{name}.toml"));
    std::fs::write(&path, config).unwrap();
    start(
        lab,
        name,
        &[&["--config", path.to_str().unwrap()], more].concat(),
    )
}

/// A node at another address of this machine that joins through `seed`.
#[cfg(target_os = "linux")]
pub(crate) fn start_at(lab: &Lab, name: &str, host: &str, seed: &str) -> (Running, String) {
    let mut command = dunlin();
    command.args(["start", "--host", host, "--port", "0", "--bootstrap", seed]);
    let mut node = Running::start(command.arg("--data-dir").arg(lab.path(name)));
    let line = node.line();
    let (id, _) = line.split_once('@').unwrap();
    let id = id.to_owned();
    (node, id)
}

/// What a node knows of a peer; nothing while it knows none of that ID.
pub(crate) fn known(lab: &Lab, name: &str, peer: &str) -> Value {
    let list = json(lab, name, &["peer", "list", "--json"]);
    let all = list["peers"].as_array().unwrap();
    let is_known = all.iter().any(|of| of["id"] == *peer);
    match is_known {
        true => json(lab, name, &["peer", "info", peer, "--json"]),
        false => Value::Null,
    }
}

/// Waits until messages flow between a node and its peer.
#[track_caller]
pub(crate) fn meets(lab: &Lab, name: &str, peer: &str) {
    let is_there = || known(lab, name, peer)["status"] == "connected";
    assert!(until(DEADLINE, is_there), "{}", known(lab, name, peer));
}

/// Waits until the story that a node tells of a peer has these words.
#[track_caller]
pub(crate) fn tells(lab: &Lab, name: &str, peer: &str, words: &str) {
    let story = || match known(lab, name, peer) {
        Value::Null => String::new(),
        _ => told(lab, name, &["peer", "why", peer]),
    };
    let is_told = || story().contains(words);
    assert!(until(DEADLINE, is_told), "no \"{words}\" in {}", story());
}

fn words(of: &Value) -> Vec<&str> {
    let list = of.as_array().unwrap_or_else(|| panic!("no list: {of}"));
    list.iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn peers_say_what_they_are_and_connections_what_they_are_for() {
    let lab = Lab::new();
    let (_hub, hub, hub_at) = configured(&lab, "hub", "roles = [\"full\", \"relay\"]\n", &[]);
    let seed = format!("{hub}@{hub_at}");
    let (_one, one, _) = configured(
        &lab,
        "one",
        "roles = [\"archive\", \"Validator\"]\n",
        &["--bootstrap", &seed],
    );
    let (_two, two, two_at) = configured(&lab, "two", "roles = [\"light\"]\n", &[]);
    told(&lab, "hub", &["peer", "add", &two_at, "--priority", "high"]);
    let everybody = [("hub", &hub), ("one", &one), ("two", &two)];
    for (name, own) in everybody {
        for (_, other) in everybody.iter().filter(|(_, id)| *id != own) {
            meets(&lab, name, other);
        }
    }
    let roles: [(&str, &[&str]); 3] = [
        (&hub, &["full", "relay"]),
        (&one, &["validator", "archive"]),
        (&two, &["light"]),
    ];
    for (id, roles) in roles {
        let name = if id == hub { "one" } else { "hub" };
        let info = known(&lab, name, id);
        assert_eq!(words(&info["roles"]), roles, "{info}");
        let can = words(&info["capabilities"]);
        assert!(
            can.contains(&"gossip") && can.contains(&"requests"),
            "{info}"
        );
        assert_eq!(can.contains(&"relays"), id == hub, "{info}");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(info["version"], version);
        assert_eq!(info["user_agent"], format!("dunlin/{version}"));
        assert_eq!(info["protocol"], 1);
        // A list says it too, and the page for people.
        let list = json(&lab, name, &["peer", "list", "--json"]);
        let listed = list["peers"].as_array().unwrap().iter();
        let listed = listed.clone().find(|peer| peer["id"] == *id).unwrap();
        assert_eq!(words(&listed["roles"]), roles, "{listed}");
        let page = told(&lab, name, &["peer", "info", id]);
        assert!(page.contains(&roles.join(", ")), "{page}");
    }
    let kind = |name: &str, of: &str| {
        let info = known(&lab, name, of);
        info["connection"].as_str().map(str::to_owned)
    };
    // Who was dialled by both sides has one link in the end, of which each side has its own view.
    let is = |name: &'static str, of: &'static str, id: &String, kinds: &[&str]| {
        let fits = || kind(name, id).is_some_and(|kind| kinds.contains(&kind.as_str()));
        assert!(until(DEADLINE, fits), "{name}, {of}: {:?}", kind(name, id));
    };
    is("one", "hub", &hub, &["seed", "inbound"]);
    is("hub", "one", &one, &["inbound", "outbound"]);
    is("hub", "two", &two, &["persistent"]);
    is("two", "hub", &hub, &["inbound", "outbound"]);
    is("one", "two", &two, &["inbound", "outbound"]);
}

#[test]
fn a_record_names_where_else_its_node_is_reached() {
    let lab = Lab::new();
    let config = "[network.peers]\nexternal_addresses = [\"node.example:4600\", \"127.0.0.1:9\"]\n";
    let (_hub, hub, at) = configured(&lab, "hub", config, &[]);
    let (_one, _, _) = start(&lab, "one", &["--bootstrap", &format!("{hub}@{at}")]);
    meets(&lab, "one", &hub);
    let info = known(&lab, "one", &hub);
    let addresses = words(&info["addresses"]);
    for address in [&*at, "127.0.0.1:9", "node.example:4600"] {
        assert!(addresses.contains(&address), "{address}: {info}");
    }
}

#[test]
fn a_stopped_process_is_listed_as_unhealthy_and_heals_when_it_goes_on() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let is_silent = || {
        let info = known(lab, "first", &pair.second_id);
        words(&info["ailments"]).contains(&"silent")
    };
    let gauge = |name: &str| {
        let metrics = told(lab, "first", &["metrics"]);
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let value = line.unwrap_or_else(|| panic!("no {name}: {metrics}"));
        value.rsplit(' ').next().unwrap().to_owned()
    };
    let unhealthy = || {
        let words = ["peer", "list", "--json", "--filter", "unhealthy"];
        json(lab, "first", &words)["peers"]
            .as_array()
            .unwrap()
            .len()
    };
    assert!(!is_silent());
    assert_eq!(
        (unhealthy(), gauge("dunlin_unhealthy_peers")),
        (0, "0".into())
    );
    pair.second.signal("STOP");
    assert!(until(DEADLINE, is_silent));
    assert_eq!(
        (unhealthy(), gauge("dunlin_unhealthy_peers")),
        (1, "1".into())
    );
    assert_eq!(gauge("dunlin_overlay_silent"), "1");
    let table = told(lab, "first", &["peer", "list"]);
    assert!(table.contains("Connected, silent"), "{table}");
    let page = told(lab, "first", &["peer", "info", &pair.second_id]);
    assert!(page.contains("\nhealth        silent"), "{page}");
    let status = told(lab, "first", &["status"]);
    assert!(status.contains("1 connected (1 silent)"), "{status}");

    pair.second.signal("CONT");
    assert!(until(DEADLINE, || !is_silent()));
    assert_eq!(gauge("dunlin_overlay_silent"), "0");
    let story = told(lab, "first", &["peer", "why", &pair.second_id]);
    let at = |words: &str| {
        story
            .find(words)
            .unwrap_or_else(|| panic!("{words}: {story}"))
    };
    assert!(at("does not answer") < at("answers again"), "{story}");
}

/// Keys for a node with so many places.
fn places(count: usize) -> String {
    format!(
        "[network.peers]\nmax_connections = {count}\ntarget_connections = {count}\nmin_connections = 0\n"
    )
}

const LIMIT: &str = "connection limit reached";

#[test]
fn who_finds_no_place_is_told_why_and_gets_one_by_itself_when_there_is_room() {
    let lab = Lab::new();
    let (_hub, hub, at) = configured(&lab, "hub", &places(1), &[]);
    let seed = format!("{hub}@{at}");
    let (_first, first, _) = start(&lab, "first", &["--bootstrap", &seed]);
    meets(&lab, "hub", &first);
    let (_second, second, _) = start(&lab, "second", &["--bootstrap", &seed]);
    tells(&lab, "second", &hub, &format!("it refused us: {LIMIT}"));
    tells(&lab, "hub", &second, &format!("we refused it: {LIMIT}"));
    let list = json(&lab, "hub", &["peer", "list", "--json"]);
    assert_eq!(list["summary"]["connected"], 1, "{list}");
    // It tries again, and waits longer each time.
    let refusals = || -> Vec<String> {
        let story = json(&lab, "second", &["peer", "why", &hub, "--json"]);
        let entries = story["entries"].as_array().unwrap().iter();
        let is_refusal = |entry: &&Value| {
            let words = entry["words"].as_str().unwrap();
            words.contains("it refused us")
        };
        let times = entries.filter(is_refusal).map(|entry| &entry["time"]);
        times
            .map(|time| time.as_str().unwrap().to_owned())
            .collect()
    };
    assert!(until(DEADLINE, || refusals().len() >= 4));
    let times: Vec<f64> = refusals().iter().map(|time| seconds(time)).collect();
    let waited = (times[3] - times[0]).rem_euclid(86_400.0);
    // Half of one second and half of two at least, less what a busy machine is late with the first. One
    // attempt more comes at once when it hears of the hub from another node after the first.
    let story = told(&lab, "second", &["peer", "why", &hub]);
    assert!(waited >= 1.0, "{times:?}: {story}");
    assert!(known(&lab, "second", &hub)["failures"].as_u64() >= Some(2));
    told(&lab, "first", &["stop"]);
    meets(&lab, "second", &hub);
    let story = told(&lab, "second", &["peer", "why", &hub]);
    assert!(
        story.rfind("it refused us") < story.rfind("connected"),
        "{story}"
    );
}

/// The time of day in a time of the API.
fn seconds(time: &str) -> f64 {
    let (_, of_day) = time.trim_end_matches('Z').split_once('T').unwrap();
    let parts = of_day.split(':').map(|part| part.parse::<f64>().unwrap());
    parts.fold(0.0, |sum, part| sum * 60.0 + part)
}

#[test]
fn a_silent_peer_loses_its_place_to_one_that_comes() {
    let lab = Lab::new();
    let (_hub, hub, at) = configured(&lab, "hub", &places(1), &[]);
    let seed = format!("{hub}@{at}");
    let (stopped, first, _) = start(&lab, "first", &["--bootstrap", &seed]);
    meets(&lab, "hub", &first);
    stopped.signal("STOP");
    let is_silent = || json(&lab, "hub", &["stats", "--json"])["silent"] == 1;
    assert!(until(DEADLINE, is_silent));
    let (_second, second, _) = start(&lab, "second", &["--bootstrap", &seed]);
    meets(&lab, "hub", &second);
    tells(&lab, "hub", &first, "we said goodbye: inactivity timeout");
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_and_a_group_of_ranges_have_their_places_and_no_more() {
    let lab = Lab::new();
    // It dials nobody, so that all its peers have come by themselves.
    let config = "[network.peers]\nlimit_private = true\nmax_per_address = 1\nmax_outbound = 0\n\
        groups = [\"cellar=1 127.0.5.0/24 127.0.6.0/24\"]\n";
    let (_hub, hub, at) = configured(&lab, "hub", config, &[]);
    let seed = format!("{hub}@{at}");
    let at_host = |name: &str, host: &str| start_at(&lab, name, host, &seed);
    let (_first, first) = at_host("first", "127.0.4.1");
    meets(&lab, "hub", &first);
    let (_second, second) = at_host("second", "127.0.4.1");
    tells(&lab, "second", &hub, &format!("it refused us: {LIMIT}"));
    tells(&lab, "hub", &second, &format!("we refused it: {LIMIT}"));
    let (_third, third) = at_host("third", "127.0.5.1");
    meets(&lab, "hub", &third);
    let (_fourth, fourth) = at_host("fourth", "127.0.6.1");
    tells(&lab, "hub", &fourth, &format!("we refused it: {LIMIT}"));
    let list = json(&lab, "hub", &["peer", "list", "--json"]);
    assert_eq!(list["summary"]["connected"], 2, "{list}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_younger_of_a_crowded_network_goes_for_one_of_another_and_not_for_its_like() {
    let lab = Lab::new();
    let (_hub, hub, at) = configured(&lab, "hub", &places(2), &[]);
    let seed = format!("{hub}@{at}");
    let at_host = |name: &str, host: &str| start_at(&lab, name, host, &seed);
    let (_old, old) = at_host("old", "127.7.0.1");
    meets(&lab, "hub", &old);
    let (_young, young) = at_host("young", "127.7.0.2");
    meets(&lab, "hub", &young);
    let (_like, like) = at_host("like", "127.7.0.3");
    tells(&lab, "hub", &like, &format!("we refused it: {LIMIT}"));
    let (_other, other) = at_host("other", "127.8.0.1");
    meets(&lab, "hub", &other);
    tells(&lab, "hub", &young, "it made room for another peer");
    tells(&lab, "young", &hub, &format!("it said goodbye: {LIMIT}"));
    assert_eq!(known(&lab, "hub", &old)["status"], "connected");
    let stats = json(&lab, "hub", &["stats", "--json"]);
    assert_eq!(stats["evictions"], 1, "{stats}");
}
