//! The story of the network as this node lived it: which events are kept, and in what words.

use dunlin_overlay::{Event, PeerState};
use dunlin_session::NodeId;
use serde_json::{Value, json};

use crate::store::{StoryRow, Weight};

/// The row for an event at `unix_millis`; `None`: it is no part of the story.
pub(super) fn row(event: &Event, unix_millis: u64) -> Option<StoryRow> {
    let told = match event {
        Event::PeerStateChanged {
            peer,
            from,
            to,
            reason,
        } => {
            let is_ban = *to == PeerState::Banned || *from == Some(PeerState::Banned);
            let words = format!("{to:?}: {reason:?}");
            let detail = json!({
                "from": from.map(|from| format!("{from:?}")),
                "to": format!("{to:?}"),
                "reason": format!("{reason:?}"),
            });
            let weight = weight(is_ban);
            Told::new(*peer, "state", words, detail, weight)
        }
        Event::PeerViolation { peer, violation } => {
            let words = format!("broke a rule: {violation}");
            let detail = json!({ "violation": format!("{violation:?}") });
            Told::new(*peer, "violation", words, detail, Weight::Evidence)
        }
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
            Told::new(*origin, "rejected", words, detail, Weight::Evidence)
        }
        Event::PeerSilent { peer, is_silent } => {
            let words = if *is_silent {
                "fell silent"
            } else {
                "was heard again"
            };
            let detail = json!({ "is_silent": is_silent });
            Told::new(*peer, "silence", words.into(), detail, Weight::Ordinary)
        }
        _ => return None,
    };
    Some(StoryRow {
        unix_millis,
        peer: Some(told.peer),
        kind: told.kind.into(),
        words: told.words,
        detail: Some(told.detail),
        weight: told.weight,
    })
}

const fn weight(is_evidence: bool) -> Weight {
    if is_evidence {
        Weight::Evidence
    } else {
        Weight::Ordinary
    }
}

struct Told {
    peer: NodeId,
    kind: &'static str,
    words: String,
    detail: Value,
    weight: Weight,
}

impl Told {
    const fn new(
        peer: NodeId,
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
    use dunlin_overlay::StateReason;

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
        assert_eq!(weight(Some(S::Connected), S::Banned), Weight::Evidence);
        assert_eq!(weight(Some(S::Banned), S::Discovered), Weight::Evidence);
        assert_eq!(row(&Event::PeerUp { peer }, 7), None);
    }
}
