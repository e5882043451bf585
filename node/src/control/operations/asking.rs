//! Questions to handlers of other nodes, and the answers of an application to what this node is asked;
//! its verdicts on broadcasts.

use std::sync::Arc;
use std::time::Duration;

use dunlin_overlay::{
    BroadcastId, Event, Instant, OverlayError, RequestFailure, RequestId, RequestRefusal, Verdict,
};
use dunlin_session::NodeId;

use super::Operations;
use super::telling::payload_of;
use crate::clock::Clock;
use crate::control::limits::ANSWER_TIMEOUT_MAX;
use crate::control::model::{
    Answered, Answering, Asking, Changed, Code, Judgement, Problem, VerdictOn,
};
use crate::control::records::{from_hex, to_hex};
use crate::control::snapshot::{Snapshot, millis, whole_id};
use crate::network::handlers;

impl Operations {
    /// Asks a handler of another node and waits for its answer: of a connected one, or, through a peer
    /// that relays, of any.
    ///
    /// # Errors
    /// No such peer, one that is not connected, what the overlay refuses, a refusal, or no answer in time.
    pub async fn ask(&self, text: &str, asking: Asking) -> Result<Answered, Problem> {
        let payload = payload_of(asking.text.as_ref(), asking.hex.as_ref())?;
        let (peer, relay) = self.whom(text, asking.via.as_deref()).await?;
        let limit = asking.timeout_ms.map(Duration::from_millis);
        let limit = limit.map_or(ANSWER_TIMEOUT_MAX, |limit| limit.min(ANSWER_TIMEOUT_MAX));
        let (waiting, name) = (Arc::clone(&self.waiting), asking.name.clone());
        let clock = Clock::start();
        let outcome = self.node.with_overlay(move |overlay, now| {
            let id = match relay {
                Some(relay) => overlay.request_relayed(now, relay, peer, &name, &payload)?,
                None => overlay.request(now, peer, &name, &payload)?,
            };
            // Here, where no answer can have come yet.
            Ok::<_, OverlayError>(waiting.for_request(peer, id))
        });
        let outcome = outcome.await.ok_or_else(Problem::stopping)??;
        let outcome = match tokio::time::timeout(limit, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => return Err(too_many()),
            Err(_) => Err(RequestFailure::Timeout),
        };
        let bytes = outcome.map_err(|failure| failed(peer, &asking.name, failure))?;
        let (text, hex) = match String::from_utf8(bytes.to_vec()) {
            Ok(text) => (Some(text), None),
            Err(_) => (None, Some(to_hex(&bytes))),
        };
        Ok(Answered {
            peer: peer.to_string(),
            name: asking.name,
            text,
            hex,
            bytes: bytes.len(),
            took_ms: millis(clock.now().saturating_duration_since(Instant::ZERO)),
        })
    }

    /// The node that is meant, and through whom it is reached if not directly: `Some(None)`: through any
    /// peer that relays. Who is reached through another need not be known here.
    ///
    /// # Errors
    /// No such peer, or several.
    pub(super) async fn whom(
        &self,
        text: &str,
        via: Option<&str>,
    ) -> Result<(NodeId, Option<Option<NodeId>>), Problem> {
        let snapshot = Snapshot::take(&self.node).await?;
        let found = snapshot.find(text).map(|peer| peer.id);
        let Some(via) = via else {
            return Ok((found?, None));
        };
        let peer = found.or_else(|problem| whole_id(text).ok_or(problem))?;
        let relay = match via {
            "any" => None,
            name => Some(snapshot.find(name)?.id),
        };
        Ok((peer, Some(relay)))
    }

