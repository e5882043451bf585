//! `dunlin simulate`: real nodes with sockets of their own on loopback, in this process.
//!
//! They find each other from one bootstrap node, one of them sends a broadcast, and one sends a
//! file to a neighbour. Each step has a deadline; a line on stdout says what came of it. The first node
//! has a dashboard with a map of all, and answers commands; its log is that of all nodes. On a terminal (and with `--forever`) the network then goes on, so
//! that there is time to look, and the nodes take turns to broadcast.

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dunlin_overlay::{BroadcastId, Event};
use dunlin_session::NodeId;
use dunlin_transport::driver::CarrierChoice;
use tokio::sync::mpsc;

use crate::cli::SimulateArgs;
use crate::commands::stopwatch::Stopwatch;
use crate::commands::{event_log, note, print_line};
use crate::control::{Control, ControlOptions};
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure, plain_reason};
use crate::network::{Node, NodeOptions};
use crate::progress_bar::rate;
use crate::recording::play::Player;
use crate::signals::Shutdown;
use crate::stack::Keys;
use crate::telemetry::{self, Logs};
use crate::transfer::{Manifest, Quiet, send};

const UP_DEADLINE: Duration = Duration::from_secs(30);
const BROADCAST_DEADLINE: Duration = Duration::from_secs(10);
const FILE_DEADLINE: Duration = Duration::from_secs(60);
const FILE_LEN: usize = 32 << 20;
const TOPIC: &str = "simulate";
/// A node is well connected with this many peers (or all there are).
const WELL_CONNECTED: usize = 4;
/// Lines that one place of the program may write to the log in a minute, for each node.
const LOG_REPEATS_EACH: u32 = 60;

/// Runs the network; ends by itself unless somebody is there to look at it.
pub(super) async fn run(
    args: SimulateArgs,
    verbosity: u8,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    if let Some(path) = &args.recorded {
        telemetry::start(verbosity);
        return play(path, args.speed, &shutdown).await;
    }
    let repeats = LOG_REPEATS_EACH.saturating_mul(args.count.into());
    let logs = Logs::start_in_memory(verbosity, repeats);
    let folder = tempfile::tempdir().map_err(|error| no_folder(&error))?;
    let mut network = Network::start(&args, folder.path(), logs, &shutdown)?;
    let result = tokio::select! {
        result = network.exercise(folder.path()) => result,
        () = shutdown.requested() => Err(shutdown.interrupted("stopped before the network was tried")),
    };
    let stays = args.forever || !args.once && std::io::stdout().is_terminal();
    if stays && result.is_ok() {
        network.stay(folder.path(), &shutdown).await;
    }
    network.stop().await;
    result
}

/// Shows a recorded network until a signal comes.
async fn play(path: &Path, speed: f64, shutdown: &Shutdown) -> Result<(), Failure> {
    let mut player = Player::start(path, speed).await?;
    note(&format!(
        "the dashboard, for one browser: {}",
        player.link().url
    ));
    let header = player.header();
    note(&format!(
        "{}, seed {}, again and again; Ctrl-C ends it",
        header.title.escape_debug(),
        header.seed
    ));
    tokio::select! {
        failure = player.failed() => Err(failure),
        () = shutdown.requested() => Ok(()),
    }
}

struct Network {
    nodes: Vec<Node>,
    /// Which node heard which broadcast, and over how many hops.
    heard: mpsc::Receiver<(NodeId, BroadcastId, u8)>,
    /// Of the first node.
    _control: Arc<Control>,
    logs: Logs,
}

