//! The dashboard of real processes, over the wire: who is let in, what is served, what is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::control::{ask, json, start, told};
use crate::process::{DEADLINE, Lab, Running, dunlin, until};

/// A network: the first node is the one to look at, the others joined through it.
pub(crate) struct Network {
    pub(crate) lab: Lab,
    pub(crate) ids: Vec<String>,
    _nodes: Vec<Running>,
}

impl Network {
    /// Waits until the first node is linked to all others.
    pub(crate) fn start(count: usize, more: &[&str]) -> Self {
        let lab = Lab::new();
        let (node, id, address) = start(&lab, "0", more);
        let at = format!("{id}@{address}");
        let (mut nodes, mut ids) = (vec![node], vec![id]);
        for index in 1..count {
            let (node, id, _) = start(&lab, &index.to_string(), &["--bootstrap", &at]);
            nodes.push(node);
            ids.push(id);
        }
        let network = Self {
            lab,
            ids,
            _nodes: nodes,
        };
        let others = u64::try_from(count - 1).unwrap();
        assert!(until(DEADLINE, || network.list("connected").len() as u64
            == others));
        network
    }

    /// IDs of the peers of the first node that pass a filter.
    pub(crate) fn list(&self, filter: &str) -> Vec<String> {
        let words = ["peer", "list", "--json", "--filter", filter];
        let list = json(&self.lab, "0", &words);
        let peers = list["peers"].as_array().unwrap().iter();
        peers
            .map(|peer| peer["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A link to the dashboard of the first node.
    pub(crate) fn link(&self) -> String {
        told(&self.lab, "0", &["dashboard"]).trim().to_owned()
    }
}

/// Where a link leads: the host with its port, and the path.
pub(crate) fn parts(link: &str) -> (&str, &str) {
    let rest = link.strip_prefix("http://").unwrap();
    let (host, _) = rest.split_once('/').unwrap();
    (host, &rest[host.len()..])
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}

fn send(host: &str, request: &str, headers: &[&str]) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut text = format!("{request} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        text.push_str(&format!("Host: {host}\r\n"));
    }
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    write!(stream, "{text}\r\n").unwrap();
    BufReader::new(stream)
}

pub(crate) fn fetch(host: &str, request: &str, headers: &[&str]) -> Answer {
    let mut text = String::new();
    send(host, request, headers)
        .read_to_string(&mut text)
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Follows a link as a browser does; the header with the cookie.
pub(crate) fn enter(link: &str) -> String {
    let (host, path) = parts(link);
    let answer = fetch(host, &format!("GET {path}"), &[]);
    assert_eq!(answer.status, 303, "{}", answer.head);
    let cookie = answer.header("set-cookie").unwrap();
    format!("Cookie: {}", cookie.split(';').next().unwrap())
}

#[test]
fn the_page_and_its_files_are_for_who_followed_a_link() {
    let network = Network::start(3, &[]);
    let link = network.link();
    let (host, path) = parts(&link);
    let cookie = enter(&link);
    let page = fetch(host, "GET /", &[&cookie]);
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let names: Vec<_> = page.body.split("\"/assets/").skip(1).collect();
    let names: Vec<_> = names
        .iter()
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    let files = names.iter().map(|name| format!("/assets/{name}"));
    for file in files.chain(["/".to_owned()]) {
        let request = format!("GET {file}");
        let answer = fetch(host, &request, &[&cookie]);
        assert_eq!(answer.status, 200, "{file}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let without = fetch(host, &request, &[]);
        assert_eq!(without.status, 401, "{file}");
        assert!(!without.body.contains(&network.ids[0]));
    }
    let door = fetch(host, "GET /", &[]);
    assert!(door.body.contains("dunlin dashboard"), "{}", door.body);
    let again = fetch(host, &format!("GET {path}"), &[]);
    assert_eq!(again.status, 401, "a link works once");
    assert!(again.header("set-cookie").is_none());
    assert_eq!(fetch(host, "GET /assets/none.js", &[&cookie]).status, 404);
}

#[test]
fn a_browser_that_was_let_in_uses_the_api_from_the_page_only() {
    let network = Network::start(2, &[]);
    let link = network.link();
    let (host, _) = parts(&link);
    let cookie = &*enter(&link);
    let origin = &*format!("Origin: http://{host}");
    let status = |request: &str, headers: &[&str]| fetch(host, request, headers).status;
    assert_eq!(status("GET /api/v1/status", &[cookie]), 200);
    assert_eq!(status("GET /api/v1/status", &[]), 401);
    assert_eq!(
        status("GET /api/v1/status", &["Cookie: dunlin-dashboard-1=00"]),
        401
    );
    let ban = format!("DELETE /api/v1/peers/{}?ban=true", network.ids[1]);
    assert_eq!(
        status(&ban, &[cookie]),
        401,
        "it has to say where it comes from"
    );
    for other in [
        "Origin: http://evil.example",
        "Origin: http://127.0.0.1:1",
        "Origin: null",
    ] {
        assert_eq!(status(&ban, &[cookie, other]), 403, "{other}");
        assert_eq!(status("GET /", &[cookie, other]), 403, "{other}");
    }
    assert_eq!(status("GET /", &[cookie, "Sec-Fetch-Site: same-site"]), 403);
    assert_eq!(status("GET /", &[cookie, "Host: evil.example"]), 403);
    assert!(network.list("banned").is_empty());
    assert_eq!(status(&ban, &[cookie, origin]), 200);
    assert_eq!(network.list("banned"), [network.ids[1].clone()]);
}

#[test]
fn samples_and_events_come_on_one_stream() {
    let network = Network::start(3, &["--api", "127.0.0.1:0"]);
    let link = network.link();
    let (host, _) = parts(&link);
    let cookie = enter(&link);
    let stream = send(host, "GET /api/v1/events?samples=250", &[&cookie]);
    let mut lines = stream.lines().map(Result::unwrap);
    let mut next = |wanted: &str| -> Value {
        let kind = format!("event: {wanted}");
        lines
            .find(|line| *line == kind)
            .expect("the stream goes on");
        let data = lines.find(|line| line.starts_with("data: ")).unwrap();
        serde_json::from_str(&data["data: ".len()..]).unwrap()
    };
    let first = next("sample");
    assert_eq!(first["links"].as_array().unwrap().len(), 2, "{first}");
    assert_eq!(first["peers"]["connected"], 2);
    assert_eq!(first["left_out"], 0);
    let path = &first["links"][0]["path"];
    assert!(path["congestion_window"].as_u64().unwrap() > 0, "{first}");
    assert!(path["bytes_sent"].as_u64().unwrap() > 0, "{first}");
    told(&network.lab, "1", &["broadcast", "hello"]);
    let heard = next("broadcast");
    assert_eq!(heard["peer"], *network.ids[1]);
    assert_eq!(heard["detail"]["text"], "hello");
    let later = next("sample");
    assert!(later["unix_ms"].as_u64() > first["unix_ms"].as_u64());
    assert_eq!(later["stats"]["broadcasts_received"], 1);
}

#[test]
fn every_link_is_another_one_and_json_says_how_long_it_lasts() {
    let network = Network::start(1, &[]);
    let link = json(&network.lab, "0", &["dashboard", "--json"]);
    assert_eq!(link["expires_in_s"], 3_600);
    let url = link["url"].as_str().unwrap();
    let other = network.link();
    assert_ne!(url, other);
    assert_eq!(parts(url).0, parts(&other).0, "the same address");
    let (first, second) = (enter(&other), enter(url));
    assert_ne!(first, second);
    assert_eq!(ask(&network.lab, "0", &["stop"]).code, Some(0));
}

#[test]
fn a_network_that_stays_has_a_dashboard_of_its_first_node() {
    let mut command = dunlin();
    command.args(["simulate", "--count", "3", "--forever"]);
    let mut network = Running::start(&mut command);
    while !network.line().starts_with("file:") {}
    let told = network.stderr();
    let (_, link) = told.split_once("for one browser: ").expect(&told);
    let link = link.lines().next().unwrap();
    let cookie = enter(link);
    let (host, _) = parts(link);
    let peers = fetch(host, "GET /api/v1/peers?filter=connected", &[&cookie]);
    assert!(peers.body.contains("\"connected\":2"), "{}", peers.body);
    let recent = fetch(host, "GET /api/v1/events/recent?count=256", &[&cookie]);
    assert!(
        recent.body.contains("broadcast on simulate"),
        "{}",
        recent.body
    );
}
