//! `dunlin peer`.

use std::io::{Read as _, Write as _};
use std::path::Path;

use hyper::Method;

use super::table::{Colour, Table, opt};
use super::{client, print_json, show};
use crate::cli::control::{
    CountArgs, Format, OnePeerArgs, PeerAction, PeerAddArgs, PeerArgs, PeerBanArgs, PeerFileArgs,
    PeerListArgs, PeerRemoveArgs, ShowArgs,
};
use crate::commands::{note, print_line};
use crate::control::client::{Client, file_failure, segment};
use crate::control::limits::BODY_LEN_MAX;
use crate::control::model::{
    AddPeer, AddedPeer, BanList, BanRequest, Changed, Imported, Peer, PeerDetail, PeerFile,
    PeerFilter, PeerList, PeerStatus, Place, Proof, Story,
};
use crate::control::operations::remembered::stored;
use crate::control::snapshot::{begins_with, shorten};
use crate::failure::{Exit, Failure};

/// Does what is asked.
pub(super) async fn run(args: PeerArgs) -> Result<(), Failure> {
    match args.action {
        PeerAction::List(args) => list(&args).await,
        PeerAction::Add(args) => add(args).await,
        PeerAction::Remove(args) => remove(&args).await,
        PeerAction::Ban(args) => ban(args).await,
        PeerAction::Unban(args) => unban(&args).await,
        PeerAction::Bans(args) => bans(&args).await,
        PeerAction::Info(args) => info(&args).await,
        PeerAction::Why(args) => why(&args).await,
        PeerAction::Challenge(args) => challenge(&args).await,
        PeerAction::Top(args) => top(&args).await,
        PeerAction::Export(args) => export(&args).await,
        PeerAction::Import(args) => import(&args).await,
    }
}

async fn list(args: &PeerListArgs) -> Result<(), Failure> {
    let filter = match args.filter {
        PeerFilter::Connected => "connected",
        PeerFilter::All => "all",
        PeerFilter::Banned => "banned",
        PeerFilter::Unhealthy => "unhealthy",
    };
    let path = format!("/api/v1/peers?filter={filter}");
    let list: PeerList = client(&args.show.node)?.get(&path).await?;
    if args.show.json || args.format == Format::Json {
        return print_json(&list);
    }
    print_peers(&list)
}

async fn top(args: &CountArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/peers/top?count={}", args.count);
    let list: PeerList = client(&args.show.node)?.get(&path).await?;
    if args.show.json {
        return print_json(&list);
    }
    print_peers(&list)
}

/// The columns of the QuDAG peer plan, §2.2.
fn print_peers(list: &PeerList) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "Peer ID",
        "Address",
        "Status",
        "Version",
        "Latency",
        "Messages",
        "Reputation",
    ]);
    for peer in &list.peers {
        table.coloured([
            (shorten(&peer.id, show::ID_LEN), None),
            (opt(peer.address.clone()), None),
            standing(peer),
            (opt(peer.version.clone()), None),
            (show::latency(peer.latency_ms), None),
            (show::number(peer.messages_exchanged), None),
            (show::score(peer.reputation_score), None),
        ]);
    }
    print_line(&table.to_string())?;
    let summary = list.summary;
    let reputation = summary.average_reputation.map_or_else(String::new, |mean| {
        format!(", average reputation {mean:.1}")
    });
    note(&format!(
        "{} known, {} connected, {} connecting, {} banned{reputation}",
        summary.total_peers, summary.connected, summary.connecting, summary.banned
    ));
    Ok(())
}

/// Where a peer stands, and what is wrong with it.
fn standing(peer: &Peer) -> (String, Option<Colour>) {
    let status = show::status(peer.status);
    if peer.ailments.is_empty() || peer.status != PeerStatus::Connected {
        (status.to_owned(), show::colour(peer.status))
    } else {
        let ailments = peer.ailments.join(", ");
        (format!("{status}, {ailments}"), Some(Colour::Bad))
    }
}

async fn add(args: PeerAddArgs) -> Result<(), Failure> {
    let wish = AddPeer {
        address: args.address,
        priority: args.priority,
        wait_ms: u64::try_from(args.wait.as_millis()).unwrap_or(u64::MAX),
    };
    let added: AddedPeer = client(&args.show.node)?
        .post("/api/v1/peers", &wish)
        .await?;
    if args.show.json {
        return print_json(&added);
    }
    match added.peer {
        Some(Peer { id, latency_ms, .. }) => print_line(&format!(
            "connected to {id} at {} ({})",
            added.address,
            show::latency(latency_ms)
        )),
        None => print_line(&format!("added {}; the node dials it", added.address)),
    }
}

