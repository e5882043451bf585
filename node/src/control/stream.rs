//! The event stream: server-sent events (HTML standard, §9.2), one JSON object each.
//!
//! The node does not wait for readers. A reader that is too far behind gets an event `missed` with
//! the number of events that it did not get, and goes on with those that are still there. One that
//! takes nothing for [`super::limits::STALL_TIMEOUT`] loses its connection.
//!
//! Who asks for `samples` gets the numbers of the dashboard between the events. A sample is taken
//! when the one before has been read: a slow reader gets fewer, not older ones.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};

use super::extract::Asked;
use super::limits::STREAMS_MAX;
use super::model::{Code, EventRecord, Problem};
use super::routes::Shared;
use super::trail;
use crate::dashboard::sample;

/// Between two signs of life on a silent stream.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kinds {
    kinds: Option<String>,
    samples: Option<u64>,
}

/// Answers with a stream that ends when its reader or the node does.
pub(super) async fn events(
    State(node): State<Shared>,
    Asked(asked): Asked<Kinds>,
    headers: HeaderMap,
) -> Response {
    let Ok(place) = node.streams().try_acquire_owned() else {
        return Problem::new(
            Code::TooMany,
            format!("{STREAMS_MAX} event streams are open already; close one"),
        )
        .into_response();
    };
    let kinds = asked.kinds.map(|kinds| {
        let kinds = kinds.split(',').map(|kind| kind.trim().to_owned());
        kinds.collect::<BTreeSet<_>>()
    });
    let happening = node.hub().subscribe();
    let after = headers.get("last-event-id");
    let after = after.and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let reader = Reader {
        kinds,
        sender,
        told: after.unwrap_or(u64::MAX),
    };
    let samples = asked.samples.map(sample::period);
    tokio::spawn(async move {
        reader.run(node, happening, samples).await;
        drop(place);
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::new(body)).into_response()
}

/// The time of the next sample; never, where none are wanted.
async fn next(samples: &mut Option<Interval>) {
    match samples {
        Some(samples) => {
            samples.tick().await;
        }
        None => std::future::pending().await,
    }
}

struct Reader {
    kinds: Option<BTreeSet<String>>,
    sender: Sender<Bytes, Infallible>,
    /// The last event that it has; the highest number when it has asked for none of the past.
    told: u64,
}

impl Reader {
    async fn run(
        mut self,
        node: Shared,
        mut happening: Receiver<trail::Shared>,
        samples: Option<Duration>,
    ) -> Option<()> {
        // At once, so that the reader sees that it is listening.
        self.write(String::from(": listening\n\n")).await?;
        let after = self.told;
        self.told = 0;
        for record in node.recent(usize::MAX, |_| true).events {
            if record.sequence > after {
                self.tell(&record).await?;
            }
        }
        let mut samples = samples.map(tokio::time::interval);
        if let Some(samples) = &mut samples {
            samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let heard = tokio::select! {
                heard = happening.recv() => heard,
                () = next(&mut samples) => {
                    let sample = sample::take(&node).await.ok()?;
                    let data = serde_json::to_string(&sample).ok()?;
                    self.write(format!("event: sample\ndata: {data}\n\n")).await?;
                    continue;
                }
                () = tokio::time::sleep(SIGN_OF_LIFE) => {
                    self.write(String::from(":\n\n")).await?;
                    continue;
                }
            };
            match heard {
                Ok(record) => self.tell(&record).await?,
                Err(RecvError::Lagged(count)) => {
                    node.hub().on_missed(count);
                    let data = json!({ "missed": count });
                    self.write(format!("event: missed\ndata: {data}\n\n"))
                        .await?;
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn tell(&mut self, record: &EventRecord) -> Option<()> {
        let is_wanted = |kinds: &BTreeSet<String>| kinds.contains(&record.kind);
        if record.sequence <= self.told || !self.kinds.as_ref().is_none_or(is_wanted) {
            return Some(());
        }
        self.told = record.sequence;
        let data = serde_json::to_string(record).ok()?;
        let (id, kind) = (record.sequence, &record.kind);
        self.write(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n"))
            .await
    }

    /// `None` when the reader has gone.
    async fn write(&mut self, text: String) -> Option<()> {
        self.sender.send_data(text.into()).await.ok()
    }
}
