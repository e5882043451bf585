//! The control interface of a running node: HTTP and JSON, over a Unix socket in the data folder
//! and, if configured, over TCP with a token (`docs/api.md`, ADR 0420).
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | what the API says and takes |
//! | [`operations`] | what it does |
//! | [`snapshot`] | what the node knows at one moment |
//! | [`hub`], [`trail`], [`records`] | what happened: stream, stories, words |
//! | `logs` | the log of the process |
//! | `waiting` | who waits for an answer of another node |
//! | [`openapi`] | the document of the API |
//! | [`token`] | the bearer token |
//! | [`client`] | the other end, for the command line |
//!
//! Whoever runs a node hands each of its events to [`Control::on_event`].

pub mod client;
mod extract;
mod guard;
pub mod hub;
pub mod limits;
mod listener;
mod logs;
pub mod model;
pub mod openapi;
pub mod operations;
mod problem;
pub mod records;
mod routes;
mod server;
pub mod snapshot;
mod stream;
pub mod token;
pub mod trail;
mod waiting;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dunlin_overlay::Event;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::dashboard::Wish;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::geo::Places;
use crate::network::Handle;
use crate::signals::Shutdown;
use crate::store::Store;
use crate::telemetry::Logs;
pub(crate) use guard::check_place;
use listener::SocketFile;
use operations::{About, Operations};
pub(crate) use server::serve_router;

/// Between two samples of the peers' latencies.
const SAMPLE_PERIOD: Duration = Duration::from_secs(10);

/// Where the control interface listens.
#[derive(Clone, Debug)]
pub struct ControlOptions {
    /// The folder of the socket, the token and the address.
    pub data_dir: DataDir,
    /// Where to listen over TCP, if at all.
    pub http: Option<SocketAddr>,
    /// The name of the network, for who asks.
    pub network: String,
    /// The log of the process, if it may be changed.
    pub logs: Option<Logs>,
    /// The store of the node, if it has one.
    pub store: Option<Arc<Store>>,
    /// The other nodes of the process, where it runs a whole network.
    pub others: Vec<Handle>,
    /// Where addresses are.
    pub places: Places,
}

impl ControlOptions {
    /// The socket in this folder and nothing else.
    #[must_use]
    pub fn new(data_dir: DataDir) -> Self {
        Self {
            data_dir,
            http: None,
            network: "dunlin".to_owned(),
            logs: None,
            store: None,
            others: Vec::new(),
            places: Places::default(),
        }
    }
}

/// A running control interface. Dropping it ends it.
#[derive(Debug)]
pub struct Control {
    operations: Arc<Operations>,
    http: Option<SocketAddr>,
    _tasks: JoinSet<()>,
    _files: Vec<SocketFile>,
}

impl Control {
    /// Starts to listen for `node`; `shutdown` is how it is stopped from outside. Must be called
    /// inside the runtime.
    ///
    /// # Errors
    /// When the socket, the address or the token cannot be had.
    pub fn start(
        node: Handle,
        options: &ControlOptions,
        shutdown: Shutdown,
    ) -> Result<Self, Failure> {
        let about = About {
            network: options.network.clone(),
            started_at: crate::clock::unix_millis(),
            logs: options.logs.clone(),
            store: options.store.clone(),
            others: options.others.clone(),
            places: options.places.clone(),
        };
        let operations = Arc::new(Operations::new(node, about, shutdown));
        let mut tasks = JoinSet::new();
        let mut files = Vec::new();
        #[cfg(unix)]
        {
            let (socket, file) = listener::bind_socket(&options.data_dir.control_socket())?;
            files.push(file);
            tasks.spawn(server::serve_socket(socket, Arc::clone(&operations)));
        }
        // Where there are no such sockets, the loopback address has to do.
        let asked = options
            .http
            .or_else(|| (!cfg!(unix)).then(|| (std::net::Ipv4Addr::LOCALHOST, 0).into()));
        let mut way_in = WayIn {
            data_dir: options.data_dir.clone(),
            operations: Arc::clone(&operations),
            open: None,
        };
        let http = asked.map(|address| way_in.open_at(address)).transpose()?;
        if let Some(wishes) = operations.dashboard().take_wishes() {
            tasks.spawn(way_in.grant(wishes));
        }
        let sampled = Arc::clone(&operations);
        tasks.spawn(async move {
            let mut period = tokio::time::interval(SAMPLE_PERIOD);
            loop {
                period.tick().await;
                sampled.metrics().sample(sampled.node()).await;
            }
        });
        Ok(Self {
            operations,
            http,
            _tasks: tasks,
            _files: files,
        })
    }

    /// Something happened to the node.
    pub fn on_event(&self, event: &Event) {
        self.operations.on_event(event);
    }

    /// Where it listens over TCP.
    #[must_use]
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// A link for one browser to the dashboard, when it listens over TCP.
    #[must_use]
    pub fn dashboard_link(&self) -> Option<model::DashboardLink> {
        self.http
            .map(|address| self.operations.dashboard().link(address))
    }

    /// What it does.
    #[must_use]
    pub const fn operations(&self) -> &Arc<Operations> {
        &self.operations
    }
}

/// The way in over TCP. It is opened at the start, or when a browser is to see the dashboard.
struct WayIn {
    data_dir: DataDir,
    operations: Arc<Operations>,
    /// Where it is open, the task that serves it, and the file that says so.
    open: Option<(SocketAddr, JoinSet<()>, SocketFile)>,
}

impl WayIn {
    fn open_at(&mut self, address: SocketAddr) -> Result<SocketAddr, Failure> {
        let token = token::Token::load_or_create(&self.data_dir.token_file())?;
        let (listening, file) = listener::bind_tcp(address, &self.data_dir.api_address_file())?;
        let address = listening.address();
        let mut serving = JoinSet::new();
        serving.spawn(server::serve_tcp(
            listening,
            token,
            Arc::clone(&self.operations),
        ));
        self.open = Some((address, serving, file));
        Ok(address)
    }

    /// Tells who wishes it where it is open, and opens it on loopback if it is not.
    async fn grant(mut self, mut wishes: mpsc::Receiver<Wish>) {
        while let Some(wish) = wishes.recv().await {
            let address = match &self.open {
                Some((address, ..)) => Ok(*address),
                None => self.open_at((std::net::Ipv4Addr::LOCALHOST, 0).into()),
            };
            // Who wished it may have gone.
            let _ = wish.send(address);
        }
    }
}

/// What a socket in a folder is called, for sentences.
#[must_use]
pub fn start_advice(data_dir: Option<&PathBuf>) -> String {
    match data_dir {
        Some(path) => format!("dunlin start --data-dir {}", path.display()),
        None => "dunlin start".to_owned(),
    }
}

#[cfg(test)]
mod tests;
