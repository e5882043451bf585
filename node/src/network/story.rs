//! The story of the network as this node lived it: which events are kept, and in what words.

use std::net::SocketAddr;

use dunlin_overlay::saved::{BanSubject, SavedBan};
use dunlin_overlay::{BanEnd, Component, Direction, Event, PeerState, PeerViolation};
use dunlin_session::NodeId;
use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::store::{StoryRow, Weight, ban_columns};

/// The row for an event at `unix_millis`; `None`: it is no part of the story.
pub(super) fn row(event: &Event, unix_millis: u64) -> Option<StoryRow> {
    let told = told(event)?;
    Some(StoryRow {
        unix_millis,
        peer: told.peer,
        kind: told.kind.into(),
        words: told.words,
        detail: Some(told.detail),
        weight: told.weight,
    })
}

/// What is told of an event, and how much depends on its being kept.
fn told(event: &Event) -> Option<Told> {
    Some(match event {
        Event::PeerStateChanged {
            peer,
            from,
            to,
            reason,
        } => {
            let is_ban = *to == PeerState::Banned || *from == Some(PeerState::Banned);
            let words = format!("{to}: {reason}");
            let detail = json!({
                "from": from.map(|from| from.to_string()),
                "to": to.to_string(),
                "reason": reason.to_string(),
            });
            let weight = weight(is_ban);
            Told::new(Some(*peer), "state", words, detail, weight)
        }
        Event::PeerViolation { peer, violation } => broke_a_rule(*peer, *violation),
        Event::BroadcastRejected {
            id,
            origin,
            from,
            sender_answers,
        } => {
            let words = format!("signed a broadcast that was rejected: {id}");
            let detail = json!({
                "broadcast": id.to_string(),
                "from": from.to_string(),
                "sender_answers": sender_answers,
            });
            Told::new(Some(*origin), "rejected", words, detail, Weight::Verdict)
        }
        Event::PeerSilent { peer, is_silent } => silence(*peer, *is_silent),
        Event::ScoreChanged {
            peer,
            component,
            from,
            to,
            evidence,
        } => {
            let why = evidence.to_string();
            let words = score_words(*component, *from, *to, &why);
            let detail = json!({
                "component": component.name(),
                "from": from,
                "to": to,
                "evidence": why,
            });
            Told::new(
                Some(*peer),
                "score",
                words,
                detail,
                score_weight(*from, *to),
            )
        }
        Event::Banned { ban } => banned(ban),
        Event::Unbanned { subject, how } => unbanned(subject, *how),
        Event::LinkReplaced { .. } | Event::LinkRefused { .. } => return of_link(event),
        _ => return None,
    })
}

/// What is told of links that are no change of the peer's state.
fn of_link(event: &Event) -> Option<Told> {
    Some(match event {
        Event::LinkReplaced {
            peer,
            remote,
            direction,
        } => {
            let words = link_replaced_words(*remote, *direction);
            let detail = json!({ "remote": remote.to_string() });
            Told::new(Some(*peer), "replaced", words, detail, Weight::Ordinary)
        }
        Event::LinkRefused {
            peer,
            remote,
            reason,
        } => {
            let words = format!("a link with {remote} was refused");
            let detail = json!({ "remote": remote.to_string(), "reason": format!("{reason:?}") });
            Told::new(Some(*peer), "refused", words, detail, Weight::Ordinary)
        }
        _ => return None,
    })
}

/// A new link in place of another, in a line.
pub(crate) fn link_replaced_words(remote: SocketAddr, direction: Direction) -> String {
    let opener = match direction {
        Direction::Inbound => "it opened",
        Direction::Outbound => "this node opened",
    };
    format!("another link takes the place of the one it had; {opener} it, {remote}")
}

/// A change of a score in a line.
pub(crate) fn score_words(component: Component, from: u8, to: u8, why: &str) -> String {
    format!("score {from} → {to} for {}: {why}", component.name())
}

fn broke_a_rule(peer: NodeId, violation: PeerViolation) -> Told {
    let words = format!("broke a rule: {violation}");
    let detail = json!({ "violation": format!("{violation:?}") });
    Told::new(Some(peer), "violation", words, detail, Weight::Verdict)
}

/// A loss is to survive the process that saw it.
const fn score_weight(from: u8, to: u8) -> Weight {
    if to > from {
        Weight::Evidence
    } else {
        Weight::Verdict
    }
}

fn silence(peer: NodeId, is_silent: bool) -> Told {
    let words = match is_silent {
        true => "fell silent",
        false => "was heard again",
    };
    let detail = json!({ "is_silent": is_silent });
    Told::new(
        Some(peer),
        "silence",
        words.into(),
        detail,
        Weight::Ordinary,
    )
}

