//! The log of the running node over the API: the last lines, and those that come, as server-sent events.
//!
//! The node does not wait for readers, as with events ([`super::stream`]): one that is too far behind
//! gets an event `missed`, and goes on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::extract::Asked;
use super::limits::STREAMS_MAX;
use super::model::{Code, LogLayer, LogLevel, LogLine, LogList, Problem};
use super::records::time;
use super::routes::Shared;
use super::stream::SIGN_OF_LIFE;
use crate::telemetry::book::{Book, Line};

/// How many lines are told when nobody says.
const COUNT_DEFAULT: usize = 20;

/// Which lines are asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    count: Option<usize>,
    level: Option<LogLevel>,
    layer: Option<LogLayer>,
}

impl Wanted {
    fn wants(self, line: &Line) -> bool {
        let is_bad_enough = self.level.is_none_or(|most| level(line.level) <= most);
        is_bad_enough
            && self
                .layer
                .is_none_or(|layer| layer_of(line.target) == layer)
    }

    fn count(self) -> usize {
        self.count.unwrap_or(COUNT_DEFAULT)
    }
}

/// Answers with the last lines.
pub(super) async fn recent(
    State(node): State<Shared>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<LogList>, Problem> {
    let lines = node
        .log_book()?
        .recent(wanted.count(), |line| wanted.wants(line));
    Ok(Json(LogList {
        lines: lines.iter().map(|line| told(line)).collect(),
    }))
}

/// Answers with the last lines and those that come, until the reader or the node ends.
pub(super) async fn follow(
    State(node): State<Shared>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let book = node.log_book()?;
    let Ok(place) = node.streams().try_acquire_owned() else {
        return Err(Problem::new(
            Code::TooMany,
            format!("{STREAMS_MAX} streams are open already; close one"),
        ));
    };
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    tokio::spawn(async move {
        tell_all(&book, wanted, sender).await;
        drop(place);
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::new(body)).into_response())
}

/// `None` when the reader has gone.
async fn tell_all(
    book: &Arc<Book>,
    wanted: Wanted,
    mut sender: Sender<Bytes, Infallible>,
) -> Option<()> {
    // First listen, then look back, so that nothing falls between.
    let mut coming = book.follow();
    write(&mut sender, ": listening\n\n".to_owned()).await?;
    let last = book
        .recent(1, |_| true)
        .last()
        .map_or(0, |line| line.sequence);
    let is_past = |line: &Line| line.sequence <= last && wanted.wants(line);
    for line in book.recent(wanted.count(), is_past) {
        write(&mut sender, event(&line)?).await?;
    }
    loop {
        let heard = tokio::select! {
            heard = coming.recv() => heard,
            () = tokio::time::sleep(SIGN_OF_LIFE) => {
                write(&mut sender, ":\n\n".to_owned()).await?;
                continue;
            }
        };
        let text = match heard {
            Ok(line) if line.sequence > last && wanted.wants(&line) => event(&line)?,
            Ok(_) => continue,
            Err(RecvError::Lagged(missed)) => {
                let data = json!({ "missed": missed });
                format!("event: missed\ndata: {data}\n\n")
            }
            Err(RecvError::Closed) => return None,
        };
        write(&mut sender, text).await?;
    }
}

async fn write(sender: &mut Sender<Bytes, Infallible>, text: String) -> Option<()> {
    sender.send_data(text.into()).await.ok()
}

fn event(line: &Line) -> Option<String> {
    let data = serde_json::to_string(&told(line)).ok()?;
    Some(format!(
        "id: {}\nevent: log\ndata: {data}\n\n",
        line.sequence
    ))
}

/// A line as the API tells it.
fn told(line: &Line) -> LogLine {
    LogLine {
        sequence: line.sequence,
        time: time(line.unix_millis),
        level: level(line.level),
        layer: layer_of(line.target),
        target: line.target.to_owned(),
        text: line.text.clone(),
    }
}

fn level(of: tracing::Level) -> LogLevel {
    match of {
        tracing::Level::ERROR => LogLevel::Error,
        tracing::Level::WARN => LogLevel::Warn,
        tracing::Level::INFO => LogLevel::Info,
        tracing::Level::DEBUG => LogLevel::Debug,
        tracing::Level::TRACE => LogLevel::Trace,
    }
}

/// The layer that a module belongs to.
fn layer_of(target: &str) -> LogLayer {
    let root = target.split_once("::").map_or(target, |(root, _)| root);
    match root {
        "dunlin_transport" => LogLayer::Transport,
        "dunlin_session" => LogLayer::Session,
        "dunlin_overlay" => LogLayer::Overlay,
        "dunlin_node" => LogLayer::Node,
        _ => LogLayer::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_how_much_they_matter_and_by_layer() {
        let line = |level, target| Line {
            sequence: 1,
            unix_millis: 0,
            level,
            target,
            text: String::new(),
        };
        let wanted = |level, layer| Wanted {
            count: None,
            level,
            layer,
        };
        let warning = line(tracing::Level::WARN, "dunlin_transport::driver");
        for (level, is_wanted) in [
            (LogLevel::Error, false),
            (LogLevel::Warn, true),
            (LogLevel::Trace, true),
        ] {
            assert_eq!(wanted(Some(level), None).wants(&warning), is_wanted);
        }
        assert!(wanted(None, None).wants(&warning));
        assert!(wanted(None, Some(LogLayer::Transport)).wants(&warning));
        assert!(!wanted(None, Some(LogLayer::Node)).wants(&warning));
        assert_eq!(layer_of("dunlin_node"), LogLayer::Node);
        assert_eq!(layer_of("hickory_proto::udp"), LogLayer::Other);
        assert_eq!(layer_of("dunlin_overlay_of_another"), LogLayer::Other);
    }
}
