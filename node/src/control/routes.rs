//! The table of routes. The router and the OpenAPI document are both made from it, so neither can
//! have what the other lacks.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::extract::{Asked, Named, Taken};
use super::model::{
    AddPeer, AddedPeer, Answered as Heard, Answering, Asking, BanList, BanRequest, Changed, Code,
    DashboardLink, EventList, Geography, Imported, LogFilter, LogLayer, LogLevel, LogList,
    NetworkMap, PeerDetail, PeerFile, PeerFilter, PeerList, Problem, Proof, Statements, Status,
    Story, Telling, Told, TopicList, TrustList, VerdictOn,
};
use super::operations::Operations;
use super::{logs, stream};
use crate::metrics::text::{CLASSIC, OPENMETRICS, classic};

/// What every handler has.
pub(super) type Shared = Arc<Operations>;

/// How many items a list has when nobody says.
const COUNT_DEFAULT: usize = 20;

/// What a request is answered with.
pub(super) enum Answer {
    /// JSON of this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Another content type.
    Other(&'static str),
}

/// A parameter after `?`.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

/// One operation.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) about: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) takes: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) answer: Answer,
    handler: MethodRouter<Shared>,
}

impl Route {
    fn new<H: Handler<T, Shared>, T: 'static>(
        method: Method,
        path: &'static str,
        id: &'static str,
        about: &'static str,
        handler: H,
    ) -> Self {
        let filter = match method {
            Method::POST => MethodFilter::POST,
            Method::PUT => MethodFilter::PUT,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        Self {
            method,
            path,
            id,
            about,
            parameters: Vec::new(),
            takes: None,
            answer: Answer::Other("application/json"),
            handler: on(filter, handler),
        }
    }

    fn asks<T: JsonSchema>(mut self, name: &'static str, about: &'static str) -> Self {
        self.parameters.push(Parameter {
            name,
            about,
            schema: SchemaGenerator::subschema_for::<T>,
        });
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Self {
        self.takes = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    fn answers<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer::Json(SchemaGenerator::subschema_for::<T>);
        self
    }

    const fn answers_with(mut self, content_type: &'static str) -> Self {
        self.answer = Answer::Other(content_type);
        self
    }
}

/// Every route.
#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    use Method as M;
    let mut routes = vec![
        Route::new(M::GET, "/api/v1/status", "getStatus", "How the node is doing", status).answers::<Status>(),
        Route::new(M::POST, "/api/v1/stop", "stop", "Stop the node; its peers are told", stop).answers::<Changed>(),
        Route::new(M::GET, "/api/v1/stats", "getStats", "Counters and sizes of the overlay, by name", stats).answers::<serde_json::Map<String, serde_json::Value>>(),
        Route::new(M::GET, "/api/v1/trust", "listTrust", "What is known of the conduct of peers, the best first", trust).answers::<TrustList>(),
        Route::new(M::GET, "/api/v1/trust/events", "listTrustEvents", "The last events that concern trust", trust_events)
            .asks::<Option<usize>>("count", "How many; 20 if missing").answers::<EventList>(),
        Route::new(M::POST, "/api/v1/broadcasts", "broadcast", "Tell something to every node of the network", broadcast).takes::<Telling>().answers::<Told>(),
        Route::new(M::GET, "/api/v1/topics", "getTopics", "Of which topics broadcasts are taken", topics).answers::<TopicList>(),
        Route::new(M::PUT, "/api/v1/topics", "setTopics", "Take broadcasts of these topics from now on", set_topics).takes::<TopicList>().answers::<TopicList>(),
        Route::new(M::GET, "/api/v1/events", "streamEvents", "What happens from now on, as server-sent events; with `Last-Event-ID`, after that one", stream::events)
            .asks::<Option<String>>("kinds", "Kinds of events, with commas between them; all if missing")
            .asks::<Option<u64>>("samples", "Milliseconds between events `sample` with the numbers of the dashboard, 250 to 60,000; none if missing")
            .answers_with("text/event-stream"),
        Route::new(M::GET, "/api/v1/events/recent", "listEvents", "The last events", recent)
            .asks::<Option<usize>>("count", "How many; 20 if missing").answers::<EventList>(),
        Route::new(M::POST, "/api/v1/dashboard", "openDashboard", "A link for one browser to the dashboard, which is opened on loopback if need be", dashboard).answers::<DashboardLink>(),
        Route::new(M::GET, "/api/v1/logs", "listLog", "The last lines of the log", logs::recent)
            .asks::<Option<usize>>("count", "How many; 20 if missing")
            .asks::<Option<LogLevel>>("level", "Only lines that matter at least so much")
            .asks::<Option<LogLayer>>("layer", "Only lines of this layer").answers::<LogList>(),
        Route::new(M::GET, "/api/v1/logs/stream", "streamLog", "The last lines of the log and those that come, as server-sent events", logs::follow)
            .asks::<Option<usize>>("count", "How many of the past; 20 if missing")
            .asks::<Option<LogLevel>>("level", "Only lines that matter at least so much")
            .asks::<Option<LogLayer>>("layer", "Only lines of this layer")
            .answers_with("text/event-stream"),
        Route::new(M::GET, "/api/v1/network", "getNetwork", "The nodes that this process sees, and the links between them", network).answers::<NetworkMap>(),
        Route::new(M::GET, "/api/v1/geo", "getGeography", "Where the connected peers are, by the database of the operator", geography).answers::<Geography>(),
        Route::new(M::PUT, "/api/v1/log", "setLogFilter", "Change what the log says", log).takes::<LogFilter>().answers::<LogFilter>(),
        Route::new(M::GET, "/api/v1/openapi.json", "getOpenApi", "This document", openapi).answers_with("application/json"),
        Route::new(M::GET, "/metrics", "getMetrics", "Metrics for Prometheus: OpenMetrics when asked for by `Accept`, the older text format else", metrics).answers_with("text/plain"),
    ];
    routes.extend(peer_routes());
    routes
}

