//! Playing a recording: the dashboard of a network that ran elsewhere, at another speed.
//!
//! It answers what the page asks a node for, from the scene of the moment, and changes nothing. Who is let
//! in is decided as for a node (ADR 0430).

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{self, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::Header;
use super::read::Reader;
use super::scene::Scene;
use crate::clock::unix_millis;
use crate::control::model::{
    Code, DashboardLink, EventList, EventRecord, NetworkMap, PeerCounts, PeerList, Problem, Status,
    Story,
};
use crate::control::records::time;
use crate::control::{check_place, serve_router};
use crate::dashboard::{self, Dashboard};
use crate::failure::{Exit, Failure, plain_reason};

/// Events that wait for a page.
const WAITING_MAX: usize = 512;
/// Between two samples.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// A recording that is being played. Dropping it ends it.
#[derive(Debug)]
pub struct Player {
    stage: Arc<Stage>,
    address: SocketAddr,
    tasks: JoinSet<Result<(), Failure>>,
}

/// What requests see.
#[derive(Debug)]
struct Stage {
    header: Arc<Header>,
    address: SocketAddr,
    began: u64,
    scene: Mutex<Scene>,
    events: broadcast::Sender<Arc<EventRecord>>,
    dashboard: Dashboard,
}

impl Stage {
    fn scene(&self) -> MutexGuard<'_, Scene> {
        // A frame is applied whole or was not begun, as far as a reader can tell.
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Player {
    /// Plays the file at `path`, `speed` times as fast as it was, again and again, on a loopback port of
    /// the system's choice. Must be called inside the runtime.
    ///
    /// # Errors
    /// No such recording, or no port.
    pub async fn start(path: &Path, speed: f64) -> Result<Self, Failure> {
        let owned = path.to_path_buf();
        let reader = blocking(move || Reader::open(&owned)).await?;
        let header = Arc::new(reader.header().clone());
        let interval = Duration::from_millis(header.interval_ms).div_f64(speed.max(0.01));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|error| {
            Failure::new(
                Exit::Local,
                format!(
                    "no port for the dashboard: {}; try again",
                    plain_reason(&error)
                ),
            )
        })?;
        let stage = Arc::new(Stage {
            scene: Mutex::new(Scene::new(Arc::clone(&header))),
            header,
            address,
            began: unix_millis(),
            events: broadcast::Sender::new(WAITING_MAX),
            dashboard: Dashboard::default(),
        });
        let mut tasks = JoinSet::new();
        let router = router(Arc::clone(&stage));
        tasks.spawn(async move {
            serve_router(listener, router).await;
            Ok(())
        });
        tasks.spawn(play(path.into(), reader, Arc::clone(&stage), interval));
        Ok(Self {
            stage,
            address,
            tasks,
        })
    }

    /// A link for one browser.
    #[must_use]
    pub fn link(&self) -> DashboardLink {
        self.stage.dashboard.link(self.address)
    }

    /// The header of the recording.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.stage.header
    }

    /// Waits until it cannot go on.
    pub async fn failed(&mut self) -> Failure {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Err(failure))) => return failure,
                Some(_) => {}
                None => return Failure::new(Exit::Failed, "the recording ended"),
            }
        }
    }
}

/// Applies frame after frame; at the end it begins anew.
async fn play(
    path: PathBuf,
    mut reader: Reader,
    stage: Arc<Stage>,
    interval: Duration,
) -> Result<(), Failure> {
    let mut period = tokio::time::interval(interval.max(Duration::from_millis(1)));
    let mut is_first = true;
    loop {
        period.tick().await;
        // Large lines take a while to read.
        let (back, frame) = blocking(move || {
            let frame = reader.next_frame()?;
            Ok((reader, frame))
        })
        .await?;
        reader = back;
        let Some(frame) = frame else {
            if is_first {
                return Err(Failure::new(
                    Exit::Local,
                    format!("{} has no frames; record it again", path.display()),
                ));
            }
            let again = path.clone();
            reader = blocking(move || Reader::open(&again)).await?;
            if *reader.header() != *stage.header {
                let path = path.display();
                let sentence = format!("{path} became another recording meanwhile; start again");
                return Err(Failure::new(Exit::Local, sentence));
            }
            stage.scene().rewind();
            continue;
        };
        is_first = false;
        let told = stage.scene().apply(frame, unix_millis());
        for event in told {
            // Nobody looks: that is not a failure.
            let _ = stage.events.send(Arc::new(event));
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Failure::new(Exit::Failed, "reading the recording failed")))
}

