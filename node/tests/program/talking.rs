//! What nodes say to each other on behalf of their operators: questions, messages through a third node,
//! what was missed, whom they trust, topics.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json as object};

use crate::control::{Pair, ask, command, json, start, told};
use crate::http::get;
use crate::neighbours::{configured, known, meets};
use crate::process::{DEADLINE, Lab, Running, STOP_LIMIT, until};

/// What the API answers to something that it is sent over its Unix socket.
pub(crate) fn post(lab: &Lab, name: &str, path: &str, body: &Value) -> Value {
    let socket = lab.path(name).join("control.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error} in {answer}"))
}

/// The last events of a kind that a node tells of.
pub(crate) fn events(lab: &Lab, name: &str, kind: &str) -> Vec<Value> {
    let socket = lab.path(name).join("control.sock");
    let recent = get(&socket, "/api/v1/events/recent?count=256");
    let all = recent["events"].as_array().unwrap().iter();
    all.filter(|event| event["kind"] == kind).cloned().collect()
}

/// The texts of the broadcasts that reached a node, in their order.
pub(crate) fn heard(lab: &Lab, name: &str) -> Vec<String> {
    let broadcasts = events(lab, name, "broadcast").into_iter();
    let text = |event: Value| event["detail"]["text"].as_str().map(str::to_owned);
    broadcasts.filter_map(text).collect()
}

/// A number of `dunlin stats`.
pub(crate) fn counter(lab: &Lab, name: &str, counter: &str) -> u64 {
    json(lab, name, &["stats", "--json"])[counter]
        .as_u64()
        .unwrap()
}

/// Keys for a node that has one peer and no more.
pub(crate) const ONE_PEER: &str =
    "[network.peers]\nmax_connections = 1\ntarget_connections = 1\nmin_connections = 1\n";

/// Three in a row: two that have one peer each, the one between them.
pub(crate) struct Row {
    pub(crate) lab: Lab,
    pub(crate) left: String,
    pub(crate) middle: String,
    pub(crate) right: String,
    _running: [Running; 3],
}

impl Row {
    /// The one in the middle has this configuration.
    pub(crate) fn start(middle: &str) -> Self {
        let lab = Lab::new();
        let (between, middle, at) = configured(&lab, "middle", middle, &[]);
        let seed = ["--bootstrap", &format!("{middle}@{at}")];
        let (one, left, _) = configured(&lab, "left", ONE_PEER, &seed);
        let (other, right, _) = configured(&lab, "right", ONE_PEER, &seed);
        for id in [&left, &right] {
            meets(&lab, "middle", id);
        }
        for name in ["left", "right"] {
            meets(&lab, name, &middle);
        }
        Self {
            lab,
            left,
            middle,
            right,
            _running: [between, one, other],
        }
    }
}

#[test]
fn a_request_is_answered_refused_or_given_up_in_time() {
    let pair = Pair::start();
    let (lab, second) = (&pair.lab, &*pair.second_id);
    assert_eq!(
        told(lab, "first", &["request", second, "echo", "hello"]),
        "hello\n"
    );
    let info = told(lab, "first", &["request", second, "node-info"]);
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["id"], second);
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let words = ["request", second, "echo", "hello", "--json"];
    let answered = json(lab, "first", &words);
    assert_eq!(
        (&answered["peer"], &answered["bytes"]),
        (&object!(second), &object!(5))
    );
    assert!(answered["took_ms"].as_f64().unwrap() > 0.0, "{answered}");
    // Nobody listens there who could answer.
    let refused = ask(lab, "first", &["request", second, "sum", "1+1"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        refused
            .sentence()
            .contains("nobody there handles that name"),
        "{refused:?}"
    );

    pair.second.signal("STOP");
    let late = ask(
        lab,
        "first",
        &["request", second, "echo", "hello", "--timeout", "500ms"],
    );
    pair.second.signal("CONT");
    assert_eq!(late.code, Some(4), "{late:?}");
    assert!(
        late.sentence().contains("has not answered in time"),
        "{late:?}"
    );
}