async fn remove(args: &PeerRemoveArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/peers/{}?ban={}", segment(&args.peer), args.ban);
    let client = client(&args.show.node)?;
    let changed: Changed = client.call(Method::DELETE, &path, None::<&()>).await?;
    warn_of_loss(&changed);
    if args.show.json {
        return print_json(&changed);
    }
    let what = if args.ban {
        "removed and banned"
    } else {
        "removed"
    };
    print_line(&format!("{what} {}", changed.subject))
}

async fn ban(args: PeerBanArgs) -> Result<(), Failure> {
    let wish = BanRequest {
        subject: args.peer,
        duration_s: args.duration.map(|duration| duration.as_secs()),
        reason: args.reason,
    };
    let changed: Changed = client(&args.show.node)?.post("/api/v1/bans", &wish).await?;
    warn_of_loss(&changed);
    if args.show.json {
        return print_json(&changed);
    }
    print_line(&format!("banned {}", changed.subject))
}

async fn unban(args: &OnePeerArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/bans/{}", segment(&args.peer));
    let client = client(&args.show.node)?;
    let changed: Changed = client.call(Method::DELETE, &path, None::<&()>).await?;
    warn_of_loss(&changed);
    if args.show.json {
        return print_json(&changed);
    }
    let what = if changed.changed {
        "not banned any more:"
    } else {
        "was not banned:"
    };
    print_line(&format!("{what} {}", changed.subject))
}

/// The node did it, but could not write it down.
fn warn_of_loss(changed: &Changed) {
    if changed.is_only_in_memory {
        note(
            "the disk does not take it: it holds until the node ends; make room, and `dunlin logs` tells when \
             it is written",
        );
    }
}

async fn bans(args: &ShowArgs) -> Result<(), Failure> {
    let list: BanList = client(&args.node)?.get("/api/v1/bans").await?;
    if args.json {
        return print_json(&list);
    }
    let mut table = Table::new(&["Banned", "Since", "Until", "Reason"]);
    for ban in &list.bans {
        let subject = shorten(&ban.subject, show::ID_LEN);
        let subject = if ban.subject.starts_with("dunlin1") {
            subject
        } else {
            ban.subject.clone()
        };
        let (since, until) = (show::moment(&ban.since), show::moment(&ban.until));
        table.row(&[subject, since, until, ban.reason.clone()]);
    }
    print_line(&table.to_string())
}

async fn info(args: &OnePeerArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/peers/{}", segment(&args.peer));
    let detail: PeerDetail = client(&args.show.node)?.get(&path).await?;
    if args.show.json {
        return print_json(&detail);
    }
    for (name, value) in facts(&detail) {
        print_line(&format!("{name:<14}{}", value.escape_debug()))?;
    }
    Ok(())
}

fn facts(detail: &PeerDetail) -> Vec<(&'static str, String)> {
    let peer = &detail.peer;
    let none = || "-".to_owned();
    let or_none = |list: &[String]| match list {
        [] => none(),
        list => list.join(", "),
    };
    let status = format!("{} ({})", show::status(peer.status), detail.reason);
    let traffic = |messages: u64, bytes: u64| {
        format!(
            "{} messages, {} bytes",
            show::number(messages),
            show::number(bytes)
        )
    };
    let mut facts = vec![
        ("id", peer.id.clone()),
        ("status", status),
        ("address", opt(peer.address.clone())),
        ("addresses", or_none(&detail.addresses)),
        ("source", detail.source.clone()),
        ("priority", format!("{:?}", detail.priority).to_lowercase()),
        ("connection", opt(peer.connection.clone())),
        ("health", health(detail)),
        ("software", opt(detail.user_agent.clone())),
        ("roles", or_none(&peer.roles)),
        ("capabilities", or_none(&peer.capabilities)),
        ("reputation", show::score(peer.reputation_score)),
        ("latency", show::latency(peer.latency_ms)),
        (
            "connected",
            opt(peer.connected_since.as_deref().map(show::moment)),
        ),
        ("proved", opt(detail.proved_at.as_deref().map(show::moment))),
        ("failures", detail.failures.to_string()),
        ("sent", traffic(detail.messages_sent, detail.bytes_sent)),
        (
            "received",
            traffic(detail.messages_received, detail.bytes_received),
        ),
        (
            "broadcasts",
            format!(
                "{} first, {} again",
                show::number(detail.first_deliveries),
                show::number(detail.duplicates)
            ),
        ),
    ];
    if let Some(until) = &detail.banned_until {
        let reason = detail.ban_reason.as_deref().unwrap_or("-");
        facts.push(("banned until", format!("{}: {reason}", show::moment(until))));
    }
    facts.extend(detail.place.iter().map(|of| ("place", where_it_is(of))));
    if let Some(path) = &detail.path {
        facts.push((
            "path",
            format!(
                "{}, {} (least {}), window {} bytes, {} of {} packets lost, MTU {}",
                path.carrier,
                show::latency(Some(path.rtt_ms)),
                show::latency(Some(path.rtt_min_ms)),
                show::number(path.congestion_window),
                show::number(path.packets_lost),
                show::number(path.packets_sent),
                path.mtu
            ),
        ));
    }
    facts
}