type Shared = State<Arc<Stage>>;

fn router(stage: Arc<Stage>) -> Router {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/peers", get(peers))
        .route("/api/v1/peers/{peer}", get(peer))
        .route("/api/v1/peers/{peer}/story", get(story))
        .route("/api/v1/network", get(network))
        .route("/api/v1/events", get(events))
        .route("/api/v1/events/recent", get(recent))
        .merge(dashboard::router())
        .fallback(nothing_to_do)
        .method_not_allowed_fallback(nothing_to_do)
        .layer(middleware::from_fn_with_state(Arc::clone(&stage), guard))
        .with_state(stage)
}

/// Lets browsers in that followed the link, from here.
async fn guard(State(stage): Shared, request: Request, next: Next) -> Response {
    let (method, headers) = (request.method(), request.headers());
    if let Err(problem) = check_place(headers) {
        return problem.into_response();
    }
    if let Some(answer) = stage.dashboard.answer_link(method, request.uri(), headers) {
        return answer;
    }
    if stage.dashboard.admits(method, headers) {
        next.run(request).await
    } else {
        dashboard::closed()
    }
}

async fn nothing_to_do() -> Problem {
    Problem::new(
        Code::Unsupported,
        "this is a recording: it can be looked at, and nothing can be changed",
    )
}

/// The status of a node, and that it is none: the page offers no changes then.
#[derive(Serialize)]
struct RecordedStatus {
    #[serde(flatten)]
    status: Status,
    is_recording: bool,
}

async fn status(State(stage): Shared) -> Json<RecordedStatus> {
    let id = stage.header.nodes.first();
    let status = Status {
        id: id.cloned().unwrap_or_default(),
        address: stage.address.to_string(),
        network: format!(
            "recorded: {}, seed {}",
            stage.header.title, stage.header.seed
        ),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: time(stage.began),
        uptime_s: stage.scene().seconds(),
        peers: PeerCounts::default(),
    };
    Json(RecordedStatus {
        status,
        is_recording: true,
    })
}

async fn peers(State(stage): Shared) -> Json<PeerList> {
    Json(stage.scene().peers())
}

async fn network(State(stage): Shared) -> Json<NetworkMap> {
    Json(stage.scene().map())
}

async fn recent(State(stage): Shared) -> Json<EventList> {
    let events = stage.scene().recent();
    Json(EventList { events })
}

async fn peer(
    State(stage): Shared,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<Value>, Problem> {
    let scene = stage.scene();
    let found = scene.find(&id).and_then(|node| scene.detail(node));
    found.map(Json).ok_or_else(unknown)
}

async fn story(
    State(stage): Shared,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<Story>, Problem> {
    let scene = stage.scene();
    scene.find(&id).ok_or_else(unknown)?;
    let mut entries = scene.recent();
    entries.retain(|event| event.peer.as_ref() == Some(&id));
    Ok(Json(Story {
        peer: id,
        entries,
        forgotten: 0,
    }))
}

fn unknown() -> Problem {
    Problem::new(Code::UnknownPeer, "the recording has no such node")
}

async fn events(State(stage): Shared) -> Response {
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let happening = stage.events.subscribe();
    tokio::spawn(tell(stage, happening, sender));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::new(body)).into_response()
}

/// Events and samples, until the page is closed.
async fn tell(
    stage: Arc<Stage>,
    mut happening: broadcast::Receiver<Arc<EventRecord>>,
    mut sender: Sender<Bytes, Infallible>,
) -> Option<()> {
    let mut samples = tokio::time::interval(SAMPLE_PERIOD);
    samples.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let text = tokio::select! {
            heard = happening.recv() => match heard {
                Ok(event) => {
                    let data = serde_json::to_string(&*event).ok()?;
                    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.sequence, event.kind)
                }
                Err(RecvError::Lagged(missed)) => {
                    format!("event: missed\ndata: {}\n\n", json!({ "missed": missed }))
                }
                Err(RecvError::Closed) => return None,
            },
            _ = samples.tick() => {
                let sample = stage.scene().sample(unix_millis());
                format!("event: sample\ndata: {sample}\n\n")
            }
        };
        sender.send_data(text.into()).await.ok()?;
    }
}
