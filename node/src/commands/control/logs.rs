//! `dunlin logs`: the log of the running node, or with `--events` what happens to it.

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{client, ended, print_json, show, show_events};
use crate::cli::control::LogsArgs;
use crate::commands::{note, print_line};
use crate::control::client::{Client, Events, Heard};
use crate::control::model::{
    EventList, EventRecord, LogFilter, LogLayer, LogLevel, LogLine, LogList,
};
use crate::failure::{Exit, Failure};
use crate::signals::Shutdown;

/// Shows, follows, or changes what the log says.
pub(super) async fn run(args: LogsArgs, shutdown: Shutdown) -> Result<(), Failure> {
    let client = client(&args.show.node)?;
    if let Some(filter) = args.set {
        let filter = LogFilter { filter };
        let set: LogFilter = client
            .call(Method::PUT, "/api/v1/log", Some(&filter))
            .await?;
        note(&format!("the log of the node says now: {}", set.filter));
        return Ok(());
    }
    if args.events {
        return events(&client, &args, shutdown).await;
    }
    let mut asked = format!("count={}", args.count);
    if let Some(level) = args.level {
        asked.push_str("&level=");
        asked.push_str(level_word(level));
    }
    if let Some(layer) = args.layer {
        asked.push_str("&layer=");
        asked.push_str(layer_word(layer));
    }
    let json = args.show.json;
    if args.follow {
        let mut lines = client
            .events(&format!("/api/v1/logs/stream?{asked}"))
            .await?;
        return follow(&mut lines, &shutdown, |line: &LogLine| {
            print(line, json, show::log_line)
        })
        .await;
    }
    let list: LogList = client.get(&format!("/api/v1/logs?{asked}")).await?;
    if json {
        return print_json(&list);
    }
    if list.lines.is_empty() {
        note("the log has no such line; `dunlin logs --set info` makes it say more");
    }
    for line in &list.lines {
        print_line(&show::log_line(line))?;
    }
    Ok(())
}

/// What happens to peers, and what they send.
async fn events(client: &Client, args: &LogsArgs, shutdown: Shutdown) -> Result<(), Failure> {
    let json = args.show.json;
    // First listen, then look back, so that nothing falls between.
    let following = match args.follow {
        true => Some(client.events("/api/v1/events").await?),
        false => None,
    };
    let path = format!("/api/v1/events/recent?count={}", args.count);
    let recent: EventList = client.get(&path).await?;
    let last = recent.events.last().map_or(0, |event| event.sequence);
    let Some(mut following) = following else {
        return show_events(&recent, json, "nothing has happened yet");
    };
    let shown = |event: &EventRecord| print(event, json, |event| show::event(event, true));
    recent.events.iter().try_for_each(shown)?;
    follow(&mut following, &shutdown, |event: &EventRecord| {
        if event.sequence > last {
            shown(event)
        } else {
            Ok(())
        }
    })
    .await
}

/// Hands on what comes until the node or the reader ends.
async fn follow<T: DeserializeOwned>(
    coming: &mut Events,
    shutdown: &Shutdown,
    shown: impl Fn(&T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let heard = tokio::select! {
            heard = coming.next_as::<T>() => heard?,
            () = shutdown.requested() => return Ok(()),
        };
        match heard {
            Some(Heard::Event(one)) => shown(&one)?,
            Some(Heard::Missed(count)) => note(&format!("{count} were missed")),
            None => return Err(ended()),
        }
    }
}

/// One line: JSON, or words.
fn print<T: Serialize>(
    one: &T,
    json: bool,
    words: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    if json {
        let line = serde_json::to_string(one)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        print_line(&line)
    } else {
        print_line(&words(one))
    }
}

const fn level_word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

const fn layer_word(layer: LogLayer) -> &'static str {
    match layer {
        LogLayer::Transport => "transport",
        LogLayer::Session => "session",
        LogLayer::Overlay => "overlay",
        LogLayer::Node => "node",
        LogLayer::Other => "other",
    }
}