fn banned(ban: &SavedBan) -> Told {
    let (kind, subject) = ban_columns(&ban.subject);
    let until = rfc3339(ban.until.saturating_mul(1_000_000));
    let words = format!("{subject} is banned until {until}: {}", ban.reason);
    let detail = json!({
        "kind": kind,
        "subject": subject,
        "since": ban.since,
        "until": ban.until,
        "reason": ban.reason,
    });
    Told::new(peer_of(&ban.subject), "ban", words, detail, Weight::Verdict)
}

fn unbanned(subject: &BanSubject, how: BanEnd) -> Told {
    let peer = peer_of(subject);
    let (kind, subject) = ban_columns(subject);
    let why = match how {
        BanEnd::Expired => "its time was over",
        BanEnd::Lifted => "it was lifted",
        BanEnd::Displaced => "there were too many, and it would have ended first",
    };
    let words = format!("the ban of {subject} has ended: {why}");
    let detail = json!({ "kind": kind, "subject": subject, "how": format!("{how:?}") });
    Told::new(peer, "unban", words, detail, Weight::Verdict)
}

const fn peer_of(subject: &BanSubject) -> Option<NodeId> {
    match subject {
        BanSubject::Peer(peer) => Some(*peer),
        BanSubject::Address(_) | BanSubject::Prefix(..) => None,
    }
}

const fn weight(is_evidence: bool) -> Weight {
    if is_evidence {
        Weight::Verdict
    } else {
        Weight::Ordinary
    }
}

struct Told {
    peer: Option<NodeId>,
    kind: &'static str,
    words: String,
    detail: Value,
    weight: Weight,
}

impl Told {
    const fn new(
        peer: Option<NodeId>,
        kind: &'static str,
        words: String,
        detail: Value,
        weight: Weight,
    ) -> Self {
        Self {
            peer,
            kind,
            words,
            detail,
            weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_overlay::{Evidence, StateReason};

    use super::*;

    #[test]
    fn bans_and_their_ends_are_evidence_and_links_are_not() {
        let peer = dunlin_session::Identity::from_seed([1; 32]).node_id();
        let weight = |from, to| {
            let reason = StateReason::BannedByUser;
            let event = Event::PeerStateChanged {
                peer,
                from,
                to,
                reason,
            };
            let row = row(&event, 7).unwrap();
            assert_eq!((row.unix_millis, row.peer), (7, Some(peer)));
            row.weight
        };
        use PeerState as S;
        assert_eq!(weight(None, S::Discovered), Weight::Ordinary);
        assert_eq!(weight(Some(S::Connected), S::Banned), Weight::Verdict);
        assert_eq!(weight(Some(S::Banned), S::Discovered), Weight::Verdict);
        assert_eq!(row(&Event::PeerUp { peer }, 7), None);
    }

    #[test]
    fn a_change_of_a_score_is_told_with_its_evidence_in_words() {
        let peer = dunlin_session::Identity::from_seed([1; 32]).node_id();
        let event = Event::ScoreChanged {
            peer,
            component: Component::Relay,
            from: 60,
            to: 40,
            evidence: Evidence::Unanswered,
        };
        let row = row(&event, 7).unwrap();
        let why = "it did not answer a ping in time";
        assert_eq!(row.words, format!("score 60 → 40 for relay: {why}"));
        assert_eq!(row.detail.unwrap()["evidence"], why);
    }

    #[test]
    fn a_ban_tells_of_whom_why_and_until_when() {
        let peer = dunlin_session::Identity::from_seed([1; 32]).node_id();
        let ban = |subject| SavedBan {
            subject,
            since: 1_000,
            until: 2_000,
            reason: "rubbish".into(),
        };
        let of_peer = row(
            &Event::Banned {
                ban: ban(BanSubject::Peer(peer)),
            },
            7,
        )
        .unwrap();
        assert_eq!(
            (of_peer.peer, of_peer.weight),
            (Some(peer), Weight::Verdict)
        );
        let subject = BanSubject::Prefix("10.0.0.0".parse().unwrap(), 8);
        let of_range = row(&Event::Banned { ban: ban(subject) }, 7).unwrap();
        assert_eq!(of_range.peer, None);
        assert_eq!(
            of_range.words,
            "10.0.0.0/8 is banned until 1970-01-01T00:00:02.000000Z: rubbish"
        );
        let how = BanEnd::Expired;
        let over = row(&Event::Unbanned { subject, how }, 7).unwrap();
        assert_eq!(
            over.words,
            "the ban of 10.0.0.0/8 has ended: its time was over"
        );
    }
}