/// A place in words, and as degrees to the north and to the east.
fn where_it_is(place: &Place) -> String {
    let mut words = place.words.clone();
    if let Some((north, east)) = place.latitude.zip(place.longitude) {
        let near = place.accuracy_km;
        let near = near.map_or_else(String::new, |near| format!(", to {near} km"));
        words.push_str(&format!(" ({north:.2}, {east:.2}{near})"));
    }
    words
}

fn health(detail: &PeerDetail) -> String {
    let pings = detail
        .ping_success
        .map(|share| format!("{:.0} % of pings answered", share * 100.0));
    match (detail.peer.ailments.as_slice(), pings) {
        ([], None) => "-".to_owned(),
        ([], Some(pings)) => format!("good, {pings}"),
        (ailments, pings) => {
            let words = ailments.iter().cloned().chain(pings);
            words.collect::<Vec<_>>().join(", ")
        }
    }
}

async fn challenge(args: &OnePeerArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/peers/{}/challenge", segment(&args.peer));
    let client = client(&args.show.node)?;
    let proof: Proof = client.post(&path, &serde_json::Map::new()).await?;
    if args.show.json {
        return print_json(&proof);
    }
    let at = show::moment(&proof.proved_at);
    print_line(&format!("{} proved its identity at {at}", proof.peer))
}

async fn why(args: &OnePeerArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/peers/{}/story", segment(&args.peer));
    let client = client(&args.show.node)?;
    let story: Story = if client.is_running().await {
        client.get(&path).await?
    } else {
        remembered(&client, &args.peer).await?
    };
    if args.show.json {
        return print_json(&story);
    }
    print_line(&story.peer)?;
    if story.forgotten > 0 {
        note(&format!("{} older entries are forgotten", story.forgotten));
    }
    if story.entries.is_empty() {
        note("nothing is known to have happened to it");
    }
    for entry in &story.entries {
        print_line(&show::event(entry, false))?;
    }
    Ok(())
}

/// The story that the store of a node that does not run has.
async fn remembered(client: &Client, typed: &str) -> Result<Story, Failure> {
    let path = client.data_dir().store_file();
    if !path.exists() {
        // Says that no node is running, and how to start one.
        return client.get("/api/v1/status").await;
    }
    let all = stored(&path, None).map_err(Failure::from)?;
    let mut peers: Vec<&str> = all.iter().filter_map(|row| row.peer.as_deref()).collect();
    peers.sort_unstable();
    peers.dedup();
    peers.retain(|id| begins_with(id, typed));
    let [peer] = peers[..] else {
        let what = if peers.is_empty() {
            "nothing is known of"
        } else {
            "several peers begin with"
        };
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{what} \"{}\"; give the whole ID, or start the node",
                typed.escape_debug()
            ),
        ));
    };
    let peer = peer.to_owned();
    let entries = stored(&path, peer.parse().ok()).map_err(Failure::from)?;
    Ok(Story {
        peer,
        entries,
        forgotten: 0,
    })
}

async fn export(args: &PeerFileArgs) -> Result<(), Failure> {
    let file: PeerFile = client(&args.node)?.get("/api/v1/peers/export").await?;
    let mut text = serde_json::to_string_pretty(&file)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    text.push('\n');
    let written = if args.file == Path::new("-") {
        std::io::stdout().write_all(text.as_bytes())
    } else {
        std::fs::write(&args.file, text)
    };
    written.map_err(|error| file_failure(&args.file, &error))?;
    note(&format!("{} peers written", file.peers.len()));
    Ok(())
}

async fn import(args: &PeerFileArgs) -> Result<(), Failure> {
    let text = read(&args.file).map_err(|error| file_failure(&args.file, &error))?;
    let file: PeerFile = serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            Exit::Local,
            format!(
                "{} is not a file of peers: {error}; `dunlin peer export` writes one",
                args.file.display()
            ),
        )
    })?;
    let imported: Imported = client(&args.node)?
        .post("/api/v1/peers/import", &file)
        .await?;
    print_line(&format!(
        "{} peers taken in, {} left out",
        imported.taken, imported.left
    ))
}

/// A file, or stdin, up to what the API takes.
fn read(path: &Path) -> std::io::Result<String> {
    let limit = u64::try_from(BODY_LEN_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    let length = if path == Path::new("-") {
        std::io::stdin().take(limit + 1).read_to_string(&mut text)?
    } else {
        let file = std::fs::File::open(path)?;
        file.take(limit + 1).read_to_string(&mut text)?
    };
    if length > BODY_LEN_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}
