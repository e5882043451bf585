//! What the API does, whoever asks: a request over the Unix socket, over TCP, or a test.

mod asking;
mod bans;
mod map;
mod peers;
mod places;
mod proving;
pub mod remembered;
mod telling;
mod trusting;

pub(crate) use peers::path_of;

use std::sync::Arc;

use dunlin_overlay::Event;
use tokio::sync::Semaphore;

use super::hub::Hub;
use super::limits::STREAMS_MAX;
use super::model::{Code, EventList, LogFilter, Problem, Status};
use super::records::time;
use super::snapshot::Snapshot;
use super::waiting::Waiting;
use crate::clock::unix_millis;
use crate::dashboard::Dashboard;
use crate::geo::Places;
use crate::metrics::Metrics;
use crate::network::Handle;
use crate::signals::Shutdown;
use crate::store::Store;
use crate::telemetry::Logs;
use crate::telemetry::book::Book;

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The name of its network.
    pub network: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// The log of the process, if it may be changed.
    pub logs: Option<Logs>,
    /// Its store, if it has one.
    pub store: Option<Arc<Store>>,
    /// The other nodes of the process, where it runs a whole network.
    pub others: Vec<Handle>,
    /// Where addresses are.
    pub places: Places,
}

/// One node and everything that can be done with it from outside.
#[derive(Debug)]
pub struct Operations {
    node: Handle,
    about: About,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    dashboard: Dashboard,
    /// Who waits for answers of other nodes.
    waiting: Arc<Waiting>,
    /// Room for event streams.
    streams: Arc<Semaphore>,
}

impl Operations {
    /// The operations of `node`; `shutdown` is how it is stopped.
    #[must_use]
    pub fn new(node: Handle, about: About, shutdown: Shutdown) -> Self {
        Self {
            node,
            about,
            hub: Arc::default(),
            metrics: Arc::default(),
            shutdown,
            dashboard: Dashboard::default(),
            waiting: Arc::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }

    /// Something happened to the node.
    pub fn on_event(&self, event: &Event) {
        self.hub.tell(event);
        self.metrics.on_event(event, unix_millis());
        self.waiting.on_event(event);
        self.refuse_unheard(event);
    }

    /// The events.
    #[must_use]
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Who may look at the dashboard.
    #[must_use]
    pub const fn dashboard(&self) -> &Dashboard {
        &self.dashboard
    }

    /// Room for event streams.
    pub(super) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.streams)
    }

    /// The counters.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Handle {
        &self.node
    }

    /// How the node is doing.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn status(&self) -> Result<Status, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        Ok(Status {
            id: self.node.id().to_string(),
            address: self.node.address().to_string(),
            network: self.about.network.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: time(self.about.started_at),
            uptime_s: unix_millis().saturating_sub(self.about.started_at) / 1_000,
            peers: snapshot.counts(),
        })
    }

    /// Stops the node: its peers are told, and its process ends.
    pub fn stop(&self) {
        self.shutdown.trigger();
    }

    /// Counters and sizes of the overlay, by name.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn stats(&self) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let named = crate::metrics::overlay::rows(&snapshot.stats);
        Ok(named
            .into_iter()
            .map(|row| (row.name.to_owned(), row.value.into()))
            .collect())
    }

    /// The metrics as OpenMetrics text.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn metrics_text(&self) -> Result<String, Problem> {
        let text = self.metrics.render(&self.node, self.hub.counts()).await;
        text.ok_or_else(Problem::stopping)
    }

    /// The last events of any kind.
    #[must_use]
    pub fn recent(&self, count: usize, wanted: impl Fn(&str) -> bool) -> EventList {
        let events =
            |trail: &mut super::trail::Trail| trail.recent(count, |record| wanted(&record.kind));
        EventList {
            events: self.hub.with_trail(events),
        }
    }

    fn logs(&self) -> Result<&Logs, Problem> {
        self.about.logs.as_ref().ok_or_else(|| {
            Problem::new(
                Code::Unsupported,
                "this process has a log of its own; read and change it there",
            )
        })
    }

    /// The last lines of the log.
    ///
    /// # Errors
    /// When the process has a log of its own.
    pub fn log_book(&self) -> Result<Arc<Book>, Problem> {
        self.logs().map(|logs| Arc::clone(logs.book()))
    }

    /// Changes what the log says.
    ///
    /// # Errors
    /// A filter that is none, or a process that has a log of its own.
    pub fn set_log_filter(&self, filter: LogFilter) -> Result<LogFilter, Problem> {
        match self.logs()?.set_filter(&filter.filter) {
            Ok(()) => Ok(filter),
            Err(error) => Err(Problem::new(Code::BadRequest, error)),
        }
    }
}
