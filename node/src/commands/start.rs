//! `dunlin start`.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use dunlin_overlay::Event;
use tokio::sync::mpsc;

use crate::cli::StartArgs;
use crate::cli::address::PeerAddress;
use crate::cli::id::{KeyArgs, KeyFileArgs};
use crate::clock::unix_millis;
use crate::commands::{event_log, note, print_line};
use crate::config::{Config, Draft, Mistakes, changes};
use crate::control::{Control, ControlOptions};
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::geo::{Database, Places};
use crate::network::{Memory, Node, NodeOptions};
use crate::open_files;
use crate::signals::{Hangup, Shutdown};
use crate::stack::Keys;
use crate::store::Store;
use crate::supervisor::Supervisor;
use crate::telemetry::{Logs, level};
use crate::trace::Traces;

/// How often it is told how many log lines were left out.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Runs a node until a signal comes.
pub(super) async fn run(
    args: StartArgs,
    verbosity: u8,
    traces: Traces,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    // Who has read the address below may send it at once.
    let hangup = Hangup::listen()?;
    let config = configuration(&args, verbosity)?;
    let logs = Logs::start(&config.log);
    let data_dir = DataDir::open(config.data_dir.as_deref())?;
    let _lock = data_dir.lock()?;
    if let Some(advice) = open_files::allow(open_files::needed(config.peers.max_connections)) {
        tracing::warn!("{advice}");
    }
    let places = Places::default();
    places.use_database(database(&config)?);
    let keys = Keys::load(&key_args(&config))?.with_traces(traces);
    let bootstrap = tokio::select! {
        found = resolved(&config.peers.bootstrap_nodes) => found?,
        () = shutdown.requested() => return Ok(()),
    };
    let options = NodeOptions {
        bootstrap,
        inbox: config.inbox.clone(),
        carriers: config.carrier.into(),
        shards: config.shards,
        controller: config.controller,
        overlay: config.overlay(),
        memory: Some(remember(&data_dir)?),
        ..NodeOptions::new((config.host, config.port).into())
    };
    let (node, mut events) = Node::start(&keys, options)?;
    let control = ControlOptions {
        http: config.api,
        network: config.network_name.clone(),
        logs: Some(logs.clone()),
        store: node.store().cloned(),
        places: places.clone(),
        ..ControlOptions::new(data_dir)
    };
    let control = Control::start(node.handle(), &control, shutdown.clone())?;
    print_line(&format!("{}@{}", node.id(), node.address()))?;
    tell_ways_in(&control);
    note("the node runs; stop with Ctrl-C");
    let mut running = Running {
        args,
        verbosity,
        config,
        logs,
        places,
        node,
        hangup,
        supervisor: Supervisor::from_environment(),
    };
    let _discovery = running.node.discover(running.config.discovery());
    running.watch(&mut events, &control, &shutdown).await?;
    let stats = running.node.stats().await;
    running.node.shutdown().await;
    note(&format!(
        "stopped; {} peers were linked, {} known",
        stats.connected, stats.known
    ));
    Ok(())
}

fn tell_ways_in(control: &Control) {
    if let Some(address) = control.http() {
        note(&format!("the API is at http://{address}/api/v1"));
    }
    match control.dashboard_link() {
        Some(link) => note(&format!("the dashboard, for one browser: {}", link.url)),
        None => note("`dunlin dashboard` shows this node in a browser"),
    }
}

/// Defaults, file, environment, flags.
fn configuration(args: &StartArgs, verbosity: u8) -> Result<Config, Mistakes> {
    let mut draft = Draft::default();
    if let Some(path) = &args.config {
        draft = draft.with_file(path)?;
    }
    let variables = std::env::vars_os();
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    draft
        .with_environment(variables)
        .with_flag("host", args.host.map(|host| host.to_string()))
        .with_flag("port", args.port.map(|port| port.to_string()))
        .with_flag("controller", args.controller.as_ref().and_then(word))
        .with_flag("api", args.api.map(|api| api.to_string()))
        .with_flag("bootstrap_nodes", joined(&args.bootstrap))
        .with_flag("data_dir", path(&args.keys.file.data_dir))
        .with_flag("passphrase_file", path(&args.keys.file.passphrase_file))
        .with_flag("network_name", args.keys.network.clone())
        .with_flag(
            "post_quantum",
            args.keys.post_quantum.as_ref().and_then(word),
        )
        .with_flag(
            "key_exchange",
            args.keys.key_exchange.as_ref().and_then(word),
        )
        .with_flag("log.level", level(verbosity).map(String::from))
        .finish()
}

/// The word of the command line for a value.
fn word<T: ValueEnum>(value: &T) -> Option<String> {
    Some(value.to_possible_value()?.get_name().into())
}