#[test]
fn an_application_answers_what_its_node_is_asked() {
    let pair = Pair::start();
    let lab = &pair.lab;
    // The application listens.
    let mut listening = Running::start(&mut command(
        lab,
        "second",
        &["logs", "--events", "-f", "-n", "1", "--json"],
    ));
    listening.line();
    let words = ["request", &*pair.second_id, "sum", "1+1"];
    let asking = Running::start(&mut command(lab, "first", &words));
    let question: Value = loop {
        let event: Value = serde_json::from_str(&listening.line()).unwrap();
        if event["kind"] == "request" {
            break event;
        }
    };
    let detail = &question["detail"];
    assert_eq!(
        (&detail["handler"], &detail["text"]),
        (&object!("sum"), &object!("1+1"))
    );
    assert_eq!(question["peer"], *pair.first_id);
    let answer = object!({ "peer": pair.first_id, "id": detail["id"], "text": "2" });
    let answered = post(lab, "second", "/api/v1/responses", &answer);
    assert_eq!(answered["changed"], true, "{answered}");
    let asked = asking.finish();
    assert_eq!((asked.code, &*asked.stdout), (Some(0), "2\n"), "{asked:?}");
    let again = post(lab, "second", "/api/v1/responses", &answer);
    assert_eq!(again["changed"], false, "once: {again}");
}

#[test]
fn who_is_no_neighbour_is_reached_through_one_that_relays() {
    let row = Row::start("roles = [\"full\", \"relay\"]\n");
    let lab = &row.lab;
    let (right, middle) = (&*row.right, &*row.middle);
    let direct = ask(lab, "left", &["request", right, "echo", "hello"]);
    assert!([Some(2), Some(4)].contains(&direct.code), "{direct:?}");
    let sent = told(
        lab,
        "left",
        &["message", right, "are you there?", "--via", "any"],
    );
    assert!(sent.contains("14 bytes"), "{sent}");
    let came = || events(lab, "right", "direct");
    assert!(until(DEADLINE, || came().len() == 1));
    let message = &came()[0];
    assert_eq!(message["peer"], *row.left);
    assert_eq!(message["detail"]["text"], "are you there?");
    assert_eq!(message["detail"]["via"], middle);
    let info = told(
        lab,
        "left",
        &["request", right, "node-info", "--via", &middle[..20]],
    );
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["id"], right);
    assert!(
        counter(lab, "middle", "relayed") >= 3,
        "a message, a question, an answer"
    );
    // They know of each other by the one between them, who is how they are connected.
    assert!(until(DEADLINE, || known(lab, "left", right).is_object()));
    let peer = known(lab, "left", right);
    assert_eq!(
        (&peer["connection"], &peer["via"]),
        (&object!("relay"), &object!(middle))
    );
    // Nobody reaches who is not there, and who does not relay is not asked to.
    let stranger = dunlin_session::NodeId::from_bytes([9; 32]).to_string();
    let nowhere = ask(
        lab,
        "left",
        &["request", &stranger, "echo", "x", "--via", "any"],
    );
    assert_eq!(nowhere.code, Some(4), "{nowhere:?}");
    assert!(
        nowhere.sentence().contains("no relay reaches"),
        "{nowhere:?}"
    );
    let unable = ask(lab, "middle", &["message", &row.left, "x", "--via", right]);
    assert_eq!(unable.code, Some(3), "{unable:?}");
}

#[test]
fn a_node_that_was_away_gets_what_it_missed_by_comparison() {
    let pair = Pair::start();
    let (lab, first) = (pair.lab, pair.first_id.clone());
    pair.second.signal("TERM");
    pair.second.finish_within(STOP_LIMIT).expect("it stops");
    let is_gone = || known(&lab, "first", &pair.second_id)["status"] != "connected";
    assert!(until(DEADLINE, is_gone));
    let missed: Vec<String> = (0..5).map(|n| format!("missed {n}")).collect();
    for text in &missed {
        told(&lab, "first", &["broadcast", text]);
    }
    let (_again, _, _) = start(&lab, "second", &[]);
    meets(&lab, "second", &first);
    let mut came = Vec::new();
    let has_all = || {
        came = heard(&lab, "second");
        came.sort();
        came == missed
    };
    assert!(until(DEADLINE, has_all), "each once: {came:?}");
    // Whichever of the two began the comparison, what was missing was asked for and brought.
    assert!(counter(&lab, "first", "served") >= 5);
    assert!(counter(&lab, "second", "asked_for") >= 5);
    let metrics = told(&lab, "second", &["metrics"]);
    assert!(
        metrics.contains("\ndunlin_overlay_asked_for_total "),
        "{metrics}"
    );
}

