//! Events of the overlay as records that the API, the stories and the log share.

use dunlin_overlay::saved::{BanSubject, SavedBan};
use dunlin_overlay::{BanEnd, Event, PeerState, StateReason};
use dunlin_session::NodeId;
use serde_json::{Value, json};

use super::limits::EVENT_PAYLOAD_LEN_MAX;
use super::model::EventRecord;
use crate::clock::rfc3339;
use crate::network::{evidence_words, score_words};

/// What an event says, before it has a number and a time.
pub(super) struct Said {
    kind: &'static str,
    pub(super) peer: Option<NodeId>,
    /// Whether it belongs to the story of that peer: what peers send does not.
    pub(super) is_story: bool,
    words: String,
    detail: Value,
}

impl Said {
    pub(super) fn into_record(self, sequence: u64, unix_millis: u64) -> EventRecord {
        EventRecord {
            sequence,
            time: time(unix_millis),
            kind: self.kind.to_owned(),
            peer: self.peer.map(|peer| peer.to_string()),
            words: self.words,
            detail: self.detail,
        }
    }

    fn story(kind: &'static str, peer: NodeId, words: impl Into<String>, detail: Value) -> Self {
        Self {
            kind,
            peer: Some(peer),
            is_story: true,
            words: words.into(),
            detail,
        }
    }

    fn passing(kind: &'static str, peer: NodeId, words: impl Into<String>, detail: Value) -> Self {
        Self {
            is_story: false,
            ..Self::story(kind, peer, words, detail)
        }
    }
}

/// Milliseconds since the Unix epoch as the API writes them.
#[must_use]
pub fn time(unix_millis: u64) -> String {
    rfc3339(unix_millis.saturating_mul(1_000_000))
}

/// A name of the code, such as `PeerGone`, as words.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    let mut is_inside = false;
    for letter in name.chars() {
        if (letter.is_uppercase() || letter == '(') && is_inside {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        is_inside = letter.is_alphanumeric();
    }
    words
}

/// What `event` says.
pub(super) fn say(event: &Event) -> Said {
    match event {
        Event::PeerUp { peer } => Said::story("peer_up", *peer, "connected", Value::Null),
        Event::PeerDown { peer, reason } => {
            let why = reason.to_string();
            let detail = json!({ "reason": why });
            Said::story("peer_down", *peer, format!("lost: {why}"), detail)
        }
        Event::PeerStateChanged {
            peer,
            from,
            to,
            reason,
        } => state_changed(*peer, *from, *to, *reason),
        Event::PeerSilent { peer, is_silent } => {
            let words = if *is_silent {
                "does not answer"
            } else {
                "answers again"
            };
            let detail = json!({ "is_silent": is_silent });
            Said::story("peer_silent", *peer, words, detail)
        }
        Event::PeerViolation { peer, violation } => {
            let detail = json!({ "violation": violation.to_string() });
            let words = format!("broke a rule: {violation}");
            Said::story("peer_violation", *peer, words, detail)
        }
        Event::ObservedAddress { peer, address } => {
            let detail = json!({ "address": address.to_string() });
            let words = format!("sees this node at {address}");
            Said::passing("observed_address", *peer, words, detail)
        }
        Event::BroadcastRejected { id, origin, .. } => {
            let detail = json!({ "id": id.to_string() });
            let words = "signed a broadcast that the application rejects";
            Said::story("broadcast_rejected", *origin, words, detail)
        }
        Event::PeerProven { peer } => Said::story(
            "peer_proven",
            *peer,
            "proved its identity again",
            Value::Null,
        ),
        Event::LinkRefused {
            peer,
            remote,
            reason,
        } => {
            let words = format!("its link from {remote} was refused: {reason:?}");
            let detail = json!({ "remote": remote.to_string() });
            Said::passing("link_refused", *peer, words, detail)
        }
        Event::ScoreChanged { .. } | Event::TrustStatements { .. } => conduct(event),
        Event::Banned { ban } => banned(ban),
        Event::Unbanned { subject, how } => {
            let how = match how {
                BanEnd::Expired => "its time was over",
                BanEnd::Lifted => "the operator ended it",
                BanEnd::Displaced => "there were too many",
            };
            let detail = json!({ "subject": subject.to_string(), "how": how });
            let words = format!("the ban of {subject} ended: {how}");
            of_subject("unbanned", *subject, words, detail)
        }
        other => message(other),
    }
}