/// Addresses as a variable of the environment would have them; `None`: there are none.
pub(super) fn joined(addresses: &[PeerAddress]) -> Option<String> {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn key_args(config: &Config) -> KeyArgs {
    KeyArgs {
        file: KeyFileArgs {
            data_dir: config.data_dir.clone(),
            passphrase_file: config.passphrase_file.clone(),
        },
        network: Some(config.network_name.clone()),
        post_quantum: Some(config.post_quantum),
        key_exchange: Some(config.key_exchange),
    }
}

type Place = (std::net::SocketAddr, Option<dunlin_session::NodeId>);

/// Where the bootstrap nodes are. One whose name is unknown is left out, unless it is the only one.
async fn resolved(nodes: &[PeerAddress]) -> Result<Vec<Place>, Failure> {
    let mut found = Vec::new();
    let mut unknown = None;
    for node in nodes {
        match node.place().resolve().await {
            Ok(addresses) => {
                found.extend(addresses.first().map(|address| (*address, node.id())));
            }
            Err(failure) => {
                tracing::warn!("{failure}");
                unknown = Some(failure);
            }
        }
    }
    match unknown {
        Some(failure) if found.is_empty() => Err(failure),
        _ => Ok(found),
    }
}

/// The database of places, if there is to be one.
fn database(config: &Config) -> Result<Option<Database>, Failure> {
    let Some(path) = &config.geo_database else {
        return Ok(None);
    };
    let database = Database::open(path).map_err(|error| {
        Failure::new(
            Exit::Local,
            format!("the database of places is \"{}\", {error}", path.display()),
        )
    })?;
    let about = database.about();
    tracing::info!(
        "places of peers are by {}, made {}",
        about.kind,
        about.built_at
    );
    Ok(Some(database))
}

/// Opens the store.
fn remember(data_dir: &DataDir) -> Result<Memory, Failure> {
    let (store, saved, moved) = Store::open(&data_dir.store_file(), unix_millis())?;
    if let Some(moved) = moved {
        tracing::error!("{moved}");
    }
    tracing::info!(
        peers = saved.peers.len(),
        bans = saved.bans.len(),
        reputations = saved.reputations.len(),
        seen = saved.seen.len(),
        "remembered from earlier runs"
    );
    Ok(Memory {
        store: Arc::new(store),
        saved,
    })
}

/// What a running node is made of.
struct Running {
    args: StartArgs,
    verbosity: u8,
    config: Config,
    logs: Logs,
    places: Places,
    node: Node,
    hangup: Hangup,
    supervisor: Supervisor,
}

impl Running {
    /// Takes what comes until the node is to end.
    async fn watch(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        control: &Control,
        shutdown: &Shutdown,
    ) -> Result<(), Failure> {
        let mut tell_left_out = tokio::time::interval(TELL_EVERY);
        self.tell_ready();
        loop {
            tokio::select! {
                // Ctrl-C is how a node is meant to end.
                () = shutdown.requested() => break,
                () = self.hangup.next() => {
                    self.supervisor.reloading();
                    self.reload().await;
                    self.tell_ready();
                }
                _ = tell_left_out.tick() => self.logs.tell_left_out(),
                () = self.supervisor.due() => {
                    // An answer of the task that does the work is the sign of life.
                    if self.node.with_overlay(|_, _| ()).await.is_some() {
                        self.supervisor.alive();
                    }
                }
                event = events.recv() => match event {
                    Some(event) => {
                        control.on_event(&event);
                        event_log::write(&event, None);
                    }
                    None => break,
                },
            }
        }
        self.supervisor.stopping();
        Ok(())
    }

    fn tell_ready(&self) {
        let (id, address) = (self.node.id(), self.node.address());
        self.supervisor.ready(&format!("{id}@{address}"));
    }

    /// Reads the configuration again and takes what can change in a running node.
    async fn reload(&mut self) {
        let config = match configuration(&self.args, self.verbosity) {
            Ok(config) => config,
            Err(mistakes) => {
                tracing::error!("the configuration is not taken: {mistakes}");
                return;
            }
        };
        let changed = changes(&self.config, &config);
        for key in changed.iter().filter(|key| !key.is_live) {
            tracing::warn!("{} changed, which needs a restart", key.path);
        }
        self.logs.apply(&config.log);
        // The operator may have renewed the file under the same name.
        match database(&config) {
            Ok(database) => self.places.use_database(database),
            Err(failure) => {
                tracing::error!(
                    "places stay those of the database that was read before: {failure}"
                );
            }
        }
        let peers = &config.peers;
        let (min, target, max) = (peers.min_connections, peers.target(), peers.max_connections);
        let known = &self.config.peers.bootstrap_nodes;
        let nodes = peers.bootstrap_nodes.iter();
        let new: Vec<_> = nodes
            .filter(|node| !known.contains(node))
            .cloned()
            .collect();
        let new = resolved(&new).await.unwrap_or_default();
        let topics = (config.gossip != self.config.gossip).then(|| config.gossip.taken());
        self.node
            .with_overlay(move |overlay, now| {
                overlay.set_peer_limits(min, target, max);
                if let Some(Err(error)) = topics.map(|topics| overlay.set_topics(now, topics)) {
                    tracing::warn!("the topics stay as they were: {error}");
                }
                for (address, id) in new {
                    if let Err(error) = overlay.add_bootstrap(now, address, id) {
                        tracing::warn!("cannot use {address}: {error}");
                    }
                }
            })
            .await;
        let live = changed.iter().filter(|key| key.is_live).count();
        tracing::info!("the configuration was read again; {live} values changed");
        self.config = config;
    }
}
