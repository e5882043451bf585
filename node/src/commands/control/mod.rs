//! Commands for a running node: they ask its API and show the answer.

mod chat;
mod logs;
mod manual;
mod peer;
mod show;
mod table;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::control::{
    BroadcastArgs, Format, MessageArgs, MetricsArgs, NodeArgs, NodeCommand, ShowArgs, StatsArgs,
    TrustAction, TrustArgs,
};
use crate::commands::stopwatch::Stopwatch;
use crate::commands::{note, print_line};
use crate::control::client::{Client, segment};
use crate::control::model::{
    Changed, DashboardLink, EventList, Status, Telling, Told, TrustEntry, TrustList,
};
use crate::control::snapshot::shorten;
use crate::failure::{Exit, Failure};
use crate::metrics::text::OPENMETRICS;
use crate::signals::Shutdown;
pub(super) use manual::{completions, man};
use table::{Table, opt};

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
        NodeCommand::Broadcast(args) => broadcast(args).await,
        NodeCommand::Message(args) => message(args).await,
        NodeCommand::Chat(args) => chat::run(args, shutdown).await,
        NodeCommand::Trust(args) => trust(&args).await,
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

/// `dunlin broadcast`.
async fn broadcast(args: BroadcastArgs) -> Result<(), Failure> {
    let telling = Telling {
        name: args.topic,
        text: Some(args.text),
        priority: args.priority,
        ..Telling::default()
    };
    let client = client(&args.show.node)?;
    let told: Told = client.post("/api/v1/broadcasts", &telling).await?;
    if args.show.json {
        return print_json(&told);
    }
    print_line(&format!(
        "broadcast {}: {} bytes, to {} connected peers and on",
        told.id.as_deref().unwrap_or("-"),
        told.bytes,
        told.peers
    ))
}

/// `dunlin message`.
async fn message(args: MessageArgs) -> Result<(), Failure> {
    let telling = Telling {
        name: args.handler,
        text: Some(args.text),
        ..Telling::default()
    };
    let path = format!("/api/v1/peers/{}/messages", segment(&args.peer));
    let told: Told = client(&args.show.node)?.post(&path, &telling).await?;
    if args.show.json {
        return print_json(&told);
    }
    print_line(&format!("sent: {} bytes", told.bytes))
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

/// `dunlin trust`.
async fn trust(args: &TrustArgs) -> Result<(), Failure> {
    match &args.action {
        TrustAction::List(show) => {
            let list: TrustList = client(&show.node)?.get("/api/v1/trust").await?;
            if show.json {
                return print_json(&list);
            }
            let mut table = Table::new(&[
                "Peer ID",
                "Status",
                "Reputation",
                "Trust",
                "First deliveries",
                "Broken promises",
            ]);
            list.peers
                .iter()
                .for_each(|peer| table.row(&trust_row(peer)));
            print_line(&table.to_string())
        }
        TrustAction::Events(args) => {
            let path = format!("/api/v1/trust/events?count={}", args.count);
            let events: EventList = client(&args.show.node)?.get(&path).await?;
            show_events(
                &events,
                args.show.json,
                "nothing has changed the trust in a peer yet",
            )
        }
    }
}

fn trust_row(peer: &TrustEntry) -> [String; 6] {
    [
        shorten(&peer.id, show::ID_LEN),
        show::status(peer.status).to_owned(),
        show::score(peer.reputation_score),
        opt(peer.trust.map(|trust| format!("{trust:.2}"))),
        peer.first_deliveries.to_string(),
        peer.promises_broken.to_string(),
    ]
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