impl Network {
    fn start(
        args: &SimulateArgs,
        folder: &Path,
        logs: Logs,
        shutdown: &Shutdown,
    ) -> Result<Self, Failure> {
        let mut started: Vec<(Node, mpsc::Receiver<Event>)> = Vec::new();
        for index in 0..args.count {
            let first = started.first().map(|(node, _)| node);
            let bootstrap = first.map(|node| (node.address(), Some(node.id())));
            let options = NodeOptions {
                bootstrap: bootstrap.into_iter().collect(),
                inbox: Some(inbox(folder, index)),
                // A second socket for each of hundreds of nodes would be for nothing here.
                carriers: CarrierChoice::UdpOnly,
                ..NodeOptions::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port(args, index)?)))
            };
            started.push(Node::start(&Keys::throwaway(), options)?);
        }
        let (nodes, events): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        note(&format!(
            "{} nodes in this process, each with a socket of its own, the first at {}",
            nodes.len(),
            first(&nodes)?.address()
        ));
        let control = Arc::new(watch(&nodes, folder, logs.clone(), shutdown)?);
        if let Some(link) = control.dashboard_link() {
            note(&format!("the dashboard, for one browser: {}", link.url));
        }
        let (hearing, heard) = mpsc::channel(4_096);
        let mut watched = Some(Arc::downgrade(&control));
        for ((number, node), events) in nodes.iter().enumerate().zip(events) {
            let ear = Ear {
                number,
                node: node.id(),
                hearing: hearing.clone(),
                watching: watched.take(),
            };
            tokio::spawn(ear.listen(events));
        }
        Ok(Self {
            nodes,
            heard,
            _control: control,
            logs,
        })
    }

    async fn exercise(&mut self, folder: &Path) -> Result<(), Failure> {
        print_line(&format!("nodes:     {}", self.connect().await?))?;
        print_line(&format!("broadcast: {}", self.broadcast().await?))?;
        print_line(&format!("file:      {}", self.send_file(folder).await?))
    }

    /// Waits until every node has its peers.
    async fn connect(&self) -> Result<String, Failure> {
        let wanted = WELL_CONNECTED.min(self.nodes.len() - 1);
        let stopwatch = Stopwatch::start();
        let mut told = usize::MAX;
        loop {
            let (mut up, mut links) = (0, 0);
            for node in &self.nodes {
                let connected = node.stats().await.connected;
                links += connected;
                up += usize::from(connected >= wanted);
            }
            let elapsed = stopwatch.elapsed();
            if up == self.nodes.len() {
                return Ok(format!(
                    "{up} up after {} ms, {} links, at least {wanted} each",
                    elapsed.as_millis(),
                    links / 2
                ));
            }
            if up != told {
                note(&format!(
                    "{up} of {} nodes have found {wanted} peers or more",
                    self.nodes.len()
                ));
                told = up;
            }
            if elapsed > UP_DEADLINE {
                return Err(failed(&format!(
                    "only {up} of {} nodes found {wanted} peers within {} s; is the machine overloaded?",
                    self.nodes.len(),
                    UP_DEADLINE.as_secs()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The last node, which is farthest from the first, tells something to all.
    async fn broadcast(&mut self) -> Result<String, Failure> {
        let others = self.nodes.len() - 1;
        let origin = self
            .nodes
            .last()
            .ok_or_else(|| failed("there are no nodes"))?;
        let stopwatch = Stopwatch::start();
        let sent = origin.broadcast(TOPIC, b"to everybody").await;
        let id = sent
            .and_then(Result::ok)
            .ok_or_else(|| failed("the broadcast was not sent"))?;
        let (mut reached, mut hops_most) = (std::collections::BTreeSet::new(), 0);
        let hearing = async {
            while reached.len() < others {
                match self.heard.recv().await {
                    Some((node, heard, hops)) if heard == id => {
                        reached.insert(node);
                        hops_most = hops_most.max(hops);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        };
        // The deadline is told by the number that was reached.
        let _ = tokio::time::timeout(BROADCAST_DEADLINE, hearing).await;
        let summary = format!(
            "reached {} of {others} other nodes in {:.1} ms, at most {hops_most} hops",
            reached.len(),
            stopwatch.elapsed().as_secs_f64() * 1e3
        );
        if reached.len() == others {
            Ok(summary)
        } else {
            Err(failed(&summary))
        }
    }

    /// The first node sends a file to one of its peers.
    async fn send_file(&self, folder: &Path) -> Result<String, Failure> {
        let sender = first(&self.nodes)?;
        let path = folder.join("file");
        write_noise(&path)
            .await
            .map_err(|error| no_folder(&error))?;
        let manifest = Manifest::scan(&path, &Quiet)
            .map(Arc::new)
            .map_err(|error| failed(&format!("the file cannot be read: {error}")))?;
        let stopwatch = Stopwatch::start();
        let sending = async {
            // A link may be given up for another one to the same peer; the transfer then goes on
            // over that one.
            loop {
                for peer in sender.peers().await {
                    if let Some(sent) = send_to(sender, peer, &manifest).await {
                        return (peer, sent);
                    }
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let Ok((peer, bytes)) = tokio::time::timeout(FILE_DEADLINE, sending).await else {
            return Err(failed(
                "the file did not arrive in time; is the machine overloaded?",
            ));
        };
        let elapsed = stopwatch.elapsed();
        let receiver = self
            .nodes
            .iter()
            .position(|node| node.id() == peer)
            .unwrap_or_default();
        let arrived = inbox(folder, u16::try_from(receiver).unwrap_or_default()).join("file");
        if !same_content(path, arrived).await {
            return Err(Failure::new(
                Exit::Integrity,
                "the file that arrived is another one; check the memory of this machine",
            ));
        }
        Ok(format!(
            "node 0 -> node {receiver}, {} MiB in {:.2} s, {}, BLAKE3 verified",
            bytes >> 20,
            elapsed.as_secs_f64(),
            rate(bytes, elapsed)
        ))
    }

    async fn stay(&mut self, folder: &Path, shutdown: &Shutdown) {
        note(&format!(
            "the network keeps running: open the dashboard above, or ask the first node, for example with\n  \
             dunlin peer list --data-dir {}\nCtrl-C ends it",
            folder.display()
        ));
        let mut period = tokio::time::interval(Duration::from_secs(5));
        let mut turns = 0..usize::MAX;
        let mut told = None;
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                heard = self.heard.recv() => if heard.is_none() { return },
                _ = period.tick() => {
                    self.logs.tell_left_out();
                    let mut ends = 0;
                    for node in &self.nodes {
                        ends += node.stats().await.connected;
                    }
                    if told.replace(ends) != Some(ends) {
                        note(&format!("{} nodes, {} links", self.nodes.len(), ends / 2));
                    }
                    // So that there is something to see.
                    let turn = turns.next().map(|turn| turn % self.nodes.len());
                    if let Some(node) = turn.and_then(|turn| self.nodes.get(turn)) {
                        let _ = node.broadcast(TOPIC, b"still here").await;
                    }
                }
            }
        }
    }

    /// Ends all nodes at the same time: one after the other would take too long.
    async fn stop(self) {
        let mut ending = tokio::task::JoinSet::new();
        for node in self.nodes {
            ending.spawn(node.shutdown());
        }
        ending.join_all().await;
    }
}

/// Bytes that arrived, or `None` when there is no link to the peer or it ended.
async fn send_to(sender: &Node, peer: NodeId, manifest: &Arc<Manifest>) -> Option<u64> {
    let connection = sender.connection(peer).await?;
    let (writer, reader) = connection.open_stream().await.ok()?;
    match send(reader, writer, Arc::clone(manifest), Arc::new(Quiet)).await {
        Ok(outcome) if outcome.problem_count == 0 => Some(manifest.bytes()),
        Ok(outcome) => {
            tracing::warn!(?outcome, "the file was not taken");
            None
        }
        Err(error) => {
            tracing::info!(%error, "the file will be sent again");
            None
        }
    }
}

/// Who listens to a node.
struct Ear {
    number: usize,
    node: NodeId,
    /// Who counts where broadcasts arrive.
    hearing: mpsc::Sender<(NodeId, BroadcastId, u8)>,
    /// The control interface, if this is the node that it belongs to.
    watching: Option<Weak<Control>>,
}

impl Ear {
    async fn listen(self, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            event_log::write(&event, Some(self.number));
            if let Some(control) = self.watching.as_ref().and_then(Weak::upgrade) {
                control.on_event(&event);
            }
            if let Event::Broadcast {
                id, topic, hops, ..
            } = event
                && topic == TOPIC
                && self.hearing.send((self.node, id, hops)).await.is_err()
            {
                return;
            }
        }
    }
}

/// The port of a node.
fn port(args: &SimulateArgs, index: u16) -> Result<u16, Failure> {
    match args.base_port {
        0 => Ok(0),
        base => base.checked_add(index).ok_or_else(|| {
            let highest = u16::MAX - (args.count - 1);
            Failure::new(
                Exit::Usage,
                format!(
                    "{} ports from {base} on go past 65535; choose --base-port up to {highest}",
                    args.count
                ),
            )
        }),
    }
}

/// The control interface of the first node, with a dashboard on a port of the system's choice that has
/// a map of all.
fn watch(
    nodes: &[Node],
    folder: &Path,
    logs: Logs,
    shutdown: &Shutdown,
) -> Result<Control, Failure> {
    let options = ControlOptions {
        http: Some((Ipv4Addr::LOCALHOST, 0).into()),
        network: TOPIC.to_owned(),
        logs: Some(logs),
        others: nodes.iter().skip(1).map(Node::handle).collect(),
        ..ControlOptions::new(DataDir::open(Some(folder))?)
    };
    Control::start(first(nodes)?.handle(), &options, shutdown.clone())
}

fn inbox(folder: &Path, index: u16) -> PathBuf {
    folder.join(format!("node-{index}"))
}

async fn write_noise(path: &Path) -> std::io::Result<()> {
    let path = path.to_path_buf();
    blocking(move || {
        let mut noise = vec![0; FILE_LEN];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        std::fs::write(path, noise)
    })
    .await
    .unwrap_or_else(|| Err(std::io::ErrorKind::Other.into()))
}

async fn same_content(one: PathBuf, other: PathBuf) -> bool {
    blocking(move || matches!((std::fs::read(one), std::fs::read(other)), (Ok(a), Ok(b)) if a == b))
        .await
        .unwrap_or(false)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn first(nodes: &[Node]) -> Result<&Node, Failure> {
    nodes.first().ok_or_else(|| failed("there are no nodes"))
}

fn failed(sentence: &str) -> Failure {
    Failure::new(Exit::Failed, sentence)
}

fn no_folder(error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot write a temporary file: {}; free some space or set TMPDIR",
            plain_reason(error)
        ),
    )
}

const POLL: Duration = Duration::from_millis(50);
