//! `dunlin trust`: the conduct of peers, and whom they say that they trust.

use serde_json::Map;

use super::table::{Table, opt};
use super::{client, print_json, show, show_events};
use crate::cli::control::{OnePeerArgs, TrustAction, TrustArgs};
use crate::commands::{note, print_line};
use crate::control::client::segment;
use crate::control::model::{EventList, Statements, TrustEntry, TrustList};
use crate::control::snapshot::shorten;
use crate::failure::Failure;

/// `dunlin trust`.
pub(super) async fn run(args: &TrustArgs) -> Result<(), Failure> {
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
                "Relied upon",
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
        TrustAction::Ask(args) => ask(args).await,
    }
}

/// Asks a peer whom it trusts.
async fn ask(args: &OnePeerArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/peers/{}/trusted", segment(&args.peer));
    let client = client(&args.show.node)?;
    let said: Statements = client.post(&path, &Map::new()).await?;
    if args.show.json {
        return print_json(&said);
    }
    if said.trusted.is_empty() {
        note("it trusts nobody above a stranger");
        return Ok(());
    }
    let mut table = Table::new(&[
        "Peer ID",
        "It says",
        "Trust here",
        "Without what others say",
    ]);
    let share = |share: Option<f64>| opt(share.map(|share| format!("{share:.3}")));
    for of in &said.trusted {
        table.row(&[
            shorten(&of.id, show::ID_LEN),
            share(Some(of.stated)),
            share(of.trust),
            share(of.own_trust),
        ]);
    }
    print_line(&table.to_string())
}

fn trust_row(peer: &TrustEntry) -> [String; 7] {
    [
        shorten(&peer.id, show::ID_LEN),
        show::status(peer.status).to_owned(),
        show::score(peer.reputation_score),
        opt(peer.trust.map(|trust| format!("{trust:.2}"))),
        if peer.may_relay { "yes" } else { "no" }.to_owned(),
        peer.first_deliveries.to_string(),
        peer.promises_broken.to_string(),
    ]
}