    /// Answers a question that this node was asked, or refuses it.
    ///
    /// # Errors
    /// A peer or a payload that is none, or an answer that is too long.
    pub async fn answer(&self, answer: Answering) -> Result<Changed, Problem> {
        let (peer, _) = self.whom(&answer.peer, Some("any")).await?;
        let payload = match answer.refuse {
            true if answer.text.is_none() && answer.hex.is_none() => None,
            _ => Some(payload_of(answer.text.as_ref(), answer.hex.as_ref())?),
        };
        let id = RequestId(answer.id);
        let answered = self.node.with_overlay(move |overlay, now| match payload {
            Some(payload) => overlay.respond(now, peer, id, &payload),
            None => overlay.refuse(now, peer, id, RequestRefusal::Failed),
        });
        let changed = match answered.await.ok_or_else(Problem::stopping)? {
            Ok(()) => true,
            Err(OverlayError::UnknownRequest(_)) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Changed {
            subject: answer.id.to_string(),
            changed,
            is_only_in_memory: false,
        })
    }

    /// What an application says of a broadcast that waits for it.
    ///
    /// # Errors
    /// An ID that is none.
    pub async fn judge(&self, said: VerdictOn) -> Result<Changed, Problem> {
        let bytes = from_hex(&said.broadcast).and_then(|bytes| bytes.try_into().ok());
        let id = BroadcastId::from_bytes(bytes.ok_or_else(|| {
            Problem::new(
                Code::BadRequest,
                "the ID of a broadcast has 64 hexadecimal digits; the event `broadcast` tells it",
            )
        })?);
        let verdict = match said.verdict {
            Judgement::Accept => Verdict::Accept,
            Judgement::Ignore => Verdict::Ignore,
            Judgement::Reject => Verdict::Reject,
        };
        let judged = self
            .node
            .with_overlay(move |overlay, now| overlay.validate(now, id, verdict));
        // The only other outcome is that it does not wait.
        let changed = judged.await.ok_or_else(Problem::stopping)?.is_ok();
        // What it says of a peer outlives the process.
        let is_evidence = changed && said.verdict == Judgement::Reject;
        let is_only_in_memory = is_evidence && !self.settle().await;
        Ok(Changed {
            subject: said.broadcast,
            changed,
            is_only_in_memory,
        })
    }

    /// Refuses a question for a handler that is not built in when nobody listens who could answer it, so
    /// that who asks need not wait in vain.
    pub(super) fn refuse_unheard(&self, event: &Event) {
        let Event::Request {
            peer, id, handler, ..
        } = event
        else {
            return;
        };
        if handlers::is_built_in(handler) || self.hub.has_listeners() {
            return;
        }
        let (node, peer, id) = (self.node.clone(), *peer, *id);
        tokio::spawn(async move {
            node.with_overlay(move |overlay, now| {
                // It may have been answered or forgotten meanwhile.
                let _ = overlay.refuse(now, peer, id, RequestRefusal::NoHandler);
            })
            .await;
        });
    }
}

fn too_many() -> Problem {
    Problem::new(
        Code::TooMany,
        "too many requests wait for answers; try again when some have come",
    )
}

fn failed(peer: NodeId, name: &str, failure: RequestFailure) -> Problem {
    let name = name.escape_debug();
    match failure {
        RequestFailure::Timeout => Problem::new(
            Code::Unreachable,
            format!(
                "{peer} has not answered in time; `dunlin peer info {peer}` shows how it is doing"
            ),
        ),
        RequestFailure::PeerGone => Problem::new(
            Code::NotConnected,
            format!("{peer} has gone before it answered; `dunlin peer why {peer}` says why"),
        ),
        RequestFailure::Unreachable => Problem::new(
            Code::Unreachable,
            format!(
                "no relay reaches {peer}; name another one, or add the peer with `dunlin peer add`"
            ),
        ),
        RequestFailure::Refused(Some(refusal)) => Problem::new(
            Code::Refused,
            format!(
                "{peer} does not answer \"{name}\": {refusal}; `node-info` and `echo` are there in every node"
            ),
        ),
        RequestFailure::Refused(None) => Problem::new(
            Code::Refused,
            format!(
                "{peer} does not answer \"{name}\", for a reason of a later version; update this program"
            ),
        ),
    }
}