/// Scores, and what peers say of others.
fn conduct(event: &Event) -> Said {
    match event {
        Event::ScoreChanged {
            peer,
            component,
            from,
            to,
            evidence,
        } => {
            let why = evidence_words(evidence);
            let words = score_words(*component, *from, *to, &why);
            let detail =
                json!({ "component": component.name(), "from": from, "to": to, "evidence": why });
            Said::story("score_changed", *peer, words, detail)
        }
        Event::TrustStatements { peer, entries } => {
            let stated = entries.iter().map(|(of, trust)| {
                json!({ "peer": of.to_string(), "trust": f64::from(*trust) / 1_000.0 })
            });
            let detail = json!({ "entries": stated.collect::<Vec<_>>() });
            let words = format!("says how much it trusts {} others", entries.len());
            Said::passing("trust_statements", *peer, words, detail)
        }
        other => message(other),
    }
}

fn banned(ban: &SavedBan) -> Said {
    let (subject, until) = (ban.subject, time(ban.until));
    let detail = json!({
        "subject": subject.to_string(),
        "until": until,
        "reason": ban.reason,
    });
    let reason = ban.reason.escape_debug();
    let words = format!("{subject} is banned until {until}: {reason}");
    of_subject("banned", subject, words, detail)
}

/// A ban is part of a story when it is for an identity.
fn of_subject(kind: &'static str, subject: BanSubject, words: String, detail: Value) -> Said {
    let peer = match subject {
        BanSubject::Peer(peer) => Some(peer),
        BanSubject::Address(_) | BanSubject::Prefix(..) => None,
    };
    Said {
        kind,
        peer,
        is_story: true,
        words,
        detail,
    }
}

fn state_changed(
    peer: NodeId,
    from: Option<PeerState>,
    to: PeerState,
    reason: StateReason,
) -> Said {
    let why = reason.to_string();
    let words = match from {
        Some(from) => format!("{from} → {to}: {why}"),
        None => format!("{to}: {why}"),
    };
    let detail = json!({
        "from": from.map(|from| from.to_string()),
        "to": to.to_string(),
        "reason": why,
    });
    Said::story("peer_state", peer, words, detail)
}

/// Messages, and what a later version of the overlay adds.
fn message(event: &Event) -> Said {
    match event {
        Event::Broadcast {
            id,
            origin,
            topic,
            payload,
            hops,
            from,
            ..
        } => {
            let words = format!(
                "broadcast on {}: {} bytes, {hops} hops",
                topic.escape_debug(),
                payload.len()
            );
            let mut detail = payload_json(payload);
            detail["id"] = json!(id.to_string());
            detail["topic"] = json!(topic);
            detail["hops"] = json!(hops);
            detail["from"] = json!(from.to_string());
            Said::passing("broadcast", *origin, words, detail)
        }
        Event::Direct {
            peer,
            handler,
            payload,
            via,
        } => {
            let (words, detail) = to_handler("message", handler, payload, *via);
            Said::passing("direct", *peer, words, detail)
        }
        Event::Request {
            peer,
            id,
            handler,
            payload,
            via,
        } => {
            let (words, mut detail) = to_handler("request", handler, payload, *via);
            detail["id"] = json!(id.0);
            Said::passing("request", *peer, words, detail)
        }
        Event::Response { peer, payload, .. } => {
            let words = format!("answer: {} bytes", payload.len());
            Said::passing("response", *peer, words, payload_json(payload))
        }
        Event::RequestFailed { peer, failure, .. } => {
            let why = spaced(&format!("{failure:?}"));
            let detail = json!({ "reason": why });
            Said::passing("request_failed", *peer, format!("no answer: {why}"), detail)
        }
        other => Said {
            kind: "other",
            peer: None,
            is_story: false,
            words: spaced(&format!("{other:?}")),
            detail: Value::Null,
        },
    }
}