#[rustfmt::skip]
fn peer_routes() -> [Route; 17] {
    use Method as M;
    [
        Route::new(M::GET, "/api/v1/peers", "listPeers", "The known peers", peers)
            .asks::<Option<PeerFilter>>("filter", "Which peers; all if missing").answers::<PeerList>(),
        Route::new(M::POST, "/api/v1/peers", "addPeer", "Connect to a peer, and keep trying", add_peer).takes::<AddPeer>().answers::<AddedPeer>(),
        Route::new(M::GET, "/api/v1/peers/top", "listTopPeers", "The connected peers that are trusted most", top_peers)
            .asks::<Option<usize>>("count", "How many; 20 if missing").answers::<PeerList>(),
        Route::new(M::GET, "/api/v1/peers/export", "exportPeers", "The known peers with their addresses, as a file", export).answers::<PeerFile>(),
        Route::new(M::POST, "/api/v1/peers/import", "importPeers", "Take in the peers of a file", import).takes::<PeerFile>().answers::<Imported>(),
        Route::new(M::GET, "/api/v1/peers/{peer}", "getPeer", "All that is known of one peer", peer).answers::<PeerDetail>(),
        Route::new(M::DELETE, "/api/v1/peers/{peer}", "removePeer", "Say goodbye to a peer", remove_peer)
            .asks::<Option<bool>>("ban", "Ban it, too").answers::<Changed>(),
        Route::new(M::GET, "/api/v1/peers/{peer}/story", "getStory", "What happened to one peer", story).answers::<Story>(),
        Route::new(M::POST, "/api/v1/peers/{peer}/messages", "sendMessage", "Tell something to one connected peer, or through one to any node", message).takes::<Telling>().answers::<Told>(),
        Route::new(M::POST, "/api/v1/peers/{peer}/challenge", "challengePeer", "Have a connected peer prove its identity again", challenge).answers::<Proof>(),
        Route::new(M::POST, "/api/v1/peers/{peer}/requests", "askPeer", "Ask a handler of another node, and wait for its answer", ask).takes::<Asking>().answers::<Heard>(),
        Route::new(M::POST, "/api/v1/peers/{peer}/trusted", "askTrusted", "Ask a connected peer whom it trusts, and wait for what it says", ask_trusted).answers::<Statements>(),
        Route::new(M::POST, "/api/v1/responses", "respond", "Answer a question that this node was asked (the event `request`), or refuse it", respond).takes::<Answering>().answers::<Changed>(),
        Route::new(M::POST, "/api/v1/verdicts", "judge", "Say what becomes of a broadcast that waits for a verdict (the event `broadcast`)", judge).takes::<VerdictOn>().answers::<Changed>(),
        Route::new(M::GET, "/api/v1/bans", "listBans", "The bans in force", bans).answers::<BanList>(),
        Route::new(M::POST, "/api/v1/bans", "ban", "Ban a peer", ban).takes::<BanRequest>().answers::<Changed>(),
        Route::new(M::DELETE, "/api/v1/bans/{subject}", "unban", "End a ban", unban).answers::<Changed>(),
    ]
}

/// The router of all routes.
pub(super) fn router() -> Router<Shared> {
    let mut router = Router::new();
    for route in routes() {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    count: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    filter: Option<PeerFilter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlsoBan {
    ban: Option<bool>,
}

type Answered<T> = Result<Json<T>, Problem>;

async fn no_such_path() -> Problem {
    Problem::new(
        Code::NotFound,
        "there is no such path; /api/v1/openapi.json lists them",
    )
}

async fn no_such_method() -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        "this path has no such method; /api/v1/openapi.json lists them",
    )
}

async fn status(State(node): State<Shared>) -> Answered<Status> {
    node.status().await.map(Json)
}

async fn stop(State(node): State<Shared>) -> Json<Changed> {
    node.stop();
    Json(Changed {
        subject: node.node().id().to_string(),
        changed: true,
        is_only_in_memory: false,
    })
}

async fn stats(State(node): State<Shared>) -> Response {
    node.stats().await.map(Json).into_response()
}

