//! Commands for a running node: they ask its API and show the answer.

mod chat;
mod logs;
mod manual;
mod peer;
mod show;
mod table;
mod talk;
mod trust;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::control::{Format, MetricsArgs, NodeArgs, NodeCommand, ShowArgs, StatsArgs};
use crate::commands::stopwatch::Stopwatch;
use crate::commands::{note, print_line};
use crate::control::client::Client;
use crate::control::model::{Changed, DashboardLink, EventList, Status};
use crate::failure::{Exit, Failure};
use crate::metrics::text::OPENMETRICS;
use crate::signals::Shutdown;
pub(super) use manual::{completions, man};
use table::Table;

/// How long a node may take to stop: two seconds are promised.
const STOP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// Between two looks whether it has.
const STOP_LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// Asks the running node.
pub(super) async fn run(command: NodeCommand, shutdown: Shutdown) -> Result<(), Failure> {
    match command {
        NodeCommand::Stop(args) => stop(&args).await,
        NodeCommand::Status(args) => status(&args).await,
        NodeCommand::Peer(args) => peer::run(args).await,
        NodeCommand::Broadcast(args) => talk::broadcast(args).await,
        NodeCommand::Message(args) => talk::message(args).await,
        NodeCommand::Request(args) => talk::request(args).await,
        NodeCommand::Chat(args) => chat::run(args, shutdown).await,
        NodeCommand::Topics(args) => talk::topics(args).await,
        NodeCommand::Verdict(args) => talk::verdict(args).await,
        NodeCommand::Trust(args) => trust::run(&args).await,
        NodeCommand::Stats(args) => stats(&args).await,
        NodeCommand::Metrics(args) => metrics(&args).await,
        NodeCommand::Logs(args) => logs::run(args, shutdown).await,
        NodeCommand::Dashboard(args) => dashboard(&args.show).await,
    }
}

/// The node that is meant.
fn client(node: &NodeArgs) -> Result<Client, Failure> {
    Client::new(node.data_dir.as_deref())
}

/// Prints what the API answered.
fn print_json(answer: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(answer)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    print_line(&text)
}

/// `dunlin status`.
async fn status(args: &ShowArgs) -> Result<(), Failure> {
    let status: Status = client(&args.node)?.get("/api/v1/status").await?;
    if args.json {
        return print_json(&status);
    }
    let peers = status.peers;
    let silent = match peers.silent {
        0 => String::new(),
        silent => format!(" ({silent} silent)"),
    };
    print_line(&format!(
        "node     {}\naddress  {}\nnetwork  {}\nversion  {}, process {}\nrunning  {}, since {}\npeers    {} connected{silent}, {} connecting, {} known, {} banned",
        status.id,
        status.address,
        status.network.escape_debug(),
        status.version,
        status.pid,
        show::span(status.uptime_s),
        show::moment(&status.started_at),
        peers.connected,
        peers.connecting,
        peers.known,
        peers.banned,
    ))
}

/// `dunlin stop`: asks the node to stop, and waits until it does not answer any more.
async fn stop(args: &NodeArgs) -> Result<(), Failure> {
    let client = client(args)?;
    let _: Changed = client.post("/api/v1/stop", &Map::new()).await?;
    let asked = Stopwatch::start();
    while client.is_running().await {
        if asked.elapsed() > STOP_PATIENCE {
            return Err(Failure::new(
                Exit::Failed,
                "the node was asked to stop and still runs; end its process (`dunlin status` tells its number)",
            ));
        }
        tokio::time::sleep(STOP_LOOK).await;
    }
    note("stopped");
    Ok(())
}

/// `dunlin dashboard`.
async fn dashboard(args: &ShowArgs) -> Result<(), Failure> {
    let (client, nothing) = (client(&args.node)?, Map::new());
    let link: DashboardLink = client.post("/api/v1/dashboard", &nothing).await?;
    if args.json {
        return print_json(&link);
    }
    print_line(&link.url)
}

fn show_events(events: &EventList, json: bool, nothing: &str) -> Result<(), Failure> {
    if json {
        return print_json(events);
    }
    if events.events.is_empty() {
        note(nothing);
    }
    for event in &events.events {
        print_line(&show::event(event, true))?;
    }
    Ok(())
}

/// `dunlin stats`.
async fn stats(args: &StatsArgs) -> Result<(), Failure> {
    let stats: Map<String, Value> = client(&args.show.node)?.get("/api/v1/stats").await?;
    if args.show.json || args.output == Format::Json {
        return print_json(&stats);
    }
    let known = crate::metrics::overlay::rows(&dunlin_overlay::OverlayStats::default());
    let mut table = Table::new(&["Counter", "Value", "Meaning"]);
    for (name, value) in &stats {
        let help = known.iter().find(|row| row.name == name);
        let help = help.map_or("", |row| row.help);
        table.row(&[name.clone(), value.to_string(), help.to_owned()]);
    }
    print_line(&table.to_string())
}

/// `dunlin metrics`.
async fn metrics(args: &MetricsArgs) -> Result<(), Failure> {
    let accept = args.openmetrics.then_some(OPENMETRICS);
    let text = client(&args.node)?.text("/metrics", accept).await?;
    print_line(text.trim_end())
}

/// The failure when the node ends while it is listened to.
fn ended() -> Failure {
    Failure::new(Exit::Unreachable, "the node has stopped")
}