/// What was sent to a handler of ours, in words and in parts.
fn to_handler(what: &str, handler: &str, payload: &[u8], via: Option<NodeId>) -> (String, Value) {
    let (name, bytes) = (handler.escape_debug(), payload.len());
    let mut detail = payload_json(payload);
    detail["handler"] = json!(handler);
    detail["via"] = json!(via.map(|via| via.to_string()));
    (format!("{what} to {name}: {bytes} bytes"), detail)
}

/// A payload as text where it is text, in hexadecimal where not; cut at [`EVENT_PAYLOAD_LEN_MAX`].
fn payload_json(payload: &[u8]) -> Value {
    let shown = payload.get(..EVENT_PAYLOAD_LEN_MAX).unwrap_or(payload);
    let mut detail = json!({ "bytes": payload.len(), "is_cut": shown.len() < payload.len() });
    match std::str::from_utf8(shown) {
        Ok(text) => detail["text"] = json!(text),
        // The cut may go through a character of what is text otherwise.
        Err(error) if error.error_len().is_none() && shown.len() < payload.len() => {
            let valid = shown.get(..error.valid_up_to()).unwrap_or_default();
            detail["text"] = json!(String::from_utf8_lossy(valid));
        }
        Err(_) => detail["hex"] = json!(to_hex(shown)),
    }
    detail
}

/// Bytes in hexadecimal.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a text in hexadecimal; `None` when it is none.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let pairs = digits.chunks_exact(2);
    Some(
        pairs
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_of_an_identity_is_part_of_its_story_and_says_why() {
        let ban = |subject| SavedBan {
            subject,
            since: 0,
            until: 1_000,
            reason: "rubbish".into(),
        };
        let peer = NodeId::from_bytes([7; 32]);
        let said = say(&Event::Banned {
            ban: ban(BanSubject::Peer(peer)),
        });
        assert_eq!((said.peer, said.is_story), (Some(peer), true));
        let record = said.into_record(1, 0);
        assert!(record.words.contains("1970-01-01T00:00:01") && record.words.ends_with("rubbish"));
        let range = BanSubject::Address([192, 0, 2, 7].into());
        assert_eq!(say(&Event::Banned { ban: ban(range) }).peer, None);
    }

    #[test]
    fn payloads_are_text_or_hexadecimal_and_cut_at_the_limit() {
        assert_eq!(payload_json("é".as_bytes())["text"], "é");
        assert_eq!(payload_json(&[0xff, 1])["hex"], "ff01");
        let whole = payload_json(&vec![b'x'; EVENT_PAYLOAD_LEN_MAX]);
        assert_eq!(whole["is_cut"], false);
        let long = "é".repeat(EVENT_PAYLOAD_LEN_MAX);
        let cut = payload_json(&long.as_bytes()[1..]);
        assert_eq!(cut["is_cut"], true);
        let cut = payload_json(format!("x{long}").as_bytes());
        assert_eq!(
            cut["text"].as_str().unwrap().len(),
            EVENT_PAYLOAD_LEN_MAX - 1
        );
    }

    #[test]
    fn hexadecimal_round_trips_and_rejects_what_it_is_not() {
        assert_eq!(from_hex(&to_hex(&[0, 1, 0xfe])), Some(vec![0, 1, 0xfe]));
        assert_eq!(from_hex("ABcd"), Some(vec![0xab, 0xcd]));
        for wrong in ["a", "zz", "é0"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