#[test]
fn a_frozen_node_gets_what_was_said_meanwhile_when_it_goes_on() {
    let pair = Pair::start();
    let lab = &pair.lab;
    pair.second.signal("STOP");
    assert!(until(DEADLINE, || counter(lab, "first", "silent") == 1));
    for n in 0..3 {
        told(lab, "first", &["broadcast", &format!("unheard {n}")]);
    }
    pair.second.signal("CONT");
    assert!(until(DEADLINE, || heard(lab, "second").len() == 3));
    // Nothing was pushed to it: it asked for what a comparison showed it.
    assert!(counter(lab, "first", "served") >= 3);
    assert!(counter(lab, "second", "asked_for") >= 3);
}

#[test]
fn what_a_peer_says_of_another_moves_the_trust_in_it_by_a_twentieth_at_most() {
    let lab = Lab::new();
    let (_one, one, at) = start(&lab, "one", &[]);
    let seed = ["--bootstrap", &format!("{one}@{at}")];
    let (_two, two, _) = start(&lab, "two", &seed);
    let (_three, three, _) = start(&lab, "three", &seed);
    for (name, others) in [("one", [&two, &three]), ("two", [&one, &three])] {
        others.iter().for_each(|id| meets(&lab, name, id));
    }
    let own = |name: &str, of: &str| {
        let list = json(&lab, name, &["trust", "list", "--json"]);
        let peers = list["peers"].as_array().unwrap().iter();
        let entry = peers.clone().find(|peer| peer["id"] == *of).cloned();
        entry.and_then(|of| of["own_trust"].as_f64()).unwrap_or(0.5)
    };
    // The answerer has reason to trust the third, and the one who asks has reason to believe it.
    let earned = || {
        told(&lab, "two", &["broadcast", "from two"]);
        told(&lab, "three", &["broadcast", "from three"]);
        own("one", &two) > 0.501 && own("two", &three) > 0.501
    };
    assert!(until(DEADLINE, earned));
    let said = json(&lab, "one", &["trust", "ask", &two[..20], "--json"]);
    assert_eq!(said["peer"], two);
    let trusted = said["trusted"].as_array().unwrap().iter();
    assert!(
        trusted.clone().all(|of| of["id"] != *one),
        "it is not told of itself: {said}"
    );
    let of_three = trusted.clone().find(|of| of["id"] == *three);
    let of_three = of_three.unwrap_or_else(|| panic!("nothing of the third: {said}"));
    let number = |name: &str| of_three[name].as_f64().unwrap();
    assert!(number("stated") > 0.5, "{said}");
    let moved = number("trust") - number("own_trust");
    assert!(moved > 0.0 && moved <= 0.05, "{said}");
    let table = told(&lab, "one", &["trust", "ask", &two]);
    assert!(
        table.contains(&three[..15]) && table.contains("It says"),
        "{table}"
    );
    // It is noted, and moves no score.
    let noted = events(&lab, "one", "trust_statements");
    assert!(noted.iter().any(|event| event["peer"] == *two), "{noted:?}");
}

#[test]
fn only_broadcasts_of_the_chosen_topics_are_heard() {
    let pair = Pair::start();
    let lab = &pair.lab;
    assert_eq!(
        json(lab, "second", &["topics", "list", "--json"])["topics"],
        Value::Null
    );
    let all = ask(lab, "second", &["topics", "list"]);
    assert!(all.stderr.contains("all topics"), "{all:?}");
    let set = told(lab, "second", &["topics", "set", "weather", "prices"]);
    assert_eq!(set, "prices\nweather\n");
    assert_eq!(told(lab, "second", &["topics", "list"]), set);
    told(lab, "first", &["broadcast", "gossip", "--topic", "chat"]);
    told(lab, "first", &["broadcast", "42", "--topic", "prices"]);
    assert!(until(DEADLINE, || counter(
        lab,
        "second",
        "broadcasts_received"
    ) == 2));
    assert!(until(DEADLINE, || heard(lab, "second") == ["42"]));
    let all = json(lab, "second", &["topics", "set", "--all", "--json"]);
    assert_eq!(all["topics"], Value::Null);
    told(lab, "first", &["broadcast", "hello", "--topic", "chat"]);
    assert!(until(DEADLINE, || heard(lab, "second") == ["42", "hello"]));
}
