//! `dunlin chat`: lines to and from a peer, or everybody on a topic.

use tokio::io::{AsyncBufReadExt, BufReader};

use super::{client, ended, show};
use crate::cli::control::ChatArgs;
use crate::commands::{note, print_line};
use crate::control::client::{Client, Heard, segment};
use crate::control::model::{EventRecord, PeerDetail, Telling, Told};
use crate::control::snapshot::shorten;
use crate::failure::{Exit, Failure, plain_reason};
use crate::signals::Shutdown;

/// The name under which people talk when they choose none.
const NAME: &str = "chat";

/// With whom.
enum Room {
    /// One peer, by its whole ID.
    Peer(String),
    /// Everybody on a topic.
    Topic(String),
}

/// Sends each line of stdin and prints what others say, until stdin or the node ends.
pub(super) async fn run(args: ChatArgs, shutdown: Shutdown) -> Result<(), Failure> {
    let client = client(&args.node)?;
    let room = match args.peer {
        Some(peer) => {
            let path = format!("/api/v1/peers/{}", segment(&peer));
            let peer: PeerDetail = client.get(&path).await?;
            Room::Peer(peer.peer.id)
        }
        None => Room::Topic(args.topic.unwrap_or_else(|| NAME.to_owned())),
    };
    let mut events = client
        .events("/api/v1/events?kinds=broadcast,direct,peer_up,peer_down")
        .await?;
    match &room {
        Room::Peer(peer) => note(&format!("talking to {peer}; end with Ctrl-D")),
        Room::Topic(topic) => note(&format!(
            "talking to everybody on {}; end with Ctrl-D",
            topic.escape_debug()
        )),
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            heard = events.next() => match heard? {
                Some(Heard::Event(event)) => hear(&room, &event)?,
                Some(Heard::Missed(count)) => note(&format!("{count} events were missed")),
                None => return Err(ended()),
            },
            line = lines.next_line() => match line {
                Ok(Some(line)) if line.is_empty() => {}
                Ok(Some(line)) => say(&client, &room, line).await?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Failure::new(
                    Exit::Local,
                    format!("cannot read what is typed: {}; it has to be UTF-8", plain_reason(&error)),
                )),
            },
            () = shutdown.requested() => return Ok(()),
        }
    }
}

async fn say(client: &Client, room: &Room, line: String) -> Result<(), Failure> {
    let (path, name) = match room {
        Room::Peer(peer) => (format!("/api/v1/peers/{}/messages", segment(peer)), NAME),
        Room::Topic(topic) => ("/api/v1/broadcasts".to_owned(), topic.as_str()),
    };
    let telling = Telling {
        name: name.to_owned(),
        text: Some(line),
        ..Telling::default()
    };
    let told: Told = client.post(&path, &telling).await?;
    if told.peers == 0 {
        note("nobody is connected; who connects within ten minutes hears it");
    }
    Ok(())
}

fn hear(room: &Room, event: &EventRecord) -> Result<(), Failure> {
    let from = event.peer.as_deref().unwrap_or("-");
    let is_here = match room {
        Room::Peer(peer) => from == peer && event.detail["handler"] == NAME,
        Room::Topic(topic) => event.detail["topic"] == topic.as_str(),
    };
    if is_here {
        let text = match event.detail["text"].as_str() {
            Some(text) => text.escape_debug().to_string(),
            None => event.words.clone(),
        };
        print_line(&format!("{}: {text}", shorten(from, show::ID_LEN)))?;
    } else if matches!(room, Room::Peer(peer) if from == peer) && event.kind.starts_with("peer_") {
        note(&event.words);
    }
    Ok(())
}
