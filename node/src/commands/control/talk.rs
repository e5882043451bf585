//! `dunlin broadcast`, `message`, `request`, `topics` and `verdict`: what is said to other nodes and what is
//! heard of them.

use hyper::Method;

use super::{client, print_json};
use crate::cli::control::{
    BroadcastArgs, MessageArgs, RequestArgs, TopicsAction, TopicsArgs, VerdictArgs,
};
use crate::commands::{note, print_line};
use crate::control::client::segment;
use crate::control::model::{
    Answered, Asking, Changed, Judgement, Telling, Told, TopicList, VerdictOn,
};
use crate::failure::Failure;

/// `dunlin broadcast`.
pub(super) async fn broadcast(args: BroadcastArgs) -> Result<(), Failure> {
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
pub(super) async fn message(args: MessageArgs) -> Result<(), Failure> {
    let telling = Telling {
        name: args.handler,
        text: Some(args.text),
        via: args.via,
        ..Telling::default()
    };
    let path = format!("/api/v1/peers/{}/messages", segment(&args.peer));
    let told: Told = client(&args.show.node)?.post(&path, &telling).await?;
    if args.show.json {
        return print_json(&told);
    }
    print_line(&format!("sent: {} bytes", told.bytes))
}

/// `dunlin request`.
pub(super) async fn request(args: RequestArgs) -> Result<(), Failure> {
    let asking = Asking {
        name: args.handler,
        text: Some(args.text),
        timeout_ms: Some(u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX)),
        via: args.via,
        ..Asking::default()
    };
    let path = format!("/api/v1/peers/{}/requests", segment(&args.peer));
    let answered: Answered = client(&args.show.node)?.post(&path, &asking).await?;
    if args.show.json {
        return print_json(&answered);
    }
    match (&answered.text, &answered.hex) {
        (Some(text), _) => print_line(&plain(text)),
        (None, hex) => print_line(hex.as_deref().unwrap_or_default()),
    }
}

/// What another node says must not steer the terminal.
fn plain(text: &str) -> String {
    let is_harmless = |c: char| !c.is_control() || c == '\n';
    let letters = text.chars();
    letters
        .map(|c| if is_harmless(c) { c } else { '\u{fffd}' })
        .collect()
}

/// `dunlin topics`.
pub(super) async fn topics(args: TopicsArgs) -> Result<(), Failure> {
    let path = "/api/v1/topics";
    let (list, show) = match args.action {
        TopicsAction::List(show) => {
            let list: TopicList = client(&show.node)?.get(path).await?;
            (list, show)
        }
        TopicsAction::Set(set) => {
            let names = set.names.into_iter().collect();
            let topics = (!set.all).then_some(names);
            let (client, wish) = (client(&set.show.node)?, TopicList { topics });
            let list: TopicList = client.call(Method::PUT, path, Some(&wish)).await?;
            (list, set.show)
        }
    };
    if show.json {
        return print_json(&list);
    }
    let Some(names) = list.topics else {
        note("broadcasts of all topics are taken");
        return Ok(());
    };
    for name in names {
        print_line(&name.escape_debug().to_string())?;
    }
    Ok(())
}

/// `dunlin verdict`.
pub(super) async fn verdict(args: VerdictArgs) -> Result<(), Failure> {
    let said = VerdictOn {
        broadcast: args.broadcast,
        verdict: args.verdict,
    };
    let client = client(&args.show.node)?;
    let changed: Changed = client.post("/api/v1/verdicts", &said).await?;
    if args.show.json {
        return print_json(&changed);
    }
    let what = match (changed.changed, said.verdict) {
        (false, _) => "does not wait for a verdict (any more):",
        (true, Judgement::Accept) => "accepted, and passed on:",
        (true, Judgement::Ignore) => "ignored:",
        (true, Judgement::Reject) => "rejected:",
    };
    print_line(&format!("{what} {}", changed.subject))
}
