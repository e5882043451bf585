//! The API over its sockets, against real nodes in this process.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use dunlin_session::NodeId;
use dunlin_transport::driver::CarrierChoice;
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::client::{Client, Heard};
use super::limits::{BODY_LEN_MAX, EVENTS_WAITING_MAX, STREAMS_MAX};
use super::model::{Code, PeerStatus, Problem, Status};
use super::*;
use crate::network::{Node, NodeOptions};
use crate::stack::Keys;

/// A node with a control interface.
struct Served {
    client: Client,
    control: Arc<Control>,
    shutdown: Shutdown,
    node: Node,
    events: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Served {
    fn start(bootstrap: &[&Self]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = NodeOptions {
            bootstrap: bootstrap
                .iter()
                .map(|other| (other.node.address(), Some(other.node.id())))
                .collect(),
            carriers: CarrierChoice::UdpOnly,
            ..NodeOptions::new((Ipv4Addr::LOCALHOST, 0).into())
        };
        let (node, mut happened) = Node::start(&Keys::throwaway(), options).unwrap();
        let options = ControlOptions {
            http: Some((Ipv4Addr::LOCALHOST, 0).into()),
            ..ControlOptions::new(DataDir::open(Some(folder.path())).unwrap())
        };
        let shutdown = Shutdown::manual();
        let control = Control::start(node.handle(), &options, shutdown.clone()).unwrap();
        let control = Arc::new(control);
        let told = Arc::clone(&control);
        let events = tokio::spawn(async move {
            while let Some(event) = happened.recv().await {
                told.on_event(&event);
            }
        });
        Self {
            client: Client::new(Some(folder.path())).unwrap(),
            control,
            shutdown,
            node,
            events,
            folder,
        }
    }

    /// Waits until both know each other as connected.
    async fn meet(&self, other: NodeId) {
        loop {
            if self.node.peers().await.contains(&other) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn status_of(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let text = body.map(|body| body.to_string());
        self.raw(&method, path, text.as_deref(), &[]).await
    }

    /// A request over TCP, byte by byte our own.
    async fn raw(
        &self,
        method: &Method,
        path: &str,
        body: Option<&str>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let address = self.control.http().unwrap();
        let token = std::fs::read_to_string(self.folder.path().join("api.token")).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let mut all = vec![
            ("Host", address.to_string()),
            ("Authorization", format!("Bearer {}", token.trim())),
            ("Content-Type", "application/json".to_owned()),
            ("Content-Length", body.map_or(0, str::len).to_string()),
        ];
        for (name, value) in headers {
            all.retain(|(known, _)| known != name);
            all.push((name, (*value).to_owned()));
        }
        for (name, value) in all.iter().filter(|(_, value)| !value.is_empty()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body.unwrap_or_default());
        exchange(address, &request).await
    }
}

async fn exchange(address: SocketAddr, request: &str) -> (u16, Value) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The document with `schema` at its top, so that references inside it resolve.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::validator_for(&whole).unwrap()
}

/// Bodies of what applications ask, answer and judge.
fn of_applications(peer: &str) -> [(&'static str, Value); 3] {
    let nothing = "00".repeat(32);
    [
        ("askPeer", json!({ "name": "echo", "text": "hello" })),
        ("respond", json!({ "peer": peer, "id": 7, "text": "hello" })),
        (
            "judge",
            json!({ "broadcast": nothing, "verdict": "reject" }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_and_every_answer_fits_its_schema() {
    let first = Served::start(&[]);
    let second = Served::start(&[&first]);
    first.meet(second.node.id()).await;
    second.meet(first.node.id()).await;
    let (_, document) = first
        .status_of(Method::GET, "/api/v1/openapi.json", None)
        .await;
    let (peer, address) = (second.node.id().to_string(), second.node.address());
    let told = json!({ "name": "t", "text": "hello" });
    let mut bodies = vec![
        ("stop", json!({})),
        (
            "addPeer",
            json!({ "address": address.to_string(), "wait_ms": 5_000 }),
        ),
        (
            "importPeers",
            json!({ "version": 1, "peers": [{ "id": peer, "addresses": [address.to_string()] }] }),
        ),
        ("broadcast", told.clone()),
        ("sendMessage", told),
        ("ban", json!({ "subject": peer, "reason": "a test" })),
        ("setTopics", json!({ "topics": ["prices", "weather"] })),
    ];
    bodies.extend(of_applications(&peer));
    let mut answered = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            // These end a link, the stream or the process, or need the logger of the process.
            let others = ["listLog", "streamLog", "setLogFilter"];
            if others.contains(&id) || ["removePeer", "ban", "streamEvents", "stop"].contains(&id) {
                continue;
            }
            let path = path.replace("{peer}", &peer).replace("{subject}", &peer);
            let body = bodies.iter().find(|(of, _)| *of == id);
            let body = body.map(|(_, body)| body.clone());
            let method = method.to_uppercase().parse().unwrap();
            let (status, answer) = first.status_of(method, &path, body).await;
            assert_eq!(status, 200, "{id}: {answer}");
            let content = &operation["responses"]["200"]["content"]["application/json"];
            if let Some(schema) = content.get("schema") {
                let errors: Vec<_> = validator(&document, schema)
                    .iter_errors(&answer)
                    .map(|error| error.to_string())
                    .collect();
                assert!(errors.is_empty(), "{id}: {errors:?} in {answer}");
            }
            answered.insert(id.to_owned());
        }
    }
    assert!(answered.len() >= 17, "{answered:?}");
    let ended = [
        ("POST", "/api/v1/bans", "ban"),
        ("POST", "/api/v1/stop", "stop"),
    ];
    for (method, path, id) in ended {
        let body = bodies.iter().find(|(of, _)| *of == id).unwrap().1.clone();
        let method = method.parse().unwrap();
        let (status, answer) = first.status_of(method, path, Some(body)).await;
        assert_eq!(status, 200, "{id}: {answer}");
    }
    assert!(first.shutdown.is_requested());
    let detail: model::PeerDetail = first
        .client
        .get(&format!("/api/v1/peers/{peer}"))
        .await
        .unwrap();
    assert_eq!(detail.peer.status, PeerStatus::Banned);
}

#[test]
fn the_document_has_every_route_once_and_no_loose_reference() {
    let document = openapi::document();
    let mut ids = BTreeSet::new();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            documented.insert((method.to_uppercase(), path.clone()));
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
        }
    }
    let routed: BTreeSet<_> = routes::routes()
        .iter()
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(documented, routed);
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"].get(name).is_some(),
            "{name} is missing"
        );
    }
    // The page about the API has every path, too.
    let manual = include_str!("../../../docs/api.md");
    for (method, path) in &documented {
        let row = format!("| `{method}` | `{path}` |");
        assert!(manual.contains(&row), "docs/api.md lacks {row}");
    }
}

#[tokio::test]
async fn mistakes_are_answered_with_their_status_and_a_sentence() {
    let node = Served::start(&[]);
    let unknown = "dunlin1qqqqqqqqqqqqqq";
    let cases = [
        ("GET", "/api/v1/nothing", None, Code::NotFound),
        ("PUT", "/api/v1/status", None, Code::MethodNotAllowed),
        ("GET", "/api/v1/peers?filter=some", None, Code::BadRequest),
        ("GET", "/api/v1/peers?filtre=all", None, Code::BadRequest),
        (
            "GET",
            &format!("/api/v1/peers/{unknown}"),
            None,
            Code::UnknownPeer,
        ),
        ("GET", "/api/v1/peers/127.0.0.1:9", None, Code::UnknownPeer),
        ("POST", "/api/v1/peers", Some("{"), Code::BadRequest),
        (
            "POST",
            "/api/v1/peers",
            Some(r#"{"address":"nowhere"}"#),
            Code::BadRequest,
        ),
        (
            "POST",
            "/api/v1/peers",
            Some(r#"{"adress":"h:1"}"#),
            Code::BadRequest,
        ),
        (
            "POST",
            "/api/v1/broadcasts",
            Some(r#"{"name":"t"}"#),
            Code::BadRequest,
        ),
        (
            "POST",
            "/api/v1/broadcasts",
            Some(r#"{"name":"t","hex":"0g"}"#),
            Code::BadRequest,
        ),
        (
            "POST",
            "/api/v1/broadcasts",
            Some(r#"{"name":"","text":"x"}"#),
            Code::BadRequest,
        ),
        (
            "POST",
            "/api/v1/peers/import",
            Some(r#"{"version":2,"peers":[]}"#),
            Code::BadRequest,
        ),
    ];
    for (method, path, body, code) in cases {
        let method: Method = method.parse().unwrap();
        let (status, answer) = node.raw(&method, path, body, &[]).await;
        let problem: Problem = serde_json::from_value(answer).unwrap();
        assert_eq!(problem.code, code, "{method} {path}: {problem:?}");
        assert_eq!(status, code.status().as_u16());
        assert!(problem.detail.len() > 20, "{problem:?}");
    }
    let text = [("Content-Type", "text/plain")];
    let (status, _) = node
        .raw(&Method::POST, "/api/v1/peers", Some("{}"), &text)
        .await;
    assert_eq!(status, 415);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_and_not_one_byte_more() {
    let node = Served::start(&[]);
    let filled = |length: usize| {
        let text = r#"{"name":"t","text":""}"#;
        let payload = "x".repeat(length - text.len());
        text.replace("\"\"", &format!("\"{payload}\""))
    };
    let path = "/api/v1/broadcasts";
    let (_, answer) = node
        .raw(&Method::POST, path, Some(&filled(BODY_LEN_MAX)), &[])
        .await;
    // Understood, and too long for a broadcast.
    assert_eq!(answer["code"], "too_large", "{answer}");
    assert!(
        answer["detail"].as_str().unwrap().contains("payload"),
        "{answer}"
    );
    let (status, answer) = node
        .raw(&Method::POST, path, Some(&filled(BODY_LEN_MAX + 1)), &[])
        .await;
    assert_eq!(status, 413);
    assert!(
        answer["detail"].as_str().unwrap().contains("body"),
        "{answer}"
    );
}

#[tokio::test]
async fn over_tcp_only_the_bearer_of_the_token_is_served() {
    let node = Served::start(&[]);
    let path = "/api/v1/status";
    for (headers, status) in [
        (vec![], 200),
        (vec![("Authorization", "")], 401),
        (vec![("Authorization", "Bearer 00")], 401),
        (vec![("Host", "evil.example")], 403),
        (vec![("Origin", "http://evil.example")], 403),
        (vec![("Sec-Fetch-Site", "cross-site")], 403),
    ] {
        let (answered, _) = node.raw(&Method::GET, path, None, &headers).await;
        assert_eq!(answered, status, "{headers:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_socket_is_its_owners_and_goes_with_the_node() {
    use std::os::unix::fs::PermissionsExt;
    let node = Served::start(&[]);
    let path = node.folder.path().join("control.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status: Status = node.client.get("/api/v1/status").await.unwrap();
    assert_eq!(status.id, node.node.id().to_string());
    let folder = DataDir::open(Some(node.folder.path())).unwrap();
    let second = listener::bind_socket(&folder.control_socket()).unwrap_err();
    assert!(second.to_string().contains("dunlin stop"), "{second}");
    let Served {
        control,
        events,
        node,
        folder: _folder,
        ..
    } = node;
    node.shutdown().await;
    events.await.unwrap();
    drop(control);
    assert!(!path.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    std::fs::write(path.with_extension("new"), "").unwrap();
    let (_listener, _file) = listener::bind_socket(&path).unwrap();
    assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
}

#[tokio::test]
async fn a_reader_that_is_behind_is_told_what_it_missed_and_goes_on() {
    let node = Served::start(&[]);
    let peer = NodeId::from_bytes([7; 32]);
    let mut events = node.client.events("/api/v1/events").await.unwrap();
    let hub = node.control.operations().hub();
    // What one write of the system takes is not waited for: far more than that.
    let count = EVENTS_WAITING_MAX as u64 * 64;
    for _ in 0..count {
        hub.tell(&Event::PeerUp { peer });
    }
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < count {
        match events.next().await.unwrap().unwrap() {
            Heard::Event(event) => {
                heard += 1;
                assert_eq!(event.sequence, heard + missed, "none is missed silently");
            }
            Heard::Missed(number) => missed += number,
        }
    }
    assert!(missed > 0);
    assert_eq!(hub.counts(), (count, missed));
}

#[tokio::test]
async fn event_streams_are_served_up_to_their_limit_and_not_one_more() {
    let node = Served::start(&[]);
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        open.push(node.client.events("/api/v1/events").await.unwrap());
    }
    let refused = node.client.events("/api/v1/events").await.unwrap_err();
    assert!(refused.to_string().contains("event streams"), "{refused}");
    // Requests have room beside them.
    let status: Status = node.client.get("/api/v1/status").await.unwrap();
    assert_eq!(status.peers.known, 0);
}

#[tokio::test]
async fn a_stream_can_be_taken_up_again_and_chooses_its_kinds() {
    let node = Served::start(&[]);
    let hub = node.control.operations().hub();
    let peer = NodeId::from_bytes([7; 32]);
    let mut events = node
        .client
        .events("/api/v1/events?kinds=peer_silent")
        .await
        .unwrap();
    hub.tell(&Event::PeerUp { peer });
    hub.tell(&Event::PeerSilent {
        peer,
        is_silent: true,
    });
    let Some(Heard::Event(event)) = events.next().await.unwrap() else {
        panic!("no event")
    };
    assert_eq!((event.sequence, &*event.kind), (2, "peer_silent"));
    let mut stream = tokio::net::TcpStream::connect(node.control.http().unwrap())
        .await
        .unwrap();
    let token = std::fs::read_to_string(node.folder.path().join("api.token")).unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nLast-Event-ID: 1\r\n\r\n",
        token.trim()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = String::new();
    while !read.contains("id: 2\n") {
        let mut some = [0; 1_024];
        let length = stream.read(&mut some).await.unwrap();
        assert!(length > 0, "{read}");
        read.push_str(std::str::from_utf8(&some[..length]).unwrap());
    }
    assert!(!read.contains("id: 1\n"), "{read}");
}