async fn trust(State(node): State<Shared>) -> Answered<TrustList> {
    node.trust().await.map(Json)
}

async fn trust_events(State(node): State<Shared>, Asked(asked): Asked<Count>) -> Json<EventList> {
    let count = asked.count.unwrap_or(COUNT_DEFAULT);
    Json(node.trust_events(count).await)
}

async fn recent(State(node): State<Shared>, Asked(asked): Asked<Count>) -> Json<EventList> {
    Json(node.recent(asked.count.unwrap_or(COUNT_DEFAULT), |_| true))
}

async fn broadcast(State(node): State<Shared>, Taken(what): Taken<Telling>) -> Answered<Told> {
    node.broadcast(what).await.map(Json)
}

async fn topics(State(node): State<Shared>) -> Answered<TopicList> {
    node.topics().await.map(Json)
}

async fn set_topics(
    State(node): State<Shared>,
    Taken(list): Taken<TopicList>,
) -> Answered<TopicList> {
    node.set_topics(list).await.map(Json)
}

async fn dashboard(State(node): State<Shared>) -> Answered<DashboardLink> {
    node.dashboard().open().await.map(Json)
}

async fn log(State(node): State<Shared>, Taken(filter): Taken<LogFilter>) -> Answered<LogFilter> {
    node.set_log_filter(filter).map(Json)
}

async fn network(State(node): State<Shared>) -> Answered<NetworkMap> {
    node.network().await.map(Json)
}

async fn geography(State(node): State<Shared>) -> Answered<Geography> {
    node.geography().await.map(Json)
}

async fn challenge(State(node): State<Shared>, Named(name): Named) -> Answered<Proof> {
    node.challenge(&name).await.map(Json)
}

async fn openapi() -> Json<serde_json::Value> {
    Json(super::openapi::document())
}

async fn metrics(State(node): State<Shared>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let wants_openmetrics =
        accepted.is_some_and(|accepted| accepted.contains("application/openmetrics-text"));
    match node.metrics_text().await {
        Ok(text) if wants_openmetrics => {
            (StatusCode::OK, [(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
        }
        Ok(text) => {
            let text = classic(&text);
            (StatusCode::OK, [(header::CONTENT_TYPE, CLASSIC)], text).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn peers(State(node): State<Shared>, Asked(asked): Asked<Filter>) -> Answered<PeerList> {
    let filter = asked.filter.unwrap_or_default();
    node.peers(filter).await.map(Json)
}

async fn top_peers(State(node): State<Shared>, Asked(asked): Asked<Count>) -> Answered<PeerList> {
    let count = asked.count.unwrap_or(COUNT_DEFAULT);
    node.top_peers(count).await.map(Json)
}

async fn add_peer(State(node): State<Shared>, Taken(wish): Taken<AddPeer>) -> Answered<AddedPeer> {
    node.add_peer(wish).await.map(Json)
}

async fn export(State(node): State<Shared>) -> Answered<PeerFile> {
    node.export().await.map(Json)
}

async fn import(State(node): State<Shared>, Taken(file): Taken<PeerFile>) -> Answered<Imported> {
    node.import(file).await.map(Json)
}

async fn peer(State(node): State<Shared>, Named(name): Named) -> Answered<PeerDetail> {
    node.peer(&name).await.map(Json)
}

async fn remove_peer(
    State(node): State<Shared>,
    Named(name): Named,
    Asked(asked): Asked<AlsoBan>,
) -> Answered<Changed> {
    let ban = asked.ban.unwrap_or(false);
    node.remove_peer(&name, ban).await.map(Json)
}

async fn story(State(node): State<Shared>, Named(name): Named) -> Answered<Story> {
    node.story(&name).await.map(Json)
}

async fn message(
    State(node): State<Shared>,
    Named(name): Named,
    Taken(what): Taken<Telling>,
) -> Answered<Told> {
    node.message(&name, what).await.map(Json)
}

async fn ask(
    State(node): State<Shared>,
    Named(name): Named,
    Taken(what): Taken<Asking>,
) -> Answered<Heard> {
    node.ask(&name, what).await.map(Json)
}

async fn ask_trusted(State(node): State<Shared>, Named(name): Named) -> Answered<Statements> {
    node.ask_trusted(&name).await.map(Json)
}

async fn respond(State(node): State<Shared>, Taken(answer): Taken<Answering>) -> Answered<Changed> {
    node.answer(answer).await.map(Json)
}

async fn judge(State(node): State<Shared>, Taken(said): Taken<VerdictOn>) -> Answered<Changed> {
    node.judge(said).await.map(Json)
}

async fn bans(State(node): State<Shared>) -> Answered<BanList> {
    node.bans().await.map(Json)
}

async fn ban(State(node): State<Shared>, Taken(wish): Taken<BanRequest>) -> Answered<Changed> {
    node.ban(wish).await.map(Json)
}

async fn unban(State(node): State<Shared>, Named(name): Named) -> Answered<Changed> {
    node.unban(&name).await.map(Json)
}
