//! The document of the API, held against a running node from outside: every operation that it names
//! answers as it says, and what it does not name is not there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::process::{DEADLINE, Finished, Lab, Running, dunlin, until};

/// A node with the API over TCP.
struct Node {
    running: Running,
    id: String,
    address: String,
    api: String,
    token: String,
}

/// An answer to a request.
#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: String,
    body: Value,
}

impl Node {
    fn start(lab: &Lab, name: &str, more: &[&str]) -> Self {
        let mut command = dunlin();
        let data = lab.path(name);
        command
            .args([
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--api",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(&data)
            .args(more);
        let mut running = Running::start(&mut command);
        let line = running.line();
        let (id, address) = line.split_once('@').unwrap();
        let read = |name: &str| {
            std::fs::read_to_string(data.join(name))
                .unwrap()
                .trim()
                .to_owned()
        };
        Self {
            running,
            id: id.to_owned(),
            address: address.to_owned(),
            api: read("api.address"),
            token: read("api.token"),
        }
    }

    fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> (u16, String, BufReader<TcpStream>) {
        let mut stream = TcpStream::connect(&self.api).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let kind = body.map_or("", |_| "Content-Type: application/json\r\n");
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            self.api,
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut content_type = String::new();
        loop {
            let header = line();
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap();
            if name.eq_ignore_ascii_case("content-type") {
                content_type = value.split(';').next().unwrap().trim().to_owned();
            }
        }
        (status, content_type, reader)
    }

    /// The head of a stream that has no end.
    fn listen(&self, path: &str) -> Answer {
        let (status, content_type, _) = self.open("GET", path, None);
        Answer {
            status,
            content_type,
            body: Value::Null,
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let (status, content_type, mut reader) = self.open(method, path, body);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        Answer {
            status,
            content_type,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }
}

/// The document, for looking things up.
struct Document(Value);

impl Document {
    /// The operation that a request is for.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap();
        let all = self.0["paths"].as_object().unwrap().iter();
        // A path without a variable goes before one with it.
        let mut all: Vec<_> = all.filter(|(template, _)| fits(template, path)).collect();
        all.sort_by_key(|(template, _)| template.contains('{'));
        all.first()?.1.get(method.to_lowercase())
    }

    /// What is wrong with `value` by `schema`.
    fn mistakes(&self, schema: &Value, value: &Value) -> Vec<String> {
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::validator_for(&whole).unwrap();
        let errors = validator.iter_errors(value);
        errors
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect()
    }

    /// What is wrong with an answer: its status, content type or body are not those of the document.
    fn unlike(&self, operation: &Value, answer: &Answer) -> Vec<String> {
        let responses = operation["responses"].as_object().unwrap();
        let status = answer.status.to_string();
        let is_good = (200..300).contains(&answer.status);
        let Some(response) = responses.get(&status).or_else(|| {
            let other = responses.get("default");
            other.filter(|_| !is_good)
        }) else {
            return vec![format!("status {status} is not in the document")];
        };
        let contents: &Map<_, _> = response["content"].as_object().unwrap();
        let Some(content) = contents.get(&answer.content_type) else {
            return vec![format!("{} is not in the document", answer.content_type)];
        };
        match content.get("schema") {
            Some(schema) => self.mistakes(schema, &answer.body),
            None => Vec::new(),
        }
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(expected, part)| {
            expected == part || (expected.starts_with('{') && !part.is_empty())
        })
}

/// A request, and the status that it is answered with.
type Request = (&'static str, String, Option<Value>, u16);

/// Requests that need no words of ours, because they have no body: one for each such operation that is not
/// among `known`.
fn plain_requests(document: &Document, known: &[Request], peer: &str) -> Vec<Request> {
    let mut found = Vec::new();
    for (template, operations) in document.0["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let operation = &operations[method.to_lowercase()];
            let is_known = known.iter().any(|(of, path, ..)| {
                *of == method && document.operation(of, path) == Some(operation)
            });
            if operation.is_object() && operation["requestBody"].is_null() && !is_known {
                found.push((method, template.replace("{peer}", peer), None, 200));
            }
        }
    }
    found
}

fn of(rest: &str) -> String {
    format!("/api/v1{rest}")
}

/// Requests with a body, with parameters, or that end something; those last.
fn requests(peer: &str, address: &str) -> Vec<Request> {
    let mut all = good_requests(peer, address);
    all.extend(refused_requests(peer, address));
    all.push(("POST", of("/stop"), None, 200));
    all
}

fn good_requests(peer: &str, address: &str) -> Vec<Request> {
    let telling = json!({ "name": "news", "text": "hello", "priority": "high" });
    let file = json!({ "version": 1, "peers": [{ "id": peer, "addresses": [address] }] });
    let added = json!({ "address": address, "priority": "low", "wait_ms": 5_000 });
    let asked = json!({ "name": "node-info", "text": "", "timeout_ms": 10_000 });
    let refused = json!({ "peer": peer, "id": 7, "refuse": true });
    let ignored = json!({ "broadcast": "00".repeat(32), "verdict": "ignore" });
    let topics = json!({ "topics": ["news", "prices"] });
    let filter = json!({ "filter": "warn,dunlin_overlay=debug" });
    let ban = json!({ "subject": "192.0.2.0/24", "duration_s": 60, "reason": "a test" });
    let told = Some(telling.clone());
    let (messages, asks) = (
        format!("/peers/{peer}/messages"),
        format!("/peers/{peer}/requests"),
    );
    [
        ("GET", "/peers?filter=connected", None),
        ("GET", "/peers?filter=banned", None),
        ("POST", "/peers", Some(added)),
        ("GET", "/peers/top?count=3", None),
        ("POST", "/peers/import", Some(file)),
        ("GET", &format!("/peers/{}", &peer[..16]), None),
        ("POST", &messages, told),
        ("POST", "/broadcasts", Some(telling)),
        ("POST", &asks, Some(asked)),
        ("POST", "/responses", Some(refused)),
        ("POST", "/verdicts", Some(ignored)),
        ("PUT", "/topics", Some(topics)),
        ("GET", "/trust/events?count=5", None),
        ("GET", "/events?kinds=peer_up&samples=250", None),
        ("GET", "/events/recent?count=5", None),
        ("PUT", "/log", Some(filter)),
        ("POST", "/bans", Some(ban)),
        ("GET", "/bans", None),
        ("DELETE", "/bans/192.0.2.0%2F24", None),
        ("DELETE", &format!("/peers/{peer}?ban=true"), None),
    ]
    .map(|(method, rest, body)| (method, of(rest), body, 200))
    .to_vec()
}

fn refused_requests(peer: &str, address: &str) -> Vec<Request> {
    let burnt = json!({ "broadcast": "00".repeat(32), "verdict": "burn" });
    let misspelt = json!({ "adress": address });
    let telling = json!({ "name": "n", "text": "t" });
    [
        ("POST", "/verdicts", Some(burnt), 400),
        ("GET", "/peers/nobody", None, 404),
        ("GET", "/peers?filter=some", None, 400),
        ("POST", "/peers", Some(misspelt), 400),
        ("POST", "/bans", Some(json!({})), 400),
        ("PUT", "/log", Some(json!({ "filter": "=,=" })), 400),
        (
            "POST",
            &format!("/peers/{peer}/messages"),
            Some(telling),
            409,
        ),
    ]
    .map(|(method, rest, body, status)| (method, of(rest), body, status))
    .to_vec()
}

fn document_of(node: &Node) -> Document {
    Document(node.ask("GET", "/api/v1/openapi.json", None).body)
}

#[test]
fn every_operation_of_the_document_answers_as_it_says() {
    let lab = Lab::new();
    let other = Node::start(&lab, "other", &[]);
    let node = Node::start(
        &lab,
        "node",
        &["--bootstrap", &format!("{}@{}", other.id, other.address)],
    );
    let up = format!("peer up: {}", other.id);
    assert!(
        until(DEADLINE, || node.running.stderr().contains(&up)),
        "{}",
        node.running.stderr()
    );
    let document = document_of(&node);
    let listed = requests(&other.id, &other.address);
    let mut all = plain_requests(&document, &listed, &other.id);
    all.extend(listed);
    let mut used = BTreeSet::new();
    for (method, path, body, status) in all {
        let place = format!("{method} {path}");
        let operation = document
            .operation(method, &path)
            .unwrap_or_else(|| panic!("{place}"));
        if let Some(body) = &body {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mistakes = document.mistakes(schema, body);
            // A filter of the log is a text in any case; what it says is for the node to judge.
            let is_understood = status != 400 || path.ends_with("/log");
            assert_eq!(mistakes.is_empty(), is_understood, "{place}: {mistakes:?}");
        }
        let declared: Vec<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        for pair in path
            .split('?')
            .nth(1)
            .into_iter()
            .flat_map(|query| query.split('&'))
        {
            let name = pair.split('=').next().unwrap();
            assert!(
                declared.iter().any(|known| known["name"] == name),
                "{place}: {name}"
            );
        }
        let is_stream = operation["responses"]["200"]["content"]["text/event-stream"].is_object();
        let text = body.map(|body| body.to_string());
        let answer = if is_stream {
            node.listen(&path)
        } else {
            node.ask(method, &path, text.as_deref())
        };
        assert_eq!(answer.status, status, "{place}: {answer:?}");
        let unlike = document.unlike(operation, &answer);
        assert!(unlike.is_empty(), "{place}: {unlike:?} in {answer:?}");
        if status == 200 {
            used.insert(operation["operationId"].as_str().unwrap().to_owned());
        }
    }
    let all: BTreeSet<_> = document.0["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|operations| operations.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(used, all, "one with a body has to be among the requests");
}

#[test]
fn what_the_document_does_not_name_is_not_there() {
    let lab = Lab::new();
    let node = Node::start(&lab, "node", &[]);
    let document = document_of(&node);
    let paths: Vec<_> = document.0["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    for path in &paths {
        // `HEAD` is what `GET` has; the rest is not named for any path.
        for method in ["PATCH", "TRACE", "OPTIONS", "PUT", "DELETE", "POST", "GET"] {
            let path = path.replace(['{', '}'], "");
            if document.operation(method, &path).is_none() {
                let answer = node.ask(method, &path, None);
                assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            }
        }
        let beside = node.ask(
            "GET",
            &format!("{}/x/y/z", path.replace(['{', '}'], "")),
            None,
        );
        assert_eq!(beside.status, 404, "{path}: {beside:?}");
    }
    for path in [
        "/api",
        "/api/v1",
        "/api/v2/status",
        "/api/v1/peer",
        "/metrics/",
    ] {
        assert_eq!(node.ask("GET", path, None).status, 404, "{path}");
    }
}

/// Another program than ours reads the document: `openapi-spec-validator`, which `.ci/run` installs. With
/// `DUNLIN_NEED_OPENAPI` set its absence is a failure.
#[test]
fn an_outside_validator_finds_the_document_sound() {
    let lab = Lab::new();
    let node = Node::start(&lab, "node", &[]);
    let document = document_of(&node);
    let validate = |document: &Value| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        std::fs::write(&path, document.to_string()).unwrap();
        let validated = Command::new("openapi-spec-validator").arg(path).output();
        validated.ok().map(Finished::from)
    };
    let mut broken = document.0.clone();
    broken["paths"]["/api/v1/status"]["get"]["responses"] = json!({ "200": {} });
    let Some(found) = validate(&broken) else {
        assert!(
            std::env::var_os("DUNLIN_NEED_OPENAPI").is_none(),
            "openapi-spec-validator is missing"
        );
        eprintln!("skipped: openapi-spec-validator is not installed");
        return;
    };
    assert_ne!(
        found.code,
        Some(0),
        "a response needs a description: {found:?}"
    );
    let sound = validate(&document.0).unwrap();
    assert_eq!(sound.code, Some(0), "{sound:?}");
}

#[test]
fn finds_answers_that_the_document_does_not_allow() {
    let document = Document(json!({ "components": { "schemas": {} } }));
    let operation = json!({ "responses": {
        "200": { "content": { "application/json": { "schema": { "type": "object", "required": ["id"] } } } },
        "default": { "content": { "application/problem+json": {} } },
    } });
    let check = |status, content_type: &str, body| {
        let answer = Answer {
            status,
            content_type: content_type.to_owned(),
            body,
        };
        document.unlike(&operation, &answer).len()
    };
    assert_eq!(check(200, "application/json", json!({ "id": 1 })), 0);
    assert_eq!(check(404, "application/problem+json", json!({})), 0);
    assert_eq!(check(200, "application/json", json!({})), 1, "body");
    assert_eq!(
        check(200, "text/plain", json!({ "id": 1 })),
        1,
        "content type"
    );
    assert_eq!(
        check(202, "application/json", json!({ "id": 1 })),
        1,
        "status"
    );
    assert!(fits("/a/{b}", "/a/c") && !fits("/a/{b}", "/a") && !fits("/a/{b}", "/a/"));
}
